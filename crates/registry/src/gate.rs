//! [`Gate`]: how many requests a registry gets at once, and how soon.
//!
//! Blobs being read have permits of their own. A copy within one registry reads a blob while it
//! uploads it; with one kind of permit, readers could hold all of them and wait for each other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{ErrorKind, Failure};

/// What a request is, as far as its permit goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lane {
    /// A blob's content, read.
    Reads,
    /// All else, uploads among them.
    Requests,
}

/// The gate that all requests to one registry pass.
pub(crate) struct Gate {
    reads: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    pace: Mutex<Pace>,
    /// The time from one request to the next, where a rate is set.
    interval: Option<Duration>,
    longest_hold: Duration,
}

struct Pace {
    /// When the rate allows the next request.
    next: Instant,
    /// Before this the registry wants none.
    held_until: Instant,
}

/// The right to make a request; kept until its answer was read.
#[derive(Debug)]
pub(crate) struct Permit(
    #[allow(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl Gate {
    /// A gate for `concurrency` requests at once and `rate` requests a second; a registry that
    /// wants to be left alone for more than `longest_hold` is not waited for.
    pub(crate) fn new(concurrency: usize, rate: Option<f64>, longest_hold: Duration) -> Self {
        let permits = concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let now = Instant::now();
        Self {
            reads: Arc::new(Semaphore::new(permits)),
            requests: Arc::new(Semaphore::new(permits)),
            pace: Mutex::new(Pace { next: now, held_until: now }),
            interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            longest_hold,
        }
    }

    /// Waits for a permit and for the pace.
    ///
    /// Fails, at once, if the registry wants to be left alone for longer than is waited.
    pub(crate) async fn enter(&self, lane: Lane) -> Result<Permit, Failure> {
        let semaphore = match lane {
            Lane::Reads => &self.reads,
            Lane::Requests => &self.requests,
        };
        // The semaphore is never closed; were it, requests would merely not be counted.
        let permit = Arc::clone(semaphore).acquire_owned().await.ok();
        self.pass().await?;
        Ok(Permit(permit))
    }

    /// A permit if there is one to spare and the pace allows it at once.
    pub(crate) fn try_enter(&self, lane: Lane) -> Option<Permit> {
        let semaphore = match lane {
            Lane::Reads => &self.reads,
            Lane::Requests => &self.requests,
        };
        let permit = Arc::clone(semaphore).try_acquire_owned().ok()?;
        self.pass().now_or_never()?.ok()?;
        Some(Permit(Some(permit)))
    }

    /// Waits for the pace only; for one who has a permit already.
    pub(crate) async fn pass(&self) -> Result<(), Failure> {
        loop {
            let until = {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if pace.held_until > now {
                    let rest = pace.held_until - now;
                    if rest > self.longest_hold {
                        return Err(Failure::new(
                            ErrorKind::RateLimited,
                            format!("the registry asked for no requests for {} s", rest.as_secs()),
                        )
                        .temporary()
                        .retry_after(Some(rest)));
                    }
                    pace.held_until
                } else {
                    let Some(interval) = self.interval else { return Ok(()) };
                    if pace.next <= now {
                        pace.next = now + interval;
                        return Ok(());
                    }
                    pace.next
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }

    /// The registry wants no requests for so long.
    pub(crate) fn hold(&self, delay: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        // A date that lies beyond what the clock can hold is as good as a year.
        let delay = delay.min(Duration::from_secs(365 * 24 * 60 * 60));
        pace.held_until = pace.held_until.max(Instant::now() + delay);
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_lane_has_so_many_permits() {
        let gate = Gate::new(2, None, SECOND);
        let one = gate.enter(Lane::Requests).await.unwrap();
        let _two = gate.enter(Lane::Requests).await.unwrap();
        assert!(gate.enter(Lane::Requests).now_or_never().is_none());
        assert!(gate.enter(Lane::Reads).now_or_never().is_some());
        drop(one);
        assert!(gate.enter(Lane::Requests).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_extra_waits_for_nothing() {
        let gate = Gate::new(1, Some(1.0), SECOND);
        let one = gate.try_enter(Lane::Reads).unwrap();
        assert!(gate.try_enter(Lane::Reads).is_none(), "no permit");
        drop(one);
        assert!(gate.try_enter(Lane::Reads).is_none(), "too soon");
        tokio::time::advance(SECOND).await;
        assert!(gate.try_enter(Lane::Reads).is_some());
        gate.hold(SECOND);
        tokio::time::advance(SECOND / 2).await;
        assert!(gate.try_enter(Lane::Reads).is_none(), "held");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spreads_requests() {
        let gate = Gate::new(100, Some(10.0), SECOND);
        let started = Instant::now();
        join_all((0..11).map(|_| async { drop(gate.enter(Lane::Requests).await.unwrap()) })).await;
        let waited = started.elapsed().as_millis();
        assert!((1000..1100).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_waited_for_unless_it_is_too_long() {
        let gate = Gate::new(1, None, 10 * SECOND);
        gate.hold(5 * SECOND);
        let started = Instant::now();
        drop(gate.enter(Lane::Reads).await.unwrap());
        assert_eq!(started.elapsed().as_secs(), 5);
        gate.hold(11 * SECOND);
        let failure = gate.enter(Lane::Reads).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RateLimited);
        assert_eq!(failure.delay().unwrap().as_secs(), 11);
        gate.hold(Duration::MAX);
        assert!(gate.enter(Lane::Reads).await.is_err());
    }
}

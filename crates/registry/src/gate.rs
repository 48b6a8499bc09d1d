//! [`Gate`]: how many requests a registry gets at once, and how soon.
//!
//! Each kind of request, its [`Lane`], has a [`Window`] of its own; all of them share one [`Pace`].
//! Whoever wants to make a request waits here, in the order of their coming.
//!
//! Blobs being read have permits of their own. A copy within one registry reads a blob while it
//! uploads it; with one kind of permit, readers could hold all of them and wait for each other. For
//! the same reason whoever goes on reading a blob does not wait for room: its upload may hold what
//! others wait for that hold all the permits for reading.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{ErrorKind, Failure};
use crate::pace::{Pace, Pauses};
use crate::retry::Patience;
use crate::window::Window;

/// What a request is, as far as its permit goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lane {
    /// What is small: manifests, lists, and whether something is there.
    Metadata,
    /// A blob's content, read.
    Reads,
    /// What changes something: uploads, manifests pushed, deletes.
    Writes,
}

impl Lane {
    const ALL: [Self; 3] = [Self::Metadata, Self::Reads, Self::Writes];

    /// How many requests there may be at first, and once the registry has shown that it can take
    /// them. Small requests are all waiting: over a link of 40 ms, a hundred at once make 2,500 a
    /// second. Content is limited by the link, and each piece of it costs memory.
    const fn range(self) -> (usize, usize) {
        match self {
            Self::Metadata => (32, MOST_AT_ONCE),
            Self::Reads | Self::Writes => (16, 64),
        }
    }
}

/// The most requests of a kind at once, where nothing else is set.
pub(crate) const MOST_AT_ONCE: usize = 128;

/// Why a registry would not answer now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Objection {
    /// Too many requests in so much time (429).
    TooMany,
    /// It is not up to it (503).
    Overloaded,
}

/// The gate that all requests to one registry pass.
pub(crate) struct Gate {
    state: Mutex<State>,
    turnstiles: [Turnstile; 3],
    patience: Patience,
}

struct State {
    pace: Pace,
    windows: [Window; 3],
}

/// Where those wait who want a request of one kind. Only the first in line looks whether it may.
#[derive(Default)]
struct Turnstile {
    line: tokio::sync::Mutex<()>,
    /// There may be room for the first in line. Nobody else hears of it, who could not make use of it.
    room: Notify,
    /// The registry takes requests again, sooner than those were told who wait for its pace.
    resumed: Notify,
}

/// The right to make a request; kept until its answer was read.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    lane: Lane,
    begun: Instant,
}

enum Admission {
    Granted,
    Full,
    NotBefore(Instant),
}

impl Gate {
    /// A gate for `concurrency` requests of a kind at once, else as many as the registry turns out
    /// to take, and for `rate` requests a second.
    pub(crate) fn new(concurrency: Option<usize>, rate: Option<f64>, patience: Patience) -> Self {
        let window = |lane: Lane| {
            let (start, most) = lane.range();
            Window::new(start, concurrency.unwrap_or(most))
        };
        let policy = patience.policy;
        let pauses = Pauses { first: policy.first_delay, longest: policy.longest_delay };
        let pace = Pace::new(rate, pauses, Instant::now());
        let state = Mutex::new(State { pace, windows: Lane::ALL.map(window) });
        Self { state, turnstiles: Default::default(), patience }
    }

    /// Waits for a permit: for room, unless it is to go on with what was begun, and for the pace.
    ///
    /// Fails, at once, if the registry wants to be left alone for longer than is waited.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        lane: Lane,
        goes_on: bool,
    ) -> Result<Permit, Failure> {
        let turnstile = self.turnstile(lane);
        let _first = if goes_on { None } else { Some(turnstile.line.lock().await) };
        loop {
            let now = Instant::now();
            match self.change(|state| state.admit(lane, goes_on, now)) {
                Admission::Granted => {
                    return Ok(Permit { gate: Arc::clone(self), lane, begun: now });
                }
                Admission::Full => turnstile.room.notified().await,
                Admission::NotBefore(then) => {
                    self.bear(then, now)?;
                    tokio::select! {
                        () = tokio::time::sleep_until(then) => {}
                        () = turnstile.resumed.notified() => {}
                    }
                }
            }
        }
    }

    /// A permit if there is one to spare, nobody waits for it, and the pace allows it at once.
    pub(crate) fn try_enter(self: &Arc<Self>, lane: Lane) -> Option<Permit> {
        let _first = self.turnstile(lane).line.try_lock().ok()?;
        let now = Instant::now();
        match self.change(|state| state.admit(lane, false, now)) {
            Admission::Granted => Some(Permit { gate: Arc::clone(self), lane, begun: now }),
            Admission::Full | Admission::NotBefore(_) => None,
        }
    }

    /// The rate that was learned, in requests a second.
    pub(crate) fn learned_rate(&self) -> Option<f64> {
        self.change(|state| state.pace.learned())
    }

    /// Fails where it is too long until `then`.
    fn bear(&self, then: Instant, now: Instant) -> Result<(), Failure> {
        let (held_until, refusing_since) =
            self.change(|state| (state.pace.held_until(), state.pace.refusing_since()));
        let wait = then.saturating_duration_since(now);
        let refusing = refusing_since.map(|since| now.duration_since(since));
        let longest = self.patience.policy.longest_retry_after;
        let message = if held_until > now && wait > self.patience.longest_wait(now) {
            format!("the registry asked for no requests for {} s", wait.as_secs())
        } else if let Some(refusing) = refusing.filter(|refusing| *refusing >= longest) {
            format!("the registry has refused everything for {} s", refusing.as_secs())
        } else if self.patience.deadline.is_some_and(|deadline| then > deadline) {
            "the registry's pace leaves no turn for it before the deadline".to_owned()
        } else {
            return Ok(());
        };
        let failure = Failure::new(ErrorKind::RateLimited, message).temporary().exhausted();
        Err(failure.retry_after(Some(wait)))
    }

    fn turnstile(&self, lane: Lane) -> &Turnstile {
        let [metadata, reads, writes] = &self.turnstiles;
        match lane {
            Lane::Metadata => metadata,
            Lane::Reads => reads,
            Lane::Writes => writes,
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Permit {
    /// The registry answered, and did not object to there being a request.
    pub(crate) fn good(&self) {
        let now = Instant::now();
        let resumed = self.gate.change(|state| {
            state.window(self.lane).good();
            state.pace.accepted(self.begun, now)
        });
        self.gate.turnstile(self.lane).room.notify_one();
        if resumed {
            self.gate.turnstiles.iter().for_each(|turnstile| turnstile.resumed.notify_waiters());
        }
    }

    /// The registry objected; `asked` is for how long it asked for no requests, where it said.
    pub(crate) fn refused(&self, objection: Objection, asked: Option<Duration>) {
        let now = Instant::now();
        self.gate.change(|state| {
            state.window(self.lane).refused(self.begun, now);
            match (objection, asked) {
                (Objection::TooMany, asked) => state.pace.refused(self.begun, now, asked),
                (Objection::Overloaded, Some(asked)) => state.pace.hold(asked, now),
                (Objection::Overloaded, None) => {}
            }
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.change(|state| state.window(self.lane).end());
        self.gate.turnstile(self.lane).room.notify_one();
    }
}

impl State {
    fn admit(&mut self, lane: Lane, goes_on: bool, now: Instant) -> Admission {
        if !goes_on && !self.window(lane).has_room() {
            return Admission::Full;
        }
        if let Err(then) = self.pace.admit(now) {
            return Admission::NotBefore(then);
        }
        self.window(lane).begin();
        Admission::Granted
    }

    fn window(&mut self, lane: Lane) -> &mut Window {
        let [metadata, reads, writes] = &mut self.windows;
        match lane {
            Lane::Metadata => metadata,
            Lane::Reads => reads,
            Lane::Writes => writes,
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::FutureExt;
    use futures::future::join_all;

    use super::*;
    use crate::retry::{Wait, retry};
    use crate::settings::RetryPolicy;

    const SECOND: Duration = Duration::from_secs(1);

    fn patience(longest: Duration) -> Patience {
        let policy = RetryPolicy { longest_retry_after: longest, ..RetryPolicy::default() };
        Patience { policy, attempts: 5, deadline: None }
    }

    fn gate(concurrency: Option<usize>, rate: Option<f64>) -> Arc<Gate> {
        Arc::new(Gate::new(concurrency, rate, patience(60 * SECOND)))
    }

    #[tokio::test(start_paused = true)]
    async fn each_lane_has_so_many_permits() {
        let gate = gate(Some(2), None);
        let one = gate.enter(Lane::Metadata, false).await.unwrap();
        let _two = gate.enter(Lane::Metadata, false).await.unwrap();
        assert!(gate.enter(Lane::Metadata, false).now_or_never().is_none());
        assert!(gate.enter(Lane::Reads, false).now_or_never().is_some());
        assert!(gate.enter(Lane::Writes, false).now_or_never().is_some());
        assert!(gate.enter(Lane::Metadata, true).now_or_never().is_some());
        drop(one);
        assert!(gate.enter(Lane::Metadata, false).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_extra_waits_for_nothing() {
        let gate = gate(Some(1), Some(1.0));
        let one = gate.try_enter(Lane::Reads).unwrap();
        assert!(gate.try_enter(Lane::Reads).is_none(), "no permit");
        drop(one);
        assert!(gate.try_enter(Lane::Reads).is_none(), "too soon");
        tokio::time::advance(SECOND).await;
        let one = gate.try_enter(Lane::Reads).unwrap();
        one.refused(Objection::Overloaded, Some(3 * SECOND));
        drop(one);
        tokio::time::advance(2 * SECOND).await;
        assert!(gate.try_enter(Lane::Reads).is_none(), "held");
        tokio::time::advance(SECOND).await;
        let one = gate.try_enter(Lane::Reads).unwrap();
        let mut waits = std::pin::pin!(gate.enter(Lane::Reads, false));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(one);
        tokio::time::advance(SECOND).await;
        assert!(gate.try_enter(Lane::Reads).is_none(), "another waits");
        assert!(waits.await.is_ok());
    }

    /// Who goes on with what was begun waits for the pace alone, and may give up then.
    #[tokio::test(start_paused = true)]
    async fn room_is_told_to_the_first_in_line() {
        let gate = gate(Some(1), Some(1.0));
        let only = gate.enter(Lane::Reads, false).await.unwrap();
        let mut goes_on = std::pin::pin!(gate.enter(Lane::Reads, true));
        let mut first = std::pin::pin!(gate.enter(Lane::Reads, false));
        assert!(goes_on.as_mut().now_or_never().is_none(), "the pace");
        assert!(first.as_mut().now_or_never().is_none(), "no room");
        only.refused(Objection::Overloaded, Some(3600 * SECOND));
        drop(only);
        let too_long = |entered: Option<Result<Permit, Failure>>| entered.unwrap().is_err();
        let waits = goes_on.now_or_never();
        assert!(waits.is_none(), "it was told nothing new");
        assert!(too_long(first.now_or_never()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_spreads_requests() {
        let gate = gate(None, Some(10.0));
        let started = Instant::now();
        join_all((0..11).map(|_| gate.enter(Lane::Metadata, false))).await;
        let waited = started.elapsed().as_millis();
        assert!((1000..1100).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_waited_for_unless_it_is_too_long() {
        let gate = Arc::new(Gate::new(None, None, patience(10 * SECOND)));
        let hold = |seconds: Option<u64>| {
            let permit = gate.enter(Lane::Reads, false);
            let asked = seconds.map_or(Duration::MAX, Duration::from_secs);
            async move { permit.await.unwrap().refused(Objection::Overloaded, Some(asked)) }
        };
        hold(Some(5)).await;
        let started = Instant::now();
        hold(Some(11)).await;
        assert_eq!(started.elapsed().as_secs(), 5);
        let failure = gate.enter(Lane::Reads, false).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RateLimited);
        assert_eq!(failure.delay().unwrap().as_secs(), 11);
        tokio::time::advance(12 * SECOND).await;
        hold(None).await;
        assert!(gate.enter(Lane::Reads, false).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn up_to_a_deadline_every_hold_is_waited_for() {
        let deadline = Some(Instant::now() + 600 * SECOND);
        let patience = Patience { deadline, ..patience(10 * SECOND) };
        let gate = Arc::new(Gate::new(None, None, patience));
        let permit = gate.enter(Lane::Reads, false).await.unwrap();
        permit.refused(Objection::TooMany, Some(500 * SECOND));
        let started = Instant::now();
        let permit = gate.enter(Lane::Reads, false).await.unwrap();
        assert_eq!(started.elapsed(), 500 * SECOND);
        permit.refused(Objection::TooMany, Some(101 * SECOND));
        assert!(gate.enter(Lane::Reads, false).await.is_err());
        assert_eq!(started.elapsed(), 500 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_registry_soon_gets_all_it_can_take() {
        // 20,000 small requests over a link of 40 ms.
        let made = simulate(20_000, |_| Ok(())).await;
        assert!(made.took < 7 * SECOND, "{made:?}");
        assert_eq!(made.most_at_once, 128);
    }

    #[derive(Debug)]
    struct Made {
        took: Duration,
        refused: u64,
        failed: usize,
        most_at_once: u64,
        rate: Option<f64>,
    }

    /// Makes so many requests, as many at once as the gate lets through, to a registry that takes
    /// 40 ms for each and refuses those that `answer` says.
    async fn simulate(
        requests: usize,
        answer: impl Fn(Instant) -> Result<(), Option<Duration>>,
    ) -> Made {
        let gate = gate(None, None);
        let (refused, under_way, most) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let started = Instant::now();
        let attempt = |_| async {
            let permit = gate.enter(Lane::Metadata, false).await?;
            most.fetch_max(under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = answer(Instant::now());
            tokio::time::sleep(Duration::from_millis(20)).await;
            under_way.fetch_sub(1, Ordering::Relaxed);
            let Err(asked) = answer else {
                permit.good();
                return Ok(());
            };
            refused.fetch_add(1, Ordering::Relaxed);
            permit.refused(Objection::TooMany, asked);
            let failure = Failure::new(ErrorKind::RateLimited, "slow down");
            Err(failure.temporary().retry_after(asked))
        };
        let patience = &gate.patience;
        let all = (0..requests).map(|_| retry(patience, Wait::AtTheGate, attempt));
        let failed = join_all(all).await.into_iter().filter(Result::is_err).count();
        Made {
            took: started.elapsed(),
            refused: refused.into_inner(),
            failed,
            most_at_once: most.into_inner(),
            rate: gate.learned_rate(),
        }
    }

    /// Tokens that come back evenly, as nginx and envoy have them.
    fn bucket(rate: f64, burst: f64) -> impl Fn(Instant) -> bool {
        let state = Mutex::new((burst, Instant::now()));
        move |now| {
            let mut state = state.lock().unwrap();
            let (tokens, at) = *state;
            let tokens = (tokens + rate * (now - at).as_secs_f64()).min(burst);
            let granted = tokens >= 1.0;
            *state = (if granted { tokens - 1.0 } else { tokens }, now);
            granted
        }
    }

    /// So many in each window of fixed length.
    fn fixed(most: u64, window: Duration) -> impl Fn(Instant) -> bool {
        let start = Instant::now();
        let state = Mutex::new((0, 0));
        move |now| {
            let mut state = state.lock().unwrap();
            let number = (now - start).as_nanos() / window.as_nanos();
            if state.0 != number {
                *state = (number, 0);
            }
            state.1 += 1;
            state.1 <= most
        }
    }

    /// So many in any time of this length, what is refused counted with the rest.
    fn sliding(most: usize, window: Duration) -> impl Fn(Instant) -> bool {
        let state = Mutex::new(VecDeque::new());
        move |now| {
            let mut state = state.lock().unwrap();
            while state.front().is_some_and(|at| now - *at >= window) {
                state.pop_front();
            }
            state.push_back(now);
            state.len() <= most
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_not_told_is_found() {
        type Limit = Box<dyn Fn(Instant) -> bool>;
        type Case = (&'static str, fn() -> Limit, Option<Duration>, usize, u64);
        const MINUTE: Duration = Duration::from_secs(60);
        // What it allows, the window whose end it tells, how many requests, and the seconds that
        // they take at best.
        let table: [Case; 14] = [
            ("bucket 20/s", || Box::new(bucket(20.0, 20.0)), None, 400, 20),
            ("bucket 20/s, no burst", || Box::new(bucket(20.0, 1.0)), None, 400, 20),
            ("bucket 20/s, burst 200", || Box::new(bucket(20.0, 200.0)), None, 1000, 40),
            ("bucket 300/s", || Box::new(bucket(300.0, 300.0)), None, 3000, 10),
            ("bucket 2/s", || Box::new(bucket(2.0, 2.0)), None, 100, 50),
            ("fixed 20/s", || Box::new(fixed(20, SECOND)), None, 400, 20),
            ("fixed 20/s, few", || Box::new(fixed(20, SECOND)), None, 100, 5),
            ("fixed 20/s, told", || Box::new(fixed(20, SECOND)), Some(SECOND), 400, 20),
            ("fixed 500/s", || Box::new(fixed(500, SECOND)), None, 5000, 10),
            ("fixed 5/s", || Box::new(fixed(5, SECOND)), None, 200, 40),
            ("fixed 600/min", || Box::new(fixed(600, MINUTE)), None, 3000, 300),
            ("fixed 600/min, told", || Box::new(fixed(600, MINUTE)), Some(MINUTE), 3000, 300),
            ("sliding 20/s", || Box::new(sliding(20, SECOND)), None, 400, 20),
            ("sliding 600/min", || Box::new(sliding(600, MINUTE)), None, 3000, 300),
        ];
        for (name, limit, window, requests, best) in table {
            let (limit, started) = (limit(), Instant::now());
            let rest = |now: Instant, window: Duration| {
                let into = (now - started).as_secs_f64() % window.as_secs_f64();
                Duration::from_secs_f64((window.as_secs_f64() - into).ceil())
            };
            let made = simulate(requests, |now| match limit(now) {
                true => Ok(()),
                false => Err(window.map(|window| rest(now, window))),
            })
            .await;
            assert_eq!(made.failed, 0, "{name}: {made:?}");
            let ratio = made.took.as_secs_f64() / best as f64;
            assert!(ratio <= 1.3, "{name}: {ratio} {made:?}");
            assert!(made.rate.is_some(), "{name}: {made:?}");
            assert!(made.refused < requests as u64 / 2, "{name}: {made:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mishap_is_soon_forgotten() {
        let first = AtomicU64::new(0);
        let made = simulate(20_000, |_| match first.fetch_add(1, Ordering::Relaxed) {
            0 => Err(None),
            _ => Ok(()),
        })
        .await;
        assert_eq!((made.failed, made.refused), (0, 1));
        assert!(made.took < 20 * SECOND, "{made:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_refuses_everything_is_given_up_after_a_while() {
        let made = simulate(1000, |_| Err(None)).await;
        assert_eq!(made.failed, 1000);
        assert!(made.took > 60 * SECOND && made.took < 120 * SECOND, "{made:?}");
        assert!(made.refused < 100, "{made:?}");
    }
}

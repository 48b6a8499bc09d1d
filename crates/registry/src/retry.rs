//! Trying again: what is temporary, after pauses that grow, or as long as the registry asks.
//!
//! Failures count, refusals do not: who is told that it asks too much has asked nothing wrong. So
//! what ends refusals is time.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::Instant;

use crate::error::{ErrorKind, Failure};
use crate::settings::RetryPolicy;

/// A request is refused at least so often before it is given up, however long that takes: its turn
/// comes rarely where many wait.
pub(crate) const FEWEST_REFUSALS: u32 = 5;

/// How long and how often something is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) policy: RetryPolicy,
    pub(crate) attempts: u32,
    /// Nothing is waited for beyond this.
    pub(crate) deadline: Option<Instant>,
}

impl Patience {
    /// How long a registry is waited for that asks for it: as long as there is time, or as long as
    /// is reasonable.
    pub(crate) fn longest_wait(&self, now: Instant) -> Duration {
        match self.deadline {
            Some(deadline) => deadline.saturating_duration_since(now),
            None => self.policy.longest_retry_after,
        }
    }

    fn ends_within(&self, wait: Duration, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline.saturating_duration_since(now) < wait)
    }
}

/// Where a refused request waits for its next turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    /// At the registry's gate, which knows of the refusal.
    AtTheGate,
    /// Here.
    Here,
}

/// Makes up to `attempts` attempts, as long as they fail with what is temporary. Where an attempt
/// consists of others (a token for a request), what those gave up is not tried again here.
pub(crate) async fn retry<T, A, F>(
    patience: &Patience,
    wait: Wait,
    mut attempt: A,
) -> Result<T, Failure>
where
    A: FnMut(u32) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let mut pauses = pauses(&patience.policy);
    let mut number = 1;
    let mut refusals = 0;
    let mut first_refusal = None;
    loop {
        let failure = match attempt(number).await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let now = Instant::now();
        let refused = failure.kind() == ErrorKind::RateLimited;
        let given_up = if refused {
            refusals += 1;
            let since = now.duration_since(*first_refusal.get_or_insert(now));
            refusals >= FEWEST_REFUSALS && since >= patience.policy.longest_retry_after
        } else {
            number >= patience.attempts
        };
        let asked = failure.delay();
        let too_long = asked.is_some_and(|asked| asked > patience.longest_wait(now));
        if !failure.is_temporary() || failure.is_exhausted() || given_up || too_long {
            return Err(failure.exhausted());
        }
        let pause = match (wait, asked) {
            (Wait::AtTheGate, _) if refused => Duration::ZERO,
            (_, Some(asked)) => asked,
            (_, None) => pauses.next().unwrap_or(patience.policy.longest_delay),
        };
        if patience.ends_within(pause, now) {
            return Err(failure.exhausted());
        }
        tracing::debug!(
            target: "registry",
            attempt = number,
            refusals,
            pause_ms = pause.as_millis(),
            cause = failure.message(),
            "trying again"
        );
        tokio::time::sleep(pause).await;
        if !refused {
            number += 1;
        }
    }
}

/// The pauses of our own choice, without an end.
pub(crate) fn pauses(policy: &RetryPolicy) -> impl Iterator<Item = Duration> + Send + use<> {
    ExponentialBuilder::new()
        .with_min_delay(policy.first_delay)
        .with_max_delay(policy.longest_delay)
        .without_max_times()
        .with_jitter()
        .build()
}

/// How long an answer asks to wait: `Retry-After` in seconds or as a date, which is held against
/// the answer's own `Date`, so that a clock that is wrong on one side does no harm.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let until = date(asked)?;
    let now = text(DATE).and_then(date).unwrap_or(now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::HeaderValue;
    use tokio::time::Instant;

    use super::*;
    use crate::error::ErrorKind;

    fn after(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, "2026-11-21T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn reads_seconds_and_dates() {
        let seconds = |n| Some(Duration::from_secs(n));
        let table = [
            ("7", None, seconds(7)),
            (" 0 ", None, seconds(0)),
            ("Sat, 21 Nov 2026 08:00:30 GMT", None, seconds(30)),
            ("Sat, 21 Nov 2026 07:00:00 GMT", None, seconds(0)),
            ("Sat, 21 Nov 2026 09:00:05 GMT", Some("Sat, 21 Nov 2026 09:00:00 GMT"), seconds(5)),
            ("soon", None, None),
            ("-1", None, None),
            ("", None, None),
        ];
        for (value, date, expected) in table {
            assert_eq!(after(value, date), expected, "{value}");
        }
    }

    async fn attempts(attempts: u32, failure: Failure) -> (u32, Duration) {
        let (made, started) = (AtomicU32::new(0), Instant::now());
        let patience = Patience { policy: RetryPolicy::default(), attempts, deadline: None };
        let result: Result<(), _> = retry(&patience, Wait::Here, |_| {
            made.fetch_add(1, Ordering::Relaxed);
            let failure = failure.clone();
            async move { Err(failure) }
        })
        .await;
        assert!(result.is_err());
        (made.into_inner(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_temporary_is_tried_again() {
        let failure = Failure::new(ErrorKind::Server, "x");
        assert_eq!(attempts(5, failure.clone()).await, (1, Duration::ZERO));
        let (made, waited) = attempts(4, failure.temporary()).await;
        assert_eq!(made, 4);
        // 0.5 s, 1 s and 2 s, each up to doubled by jitter.
        assert!((3500..=7100).contains(&waited.as_millis()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_registry_says_how_long_up_to_a_limit() {
        let asking = |seconds| {
            let delay = Some(Duration::from_secs(seconds));
            Failure::new(ErrorKind::RateLimited, "x").temporary().retry_after(delay)
        };
        assert_eq!(attempts(3, asking(61)).await, (1, Duration::ZERO));
        // Refusals are no attempts; what ends them is a minute of them.
        let (made, waited) = attempts(3, asking(10)).await;
        assert_eq!((made, waited.as_secs()), (7, 60));
        let unsaid = Failure::new(ErrorKind::RateLimited, "x").temporary();
        let (made, waited) = attempts(1, unsaid).await;
        assert!((6..=9).contains(&made), "{made}");
        assert!((60..=120).contains(&waited.as_secs()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_beyond_the_deadline() {
        let ask = |seconds: Option<u64>, kind| async move {
            let deadline = Some(Instant::now() + Duration::from_secs(100));
            let policy = RetryPolicy::default();
            let patience = Patience { policy, attempts: 9, deadline };
            let (made, started) = (AtomicU32::new(0), Instant::now());
            let result: Result<(), _> = retry(&patience, Wait::Here, |_| {
                made.fetch_add(1, Ordering::Relaxed);
                let failure = Failure::new(kind, "x").temporary();
                async move { Err(failure.retry_after(seconds.map(Duration::from_secs))) }
            })
            .await;
            assert!(result.unwrap_err().is_exhausted());
            (made.into_inner(), started.elapsed().as_secs())
        };
        assert_eq!(ask(Some(101), ErrorKind::RateLimited).await, (1, 0));
        assert_eq!(ask(Some(90), ErrorKind::RateLimited).await, (2, 90));
        let (made, waited) = ask(None, ErrorKind::Server).await;
        assert!(made < 9 && waited <= 100, "{made} {waited}");
    }
}

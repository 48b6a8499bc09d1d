//! [`PullBudget`]: what a registry that counts pulls has left for us.
//!
//! Docker Hub counts GETs of manifests, HEADs are free, and tells the count with every manifest:
//! `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 76;w=21600` and, for whom it counts,
//! `docker-ratelimit-source` (docs.docker.com/docker-hub/usage/pulls). The window in the value is
//! what tells these from the rate limits of others, whose headers have the same names.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::answer::text;
use crate::auth::lock;
use crate::error::{ErrorKind, Failure};

/// What is left of the pulls that a registry allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PullBudget {
    /// So many there are in a window, where the registry says so.
    pub limit: Option<u64>,
    /// So many were left at the last answer.
    pub remaining: u64,
    /// How long it takes until all of them are there again.
    pub window: Duration,
    /// For whom they are counted: an address, or an account.
    pub source: Option<String>,
}

/// The budget of one registry, and who draws on it.
#[derive(Debug)]
pub(crate) struct Pulls {
    /// So many are left to others.
    reserve: u64,
    state: Mutex<State>,
    /// Held by the first pull until it is answered.
    first: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<(PullBudget, Instant)>,
    /// Pulls that were begun and not yet answered.
    under_way: u64,
    /// Whether any was answered.
    answered: bool,
}

/// A pull that is under way.
#[derive(Debug)]
pub(crate) struct Pull {
    pulls: Arc<Pulls>,
    #[expect(dead_code, reason = "held, not read")]
    first: Option<OwnedMutexGuard<()>>,
}

impl PullBudget {
    /// What the head of an answer says.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let (remaining, window) = count(text(headers, "ratelimit-remaining")?)?;
        let limit = text(headers, "ratelimit-limit").and_then(count).map(|(limit, _)| limit);
        let source = text(headers, "docker-ratelimit-source").and_then(crate::refusal::clean);
        Some(Self { limit, remaining, window, source })
    }
}

/// Reads `76;w=21600`.
fn count(value: &str) -> Option<(u64, Duration)> {
    let (count, window) = value.split_once(';')?;
    let seconds = window.trim().strip_prefix("w=")?;
    Some((count.trim().parse().ok()?, Duration::from_secs(seconds.trim().parse().ok()?)))
}

impl Pulls {
    pub(crate) fn new(reserve: u64) -> Self {
        Self { reserve, state: Mutex::default(), first: Arc::default() }
    }

    /// Takes note of what an answer says.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        if let Some(budget) = PullBudget::read(headers) {
            lock(&self.state).known = Some((budget, Instant::now()));
        }
    }

    /// What is known, unless it is out of date.
    pub(crate) fn budget(&self) -> Option<PullBudget> {
        lock(&self.state).current(Instant::now()).cloned()
    }

    /// Begins a pull, where the budget has one to spare; where nothing is known, it has.
    ///
    /// Of a registry that `counts` pulls, the first answer is waited for before there are others:
    /// it says how many there may be.
    pub(crate) async fn begin(self: &Arc<Self>, counts: bool) -> Result<Pull, Failure> {
        let unknown = counts && lock(&self.state).is_unknown(Instant::now());
        let first = if unknown { Some(Arc::clone(&self.first).lock_owned().await) } else { None };
        let mut state = lock(&self.state);
        let first = first.filter(|_| state.is_unknown(Instant::now()));
        let under_way = state.under_way;
        if let Some(budget) = state.current(Instant::now())
            && budget.remaining <= self.reserve.saturating_add(under_way)
        {
            return Err(self.spent(budget));
        }
        state.under_way += 1;
        Ok(Pull { pulls: Arc::clone(self), first })
    }

    /// Whether the registry refused a pull because none is left.
    pub(crate) fn is_spent(&self) -> bool {
        lock(&self.state).current(Instant::now()).is_some_and(|budget| budget.remaining == 0)
    }

    fn spent(&self, budget: &PullBudget) -> Failure {
        let PullBudget { limit, remaining, window, .. } = budget;
        let of = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let window = words(*window);
        let kept = match self.reserve {
            0 => String::new(),
            reserve => format!(", and {reserve} are kept in reserve"),
        };
        let message = format!("{remaining}{of} pulls in {window} are left{kept}");
        Failure::new(ErrorKind::RateLimited, message).temporary().exhausted()
    }
}

impl State {
    fn is_unknown(&self, now: Instant) -> bool {
        !self.answered && self.current(now).is_none()
    }

    fn current(&self, now: Instant) -> Option<&PullBudget> {
        let (budget, seen) = self.known.as_ref()?;
        (now.duration_since(*seen) < budget.window).then_some(budget)
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        let mut state = lock(&self.pulls.state);
        state.under_way = state.under_way.saturating_sub(1);
        state.answered = true;
    }
}

/// A window as people say it.
fn words(window: Duration) -> String {
    match window.as_secs() {
        hours if hours >= 3600 && hours % 3600 == 0 => format!("{} h", hours / 3600),
        minutes if minutes >= 60 && minutes % 60 == 0 => format!("{} min", minutes / 60),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(limit: &str, remaining: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("ratelimit-limit", limit),
            ("ratelimit-remaining", remaining),
            ("docker-ratelimit-source", "192.0.2.7"),
        ] {
            if !value.is_empty() {
                let value = HeaderValue::from_str(value).unwrap();
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers
    }

    #[test]
    fn only_counts_of_pulls_are_budgets() {
        let table = [
            ("100;w=21600", "76;w=21600", Some((Some(100), 76, 21600))),
            (" 200 ; w=60 ", " 0 ; w=60 ", Some((Some(200), 0, 60))),
            ("", "76;w=21600", Some((None, 76, 21600))),
            ("100", "76;w=21600", Some((None, 76, 21600))),
            // What others send: requests in a window that is told elsewhere.
            ("2000", "1999", None),
            ("100;w=21600", "", None),
            ("100;w=21600", "many;w=21600", None),
            ("100;w=21600", "76;w=", None),
            ("100;w=21600", "-1;w=21600", None),
        ];
        for (limit, remaining, expected) in table {
            let budget = PullBudget::read(&headers(limit, remaining));
            let found = budget.map(|found| (found.limit, found.remaining, found.window.as_secs()));
            assert_eq!(found, expected, "{limit} {remaining}");
        }
        let budget = PullBudget::read(&headers("", "1;w=1")).unwrap();
        assert_eq!(budget.source.as_deref(), Some("192.0.2.7"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_not_touched() {
        let pulls = Arc::new(Pulls::new(2));
        let unknown = pulls.begin(false).await.unwrap();
        pulls.note(&headers("100;w=21600", "5;w=21600"));
        drop(unknown);
        // Three may be under way at once, whatever the next answers say.
        let begun = join_all((0..3).map(|_| pulls.begin(false))).await;
        assert!(begun.iter().all(Result::is_ok));
        let failure = pulls.begin(false).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::RateLimited);
        assert!(failure.is_temporary() && failure.is_exhausted());
        let said = "5 of 100 pulls in 6 h are left, and 2 are kept in reserve";
        assert_eq!(failure.message(), said);
        drop(begun);
        pulls.note(&headers("100;w=21600", "2;w=21600"));
        assert!(pulls.begin(false).await.is_err());
        assert!(!pulls.is_spent());
        pulls.note(&HeaderMap::new());
        assert!(pulls.begin(false).await.is_err());
        // What was said before the whole window is no longer so.
        tokio::time::advance(Duration::from_secs(21600)).await;
        assert!(pulls.begin(false).await.is_ok());
        assert_eq!(pulls.budget(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_is_waited_for_where_pulls_are_counted() {
        let pulls = Arc::new(Pulls::new(0));
        let first = pulls.begin(true).await.unwrap();
        let mut second = std::pin::pin!(pulls.begin(true));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(pulls.begin(false).now_or_never().is_some());
        drop(first);
        let second = second.await.unwrap();
        // It said nothing; there is no more to wait for.
        assert!(pulls.begin(true).now_or_never().is_some());
        drop(second);
    }
}

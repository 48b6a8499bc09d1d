//! [`RateLimit`]: what a registry allows in so much time.

use std::time::Duration;

use tokio::time::Instant;

/// What a registry allows in so much time, in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateLimit {
    /// Tokens that come back evenly: so many a second, and so many at once (nginx, envoy).
    Bucket {
        /// Tokens a second.
        rate: f64,
        /// The most tokens there are.
        burst: f64,
    },
    /// So many in each second, counted from the first request's; what is refused counts, too.
    Window {
        /// Requests in a window.
        requests: u64,
    },
}

/// What is left of a limit.
pub(super) struct Count {
    at: Instant,
    tokens: f64,
    requests: u64,
}

const WINDOW: Duration = Duration::from_secs(1);

impl RateLimit {
    pub(super) fn begin(self, now: Instant) -> Count {
        let tokens = match self {
            Self::Bucket { burst, .. } => burst,
            Self::Window { .. } => 0.0,
        };
        Count { at: now, tokens, requests: 0 }
    }
}

impl Count {
    /// Whether a request is within the limit; counts it.
    pub(super) fn grants(&mut self, limit: RateLimit, now: Instant) -> bool {
        let passed = now.duration_since(self.at);
        match limit {
            RateLimit::Bucket { rate, burst } => {
                self.at = now;
                self.tokens = (self.tokens + rate * passed.as_secs_f64()).min(burst);
                let grants = self.tokens >= 1.0;
                if grants {
                    self.tokens -= 1.0;
                }
                grants
            }
            RateLimit::Window { requests } => {
                if passed >= WINDOW {
                    (self.at, self.requests) = (now, 0);
                }
                self.requests += 1;
                self.requests <= requests
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(limit: RateLimit, times: &[u64]) -> Vec<bool> {
        let start = Instant::now();
        let mut count = limit.begin(start);
        let at = |time: &u64| start + Duration::from_millis(*time);
        times.iter().map(|time| count.grants(limit, at(time))).collect()
    }

    #[test]
    fn limits_grant_what_they_say() {
        let bucket = RateLimit::Bucket { rate: 10.0, burst: 2.0 };
        let times = [0, 0, 0, 99, 100, 5000, 5000, 5000];
        let expected = [true, true, false, false, true, true, true, false];
        assert_eq!(granted(bucket, &times), expected);
        let window = RateLimit::Window { requests: 2 };
        let times = [0, 500, 999, 1000, 1500, 1999, 2000];
        assert_eq!(granted(window, &times), [true, true, false, true, true, false, true]);
    }
}

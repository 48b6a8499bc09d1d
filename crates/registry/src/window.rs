//! [`Window`]: how many requests of one kind may be under way at once, learned from the answers.
//!
//! Additive increase, multiplicative decrease, as TCP has it (RFC 5681): one more with every good
//! answer until the registry objects for the first time, one more with every window of good answers
//! after that, and half as many with every objection. Values in, values out; who waits is in `gate`.

use tokio::time::Instant;

/// How many requests may be under way.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    most: usize,
    under_way: usize,
    /// Good answers since the limit last changed.
    good: usize,
    /// When it was last halved: what is refused of requests begun before is the same burst.
    halved_at: Option<Instant>,
}

impl Window {
    /// A window for `start` requests that may grow to `most`; both are at least 1.
    pub(crate) fn new(start: usize, most: usize) -> Self {
        let most = most.max(1);
        Self { limit: start.clamp(1, most), most, under_way: 0, good: 0, halved_at: None }
    }

    /// Whether one more may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way < self.limit
    }

    /// One begins.
    pub(crate) fn begin(&mut self) {
        self.under_way += 1;
    }

    /// One has ended, with whatever answer or none.
    pub(crate) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// A good answer came to a request that is still under way. What is not used by half cannot
    /// have been too little.
    pub(crate) fn good(&mut self) {
        if self.under_way * 2 < self.limit {
            return;
        }
        self.good += 1;
        if self.halved_at.is_none() || self.good >= self.limit {
            self.good = 0;
            self.limit = self.most.min(self.limit + 1);
        }
    }

    /// The registry objected to a request that was begun at `begun`.
    pub(crate) fn refused(&mut self, begun: Instant, now: Instant) {
        if self.halved_at.is_some_and(|halved| begun <= halved) {
            return;
        }
        self.halved_at = Some(now);
        self.good = 0;
        self.limit = (self.limit / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What happens, and the limit after it.
    enum Step {
        Begin(usize),
        Good(usize),
        Refused { begun: u64, at: u64 },
        End(usize),
    }
    type Case = (&'static str, Window, &'static [(Step, usize)]);
    use Step::{Begin, End, Good, Refused};

    #[tokio::test(start_paused = true)]
    async fn every_answer_moves_the_limit() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let table: [Case; 6] = [
            ("used to the full, it grows", Window::new(4, 8), &[(Begin(4), 4), (Good(1), 5)]),
            ("hardly used, it stays", Window::new(4, 8), &[(Begin(1), 4), (Good(3), 4)]),
            (
                "it has an end",
                Window::new(4, 5),
                &[(Begin(4), 4), (Good(1), 5), (Begin(1), 5), (Good(9), 5)],
            ),
            (
                "a burst halves it once",
                Window::new(16, 64),
                &[
                    (Begin(16), 16),
                    (Refused { begun: 1, at: 2 }, 8),
                    (Refused { begun: 1, at: 3 }, 8),
                    (Refused { begun: 2, at: 3 }, 8),
                    (Refused { begun: 3, at: 4 }, 4),
                ],
            ),
            (
                "never below one",
                Window::new(1, 64),
                &[(Refused { begun: 1, at: 2 }, 1), (Refused { begun: 3, at: 4 }, 1)],
            ),
            (
                "after that it grows by one a window",
                Window::new(8, 64),
                &[
                    (Begin(8), 8),
                    (Refused { begun: 1, at: 2 }, 4),
                    (End(4), 4),
                    (Good(3), 4),
                    (Good(1), 5),
                    (End(2), 5),
                    (Good(9), 5),
                ],
            ),
        ];
        for (case, mut window, steps) in table {
            for (number, (step, limit)) in steps.iter().enumerate() {
                match step {
                    Begin(count) => (0..*count).for_each(|_| window.begin()),
                    Good(count) => (0..*count).for_each(|_| window.good()),
                    Refused { begun, at: now } => window.refused(at(*begun), at(*now)),
                    End(count) => (0..*count).for_each(|_| window.end()),
                }
                assert_eq!(window.limit, *limit, "{case}, step {number}");
            }
        }
    }
}

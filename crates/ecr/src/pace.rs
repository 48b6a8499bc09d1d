//! [`Pace`]: how many calls of one action are under way at once. A refusal for haste halves it, an answer
//! lets one more go, so a throttled action soon goes in single file, behind the call that waits for its
//! next attempt.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The pace of an action.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    changed: Notify,
    largest: usize,
}

#[derive(Debug)]
struct State {
    under_way: usize,
    allowed: usize,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Going<'a>(&'a Pace);

impl Pace {
    /// At most so many calls at once; at least one.
    pub(crate) fn new(largest: usize) -> Self {
        let largest = largest.max(1);
        let state = Mutex::new(State { under_way: 0, allowed: largest });
        Self { state, changed: Notify::new(), largest }
    }

    /// Waits until a call may be made.
    pub(crate) async fn go(&self) -> Going<'_> {
        loop {
            // Made before it is looked, it misses no change after it.
            let changed = self.changed.notified();
            if let Some(going) = self.try_go() {
                return going;
            }
            changed.await;
        }
    }

    fn try_go(&self) -> Option<Going<'_>> {
        let mut state = self.state();
        (state.under_way < state.allowed).then(|| {
            state.under_way += 1;
            Going(self)
        })
    }

    /// An attempt was refused because there were too many.
    pub(crate) fn refused(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed / 2).max(1);
        tracing::debug!(calls_at_once = state.allowed, "ECR throttles an action");
    }

    /// A call was answered.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        state.allowed = (state.allowed + 1).min(self.largest);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// How many more may go.
    fn free(pace: &Pace) -> usize {
        let going: Vec<_> = std::iter::from_fn(|| pace.go().now_or_never()).collect();
        going.len()
    }

    #[test]
    fn it_slows_down_at_once_and_hurries_step_by_step() {
        let pace = Pace::new(5);
        assert_eq!(free(&pace), 5);
        for expected in [2, 1, 1] {
            pace.refused();
            assert_eq!(free(&pace), expected);
        }
        for expected in [2, 3, 4, 5, 5] {
            pace.answered();
            assert_eq!(free(&pace), expected);
        }
        assert_eq!(free(&Pace::new(0)), 1);
    }

    #[tokio::test]
    async fn who_waits_goes_when_enough_are_back() {
        let pace = Pace::new(3);
        let mut going = vec![pace.go().await, pace.go().await, pace.go().await];
        pace.refused();
        let mut waiting = Box::pin(pace.go());
        for _ in 0..2 {
            assert!(waiting.as_mut().now_or_never().is_none());
            going.pop();
        }
        assert!(waiting.as_mut().now_or_never().is_none());
        going.pop();
        assert!(waiting.now_or_never().is_some());
    }
}

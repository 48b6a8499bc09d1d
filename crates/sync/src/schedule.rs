//! [`Schedule`]: which blob moves next, over the whole run.
//!
//! Large blobs go first, because the last one to begin decides when the run ends; some slots are
//! kept for small ones, so that images made of them are done meanwhile.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A blob up to this size, in bytes, is small: it takes about as long as the requests around it.
const SMALL: u64 = 1024 * 1024;

/// Of so many slots one is kept for small blobs.
const RESERVED_OF: usize = 4;

/// How many blobs move at once, and which of those that wait is next. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Schedule(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// How many of the free slots large blobs may take.
    free_for_large: usize,
    small: VecDeque<oneshot::Sender<Slot>>,
    large: BinaryHeap<Large>,
}

/// A large blob that waits. The largest is the greatest.
struct Large {
    size: u64,
    sender: oneshot::Sender<Slot>,
}

/// The right to move one blob; given back when dropped.
pub(crate) struct Slot {
    schedule: Schedule,
    is_large: bool,
}

impl Schedule {
    /// A schedule that moves so many blobs at once.
    pub(crate) fn new(slots: usize) -> Self {
        let slots = slots.max(1);
        let free_for_large = slots - slots / RESERVED_OF;
        let (small, large) = (VecDeque::new(), BinaryHeap::new());
        Self(Arc::new(Mutex::new(State { free: slots, free_for_large, small, large })))
    }

    /// Waits for this blob's turn.
    pub(crate) async fn slot(&self, size: u64) -> Slot {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if size <= SMALL {
                state.small.push_back(sender);
            } else {
                state.large.push(Large { size, sender });
            }
        }
        self.give();
        match receiver.await {
            Ok(slot) => slot,
            // A sender is only dropped with its slot sent.
            Err(_) => Slot { schedule: self.clone(), is_large: size > SMALL },
        }
    }

    /// Gives out what is free.
    fn give(&self) {
        // A slot that nobody waits for any more comes back when it is dropped: outside the lock.
        while let Some((sender, slot)) = self.next() {
            drop(sender.send(slot));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Slot>, Slot)> {
        let mut state = self.lock();
        if state.free == 0 {
            return None;
        }
        let large = if state.free_for_large > 0 { state.large.pop() } else { None };
        let is_large = large.is_some();
        let sender = match large {
            Some(large) => large.sender,
            None => state.small.pop_front()?,
        };
        state.free -= 1;
        state.free_for_large -= usize::from(is_large);
        Some((sender, Slot { schedule: self.clone(), is_large }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant is left half-made where this panics, because nothing under it does.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.schedule.lock();
            state.free += 1;
            state.free_for_large += usize::from(self.is_large);
        }
        self.schedule.give();
    }
}

impl Ord for Large {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.size.cmp(&other.size)
    }
}

impl PartialOrd for Large {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Large {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
    }
}

impl Eq for Large {}

#[cfg(test)]
mod tests {
    use futures::future::{BoxFuture, FutureExt};

    use super::*;

    fn wait(schedule: &Schedule, size: u64) -> BoxFuture<'static, Slot> {
        let schedule = schedule.clone();
        let mut slot = async move { schedule.slot(size).await }.boxed();
        assert!((&mut slot).now_or_never().is_none(), "{size} need not wait");
        slot
    }

    fn is_free(slot: &mut BoxFuture<'static, Slot>) -> Option<Slot> {
        slot.now_or_never()
    }

    #[test]
    fn the_largest_goes_first_and_small_ones_have_room() {
        const MIB: u64 = 1024 * 1024;
        let schedule = Schedule::new(4);
        let take = |size| schedule.slot(size).now_or_never();
        let mut large: Vec<Slot> = (0..3).map(|_| take(9 * MIB).unwrap()).collect();
        let (mut ten, mut thirty) = (wait(&schedule, 10 * MIB), wait(&schedule, 30 * MIB));
        let small = take(1).unwrap();
        let mut other = wait(&schedule, 2);
        assert!(is_free(&mut thirty).is_none());

        large.pop();
        let thirty = is_free(&mut thirty).unwrap();
        assert!(is_free(&mut ten).is_none());
        drop(small);
        let other = is_free(&mut other).unwrap();
        assert!(is_free(&mut ten).is_none(), "the small blobs' room stays theirs");
        drop(thirty);
        let _ten = is_free(&mut ten).unwrap();
        drop(other);
        assert!(take(3).is_some());
    }

    #[test]
    fn who_gives_up_waiting_takes_nothing_along() {
        let schedule = Schedule::new(1);
        let slot = schedule.slot(1).now_or_never().unwrap();
        let (gone, mut stays) = (wait(&schedule, 1), wait(&schedule, 1));
        drop(gone);
        drop(slot);
        drop(is_free(&mut stays).unwrap());
        assert!(schedule.slot(u64::MAX).now_or_never().is_some());
    }
}

//! [`Waits`]: who waits for whom, so that no circle of copies waits for itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A copy to one place, by its number within the run.
pub(crate) type CopyId = usize;

/// The copies that wait for another one. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<Edges>>);

/// For each that waits, how often it waits for which.
type Edges = HashMap<CopyId, BTreeMap<CopyId, usize>>;

/// A wait; it ends when dropped.
pub(crate) struct Wait {
    waits: Waits,
    waiting: CopyId,
    working: CopyId,
}

impl Waits {
    /// Begins to wait, unless `working` waits for `waiting` itself, over however many others.
    pub(crate) fn begin(&self, waiting: CopyId, working: CopyId) -> Option<Wait> {
        let mut edges = self.lock();
        let mut seen = HashSet::new();
        let mut next = vec![working];
        while let Some(copy) = next.pop() {
            if copy == waiting {
                return None;
            }
            if seen.insert(copy) {
                next.extend(edges.get(&copy).into_iter().flat_map(BTreeMap::keys));
            }
        }
        *edges.entry(waiting).or_default().entry(working).or_default() += 1;
        Some(Wait { waits: self.clone(), waiting, working })
    }

    fn lock(&self) -> MutexGuard<'_, Edges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut edges = self.waits.lock();
        let Some(waited) = edges.get_mut(&self.waiting) else { return };
        if let Some(count) = waited.get_mut(&self.working) {
            *count -= 1;
            if *count == 0 {
                waited.remove(&self.working);
            }
        }
        if waited.is_empty() {
            edges.remove(&self.waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_refused_and_opens_when_a_wait_ends() {
        let waits = Waits::default();
        let _first = waits.begin(1, 2).unwrap();
        let second = waits.begin(2, 3).unwrap();
        let again = waits.begin(2, 3).unwrap();
        assert!(waits.begin(3, 1).is_none());
        assert!(waits.begin(1, 1).is_none());
        drop(second);
        assert!(waits.begin(3, 1).is_none());
        drop(again);
        assert!(waits.begin(3, 1).is_some());
        assert!(waits.begin(2, 3).is_some());
    }
}

//! [`Turns`]: what one walk at a time may write, of all the walks of a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Digest, Location};

use crate::place::Place;

/// One writer at a time for what belongs to a manifest at a place: the list of its referrers, its
/// signatures.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<(Location, Digest), Turn>>);

/// Locked by whose turn it is.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

impl Turns {
    /// The turns for what belongs to `subject`.
    pub(crate) fn of(&self, place: &Place, subject: Digest) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((place.location().clone(), subject)).or_default())
    }
}

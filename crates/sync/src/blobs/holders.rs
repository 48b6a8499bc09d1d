//! [`Holders`]: where one blob is within a realm, and from whom it can be taken over.
//!
//! A claim looks at few of them, however many there are: at one place where a manifest names the blob,
//! or, as long as there is none, at the copies that may get so far.

use std::collections::HashSet;

use oci::Location;

use super::Copying;
use crate::place::Place;

/// The places that have one blob.
#[derive(Default)]
pub(super) struct Holders {
    /// In the order in which they came to have it.
    all: Vec<Holder>,
    places: HashSet<Location>,
    /// One of those where a manifest names it.
    committed: Option<Place>,
    /// While none is known: each copy that may still be committed, with the first place to which it
    /// brought the blob.
    under_way: Vec<(Copying, Place)>,
}

struct Holder {
    place: Place,
    /// The copy that brought it; none where a manifest that was there before names it.
    copy: Option<Copying>,
}

impl Holders {
    /// Whether the place has it.
    pub(super) fn include(&self, place: &Place) -> bool {
        self.places.contains(place.location())
    }

    /// The place that has had it for longest.
    pub(super) fn first(&self) -> Option<&Place> {
        self.all.first().map(|holder| &holder.place)
    }

    /// A place where a manifest names it: the same one each time.
    pub(super) fn committed(&mut self) -> Option<&Place> {
        if self.committed.is_none() {
            let mut committed = self.under_way.iter().filter(|(copy, _)| copy.is_committed());
            self.committed = committed.next().map(|(_, place)| place.clone());
            self.under_way.retain(|(copy, _)| self.committed.is_none() && copy.may_be_committed());
        }
        self.committed.as_ref()
    }

    /// Copies that brought it and may still be committed, in the order in which they came.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Copying> {
        self.under_way.iter().map(|(copy, _)| copy)
    }

    /// The place has it, brought by this copy, or named by a manifest that was there before.
    pub(super) fn add(&mut self, place: Place, copy: Option<Copying>) {
        if self.committed.is_none() {
            match &copy {
                None => self.committed = Some(place.clone()),
                Some(copy) if self.under_way().any(|other| other.id == copy.id) => {}
                Some(copy) => self.under_way.push((copy.clone(), place.clone())),
            }
        }
        self.places.insert(place.location().clone());
        self.all.push(Holder { place, copy });
    }

    /// The place does not have it after all.
    pub(super) fn remove(&mut self, place: &Place) {
        if self.include(place) {
            let all = std::mem::take(self).all;
            for Holder { place, copy } in all.into_iter().filter(|holder| !holder.place.is(place)) {
                self.add(place, copy);
            }
        }
    }
}

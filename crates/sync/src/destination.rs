//! [`Destination`]: one place that a copy goes to, and the items that want it there.

use std::sync::{Arc, Mutex, PoisonError};

use oci::{Descriptor, Manifest, Tag};

use crate::closure::Closure;
use crate::companions::Companion;
use crate::item::Item;
use crate::place::Place;
use crate::transfer::Progress;
use crate::walk::Walk;
use crate::{Event, Way};

/// One place that a copy goes to.
pub(crate) struct Destination<'a> {
    pub(crate) place: &'a Place,
    /// Who wants it there, under different tags. The first one is said to have brought it.
    pub(crate) items: Vec<&'a Item>,
    pub(crate) progress: Progress,
    /// Whether the place had nothing when the copy began: then it is not asked for what it has.
    pub(crate) was_empty: bool,
    /// The tag there that probably stands for an older version of the image.
    pub(crate) neighbour: Option<Tag>,
    /// Referrers that the place has taken and does not list.
    unlisted: Mutex<Vec<Manifest>>,
}

impl<'a> Destination<'a> {
    /// The place that `first` and then others want a copy in.
    pub(crate) async fn new(walk: &Walk, place: &'a Place, first: &'a Item) -> Self {
        let listener = Arc::clone(&walk.listener);
        let attempts = walk.options.attempts.max(1);
        let progress = Progress { item: first.id, listener, attempts };
        // One request that saves one for each blob and manifest. What it cannot say is asked.
        let tags = walk.tag_lists.of(place).await.ok();
        let was_empty = tags.as_ref().is_some_and(|tags| tags.are_none());
        let neighbour = tags.and_then(|tags| tags.neighbour(&first.wanted.target.tag).cloned());
        let (items, unlisted) = (vec![first], Mutex::default());
        Self { place, items, progress, was_empty, neighbour, unlisted }
    }

    /// Whether the copy here is to be signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.items.iter().any(|item| item.wanted.signatures.sign.is_some())
    }

    /// Says what is about to come.
    pub(crate) fn announce(&self, closure: &Closure) {
        for item in &self.items {
            self.progress.listener.hear(&Event::CopyStarted {
                item: item.id,
                blobs: closure.blobs.len(),
                bytes: closure.blobs.iter().map(|blob| blob.size).sum(),
            });
        }
    }

    /// Says that what belongs to the image comes as well.
    pub(crate) fn announce_more(&self, more: &[Vec<Companion>]) {
        let closures = || more.iter().flatten().map(|companion| &companion.closure);
        for item in &self.items {
            self.progress.listener.hear(&Event::CopyGrew {
                item: item.id,
                blobs: closures().map(|closure| closure.blobs.len()).sum(),
                bytes: closures().flat_map(|closure| &closure.blobs).map(|blob| blob.size).sum(),
            });
        }
    }

    /// A blob is there.
    pub(crate) fn has(&self, blob: &Descriptor, way: Way) {
        let mut way = way;
        for item in &self.items {
            item.report().transferred.add(way, blob.size);
            let (digest, size) = (blob.digest, blob.size);
            self.progress.listener.hear(&Event::BlobFinished { item: item.id, digest, size, way });
            way = Way::Present;
        }
    }

    /// A referrer is there, and the place does not list it.
    pub(crate) fn does_not_list(&self, referrer: Manifest) {
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner).push(referrer);
    }

    /// The referrers that are still to be listed.
    pub(crate) fn take_unlisted(&self) -> Vec<Manifest> {
        std::mem::take(&mut self.unlisted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

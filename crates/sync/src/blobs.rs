//! [`Blobs`]: what the run knows of blobs and manifests at its targets. A blob is asked for, moved
//! or mounted once in a run for each target registry.
//!
//! A blob is mounted from where a manifest names it, because ECR mounts no other
//! (aws/containers-roadmap#2860). So a copy that wants a blob that another one has just brought
//! waits until that other one's manifests are there, unless that one waits for it in turn.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Digest, Location};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, watch};

use crate::place::{Place, Realm};
use crate::waits::{CopyId, Wait, Waits};

/// What the run knows of its targets.
#[derive(Default)]
pub(crate) struct Blobs {
    entries: Mutex<HashMap<(Realm, Digest), Entry>>,
    /// Realms that have refused to mount a blob. They may share blobs all the same
    /// (go-containerregistry's registry does), so there it is worth asking first.
    refusing: Mutex<HashSet<Realm>>,
    /// Realms that have mounted a blob.
    mounting: Mutex<HashSet<Realm>>,
    manifests: Mutex<HashMap<Location, HashSet<Digest>>>,
    copies: AtomicUsize,
    waits: Waits,
}

/// Who holds one blob within a realm.
#[derive(Default)]
struct Entry {
    holders: Vec<Holder>,
    /// Where somebody is bringing it.
    busy: Vec<Place>,
    changed: Arc<Notify>,
}

struct Holder {
    place: Place,
    /// The copy that brought it; none where a manifest that was there before names it.
    copy: Option<Copying>,
}

impl Holder {
    fn is_committed(&self) -> bool {
        self.copy.as_ref().is_none_or(Copying::is_committed)
    }
}

/// A copy to one place, seen from those that wait for it.
#[derive(Clone)]
pub(crate) struct Copying {
    id: CopyId,
    stage: watch::Receiver<Stage>,
}

/// How far a copy is. When its sender is gone, it came no further.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Its blobs may be there already.
    Begun,
    /// A manifest names each of its blobs.
    Committed,
}

/// What is to be done about a blob that a place is to have.
#[expect(clippy::large_enum_variant, reason = "short-lived")]
pub(crate) enum Claim {
    /// Nothing, it is there.
    Present,
    /// Nobody else brings it now: it is this copy's turn.
    Turn(Turn),
    /// To wait, and to claim it again.
    Wait(Until),
}

/// The right to bring one blob to one place; all others wait for it.
pub(crate) struct Turn {
    blobs: Arc<Blobs>,
    key: (Realm, Digest),
    place: Place,
    /// Where it can be taken from.
    pub(crate) donor: Option<Place>,
    /// Whether a manifest there names it, so that a refusal says something of the realm.
    is_committed: bool,
}

/// Something that a walk waits for.
pub(crate) enum Until {
    /// Another copy's turn ends.
    Turn(OwnedNotified),
    /// Another copy's manifests are there, or it has failed.
    Committed(watch::Receiver<Stage>, Wait),
}

impl Copying {
    fn is_committed(&self) -> bool {
        *self.stage.borrow() == Stage::Committed
    }

    fn is_under_way(&self) -> bool {
        !self.is_committed() && self.stage.has_changed().is_ok()
    }
}

impl Until {
    pub(crate) async fn happens(self) {
        match self {
            Self::Turn(ended) => ended.await,
            Self::Committed(mut stage, _wait) => {
                // Its sender is gone where it failed.
                let _ = stage.wait_for(|stage| *stage == Stage::Committed).await;
            }
        }
    }
}

impl Blobs {
    /// A number for a copy, or for several that are committed together: those must not wait for one
    /// another, nor in a circle with others.
    pub(crate) fn next_copy(&self) -> CopyId {
        self.copies.fetch_add(1, Ordering::Relaxed)
    }

    /// A copy begins, with the means to tell how far it is.
    pub(crate) fn copying(&self, id: CopyId) -> (Copying, watch::Sender<Stage>) {
        let (sender, stage) = watch::channel(Stage::Begun);
        (Copying { id, stage }, sender)
    }

    /// Finds out what `copy` has to do so that `place` has the blob.
    pub(crate) fn claim(self: &Arc<Self>, place: &Place, digest: Digest, copy: &Copying) -> Claim {
        let realm = place.realm();
        let refuses = self.refuses(&realm);
        let mut entries = lock(&self.entries);
        let entry = entries.entry((realm.clone(), digest)).or_default();
        if entry.holders.iter().any(|holder| holder.place.is(place)) {
            return Claim::Present;
        }
        let committed = entry
            .holders
            .iter()
            .find(|holder| holder.is_committed() || !matches!(realm, Realm::Registry(_)));
        // Where mounts are known to work, they need not come one after the other.
        let mounts = committed.is_some() && lock(&self.mounting).contains(&realm);
        if entry.busy.iter().any(|busy| !mounts || busy.is(place)) {
            return Claim::Wait(Until::Turn(Arc::clone(&entry.changed).notified_owned()));
        }
        if committed.is_none() && !refuses {
            let copies = entry.holders.iter().filter_map(|holder| holder.copy.as_ref());
            for other in copies.filter(|copy| copy.is_under_way()) {
                if let Some(wait) = self.waits.begin(copy.id, other.id) {
                    return Claim::Wait(Until::Committed(other.stage.clone(), wait));
                }
            }
        }
        // Better than nothing: most registries mount what no manifest names yet.
        let donor = committed.or(entry.holders.first()).map(|holder| holder.place.clone());
        let is_committed = committed.is_some();
        entry.busy.push(place.clone());
        let (blobs, key, place) = (Arc::clone(self), (realm, digest), place.clone());
        Claim::Turn(Turn { blobs, key, place, donor, is_committed })
    }

    /// A manifest that the place has had before names the blob.
    pub(crate) fn is_there(&self, place: &Place, digest: Digest) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry((place.realm(), digest)).or_default();
        entry.holders.push(Holder { place: place.clone(), copy: None });
    }

    /// Whether a realm has refused to mount a blob.
    pub(crate) fn refuses(&self, realm: &Realm) -> bool {
        lock(&self.refusing).contains(realm)
    }

    /// Whether the place is known to have a manifest with all it is made of.
    pub(crate) fn has_manifest(&self, place: &Place, digest: &Digest) -> bool {
        lock(&self.manifests).get(place.location()).is_some_and(|known| known.contains(digest))
    }

    /// The place has a manifest with all it is made of.
    pub(crate) fn add_manifest(&self, place: &Place, digest: Digest) {
        lock(&self.manifests).entry(place.location().clone()).or_default().insert(digest);
    }

    /// What was known of a place turned out to be wrong.
    pub(crate) fn forget(&self, place: &Place) {
        lock(&self.manifests).remove(place.location());
        for entry in lock(&self.entries).values_mut() {
            entry.holders.retain(|holder| !holder.place.is(place));
        }
    }
}

impl Turn {
    /// The blob is there now.
    pub(crate) fn done(self, copy: &Copying) {
        let holder = Holder { place: self.place.clone(), copy: Some(copy.clone()) };
        if let Some(entry) = lock(&self.blobs.entries).get_mut(&self.key) {
            entry.holders.push(holder);
        }
    }

    /// The donor gave it.
    pub(crate) fn was_mounted(&self) {
        lock(&self.blobs.mounting).insert(self.key.0.clone());
    }

    /// The donor did not give it.
    pub(crate) fn mount_was_refused(&self) {
        if !self.is_committed {
            return;
        }
        lock(&self.blobs.mounting).remove(&self.key.0);
        lock(&self.blobs.refusing).insert(self.key.0.clone());
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.blobs.entries).get_mut(&self.key) {
            entry.busy.retain(|place| !place.is(&self.place));
            entry.changed.notify_waiters();
        }
    }
}

/// A poisoned lock only means that another task panicked between two map operations.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! [`Blobs`]: what the run knows of blobs and manifests at its targets. A blob is asked for, moved
//! or mounted once in a run for each target registry.
//!
//! A blob is mounted from where a manifest names it, because ECR mounts no other
//! (aws/containers-roadmap#2860). So a copy that wants a blob that another one has just brought
//! waits until that other one's manifests are there, unless that one waits for it in turn.
//!
//! Who waits is woken when it can go on, one after the other where only one can (`claims`), and finds
//! its donor without a look at all who have the blob (`holders`).

mod claims;
mod holders;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Digest, Location};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedMutexGuard, watch};

use crate::place::{Place, Realm};
use crate::waits::{CopyId, Wait, Waits};
use holders::Holders;

pub(crate) use claims::{Claimant, Claims};

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

/// One blob within a realm.
#[derive(Default)]
struct Entry {
    holders: Holders,
    /// Where somebody is bringing it; who waits for that is told of its end.
    busy: HashMap<Location, Arc<Notify>>,
    /// Locked by who brings it, unless several may at once. Who waits is let in one by one, in the
    /// order in which they came, and who gives up hands it on.
    alone: Arc<tokio::sync::Mutex<()>>,
}

/// The right to bring a blob to a realm while nobody else does.
pub(crate) type Alone = OwnedMutexGuard<()>;

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
enum Claim {
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
    /// None where others may bring it elsewhere at the same time.
    alone: Option<Alone>,
}

/// Something that a walk waits for.
enum Until {
    /// The blob may be brought alone.
    Alone(Arc<tokio::sync::Mutex<()>>),
    /// Another copy's turn at the same place ends.
    Turn(OwnedNotified),
    /// Another copy's manifests are there, or it has failed.
    Committed(watch::Receiver<Stage>, Wait),
}

impl Copying {
    fn is_committed(&self) -> bool {
        *self.stage.borrow() == Stage::Committed
    }

    /// Whether it is, or is not over.
    fn may_be_committed(&self) -> bool {
        // In this order: it may be committed and be over between the two.
        self.stage.has_changed().is_ok() || self.is_committed()
    }
}

impl Until {
    /// Waits; what the next claim goes on with.
    async fn happens(self) -> Option<Alone> {
        match self {
            Self::Alone(alone) => return Some(alone.lock_owned().await),
            Self::Turn(ended) => ended.await,
            Self::Committed(mut stage, _wait) => {
                // Its sender is gone where it failed.
                let _ = stage.wait_for(|stage| *stage == Stage::Committed).await;
            }
        }
        None
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

    /// Finds out what `copy` has to do so that `place` has the blob. Who has waited to bring it alone
    /// gives up that right here, if it is not used.
    fn claim(
        self: &Arc<Self>,
        place: &Place,
        digest: Digest,
        copy: &Copying,
        alone: Option<Alone>,
    ) -> Claim {
        let realm = place.realm();
        let refuses = self.refuses(&realm);
        let mut entries = lock(&self.entries);
        let entry = entries.entry((realm.clone(), digest)).or_default();
        if entry.holders.include(place) {
            return Claim::Present;
        }
        if let Some(ended) = entry.busy.get(place.location()) {
            return Claim::Wait(Until::Turn(Arc::clone(ended).notified_owned()));
        }
        let committed = match realm {
            Realm::Registry(_) => entry.holders.committed(),
            Realm::Folders | Realm::Archive(_) | Realm::Charts => entry.holders.first(),
        };
        let committed = committed.cloned();
        // Where mounts are known to work, they need not come one after the other.
        let mounts = committed.is_some() && lock(&self.mounting).contains(&realm);
        let alone = alone.or_else(|| Arc::clone(&entry.alone).try_lock_owned().ok());
        if !mounts && alone.is_none() {
            return Claim::Wait(Until::Alone(Arc::clone(&entry.alone)));
        }
        if committed.is_none() && !refuses {
            for other in entry.holders.under_way() {
                if let Some(wait) = self.waits.begin(copy.id, other.id) {
                    return Claim::Wait(Until::Committed(other.stage.clone(), wait));
                }
            }
        }
        let is_committed = committed.is_some();
        // Better than nothing: most registries mount what no manifest names yet.
        let donor = committed.or_else(|| entry.holders.first().cloned());
        entry.busy.insert(place.location().clone(), Arc::default());
        let (blobs, key, place) = (Arc::clone(self), (realm, digest), place.clone());
        let alone = alone.filter(|_| !mounts);
        Claim::Turn(Turn { blobs, key, place, donor, is_committed, alone })
    }

    /// A manifest that the place has had before names the blob.
    pub(crate) fn is_there(&self, place: &Place, digest: Digest) {
        let mut entries = lock(&self.entries);
        let entry = entries.entry((place.realm(), digest)).or_default();
        entry.holders.add(place.clone(), None);
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
            entry.holders.remove(place);
        }
    }
}

impl Turn {
    /// The blob is there now.
    pub(crate) fn done(self, copy: &Copying) {
        if let Some(entry) = lock(&self.blobs.entries).get_mut(&self.key) {
            entry.holders.add(self.place.clone(), Some(copy.clone()));
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
        if let Some(entry) = lock(&self.blobs.entries).get_mut(&self.key)
            && let Some(ended) = entry.busy.remove(self.place.location())
        {
            ended.notify_waiters();
        }
        // Who is let in next finds everything done.
        drop(self.alone.take());
    }
}

/// A poisoned lock only means that another task panicked between two map operations.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! [`Blobs`]: a blob is asked for, moved or mounted once in a run for each target registry.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oci::{Descriptor, Digest};

use crate::place::{Place, Realm};
use crate::transfer::{self, Progress};
use crate::{Failure, Way};

/// What the run knows of the blobs at its targets.
#[derive(Default)]
pub(crate) struct Blobs {
    entries: Mutex<HashMap<(Realm, Digest), Entry>>,
    /// Realms that have refused to mount a blob. They may share blobs all the same
    /// (go-containerregistry's registry does), so there it is worth asking first.
    refusing: Mutex<HashSet<Realm>>,
}

/// The places of one realm that hold one blob. Whoever brings the blob somewhere holds the lock
/// meanwhile, so that all others find it there and take it over.
type Entry = Arc<tokio::sync::Mutex<Vec<Place>>>;

impl Blobs {
    /// Sees to it that `target` has the blob, and says how it came there.
    pub(crate) async fn ensure(
        &self,
        source: &Place,
        target: &Place,
        blob: &Descriptor,
        progress: &Progress,
    ) -> Result<Way, Failure> {
        let entry = self.entry(target.realm(), blob.digest);
        let mut holders = entry.lock().await;
        if holders.iter().any(|holder| holder.is(target)) {
            return Ok(Way::Present);
        }
        // Where another repository is known to have it, one request asks and mounts at once.
        let donor = holders.first().cloned();
        let asked = donor.is_none() || lock(&self.refusing).contains(&target.realm());
        let way = if asked && target.blob_size(&blob.digest).await?.is_some() {
            Way::Present
        } else {
            transfer::blob(source, target, donor.as_ref(), blob, progress).await?
        };
        if donor.is_some() && way == Way::Copied {
            lock(&self.refusing).insert(target.realm());
        }
        holders.push(target.clone());
        Ok(way)
    }

    fn entry(&self, realm: Realm, digest: Digest) -> Entry {
        Arc::clone(lock(&self.entries).entry((realm, digest)).or_default())
    }
}

/// A poisoned lock only means that another task panicked between two map operations.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

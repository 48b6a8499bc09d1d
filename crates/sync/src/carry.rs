//! [`Carrier`]: brings blobs, manifests and companions to a target.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt};
use oci::{Descriptor, Digest, Manifest};

use crate::companions::Companion;
use crate::place::{Place, Tagged};
use crate::transfer::Progress;
use crate::walk::Walk;
use crate::{Event, Failure, ItemId, Transferred, WhichReferrers};

/// How many blobs of one item are brought to the target at once.
const BLOBS_AT_ONCE: usize = 8;

/// How many manifests of one level are pushed at once.
const MANIFESTS_AT_ONCE: usize = 8;

/// How many companions of an item are under way at once.
const COMPANIONS_AT_ONCE: usize = 4;

/// What became of companions that did not simply arrive.
#[derive(Debug, Default)]
pub(crate) struct LeftOver {
    /// Those that could not be brought, and why.
    pub(crate) problems: Vec<Failure>,
    /// Those whose tag holds something else at the target, which stays: what to say of each.
    pub(crate) held: Vec<String>,
}

/// Brings what one item is made of to its target.
pub(crate) struct Carrier<'a> {
    walk: &'a Walk,
    source: &'a Place,
    target: &'a Place,
    progress: Progress,
    transferred: Mutex<&'a mut Transferred>,
    /// Referrers that the target has taken and does not list.
    unlisted: Mutex<Vec<Manifest>>,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(
        walk: &'a Walk,
        item: ItemId,
        source: &'a Place,
        target: &'a Place,
        transferred: &'a mut Transferred,
    ) -> Self {
        let listener = std::sync::Arc::clone(&walk.listener);
        let progress = Progress { item, listener, attempts: walk.options.attempts.max(1) };
        let (transferred, unlisted) = (Mutex::new(transferred), Mutex::default());
        Self { walk, source, target, progress, transferred, unlisted }
    }

    /// Says what is about to come.
    pub(crate) fn announce<'b>(&self, blobs: impl Iterator<Item = &'b Descriptor> + Clone) {
        self.walk.listener.hear(&Event::CopyStarted {
            item: self.progress.item,
            blobs: blobs.clone().count(),
            bytes: blobs.map(|blob| blob.size).sum(),
        });
    }

    /// Sees to it that the target has these blobs.
    pub(crate) async fn blobs(&self, blobs: Vec<Descriptor>) -> Result<(), Failure> {
        let (source, target, progress) = (self.source, self.target, &self.progress);
        let mut arriving = futures::stream::iter(blobs)
            .map(|blob| async move {
                let way = self.walk.blobs.ensure(source, target, &blob, progress).await?;
                Ok::<_, Failure>((blob, way))
            })
            .buffer_unordered(BLOBS_AT_ONCE);
        while let Some((blob, way)) = arriving.try_next().await? {
            lock(&self.transferred).add(way, blob.size);
            let (item, digest, size) = (self.progress.item, blob.digest, blob.size);
            self.walk.listener.hear(&Event::BlobFinished { item, digest, size, way });
        }
        Ok(())
    }

    /// Pushes manifests by their digests, level by level.
    pub(crate) async fn manifests(&self, levels: Vec<Vec<Manifest>>) -> Result<(), Failure> {
        for level in levels {
            futures::stream::iter(level)
                .map(|manifest| self.manifest(manifest))
                .buffer_unordered(MANIFESTS_AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }

    async fn manifest(&self, manifest: Manifest) -> Result<(), Failure> {
        let listed = self.target.put_manifest(&manifest).await?;
        if !listed && self.walk.options.referrers.which != WhichReferrers::None {
            lock(&self.unlisted).push(manifest);
        }
        Ok(())
    }

    /// Brings companions, those that belong to the image before those that belong to them.
    pub(crate) async fn companions(&self, rings: Vec<Vec<Companion>>) -> LeftOver {
        let mut left = LeftOver::default();
        for ring in rings {
            let mut arriving = futures::stream::iter(ring)
                .map(|companion| self.companion(companion))
                .buffer_unordered(COMPANIONS_AT_ONCE);
            while let Some(done) = arriving.next().await {
                match done {
                    Ok(held) => left.held.extend(held),
                    Err(problem) => left.problems.push(problem),
                }
            }
        }
        left.problems.extend(self.lists().await);
        left
    }

    async fn companion(&self, companion: Companion) -> Result<Option<String>, Failure> {
        let Companion { tag, manifest, closure } = companion;
        self.blobs(closure.blobs).await?;
        let mut levels = closure.levels;
        if tag.is_some() && manifest.subject().is_none() {
            // Its only PUT is the one by its tag.
            levels.pop();
        }
        self.manifests(levels).await?;
        let Some(tag) = tag else { return Ok(None) };
        match self.target.tag(&tag, &manifest).await? {
            Tagged::AsWanted => Ok(None),
            // Somebody signed there as well. That must not keep the image from being copied, even
            // where referrers are required: whoever signs copies makes it so on purpose.
            Tagged::Holds(other) => Ok(Some(format!(
                "tag {tag} holds {other} at the target and {} at the source; it was left alone",
                manifest.digest()
            ))),
        }
    }

    /// Lists the referrers that the target does not list itself.
    async fn lists(&self) -> Vec<Failure> {
        let mut by_subject = BTreeMap::<Digest, Vec<Manifest>>::new();
        for manifest in std::mem::take(&mut *lock(&self.unlisted)) {
            if let Some(subject) = manifest.subject() {
                by_subject.entry(subject.digest).or_default().push(manifest);
            }
        }
        let lists = futures::stream::iter(by_subject).map(|(subject, referrers)| async move {
            self.walk.fallback_tags.add(self.target, subject, &referrers).await
        });
        lists
            .buffer_unordered(COMPANIONS_AT_ONCE)
            .filter_map(|done| async { done.err() })
            .collect()
            .await
    }
}

/// A poisoned lock only means that another task panicked between two additions.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

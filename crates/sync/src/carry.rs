//! [`Carrier`]: brings blobs, manifests and companions from one source to its destinations.
//!
//! How a blob gets there is in `blob`, what belongs to an image in `companions`.

mod blob;
mod companions;

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{join, join_all, try_join_all};
use oci::Manifest;
use tokio::sync::{oneshot, watch};

use crate::act::{Act, ActKind};
use crate::blobs::{Copying, Stage};
use crate::closure::Closure;
use crate::destination::Destination;
use crate::needed::Needed;
use crate::place::Place;
use crate::transfer::{self, Sink};
use crate::walk::Walk;
use crate::{Failure, Way, WhichReferrers, neighbour};
use blob::Wanting;

/// Brings what images are made of from one source to their destinations.
pub(crate) struct Carrier<'a> {
    pub(crate) walk: &'a Walk,
    pub(crate) source: &'a Place,
}

/// Who pushes a closure's root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Root {
    /// The carrier, by its digest.
    Pushed,
    /// The caller, by a tag, as its only PUT.
    LeftToCaller,
}

/// A copy whose parts are all there. Others may take blobs over when its root is there as well.
pub(crate) struct Parts(watch::Sender<Stage>);

impl Parts {
    /// The root is there.
    pub(crate) fn are_committed(&self) {
        self.0.send_replace(Stage::Committed);
    }
}

/// A closure on its way to one destination.
struct Delivery<'a> {
    destination: &'a Destination<'a>,
    copying: Copying,
    /// Nothing more needs to be brought there.
    has_failed: AtomicBool,
}

impl Carrier<'_> {
    /// Brings a closure to each destination; what became of each, in their order.
    pub(crate) async fn closure(
        &self,
        closure: &Closure,
        to: &[&Destination<'_>],
        root: Root,
    ) -> Vec<Result<Parts, Failure>> {
        let needed = to.iter().map(|to| async move {
            if let Some(fence) = &self.walk.options.fence {
                let manifests = closure.manifests().map(Manifest::digest);
                fence.check(to.place.location(), manifests)?;
            }
            self.needed(to, closure).await
        });
        let needed = join_all(needed).await;
        let root_names_blobs = closure.root().is_some_and(|root| root.blobs().next().is_some());
        // The caller pushes the roots when all destinations have all else. Until then none of them
        // is committed.
        let together = root == Root::LeftToCaller && root_names_blobs;
        let one_for_all = together.then(|| self.walk.blobs.next_copy());
        let (mut ways, mut senders, mut lacking) = (Vec::new(), Vec::new(), Vec::new());
        for (destination, needed) in to.iter().zip(needed) {
            let id = one_for_all.unwrap_or_else(|| self.walk.blobs.next_copy());
            let (copying, stage) = self.walk.blobs.copying(id);
            let has_failed = AtomicBool::new(needed.is_err());
            ways.push(Delivery { destination, copying, has_failed });
            senders.push(stage);
            lacking.push(needed);
        }
        let mut arrivals: Vec<Vec<_>> = ways.iter().map(|_| Vec::new()).collect();
        let mut blobs = Vec::new();
        for blob in &closure.blobs {
            let mut wanting = Vec::new();
            for ((way, needed), arrivals) in ways.iter().zip(&lacking).zip(&mut arrivals) {
                match needed {
                    Ok(needed) if needed.includes(blob) => {
                        let (tell, told) = oneshot::channel();
                        wanting.push(Wanting { to: way, tell });
                        arrivals.push(told);
                    }
                    Ok(_) => way.destination.has(blob, Way::Present),
                    Err(_) => {}
                }
            }
            blobs.push(self.blob(blob, wanting));
        }
        let manifests = ways.iter().zip(lacking).zip(arrivals).zip(senders).map(
            |(((way, needed), arrivals), stage)| async move {
                let done = async {
                    let needed = needed?;
                    for arrival in arrivals {
                        // One that is told nothing is told of another blob's failure.
                        arrival.await.unwrap_or(Ok(()))?;
                    }
                    self.manifests(closure, &needed, way.destination, root).await
                };
                let done = done.await;
                way.has_failed.store(done.is_err(), Ordering::Relaxed);
                let parts = done.map(|()| Parts(stage))?;
                if !together {
                    parts.are_committed();
                }
                Ok(parts)
            },
        );
        join(join_all(blobs), join_all(manifests)).await.1
    }

    /// What a destination lacks. What its neighbour has is noted as there.
    async fn needed<'a>(
        &self,
        to: &Destination<'_>,
        closure: &'a Closure,
    ) -> Result<Needed<'a>, Failure> {
        let blobs = &self.walk.blobs;
        let needed = Needed::at(to, closure, blobs).await?;
        if let Some(neighbour) = &to.neighbour {
            let shared = neighbour::shares(to.place, neighbour, closure, &needed).await;
            shared.into_iter().for_each(|blob| blobs.is_there(to.place, blob));
        }
        Ok(needed)
    }

    /// Brings a closure once more, believing nothing of what the destination is said to have.
    pub(crate) async fn all_again(
        &self,
        closure: &Closure,
        destination: &Destination<'_>,
        root: Root,
    ) -> Result<(), Failure> {
        tracing::debug!(
            target: "sync", place = %destination.place.location(),
            "a manifest there does not have its parts; copying again without trust in any"
        );
        self.walk.blobs.forget(destination.place);
        let place = destination.place;
        let arriving = closure.blobs.iter().map(|blob| async move {
            if place.blob_size(&blob.digest).await?.is_none() {
                let _slot = self.walk.schedule.slot(blob.size).await;
                let sink = Sink { place, progress: &destination.progress, upload: None };
                for done in transfer::blob(self.source, blob, vec![sink]).await {
                    done?;
                }
                destination.has(blob, Way::Copied);
            }
            Ok::<_, Failure>(())
        });
        try_join_all(arriving).await?;
        self.push(&Needed::all(closure), closure, destination, root).await
    }

    async fn manifests(
        &self,
        closure: &Closure,
        needed: &Needed<'_>,
        destination: &Destination<'_>,
        root: Root,
    ) -> Result<(), Failure> {
        match self.push(needed, closure, destination, root).await {
            Err(failure) if failure.content_unknown => {
                self.all_again(closure, destination, root).await
            }
            done => done,
        }
    }

    /// Pushes manifests by their digests, level by level.
    async fn push(
        &self,
        needed: &Needed<'_>,
        closure: &Closure,
        destination: &Destination<'_>,
        root: Root,
    ) -> Result<(), Failure> {
        let left = match root {
            Root::Pushed => None,
            Root::LeftToCaller => closure.root().map(Manifest::digest),
        };
        for level in &needed.levels {
            let pushed = level.iter().filter(|manifest| Some(manifest.digest()) != left);
            try_join_all(pushed.map(|manifest| self.manifest(destination, manifest))).await?;
        }
        Ok(())
    }

    /// Pushes a manifest whose parts are there by its digest.
    pub(crate) async fn manifest(
        &self,
        destination: &Destination<'_>,
        manifest: &Manifest,
    ) -> Result<(), Failure> {
        let place = destination.place;
        let listed = match manifest.subject() {
            // Whoever looks at the subject sees it from here on.
            Some(subject) => {
                let brought = self.walk.acts.begin(|| {
                    let digest = manifest.digest();
                    let kind = ActKind::ReferrerBrought;
                    let mut act = Act::at_digest(kind, place.location(), &digest);
                    act.source = Some(format!("{}@{digest}", self.source.location()));
                    act.to = Some(digest);
                    act.evidence.subject = Some(subject.digest);
                    act
                });
                let brought = brought.await?;
                let listed = place.put_manifest(manifest).await?;
                brought.done(|_| ()).await?;
                listed
            }
            None => place.put_manifest(manifest).await?,
        };
        self.walk.blobs.add_manifest(destination.place, manifest.digest());
        if !listed && self.walk.options.referrers.which != WhichReferrers::None {
            destination.does_not_list(manifest.clone());
        }
        Ok(())
    }
}

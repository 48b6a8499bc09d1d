//! How one blob gets to all destinations that want it: it is there, it is taken over from another
//! repository, or it is read once and sent to all of them.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use oci::Descriptor;
use tokio::sync::oneshot;

use super::{Carrier, Delivery};
use crate::blobs::{Claimant, Claims, Copying, Turn};
use crate::place::{Place, Start, Upload};
use crate::transfer::{self, Sink};
use crate::{Failure, Way};

/// A place that had nothing is not asked for blobs up to this size, in bytes: it has them only if an
/// earlier run was broken off, and sending them again costs about as much as asking.
const SENT_UNASKED: u64 = 1024 * 1024;

/// One blob that one destination waits for.
pub(super) struct Wanting<'a> {
    pub(super) to: &'a Delivery<'a>,
    pub(super) tell: oneshot::Sender<Result<(), Failure>>,
}

impl Claimant for Wanting<'_> {
    fn place(&self) -> &Place {
        self.to.destination.place
    }

    fn copying(&self) -> &Copying {
        &self.to.copying
    }

    fn has_given_up(&self) -> bool {
        self.to.has_failed.load(Ordering::Relaxed)
    }
}

impl Carrier<'_> {
    /// Sees to it that all who want a blob have it, and tells each of them.
    pub(super) async fn blob(&self, blob: &Descriptor, wanting: Vec<Wanting<'_>>) {
        let claims = Claims::new(&self.walk.blobs, blob.digest, wanting);
        let answers = stream::unfold(claims, |mut claims| async move {
            let answered = claims.next().await?;
            Some((answered, claims))
        });
        answers.for_each_concurrent(None, |answered| self.answered(blob, answered)).await;
    }

    /// Brings a blob to all whose turn it is; the others have it.
    async fn answered(&self, blob: &Descriptor, answered: Vec<(Wanting<'_>, Option<Turn>)>) {
        let mut turns = Vec::new();
        for (one, turn) in answered {
            match turn {
                Some(turn) => turns.push((one, turn)),
                None => there(blob, one, Way::Present),
            }
        }
        self.bring(blob, turns).await;
    }

    /// Brings a blob to all whose turn it is: asked for, taken over, or read once and sent.
    async fn bring(&self, blob: &Descriptor, turns: Vec<(Wanting<'_>, Turn)>) {
        let looks = turns.into_iter().map(|(one, turn)| async move {
            let found = self.look(blob, one.to, &turn).await;
            (one, turn, found)
        });
        let (mut sinks, mut senders) = (Vec::new(), Vec::new());
        for (one, turn, found) in join_all(looks).await {
            match found {
                Ok(Found::There(way)) => arrived(blob, one, turn, way),
                Ok(Found::Lacking(upload)) => {
                    let (place, progress) =
                        (one.to.destination.place, &one.to.destination.progress);
                    sinks.push(Sink { place, progress, upload });
                    senders.push((one, turn));
                }
                Err(failure) => failed(one, failure),
            }
        }
        if sinks.is_empty() {
            return;
        }
        let _slot = self.walk.schedule.slot(blob.size).await;
        let done = transfer::blob(self.source, blob, sinks).await;
        for ((one, turn), done) in senders.into_iter().zip(done) {
            match done {
                Ok(()) => arrived(blob, one, turn, Way::Copied),
                Err(failure) => failed(one, failure),
            }
        }
    }

    /// Whether the place has the blob or can take it over.
    async fn look(
        &self,
        blob: &Descriptor,
        to: &Delivery<'_>,
        turn: &Turn,
    ) -> Result<Found, Failure> {
        let (place, was_empty) = (to.destination.place, to.destination.was_empty);
        // Where another repository is known to have it, one request asks and mounts at once.
        let asks = match turn.donor {
            Some(_) => self.walk.blobs.refuses(&place.realm()),
            None => !was_empty || blob.size > SENT_UNASKED,
        };
        if asks && place.blob_size(&blob.digest).await?.is_some() {
            return Ok(Found::There(Way::Present));
        }
        let Some(donor) = &turn.donor else { return Ok(Found::Lacking(None)) };
        match place.start(blob, Some(donor)).await? {
            Start::Taken => {
                turn.was_mounted();
                Ok(Found::There(Way::Mounted))
            }
            Start::Upload(upload) => {
                turn.mount_was_refused();
                Ok(Found::Lacking(Some(upload)))
            }
        }
    }
}

/// What a look at a place found.
#[expect(clippy::large_enum_variant, reason = "short-lived")]
enum Found {
    There(Way),
    /// It is to be sent, to the upload that the place has begun, if it has.
    Lacking(Option<Upload>),
}

fn arrived(blob: &Descriptor, one: Wanting<'_>, turn: Turn, way: Way) {
    turn.done(&one.to.copying);
    there(blob, one, way);
}

fn there(blob: &Descriptor, one: Wanting<'_>, way: Way) {
    one.to.destination.has(blob, way);
    let _ = one.tell.send(Ok(()));
}

fn failed(one: Wanting<'_>, failure: Failure) {
    one.to.has_failed.store(true, Ordering::Relaxed);
    let _ = one.tell.send(Err(failure));
}

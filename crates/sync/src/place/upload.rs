//! [`Upload`]: one blob on its way to a place.

use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use oci::Descriptor;
use registry::UploadSession;

use super::{BlobContent, Place, Store};
use crate::Failure;

/// What a place made of the wish to have a blob.
#[expect(clippy::large_enum_variant, reason = "short-lived")]
pub(crate) enum Start {
    /// It has it from another place already.
    Taken,
    /// Its content is to be sent.
    Upload(Upload),
}

/// A blob that a place waits for.
pub(crate) struct Upload {
    place: Place,
    blob: Descriptor,
    /// A layout needs none.
    session: Option<UploadSession>,
}

impl Place {
    /// Begins to bring a blob here: taken over from `donor` if it can be.
    pub(crate) async fn start(
        &self,
        blob: &Descriptor,
        donor: Option<&Self>,
    ) -> Result<Start, Failure> {
        let session = match &self.store {
            Store::Registry(remote) => {
                let from = donor.and_then(|donor| match &donor.store {
                    Store::Registry(donor) => Some(&donor.name),
                    _ => None,
                });
                let upload = remote.client.start_upload(&blob.digest, from).await;
                match upload.map_err(self.registry())? {
                    registry::Upload::Mounted => return Ok(Start::Taken),
                    registry::Upload::Session(session) => Some(session),
                }
            }
            Store::Layout(layout) => {
                if let Some(Self { store: Store::Layout(donor), .. }) = donor
                    && layout.link_blob(donor, &blob.digest).await.map_err(self.layout())?
                {
                    return Ok(Start::Taken);
                }
                None
            }
            Store::Growing(_) => None,
            Store::Archive(_) | Store::Nothing | Store::Chart(_) => return Err(self.not_writable()),
        };
        Ok(Start::Upload(Upload { place: self.clone(), blob: blob.clone(), session }))
    }
}

impl Upload {
    /// Sends the whole content.
    pub(crate) async fn write(&mut self, content: BlobContent) -> Result<(), Failure> {
        let (place, digest, size) = (&self.place, self.blob.digest, Some(self.blob.size));
        let written = |done: Result<(), layout::WriteError<Failure>>| match done {
            Ok(()) => Ok(()),
            Err(layout::WriteError::Content(failure)) => Err(failure),
            Err(layout::WriteError::Layout(error)) => Err(place.layout()(error)),
        };
        match (&place.store, &mut self.session) {
            (Store::Registry(_), Some(session)) => {
                let (content, broken) = watched(content);
                let sent = session.put(self.blob.size, content).await;
                told(place, sent, &broken)
            }
            (Store::Layout(layout), _) => written(layout.write_blob(&digest, size, content).await),
            (Store::Growing(archive), _) => {
                written(archive.write_blob(&digest, size, content).await)
            }
            (Store::Registry(_) | Store::Archive(_) | Store::Nothing | Store::Chart(_), _) => {
                Err(place.not_writable())
            }
        }
    }

    /// How many bytes the place has kept of what broke; none where it keeps nothing.
    pub(crate) async fn kept(&mut self) -> Option<u64> {
        // If it does not say, it is begun anew.
        let received = self.session.as_mut()?.received().await.ok()??;
        (received > 0 && received <= self.blob.size).then_some(received)
    }

    /// Sends what comes after the bytes that were kept. The place checks the digest of the whole.
    pub(crate) async fn write_rest(
        &mut self,
        offset: u64,
        content: BlobContent,
    ) -> Result<(), Failure> {
        let Some(session) = &mut self.session else { return Err(self.place.not_writable()) };
        let (content, broken) = watched(content);
        let sent = session.put_rest(offset, self.blob.size, content).await;
        told(&self.place, sent, &broken)
    }

    /// Gives it up, and tells the place so.
    pub(crate) async fn cancel(self) {
        if let Some(session) = self.session {
            session.cancel().await;
        }
    }
}

/// What was wrong with content that was being sent.
type Broken = Arc<OnceLock<Failure>>;

/// An upload reports broken content as its own failure; the source knows better.
fn watched(content: BlobContent) -> (BlobContent, Broken) {
    let broken = Broken::default();
    let slot = Arc::clone(&broken);
    let content = content.inspect(move |piece| {
        if let Err(failure) = piece {
            let _ = slot.set(failure.clone());
        }
    });
    (content.boxed(), broken)
}

fn told(
    place: &Place,
    sent: Result<(), registry::Error>,
    broken: &OnceLock<Failure>,
) -> Result<(), Failure> {
    match broken.get() {
        Some(failure) => Err(failure.clone()),
        None => sent.map_err(place.registry()),
    }
}

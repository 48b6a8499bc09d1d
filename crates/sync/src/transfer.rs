//! Moves one blob from a source to a target, beginning again when what broke is temporary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use oci::{Descriptor, Digest};

use crate::place::{BlobContent, Place};
use crate::{Event, Failure, ItemId, Listener, Way};

/// Who hears of a transfer, and how often it may begin.
#[derive(Clone)]
pub(crate) struct Progress {
    pub(crate) item: ItemId,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) attempts: u32,
}

/// Brings the blob to `target`: taken over from `donor`, or streamed from `source`.
///
/// A cut download resumes inside its reader; here a broken upload begins again, with a new session
/// and a new reader, because a registry keeps nothing of a session that broke in a single PUT.
pub(crate) async fn blob(
    source: &Place,
    target: &Place,
    donor: Option<&Place>,
    blob: &Descriptor,
    progress: &Progress,
) -> Result<Way, Failure> {
    let mut donor = donor;
    let mut attempt = 1;
    loop {
        let passed = Arc::new(AtomicU64::new(0));
        let open = || async {
            let content = source.read_blob(blob).await?;
            Ok(counted(content, blob.digest, progress.clone(), Arc::clone(&passed)))
        };
        match target.write_blob(blob, donor, open).await {
            Ok(way) => return Ok(way),
            Err(failure) if failure.temporary && attempt < progress.attempts => {
                progress.listener.hear(&Event::BlobRetried {
                    item: progress.item,
                    digest: blob.digest,
                    lost: passed.load(Ordering::Relaxed),
                    reason: failure.to_string(),
                });
                // The client has already waited where the other side asked for it.
                attempt += 1;
                donor = None;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Tells the listener of every piece that passes.
fn counted(
    content: BlobContent,
    digest: Digest,
    progress: Progress,
    passed: Arc<AtomicU64>,
) -> BlobContent {
    content
        .inspect(move |piece| {
            if let Ok(piece) = piece {
                let bytes = piece.len() as u64;
                passed.fetch_add(bytes, Ordering::Relaxed);
                progress.listener.hear(&Event::BlobProgress { item: progress.item, digest, bytes });
            }
        })
        .boxed()
}

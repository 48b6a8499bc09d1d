//! Moves one blob from a source to its targets, reading it once, and beginning again where what
//! broke is temporary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::future::join_all;
use oci::{Descriptor, Digest};

use crate::place::{BlobContent, Place, Start, Upload};
use crate::{Event, Failure, ItemId, Listener, tee};

/// Who hears of a transfer, and how often it may begin.
#[derive(Clone)]
pub(crate) struct Progress {
    pub(crate) item: ItemId,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) attempts: u32,
}

/// One target of a transfer.
pub(crate) struct Sink<'a> {
    pub(crate) place: &'a Place,
    pub(crate) progress: &'a Progress,
    /// An upload that the place has begun already.
    pub(crate) upload: Option<Upload>,
}

/// Streams the blob from `source` to all sinks, and returns what became of each, in their order.
///
/// A cut download resumes inside its reader; here a broken upload begins again, with a new session
/// and a new reading, together with all others that broke.
pub(crate) async fn blob(
    source: &Place,
    blob: &Descriptor,
    sinks: Vec<Sink<'_>>,
) -> Vec<Result<(), Failure>> {
    let mut ended: Vec<Option<Result<(), Failure>>> = sinks.iter().map(|_| None).collect();
    let mut under_way: Vec<(usize, Sink<'_>)> = sinks.into_iter().enumerate().collect();
    let mut attempt = 1;
    while !under_way.is_empty() {
        let passed: Vec<Arc<AtomicU64>> = under_way.iter().map(|_| Arc::default()).collect();
        let results = once(source, blob, &mut under_way, &passed).await;
        let sinks = std::mem::take(&mut under_way);
        for (((number, sink), passed), result) in sinks.into_iter().zip(passed).zip(results) {
            match result {
                Err(failure) if failure.temporary && attempt < sink.progress.attempts => {
                    sink.progress.listener.hear(&Event::BlobRetried {
                        item: sink.progress.item,
                        digest: blob.digest,
                        lost: passed.load(Ordering::Relaxed),
                        reason: failure.to_string(),
                    });
                    under_way.push((number, sink));
                }
                result => {
                    if let Some(ended) = ended.get_mut(number) {
                        *ended = Some(result);
                    }
                }
            }
        }
        // The client has already waited where the other side asked for it.
        attempt += 1;
    }
    ended.into_iter().flatten().collect()
}

/// One reading of the blob for all sinks.
async fn once(
    source: &Place,
    blob: &Descriptor,
    sinks: &mut [(usize, Sink<'_>)],
    passed: &[Arc<AtomicU64>],
) -> Vec<Result<(), Failure>> {
    let started = join_all(sinks.iter_mut().map(|(_, sink)| async {
        match sink.upload.take() {
            Some(upload) => Ok(Some(upload)),
            None => match sink.place.start(blob, None).await? {
                Start::Upload(upload) => Ok(Some(upload)),
                Start::Taken => Ok(None),
            },
        }
    }));
    let started: Vec<Result<Option<Upload>, Failure>> = started.await;
    let writers = started.iter().filter(|started| matches!(started, Ok(Some(_)))).count();
    let mut contents = if writers == 0 {
        Vec::new()
    } else {
        match source.read_blob(blob).await {
            Ok(content) => tee::split(content, writers),
            Err(failure) => {
                return join_all(started.into_iter().map(|started| async {
                    if let Some(upload) = started? {
                        upload.cancel().await;
                    }
                    Err(failure.clone())
                }))
                .await;
            }
        }
    };
    let mut writes = Vec::with_capacity(started.len());
    for ((started, (_, sink)), passed) in started.into_iter().zip(&*sinks).zip(passed) {
        let content = match &started {
            Ok(Some(_)) => contents.pop(),
            _ => None,
        };
        writes.push(async move {
            match (started?, content) {
                (Some(upload), Some(content)) => {
                    let (progress, passed) = (sink.progress.clone(), Arc::clone(passed));
                    upload.write(counted(content, blob.digest, progress, passed)).await
                }
                _ => Ok(()),
            }
        });
    }
    join_all(writes).await
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

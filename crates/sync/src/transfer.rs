//! Moves one blob from a source to its targets, reading it once, and going on where what broke is
//! temporary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::future::{join, join_all};
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
/// A cut download resumes inside its reader. A broken upload goes on where it broke, if its place
/// kept what it got; else it begins again, with a new session, together with all others that broke.
pub(crate) async fn blob(
    source: &Place,
    blob: &Descriptor,
    sinks: Vec<Sink<'_>>,
) -> Vec<Result<(), Failure>> {
    let mut ended: Vec<Option<Result<(), Failure>>> = sinks.iter().map(|_| None).collect();
    let mut under_way: Vec<Attempt<'_>> =
        sinks.into_iter().enumerate().map(|(number, sink)| Attempt::first(number, sink)).collect();
    for attempt in 1.. {
        let (mut resumed, mut whole): (Vec<_>, Vec<_>) =
            under_way.into_iter().partition(|attempt| attempt.kept.is_some());
        let rests = join_all(resumed.iter_mut().map(|attempt| attempt.rest(source, blob)));
        let (rests, wholes) = join(rests, together(source, blob, &mut whole)).await;
        under_way = Vec::new();
        let results = rests.into_iter().chain(wholes);
        for (mut sink, result) in resumed.into_iter().chain(whole).zip(results) {
            match result {
                Err(failure) if sink.may_go_on(&failure) && attempt < sink.progress.attempts => {
                    sink.broke(blob, &failure).await;
                    under_way.push(sink);
                }
                result => {
                    if let (Err(_), Some(upload)) = (&result, sink.upload) {
                        upload.cancel().await;
                    }
                    if let Some(ended) = ended.get_mut(sink.number) {
                        *ended = Some(result);
                    }
                }
            }
        }
        // The client has already waited where the other side asked for it.
        if under_way.is_empty() {
            break;
        }
    }
    ended.into_iter().flatten().collect()
}

/// One sink and how far it came.
struct Attempt<'a> {
    number: usize,
    place: &'a Place,
    progress: &'a Progress,
    upload: Option<Upload>,
    /// How many bytes the place has kept of what broke.
    kept: Option<u64>,
    /// How many bytes the listener was told of, less those that were lost.
    passed: Arc<AtomicU64>,
}

impl<'a> Attempt<'a> {
    fn first(number: usize, sink: Sink<'a>) -> Self {
        let Sink { place, progress, upload } = sink;
        Self { number, place, progress, upload, kept: None, passed: Arc::default() }
    }

    /// An upload to write to; none where the place has the blob by now.
    async fn begin(&mut self, blob: &Descriptor) -> Result<Option<&mut Upload>, Failure> {
        if self.upload.is_none() {
            match self.place.start(blob, None).await? {
                Start::Upload(upload) => self.upload = Some(upload),
                Start::Taken => return Ok(None),
            }
        }
        Ok(self.upload.as_mut())
    }

    /// Sends what the place has not kept.
    async fn rest(&mut self, source: &Place, blob: &Descriptor) -> Result<(), Failure> {
        let (Some(offset), Some(_)) = (self.kept, &self.upload) else { return Ok(()) };
        let content = source.read_rest(blob, offset).await?;
        let content = self.counted(content, blob.digest);
        match &mut self.upload {
            Some(upload) => upload.write_rest(offset, content).await,
            None => Ok(()),
        }
    }

    /// Whether another attempt may help. A rest that the place refused says nothing of the whole:
    /// what it kept may not have been what it was sent.
    fn may_go_on(&self, failure: &Failure) -> bool {
        failure.temporary || (self.kept.is_some() && failure.side == self.place.side())
    }

    /// Finds out what was kept, and says what was lost. What was refused is not gone on with.
    async fn broke(&mut self, blob: &Descriptor, failure: &Failure) {
        self.kept = match &mut self.upload {
            Some(upload) if failure.temporary => upload.kept().await,
            _ => None,
        };
        if self.kept.is_none()
            && let Some(upload) = self.upload.take()
        {
            upload.cancel().await;
        }
        let kept = self.kept.unwrap_or(0);
        let lost = self.passed.swap(kept, Ordering::Relaxed).saturating_sub(kept);
        self.progress.listener.hear(&Event::BlobRetried {
            item: self.progress.item,
            digest: blob.digest,
            lost,
            reason: failure.to_string(),
        });
    }

    /// Tells the listener of every piece that passes.
    fn counted(&self, content: BlobContent, digest: Digest) -> BlobContent {
        let (progress, passed) = (self.progress.clone(), Arc::clone(&self.passed));
        let item = progress.item;
        content
            .inspect(move |piece| {
                if let Ok(piece) = piece {
                    let bytes = piece.len() as u64;
                    passed.fetch_add(bytes, Ordering::Relaxed);
                    progress.listener.hear(&Event::BlobProgress { item, digest, bytes });
                }
            })
            .boxed()
    }
}

/// One reading of the blob for all of them.
async fn together(
    source: &Place,
    blob: &Descriptor,
    attempts: &mut [Attempt<'_>],
) -> Vec<Result<(), Failure>> {
    let begun = join_all(
        attempts
            .iter_mut()
            .map(|attempt| async { attempt.begin(blob).await.map(|upload| upload.is_some()) }),
    );
    let begun = begun.await;
    let writers = begun.iter().filter(|begun| matches!(begun, Ok(true))).count();
    let mut contents = match writers {
        0 => Vec::new(),
        _ => match source.read_blob(blob).await {
            Ok(content) => tee::split(content, writers),
            Err(failure) => return begun.iter().map(|_| Err(failure.clone())).collect(),
        },
    };
    let writes = attempts.iter_mut().zip(begun).map(|(attempt, begun)| {
        let content = if matches!(begun, Ok(true)) { contents.pop() } else { None };
        async move {
            let content = match (begun, content) {
                (Err(failure), _) => return Err(failure),
                (Ok(_), None) => return Ok(()),
                (Ok(_), Some(content)) => attempt.counted(content, blob.digest),
            };
            match &mut attempt.upload {
                Some(upload) => upload.write(content).await,
                None => Ok(()),
            }
        }
    });
    join_all(writes.collect::<Vec<_>>()).await
}

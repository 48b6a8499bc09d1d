//! [`Part`]: a stretch of a blob over one connection at a time, which goes on where that broke.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::answer::Opened;
use crate::blob_source::{BlobSource, Turn};
use crate::error::{ErrorKind, Failure};
use crate::retry::pauses;

/// So much must have come since the last break for it to count as the first again, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// A stretch of a blob on its way.
pub(crate) struct Part {
    source: Arc<BlobSource>,
    /// Where the next byte lies that is given out.
    position: u64,
    /// Where the stretch ends; none where it is all that is left, however much comes.
    end: Option<u64>,
    /// Bytes that lie before the position and come again.
    skip: u64,
    stream: Stream,
    breaks: u32,
    position_at_break: u64,
}

enum Stream {
    /// Not asked for, or broken.
    None,
    /// Being asked for by somebody else, who may fail.
    Coming(oneshot::Receiver<Opened>),
    Open(Box<Opened>),
    Done,
}

impl Part {
    /// All of a blob from `position` on, which `opened` brings after `skip` bytes.
    pub(crate) fn rest(
        source: Arc<BlobSource>,
        position: u64,
        (opened, skip): (Opened, u64),
    ) -> Self {
        Self { skip, stream: Stream::Open(Box::new(opened)), ..Self::new(source, position, None) }
    }

    /// A range, which `opened` brings.
    pub(crate) fn range(source: Arc<BlobSource>, range: Range<u64>, opened: Opened) -> Self {
        Self { stream: Stream::Open(Box::new(opened)), ..Self::later(source, range) }
    }

    /// A range that somebody else asks for.
    pub(crate) fn coming(
        source: Arc<BlobSource>,
        range: Range<u64>,
        opened: oneshot::Receiver<Opened>,
    ) -> Self {
        Self { stream: Stream::Coming(opened), ..Self::later(source, range) }
    }

    /// A range that is not asked for before it is wanted.
    pub(crate) fn later(source: Arc<BlobSource>, range: Range<u64>) -> Self {
        Self::new(source, range.start, Some(range.end))
    }

    fn new(source: Arc<BlobSource>, position: u64, end: Option<u64>) -> Self {
        let (stream, position_at_break) = (Stream::None, position);
        Self { source, position, end, skip: 0, stream, breaks: 0, position_at_break }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where it ends, as far as that is known.
    pub(crate) fn end(&self) -> Option<u64> {
        self.end.or(self.source.size)
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            match self.piece().await {
                Ok(piece) => return Ok(piece),
                Err(cause) => self.resume(&cause).await?,
            }
        }
    }

    /// The next piece; none at the end. After an error [`Part::resume`] goes on.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let opened = match &mut self.stream {
                Stream::Open(opened) => opened,
                Stream::Done => return Ok(None),
                Stream::Coming(coming) => {
                    let came = coming.await;
                    self.stream =
                        came.map_or(Stream::None, |opened| Stream::Open(Box::new(opened)));
                    continue;
                }
                Stream::None => {
                    self.open().await?;
                    continue;
                }
            };
            let came = opened.piece().await;
            let at_end = self.end().is_none_or(|end| self.position >= end);
            match came {
                Ok(Some(piece)) => {
                    let piece = self.take(piece);
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if at_end => self.stream = Stream::Done,
                // Without a word the server said all, but it was not all.
                Ok(None) => {
                    let (position, end) = (self.position, self.end().unwrap_or_default());
                    let message = format!("the content ended after {position} of {end} bytes");
                    return Err(Failure::new(ErrorKind::Content, message).temporary());
                }
                // All came, and then the connection broke.
                Err(_) if at_end && self.end().is_some() => self.stream = Stream::Done,
                Err(failure) => return Err(failure),
            }
        }
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        let mut piece = piece.split_off(usize::try_from(skipped).unwrap_or(piece.len()));
        if let Some(end) = self.end {
            let left = end - self.position;
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if piece.len() as u64 == left {
                self.stream = Stream::Done;
            }
        }
        self.position += piece.len() as u64;
        self.source.arrived.fetch_add(piece.len() as u64, Ordering::Relaxed);
        piece
    }

    /// Goes on where the content broke off for `cause`, or fails of it.
    pub(crate) async fn resume(&mut self, cause: &Failure) -> Result<(), Failure> {
        // The permit is given back before another is waited for.
        self.stream = Stream::None;
        let endpoint = &self.source.repository.endpoint;
        if self.position - self.position_at_break >= PROGRESS {
            self.breaks = 0;
        }
        self.position_at_break = self.position;
        self.breaks += 1;
        if self.breaks >= endpoint.attempts || !cause.is_temporary() || cause.is_exhausted() {
            return Err(cause.clone());
        }
        let (digest, position, cause) = (&self.source.digest, self.position, cause.message());
        tracing::debug!(target: "registry", %digest, position, cause, "going on");
        if let Some(pause) = pauses(&endpoint.retry).nth(self.breaks as usize - 1) {
            tokio::time::sleep(pause).await;
        }
        self.open().await
    }

    /// Asks for what is left.
    async fn open(&mut self) -> Result<(), Failure> {
        if let Some(end) = self.end
            && !self.source.no_ranges.load(Ordering::Relaxed)
        {
            let range = self.position..end;
            if let Some(opened) = self.source.open_range(&range, Turn::Needed).await? {
                (self.stream, self.skip) = (Stream::Open(Box::new(opened)), 0);
                return Ok(());
            }
        }
        self.end = None;
        let (opened, skip) = self.source.open_rest(self.position).await?;
        (self.stream, self.skip) = (Stream::Open(Box::new(opened)), skip);
        Ok(())
    }
}

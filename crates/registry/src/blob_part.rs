//! [`Part`]: a stretch of a blob over one connection, which goes on by itself where that broke.

use bytes::Bytes;
use http::header::RANGE;
use http::{HeaderValue, Method, StatusCode};
use oci::Digest;

use crate::answer::Opened;
use crate::content_range::ContentRange;
use crate::endpoint::Request;
use crate::error::{ErrorKind, Failure};
use crate::repository::RepositoryClient;
use crate::retry::pauses;

/// So much must have come since the last break for it to count as the first again, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// A stretch of a blob on its way.
pub(crate) struct Part {
    repository: RepositoryClient,
    digest: Digest,
    /// The size of the whole blob, where it is known.
    size: Option<u64>,
    /// Where the next byte lies that is given out.
    position: u64,
    /// Bytes that lie before that and come again.
    skip: u64,
    opened: Option<Opened>,
    breaks: u32,
    position_at_break: u64,
}

impl Part {
    /// The rest of a blob from `position` on, which `opened` brings after `skip` bytes.
    pub(crate) fn new(
        repository: RepositoryClient,
        digest: Digest,
        size: Option<u64>,
        position: u64,
        (opened, skip): (Opened, u64),
    ) -> Self {
        Self {
            repository,
            digest,
            size,
            position,
            skip,
            opened: Some(opened),
            breaks: 0,
            position_at_break: position,
        }
    }

    /// The next piece; none at the end. After the end, or an error, nothing comes.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(opened) = &mut self.opened else { return Ok(None) };
            match opened.piece().await {
                Ok(Some(piece)) => {
                    let piece = self.take(piece);
                    if !piece.is_empty() {
                        return Ok(Some(piece));
                    }
                }
                Ok(None) if self.size.is_none_or(|size| self.position >= size) => {
                    self.opened = None;
                }
                // Without a word the server said all, but it was not all.
                Ok(None) => self.resume(None).await?,
                // All came, and then the connection broke.
                Err(_) if self.size == Some(self.position) => self.opened = None,
                Err(failure) => self.resume(Some(failure)).await?,
            }
        }
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        let piece = piece.split_off(usize::try_from(skipped).unwrap_or(piece.len()));
        self.position += piece.len() as u64;
        piece
    }

    /// Goes on where the content broke off, for `cause` or too early.
    async fn resume(&mut self, cause: Option<Failure>) -> Result<(), Failure> {
        let position = self.position;
        let cause = cause.unwrap_or_else(|| {
            let size = self.size.unwrap_or_default();
            let message = format!("the content ended after {position} of {size} bytes");
            Failure::new(ErrorKind::Content, message).temporary()
        });
        // The permit is given back before another is waited for.
        self.opened = None;
        let endpoint = &self.repository.endpoint;
        if position - self.position_at_break >= PROGRESS {
            self.breaks = 0;
        }
        self.position_at_break = position;
        self.breaks += 1;
        if self.breaks >= endpoint.attempts {
            return Err(cause);
        }
        let cause = cause.message();
        tracing::debug!(target: "registry", digest = %self.digest, position, cause, "going on");
        if let Some(pause) = pauses(&endpoint.retry).nth(self.breaks as usize - 1) {
            tokio::time::sleep(pause).await;
        }
        let (opened, skip) = self.repository.open_rest(&self.digest, position, self.size).await?;
        (self.opened, self.skip) = (Some(opened), skip);
        Ok(())
    }
}

impl RepositoryClient {
    /// Asks for a blob's content from `offset` on; says how many bytes before that come first.
    pub(crate) async fn open_rest(
        &self,
        digest: &Digest,
        offset: u64,
        size: Option<u64>,
    ) -> Result<(Opened, u64), Failure> {
        if offset == 0 {
            return Ok((self.open_blob(digest, None).await?, 0));
        }
        let opened = match self.open_blob(digest, Some(&format!("bytes={offset}-"))).await {
            // A server that knows no ranges, or not this one: from the beginning, then.
            Err(failure) if failure.is(StatusCode::RANGE_NOT_SATISFIABLE) => {
                return Ok((self.open_blob(digest, None).await?, offset));
            }
            result => result?,
        };
        if opened.response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok((opened, offset));
        }
        match ContentRange::of(opened.response.headers()) {
            Some(range) if range.continues(offset, size) => Ok((opened, 0)),
            // Another part than was asked for (openai/tart#1255).
            _ => {
                drop(opened);
                Ok((self.open_blob(digest, None).await?, offset))
            }
        }
    }

    /// Asks for a blob's content, or for this range of it.
    pub(crate) async fn open_blob(
        &self,
        digest: &Digest,
        range: Option<&str>,
    ) -> Result<Opened, Failure> {
        let url = self.url(&format!("blobs/{digest}")).await?;
        let mut request = Request::new(Method::GET, url, self.pull()).following().bulk();
        if let Some(range) = range {
            let range = HeaderValue::from_str(range)
                .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))?;
            request = request.header(RANGE, range);
        }
        self.endpoint.open(&request).await
    }
}

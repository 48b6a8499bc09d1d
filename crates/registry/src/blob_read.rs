//! Blobs, down: [`BlobReader`], which goes on by itself where a connection broke.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::{Digest, Mismatch, Verifier};

use crate::answer::{Opened, content_length, text};
use crate::auth::lock;
use crate::endpoint::Request;
use crate::error::{Error, ErrorKind, Failure};
use crate::refusal::BODY_LIMIT;
use crate::repository::RepositoryClient;
use crate::retry::pauses;

/// So much must have come since the last break for it to count as the first again, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// The content of a blob as it comes in.
///
/// The last piece comes only when all of them together have the digest: who passes on what comes
/// never completes wrong content. After an error nothing comes.
pub struct BlobReader {
    size: Option<u64>,
    content: BoxStream<'static, Result<Bytes, Error>>,
}

impl BlobReader {
    /// The size of the whole blob in bytes, where it is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

impl Stream for BlobReader {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.content.as_mut().poll_next(context)
    }
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl RepositoryClient {
    /// The size of a blob in bytes; none if the repository has it not.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.first(|at| at.blob_size_here(digest)).await.map_err(|failure| {
            Error::new(format!("looking for the blob `{}@{digest}`", self.name()), failure)
        })
    }

    /// A blob's content, checked against its digest, and against its size where that is given; none
    /// if the repository has it not.
    ///
    /// # Errors
    /// [`Error`]; those of the reader are of kind [`ErrorKind::Content`] where the content is not
    /// what it should be.
    pub async fn read_blob(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Option<BlobReader>, Error> {
        self.first(|at| at.read_blob_here(digest, size))
            .await
            .map_err(|failure| Error::new(reading(self, digest), failure))
    }

    async fn blob_size_here(&self, digest: &Digest) -> Result<Option<u64>, Failure> {
        let url = self.url(&format!("blobs/{digest}")).await?;
        let head = Request::new(Method::HEAD, url.clone(), self.pull()).following();
        match self.endpoint.call(&head, BODY_LIMIT).await {
            Ok(answer) => {
                if let Some(size) = content_length(&answer.headers) {
                    return Ok(Some(size));
                }
            }
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            // A storage that was redirected to may take signed GETs only; and an answer to HEAD has
            // no words.
            Err(failure)
                if !matches!(
                    failure.kind(),
                    ErrorKind::Denied | ErrorKind::Rejected | ErrorKind::Unsupported
                ) =>
            {
                return Err(failure);
            }
            Err(_) => {}
        }
        let first = HeaderValue::from_static("bytes=0-0");
        let get = Request::new(Method::GET, url, self.pull()).header(RANGE, first).following();
        match self.endpoint.open(&get.bulk()).await {
            Ok(opened) => match whole_size(opened.response.status(), opened.response.headers()) {
                Some(size) => Ok(Some(size)),
                None => {
                    Err(Failure::new(ErrorKind::Protocol, "the registry does not say its size"))
                }
            },
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(None),
            // There is no first byte.
            Err(failure) if failure.is(StatusCode::RANGE_NOT_SATISFIABLE) => Ok(Some(0)),
            Err(failure) => Err(failure),
        }
    }

    async fn read_blob_here(
        &self,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Option<BlobReader>, Failure> {
        if self.is_mirror && lock(&self.endpoint.learned.wrong_blobs).contains(digest) {
            return Ok(None);
        }
        let opened = match self.open_blob(digest, 0).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            result => result?,
        };
        let said = whole_size(opened.response.status(), opened.response.headers());
        if let (Some(size), Some(said)) = (size, said)
            && size != said
        {
            let message = format!("the registry has {said} bytes of it, not {size}");
            return Err(Failure::new(ErrorKind::Content, message));
        }
        let size = size.or(said);
        let download = Download {
            repository: self.clone(),
            digest: *digest,
            size,
            verifier: Some(Verifier::new(*digest, size)),
            seen: 0,
            skip: 0,
            held: None,
            opened: Some(opened),
            breaks: 0,
            seen_at_break: 0,
        };
        let content = stream::unfold(Some(download), |download| async {
            let mut download = download?;
            match download.next().await {
                Ok(piece) => piece.map(|piece| (Ok(piece), Some(download))),
                Err(failure) => {
                    let asked = reading(&download.repository, &download.digest);
                    Some((Err(Error::new(asked, failure)), None))
                }
            }
        });
        Ok(Some(BlobReader { size, content: content.boxed() }))
    }

    /// Asks for a blob's content from `offset` on.
    async fn open_blob(&self, digest: &Digest, offset: u64) -> Result<Opened, Failure> {
        let url = self.url(&format!("blobs/{digest}")).await?;
        let mut request = Request::new(Method::GET, url, self.pull()).following().bulk();
        if offset > 0 {
            let range = HeaderValue::from_str(&format!("bytes={offset}-"))
                .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))?;
            request = request.header(RANGE, range);
        }
        self.endpoint.open(&request).await
    }
}

fn reading(repository: &RepositoryClient, digest: &Digest) -> String {
    format!("reading the blob `{}@{digest}`", repository.name())
}

/// A blob on its way.
struct Download {
    repository: RepositoryClient,
    digest: Digest,
    size: Option<u64>,
    /// Gone once all was checked.
    verifier: Option<Verifier>,
    /// Bytes that came and were checked.
    seen: u64,
    /// Bytes that came before and come again.
    skip: u64,
    /// The latest piece, not given out before the next one came or all was checked.
    held: Option<Bytes>,
    opened: Option<Opened>,
    breaks: u32,
    seen_at_break: u64,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(opened) = &mut self.opened else { return Ok(None) };
            match opened.piece().await {
                Ok(Some(piece)) => {
                    if let Some(ready) = self.take(piece)? {
                        return Ok(Some(ready));
                    }
                }
                Ok(None) if self.size.is_none_or(|size| self.seen >= size) => return self.finish(),
                // Without a word the server said all, but it was not all.
                Ok(None) => self.resume(None).await?,
                // All came, and then the connection broke.
                Err(_) if self.size == Some(self.seen) => return self.finish(),
                Err(failure) => self.resume(Some(failure)).await?,
            }
        }
    }

    /// Checks a piece and holds it; gives out the one before it.
    fn take(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, Failure> {
        let skipped = self.skip.min(piece.len() as u64);
        self.skip -= skipped;
        let piece = piece.split_off(usize::try_from(skipped).unwrap_or(piece.len()));
        if piece.is_empty() {
            return Ok(None);
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.update(&piece).map_err(|mismatch| self.wrong(&mismatch))?;
        }
        self.seen += piece.len() as u64;
        Ok(self.held.replace(piece))
    }

    /// Checks the whole, and only then gives out its last piece.
    fn finish(&mut self) -> Result<Option<Bytes>, Failure> {
        self.opened = None;
        let checked = self.verifier.take().map_or(Ok(()), Verifier::finish);
        checked.map_err(|mismatch| self.wrong(&mismatch))?;
        Ok(self.held.take())
    }

    fn wrong(&self, mismatch: &Mismatch) -> Failure {
        lock(&self.repository.endpoint.learned.wrong_blobs).insert(self.digest);
        Failure::new(ErrorKind::Content, mismatch.to_string())
            .hint("the registry, or a proxy before it, changes or damages what it holds")
    }

    /// Goes on where the content broke off, for `cause` or too early.
    async fn resume(&mut self, cause: Option<Failure>) -> Result<(), Failure> {
        let cause = cause.unwrap_or_else(|| {
            let size = self.size.unwrap_or_default();
            let message = format!("the content ended after {} of {size} bytes", self.seen);
            Failure::new(ErrorKind::Content, message).temporary()
        });
        let endpoint = &self.repository.endpoint;
        if self.seen - self.seen_at_break >= PROGRESS {
            self.breaks = 0;
        }
        self.seen_at_break = self.seen;
        self.breaks += 1;
        if self.breaks >= endpoint.attempts {
            return Err(cause);
        }
        let (offset, cause) = (self.seen, cause.message());
        tracing::debug!(target: "registry", digest = %self.digest, offset, cause, "going on");
        // The permit is given back before another is waited for.
        self.opened = None;
        if let Some(pause) = pauses(&endpoint.retry).nth(self.breaks as usize - 1) {
            tokio::time::sleep(pause).await;
        }
        let opened = match self.repository.open_blob(&self.digest, offset).await {
            // A server that knows no ranges, or not this one: from the beginning, then.
            Err(failure) if failure.is(StatusCode::RANGE_NOT_SATISFIABLE) => {
                self.repository.open_blob(&self.digest, 0).await?
            }
            result => result?,
        };
        let (status, headers) = (opened.response.status(), opened.response.headers());
        let range = content_range(headers);
        let opened = match (status, range) {
            (StatusCode::PARTIAL_CONTENT, Some(range)) if range.continues(offset, self.size) => {
                self.skip = 0;
                opened
            }
            // Another part than was asked for (openai/tart#1255).
            (StatusCode::PARTIAL_CONTENT, _) => {
                drop(opened);
                self.skip = offset;
                self.repository.open_blob(&self.digest, 0).await?
            }
            _ => {
                self.skip = offset;
                opened
            }
        };
        self.opened = Some(opened);
        Ok(())
    }
}

/// The size of the whole content that an answer brings all or a part of.
fn whole_size(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    if status == StatusCode::PARTIAL_CONTENT {
        content_range(headers)?.whole
    } else {
        content_length(headers)
    }
}

/// The part that an answer with status 206 brings.
#[derive(Debug, Eq, PartialEq)]
struct ContentRange {
    start: u64,
    whole: Option<u64>,
}

impl ContentRange {
    /// Whether it is the rest of content of this size, from `offset` on.
    fn continues(&self, offset: u64, size: Option<u64>) -> bool {
        self.start == offset
            && match (self.whole, size) {
                (Some(whole), Some(size)) => whole == size,
                _ => true,
            }
    }
}

/// `bytes START-END/WHOLE`, where WHOLE may be `*`.
fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let value = text(headers, CONTENT_RANGE)?.trim();
    let (part, whole) = value.strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, _) = part.split_once('-')?;
    Some(ContentRange { start: start.trim().parse().ok()?, whole: whole.trim().parse().ok() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(value: &str) -> Option<ContentRange> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, value.parse().unwrap());
        content_range(&headers)
    }

    #[test]
    fn a_range_continues_only_where_it_was_asked_to() {
        let table = [
            ("bytes 5-9/10", 5, Some(10), true),
            ("bytes 5-9/*", 5, Some(10), true),
            ("bytes 5-9/10", 5, None, true),
            ("bytes 0-9/10", 5, Some(10), false),
            ("bytes 6-9/10", 5, Some(10), false),
            ("bytes 5-9/11", 5, Some(10), false),
        ];
        for (value, offset, size, expected) in table {
            assert_eq!(range(value).unwrap().continues(offset, size), expected, "{value}");
        }
        for nonsense in ["", "bytes */10", "bytes", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(range(nonsense), None, "{nonsense}");
        }
    }
}

//! Blobs, down: their size, and [`BlobReader`], which checks what comes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use http::header::RANGE;
use http::{HeaderValue, Method, StatusCode};
use oci::{Digest, Mismatch, Verifier};
use tokio::time::Instant;

use crate::answer::content_length;
use crate::auth::lock;
use crate::blob_part::Part;
use crate::blob_ranges::Ranges;
use crate::blob_source::BlobSource;
use crate::content_range::whole_size;
use crate::error::{Error, ErrorKind, Failure};
use crate::range_plan::Plan;
use crate::refusal::BODY_LIMIT;
use crate::repository::RepositoryClient;
use crate::request::Request;
use crate::settings::RangePolicy;

/// The content of a blob as it comes in. It goes on by itself where a connection broke; after an
/// error nothing comes.
///
/// Where the digest is checked, the last piece comes only when all of them together have it: who
/// passes on what comes never completes wrong content.
pub struct BlobReader {
    size: Option<u64>,
    content: BoxStream<'static, Result<Bytes, Error>>,
}

impl BlobReader {
    pub(crate) fn new(
        size: Option<u64>,
        content: BoxStream<'static, Result<Bytes, Error>>,
    ) -> Self {
        Self { size, content }
    }

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

    /// A blob's content from `offset` on, to go on with what broke off elsewhere.
    ///
    /// Only its length is checked: the reader has not seen what comes before, so whoever has both
    /// checks the digest. Nothing is asked where nothing is left.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn read_blob_from(
        &self,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<Option<BlobReader>, Error> {
        if offset >= size {
            return Ok(Some(BlobReader { size: Some(size), content: stream::empty().boxed() }));
        }
        self.first(|at| at.read_blob_from_here(digest, size, offset))
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
        let Some((source, content)) = self.content(digest, size, 0).await? else { return Ok(None) };
        let verifier = Some(Verifier::new(*digest, source.size));
        Ok(Some(reader(source, content, Check::Digest { verifier, held: None })))
    }

    async fn read_blob_from_here(
        &self,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<Option<BlobReader>, Failure> {
        let content = self.content(digest, Some(size), offset).await?;
        let check = Check::Length { left: size - offset };
        Ok(content.map(|(source, content)| reader(source, content, check)))
    }

    async fn content(
        &self,
        digest: &Digest,
        size: Option<u64>,
        offset: u64,
    ) -> Result<Option<(Arc<BlobSource>, Content)>, Failure> {
        if self.is_mirror && lock(&self.endpoint.learned.wrong_blobs).contains(digest) {
            return Ok(None);
        }
        let plan = size.and_then(|size| self.plan(offset, size));
        let asked = Instant::now();
        let opened = match &plan {
            Some(plan) => self.open_blob_range(digest, size, &plan.clone().take_stretch()).await,
            None => self.open_blob_from(digest, size, offset).await,
        };
        let (opened, skip) = match opened {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            result => result?,
        };
        let source = Arc::new(BlobSource::new(self, digest, size, &opened)?);
        let is_range = opened.response.status() == StatusCode::PARTIAL_CONTENT;
        let content = match plan {
            Some(plan) if is_range => {
                let ranges = Ranges::new(Arc::clone(&source), plan, asked.elapsed(), opened);
                Content::Ranges(Box::new(ranges))
            }
            _ => Content::Stream(Part::rest(Arc::clone(&source), offset, (opened, skip))),
        };
        Ok(Some((source, content)))
    }

    /// How to read what is left of a blob in ranges, if it is large.
    fn plan(&self, offset: u64, size: u64) -> Option<Plan> {
        let RangePolicy { threshold, connections, memory } = self.endpoint.ranges;
        let worth_it = connections > 1
            && memory > 0
            && size.saturating_sub(offset) >= threshold
            && !self.endpoint.learned.no_ranges.load(Ordering::Relaxed);
        worth_it.then(|| Plan::new(offset, size, memory as u64, connections as u64))
    }
}

fn reading(repository: &RepositoryClient, digest: &Digest) -> String {
    format!("reading the blob `{}@{digest}`", repository.name())
}

fn reader(source: Arc<BlobSource>, content: Content, check: Check) -> BlobReader {
    let size = source.size;
    let state = Some((Checked { content, check }, source));
    let content = stream::unfold(state, |state| async {
        let (mut checked, source) = state?;
        match checked.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), Some((checked, source)))),
            Err(wrong) => {
                let asked = reading(&source.repository, &source.digest);
                Some((Err(Error::new(asked, wrong.failure(&source))), None))
            }
        }
    });
    BlobReader { size, content: content.boxed() }
}

/// The ways that content comes.
enum Content {
    Stream(Part),
    Ranges(Box<Ranges>),
}

/// Content that is checked as it comes.
struct Checked {
    content: Content,
    check: Check,
}

/// What is checked.
enum Check {
    /// That all of it has the digest.
    Digest {
        /// Gone once all was checked.
        verifier: Option<Verifier>,
        /// The latest piece, not given out before the next one came or all was checked.
        held: Option<Bytes>,
    },
    /// That it is no longer than this.
    Length { left: u64 },
}

/// Why there is no next piece.
enum Wrong {
    Failed(Failure),
    Mismatch(Mismatch),
}

impl Checked {
    async fn next(&mut self) -> Result<Option<Bytes>, Wrong> {
        loop {
            let piece = match &mut self.content {
                Content::Stream(part) => part.next().await,
                Content::Ranges(ranges) => ranges.next().await,
            };
            let piece = piece.map_err(Wrong::Failed)?;
            match (&mut self.check, piece) {
                (Check::Digest { verifier, held }, Some(piece)) => {
                    if let Some(verifier) = verifier {
                        verifier.update(&piece).map_err(Wrong::Mismatch)?;
                    }
                    if let Some(ready) = held.replace(piece) {
                        return Ok(Some(ready));
                    }
                }
                // The last piece is given out only now.
                (Check::Digest { verifier, held }, None) => {
                    let checked = verifier.take().map_or(Ok(()), Verifier::finish);
                    checked.map_err(Wrong::Mismatch)?;
                    return Ok(held.take());
                }
                (Check::Length { left }, Some(piece)) => {
                    let length = piece.len() as u64;
                    let Some(rest) = left.checked_sub(length) else {
                        let message = "the registry has more of it than its size says";
                        return Err(Wrong::Failed(Failure::new(ErrorKind::Content, message)));
                    };
                    *left = rest;
                    return Ok(Some(piece));
                }
                (Check::Length { .. }, None) => return Ok(None),
            }
        }
    }
}

impl Wrong {
    fn failure(self, source: &BlobSource) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Mismatch(mismatch) => {
                let learned = &source.repository.endpoint.learned;
                lock(&learned.wrong_blobs).insert(source.digest);
                Failure::new(ErrorKind::Content, mismatch.to_string())
                    .hint("the registry, or a proxy before it, changes or damages what it holds")
            }
        }
    }
}

//! Blobs, up: mounted from another repository, or sent.
//!
//! A blob goes up in one PUT. Registries that refuse that (field survey: older Artifactory, size
//! limits of proxies) are sent one PATCH and an empty PUT, or several PATCHes. Content that is
//! streamed cannot be sent again, so a refusal is a temporary failure: the next upload to that
//! registry goes the next way.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use oci::{Algorithm, Digest, Repository};
use url::Url;

use crate::answer::{Answer, check_digest, text};
use crate::auth::{Access, Scopes};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Failure};
use crate::redirect;
use crate::refusal::BODY_LIMIT;
use crate::repository::RepositoryClient;
use crate::request::Request;
use crate::upload_body::{UploadBody, content_failure};

/// What a registry made of the wish to upload a blob.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "short-lived, and never many of them in one place")]
pub enum Upload {
    /// The blob is there already, taken from the other repository.
    Mounted,
    /// The content is to be sent.
    Session(UploadSession),
}

/// An upload that the registry waits for.
#[derive(Debug)]
pub struct UploadSession {
    pub(crate) repository: RepositoryClient,
    pub(crate) digest: Digest,
    /// Where to send what comes next.
    pub(crate) url: Url,
    /// How many bytes were to be sent in all, as far as that is known.
    pub(crate) size: u64,
    /// The registry takes no smaller part of a blob, in bytes (`OCI-Chunk-Min-Length`).
    smallest_chunk: usize,
}

/// The ways to send a blob, each a bit more laborious than the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Way {
    /// One PUT.
    Put,
    /// One PATCH, and a PUT that ends it.
    Patch,
    /// A PATCH for each part, and a PUT that ends them.
    Chunks,
}

/// The size of a part, in bytes, where the registry asks for no larger ones. ECR takes no parts
/// below 5 MiB, proxies in front of registries none above some 100 MB.
const CHUNK: usize = 8 * 1024 * 1024;

/// No registry is given parts larger than this; they are held in memory.
const LARGEST_CHUNK: usize = 64 * 1024 * 1024;

/// After so many mounts in a row that failed with an error, no more are tried.
const FAILED_MOUNTS: u32 = 3;

/// A session that is given up is not waited for longer than this.
const CANCEL: Duration = Duration::from_secs(10);

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

impl RepositoryClient {
    /// Asks for a blob to be taken from `mount_from`, another repository of the same registry, or
    /// else for an upload of it. A mount that fails, for whatever reason, becomes an upload.
    ///
    /// # Errors
    /// [`Error`]; of kind [`ErrorKind::NotFound`] where the repository must be created first.
    pub async fn start_upload(
        &self,
        digest: &Digest,
        mount_from: Option<&Repository>,
    ) -> Result<Upload, Error> {
        self.start_upload_here(digest, mount_from)
            .await
            .map_err(|failure| Error::new(uploading(self, digest), self.explain_push(failure)))
    }

    async fn start_upload_here(
        &self,
        digest: &Digest,
        mount_from: Option<&Repository>,
    ) -> Result<Upload, Failure> {
        let failed_mounts = &self.endpoint.learned.failed_mounts;
        if let Some(from) = mount_from
            && failed_mounts.load(Ordering::Relaxed) < FAILED_MOUNTS
        {
            match self.mount(digest, from).await {
                Ok(upload) => {
                    failed_mounts.store(0, Ordering::Relaxed);
                    return Ok(upload);
                }
                Err(failure) => {
                    let (blob, cause) = (digest, failure.message());
                    tracing::debug!(target: "registry", %blob, %from, cause, "not mounted");
                    failed_mounts.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        let mut url = self.url("blobs/uploads/").await?;
        if digest.algorithm() != Algorithm::Sha256 {
            let algorithm = digest.algorithm().as_str();
            url.query_pairs_mut().append_pair("digest-algorithm", algorithm);
        }
        let request = Request::new(Method::POST, url, self.push());
        let answer = self.endpoint.call(&request, BODY_LIMIT).await?;
        self.session(digest, &answer).await.map(Upload::Session)
    }

    async fn mount(&self, digest: &Digest, from: &Repository) -> Result<Upload, Failure> {
        let mut url = self.url("blobs/uploads/").await?;
        url.query_pairs_mut()
            .append_pair("mount", &digest.to_string())
            .append_pair("from", from.as_str());
        let access = self.access(Scopes::mount(&self.repository, from));
        let request = Request::new(Method::POST, url, access).once();
        let answer = self.endpoint.call(&request, BODY_LIMIT).await?;
        if answer.status == StatusCode::CREATED {
            check_digest(&answer.headers, digest)?;
            return Ok(Upload::Mounted);
        }
        self.session(digest, &answer).await.map(Upload::Session)
    }

    async fn session(&self, digest: &Digest, answer: &Answer) -> Result<UploadSession, Failure> {
        let smallest_chunk = text(&answer.headers, CHUNK_MIN_LENGTH)
            .and_then(|length| length.trim().parse().ok())
            .unwrap_or_default();
        let url = location(&self.endpoint, answer).await?.ok_or_else(|| {
            Failure::new(ErrorKind::Protocol, "the registry does not say where to upload to")
        })?;
        let (repository, digest) = (self.clone(), *digest);
        Ok(UploadSession { repository, digest, url, size: 0, smallest_chunk })
    }
}

impl UploadSession {
    /// Sends the content, exactly `size` bytes, and makes it the blob. After an error the session
    /// may be taken up again with [`UploadSession::received`]; otherwise [`UploadSession::cancel`]
    /// it.
    ///
    /// # Errors
    /// [`Error`]. Where the content could not be read, its kind is [`ErrorKind::Content`] and its
    /// source is the error of the content; it is temporary if that was one of this crate and is.
    /// A temporary error may go away with a new session.
    pub async fn put<S, E>(&mut self, size: u64, content: S) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let way = Way::of(self.endpoint());
        self.size = size;
        let sent = match way {
            // HTTP has no body of no bytes to watch over.
            _ if size == 0 => self.put_nothing(content).await,
            Way::Put => self.put_whole(size, content).await,
            Way::Patch => self.patch_whole(0, size, content).await,
            Way::Chunks => self.patch_chunks(0, size, content).await,
        };
        let Err(failure) = sent else { return Ok(()) };
        let asked = uploading(&self.repository, &self.digest);
        let failure = self.reconsider(way, failure);
        Err(Error::new(asked, failure))
    }

    /// Gives the upload up. What the registry says to that does not matter: it forgets abandoned
    /// uploads by itself, at some time.
    pub async fn cancel(self) {
        let request = Request::new(Method::DELETE, self.url.clone(), self.access()).once();
        let call = self.endpoint().call(&request, BODY_LIMIT);
        if let Ok(Err(failure)) = tokio::time::timeout(CANCEL, call).await {
            tracing::debug!(target: "registry", cause = failure.message(), "upload not cancelled");
        }
    }

    pub(crate) async fn put_nothing<S, E>(&self, content: S) -> Result<(), Failure>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (body, _) = UploadBody::new(0, content);
        let mut body = pin!(body);
        while let Some(piece) = body.next().await {
            piece.map_err(content_failure)?;
        }
        self.commit().await
    }

    async fn put_whole<S, E>(&self, size: u64, content: S) -> Result<(), Failure>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let answer = self.stream(Method::PUT, self.final_url(), 0, size, content).await?;
        check_digest(&answer.headers, &self.digest)
    }

    pub(crate) async fn patch_whole<S, E>(
        &mut self,
        offset: u64,
        size: u64,
        content: S,
    ) -> Result<(), Failure>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let answer = self.stream(Method::PATCH, self.url.clone(), offset, size, content).await?;
        self.moved(&answer).await?;
        self.commit().await
    }

    pub(crate) async fn patch_chunks<S, E>(
        &mut self,
        offset: u64,
        size: u64,
        content: S,
    ) -> Result<(), Failure>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let largest = self.smallest_chunk.clamp(CHUNK, LARGEST_CHUNK);
        let (body, watch) = UploadBody::new(size - offset, content);
        let mut body = pin!(body);
        let (mut chunk, mut sent) = (BytesMut::new(), offset);
        while let Some(piece) = body.next().await {
            let Ok(mut piece) = piece else { break };
            while !piece.is_empty() {
                let room = largest - chunk.len();
                chunk.extend_from_slice(&piece.split_to(room.min(piece.len())));
                if chunk.len() == largest {
                    sent += self.patch(sent, chunk.split().freeze()).await?;
                }
            }
        }
        if let Some(failure) = watch.content_failure() {
            return Err(failure);
        }
        if !chunk.is_empty() {
            self.patch(sent, chunk.freeze()).await?;
        }
        self.commit().await
    }

    /// Sends the part that begins at `start`, and returns its length.
    async fn patch(&mut self, start: u64, part: Bytes) -> Result<u64, Failure> {
        let length = part.len() as u64;
        let range = chunk_range(start, start + length)?;
        // A part that was taken but not answered would be refused the second time.
        let request = Request::new(Method::PATCH, self.url.clone(), self.access())
            .header(CONTENT_TYPE, octets())
            .header(CONTENT_RANGE, range)
            .body(part)
            .bulk()
            .once();
        let answer = self.endpoint().call(&request, BODY_LIMIT).await?;
        self.moved(&answer).await?;
        Ok(length)
    }

    /// Makes what was sent the blob.
    async fn commit(&self) -> Result<(), Failure> {
        let request = Request::new(Method::PUT, self.final_url(), self.access())
            .header(CONTENT_TYPE, octets())
            .patient();
        let answer = self.endpoint().call(&request, BODY_LIMIT).await?;
        check_digest(&answer.headers, &self.digest)
    }

    async fn stream<S, E>(
        &self,
        method: Method,
        url: Url,
        offset: u64,
        size: u64,
        content: S,
    ) -> Result<Answer, Failure>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let endpoint = self.endpoint();
        let (body, watch) = UploadBody::new(size - offset, content);
        let mut request = Request::new(method, url, self.access()).header(CONTENT_TYPE, octets());
        if offset > 0 {
            request = request.header(CONTENT_RANGE, chunk_range(offset, size)?);
        }
        let sent = endpoint.send_once(request, reqwest::Body::wrap_stream(body), size - offset);
        let sent = tokio::select! {
            sent = sent => sent,
            failure = watch.stalled(&endpoint.timeouts) => Err(failure),
        };
        // What ended the content also breaks the connection; the cause is the content.
        sent.map_err(|failure| watch.content_failure().unwrap_or(failure))
    }

    /// What a failure to send this way means for this upload and for those to come.
    fn reconsider(&self, way: Way, failure: Failure) -> Failure {
        let Some(status) = failure.status() else { return failure };
        // The registry has lost the session, or answers as one that has (Azure: acr#866).
        let lost = ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"];
        if failure.code().is_some_and(|code| lost.contains(&code))
            || status == StatusCode::RANGE_NOT_SATISFIABLE
        {
            return failure.temporary();
        }
        match way.after(status) {
            Some(next) if self.endpoint().profile().chunks => {
                // Others may have learned as much meanwhile, or more.
                self.endpoint().learned.upload_way.fetch_max(next as u8, Ordering::Relaxed);
                failure.temporary()
            }
            _ => failure,
        }
    }

    /// The registry may name another place for what comes next.
    pub(crate) async fn moved(&mut self, answer: &Answer) -> Result<(), Failure> {
        if let Some(url) = location(self.endpoint(), answer).await? {
            self.url = url;
        }
        Ok(())
    }

    fn final_url(&self) -> Url {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        url
    }

    pub(crate) fn endpoint(&self) -> &std::sync::Arc<Endpoint> {
        &self.repository.endpoint
    }

    pub(crate) fn access(&self) -> Access {
        self.repository.push()
    }
}

impl Way {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        match endpoint.learned.upload_way.load(Ordering::Relaxed) {
            0 => Self::Put,
            1 => Self::Patch,
            _ => Self::Chunks,
        }
    }

    /// The way to go after a registry refused this one with such a status; none if that status says
    /// nothing about the way.
    fn after(self, status: StatusCode) -> Option<Self> {
        match (self, status.as_u16()) {
            // Too large for one request.
            (Self::Put | Self::Patch, 413) => Some(Self::Chunks),
            // Older Artifactory answers 404 to a PUT without a PATCH before it (buildx#196).
            (Self::Put, 404 | 405 | 411 | 501) => Some(Self::Patch),
            (Self::Patch, 404 | 405 | 411 | 501) => Some(Self::Chunks),
            _ => None,
        }
    }
}

pub(crate) fn uploading(repository: &RepositoryClient, digest: &Digest) -> String {
    format!("uploading the blob `{}@{digest}`", repository.name())
}

/// The Content-Range of a chunk from `start` up to `end`, which is not part of it.
fn chunk_range(start: u64, end: u64) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(&format!("{start}-{}", end.saturating_sub(1)))
        .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))
}

fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

/// Where an answer sends us for what comes next.
async fn location(
    endpoint: &std::sync::Arc<Endpoint>,
    answer: &Answer,
) -> Result<Option<Url>, Failure> {
    match text(&answer.headers, LOCATION) {
        None => Ok(None),
        Some(location) => redirect::next(endpoint.base().await?, &answer.url, location).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_leads_one_way_on() {
        let table = [
            (Way::Put, 413, Some(Way::Chunks)),
            (Way::Put, 405, Some(Way::Patch)),
            (Way::Put, 404, Some(Way::Patch)),
            (Way::Patch, 404, Some(Way::Chunks)),
            (Way::Patch, 413, Some(Way::Chunks)),
            (Way::Chunks, 413, None),
            (Way::Put, 400, None),
            (Way::Put, 403, None),
            (Way::Put, 500, None),
        ];
        for (way, status, expected) in table {
            assert_eq!(
                way.after(StatusCode::from_u16(status).unwrap()),
                expected,
                "{way:?} {status}"
            );
        }
    }
}

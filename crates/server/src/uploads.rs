//! `/v2/<name>/blobs/uploads/`: pushing a blob, at once or in chunks, or mounting it.
//!
//! A session's bytes are in its repository's layout. While the server runs it also keeps the
//! session open, and so the digest of what has come; a session that is not open any more, because
//! a request was broken off or another process began it, is opened from disk and read once more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderMap, StatusCode};
use layout::{Layout, Upload, UploadId, WriteError};
use oci::{Algorithm, Digest, Repository};

use crate::answer::{Answer, CONTENT_DIGEST, UPLOAD_UUID};
use crate::errors::{Code, Refusal};
use crate::range::{Range, of_chunk};
use crate::registry::Registry;
use crate::route::{digest, repository as parse_repository};
use crate::router::Query;

/// How long a client may send nothing while its request lasts.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a session is kept open without a request; after that it is on disk only.
const REST: Duration = Duration::from_secs(60 * 60);

/// How long a request waits for the one before it to let go of the session: that may have been
/// broken off while it wrote.
const TURN: Duration = Duration::from_secs(5);

/// The sessions that are open and have no request at the moment.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<UploadId, Resting>>);

#[derive(Debug)]
struct Resting {
    repository: Repository,
    upload: Upload,
    since: Instant,
}

impl Sessions {
    fn rest(&self, repository: &Repository, upload: Upload) {
        let resting = Resting { repository: repository.clone(), upload, since: Instant::now() };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.since.elapsed() < REST);
        sessions.insert(resting.upload.id(), resting);
    }

    fn wake(&self, repository: &Repository, id: UploadId) -> Option<Upload> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.get(&id) {
            Some(session) if session.repository == *repository => {
                sessions.remove(&id).map(|session| session.upload)
            }
            _ => None,
        }
    }
}

/// `POST`: mounts a blob, takes a whole one, or begins a session.
pub(crate) async fn start(
    registry: &Registry,
    repository: &Repository,
    query: &Query,
    body: Body,
) -> Result<Response, Refusal> {
    let layout = registry.layout(repository)?;
    if let Some(mounted) = query.first("mount") {
        let mounted = digest(mounted)?;
        if mount(registry, &layout, &mounted, query.first("from")).await? {
            return Ok(created(repository, &mounted));
        }
    }
    if let Some(whole) = query.first("digest") {
        let whole = digest(whole)?;
        let mut upload = layout.start_upload(whole.algorithm()).await?;
        if let Err(refusal) = append(&mut upload, None, body).await {
            upload.cancel();
            return Err(refusal);
        }
        upload.finish(&whole).await?;
        return Ok(created(repository, &whole));
    }
    let algorithm = match query.first("digest-algorithm") {
        None | Some("sha256") => Algorithm::Sha256,
        Some("sha512") => Algorithm::Sha512,
        Some(other) => {
            let message = format!(
                "`{}` is not a digest algorithm known here (sha256, sha512)",
                other.escape_debug()
            );
            return Err(Refusal::new(Code::DigestInvalid, message));
        }
    };
    let upload = layout.start_upload(algorithm).await?;
    let answer = progress(StatusCode::ACCEPTED, repository, &upload);
    registry.sessions.rest(repository, upload);
    Ok(answer.header(CONTENT_LENGTH, 0).empty())
}

/// `PATCH`: takes a chunk.
pub(crate) async fn patch(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let mut upload = open(registry, repository, id).await?;
    let taken = take(repository, &mut upload, headers, body).await;
    let answer = progress(StatusCode::ACCEPTED, repository, &upload);
    registry.sessions.rest(repository, upload);
    taken.map(|()| answer.header(CONTENT_LENGTH, 0).empty())
}

/// `PUT`: takes the last chunk, if there is one, and ends the session with the blob.
pub(crate) async fn put(
    registry: &Registry,
    repository: &Repository,
    id: &str,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let missing = || Refusal::new(Code::DigestInvalid, "the `digest` parameter is missing");
    let whole = digest(query.first("digest").ok_or_else(missing)?)?;
    let mut upload = open(registry, repository, id).await?;
    if let Err(refusal) = take(repository, &mut upload, headers, body).await {
        registry.sessions.rest(repository, upload);
        return Err(refusal);
    }
    upload.finish(&whole).await?;
    Ok(created(repository, &whole))
}

/// `GET`: says how far the session has come.
pub(crate) async fn status(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, Refusal> {
    let upload = open(registry, repository, id).await?;
    let answer = progress(StatusCode::NO_CONTENT, repository, &upload);
    registry.sessions.rest(repository, upload);
    Ok(answer.empty())
}

/// `DELETE`: ends the session without a blob.
pub(crate) async fn cancel(
    registry: &Registry,
    repository: &Repository,
    id: &str,
) -> Result<Response, Refusal> {
    open(registry, repository, id).await?.cancel();
    Ok(Answer::new(StatusCode::NO_CONTENT).empty())
}

/// Takes a blob over from the repository that the client names, or, where it names none, from
/// any (distribution spec: "The registry MAY treat the `from` parameter as optional").
async fn mount(
    registry: &Registry,
    layout: &Layout,
    digest: &Digest,
    from: Option<&str>,
) -> Result<bool, Refusal> {
    if layout.blob_size(digest).await?.is_some() {
        return Ok(true);
    }
    let donors = match from {
        // One that cannot be is one that is not there: the client may push instead.
        Some(from) => parse_repository(from).into_iter().collect(),
        None => registry.repositories().await?,
    };
    for donor in donors {
        let Ok(donor) = registry.layout(&donor) else { continue };
        if layout.link_blob(&donor, digest).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The session, until it rests again.
async fn open(registry: &Registry, repository: &Repository, id: &str) -> Result<Upload, Refusal> {
    let unknown = || {
        let message = "there is no such upload: it was finished, cancelled, or left for too long";
        Refusal::new(Code::BlobUploadUnknown, message)
    };
    let id: UploadId = id.parse().map_err(|_| unknown())?;
    let layout = registry.layout(repository)?;
    let deadline = Instant::now() + TURN;
    loop {
        if let Some(upload) = registry.sessions.wake(repository, id) {
            return Ok(upload);
        }
        match layout.open_upload(id).await {
            Ok(upload) => return upload.ok_or_else(unknown),
            Err(layout::Error::Busy { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(layout::Error::Busy { .. }) => {
                let message = "another request is writing to this upload";
                return Err(Refusal::new(Code::BlobUploadInvalid, message)
                    .with_status(StatusCode::CONFLICT));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes a request's body, if its headers say that it is the next chunk.
async fn take(
    repository: &Repository,
    upload: &mut Upload,
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refusal> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let chunk = match text(CONTENT_RANGE) {
        None => None,
        Some(range) => Some(of_chunk(range).ok_or_else(|| {
            let message = "the Content-Range of a chunk is `<first byte>-<last byte>`";
            Refusal::new(Code::BlobUploadInvalid, message)
        })?),
    };
    if let Some(chunk) = chunk {
        if chunk.first != upload.size() {
            let message = format!(
                "the chunk begins at byte {}, and the next to come is {}",
                chunk.first,
                upload.size()
            );
            return Err(Refusal::new(Code::BlobUploadInvalid, message)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(LOCATION, location(repository, upload))
                .with_header(RANGE, received(upload)));
        }
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length != chunk.length()) {
            let message = "the Content-Length is not that of the Content-Range";
            return Err(Refusal::new(Code::SizeInvalid, message));
        }
    }
    append(upload, chunk, body).await
}

async fn append(upload: &mut Upload, chunk: Option<Range>, body: Body) -> Result<(), Refusal> {
    match upload.append(patient(body)).await {
        Ok(()) => {}
        Err(WriteError::Layout(error)) => return Err(error.into()),
        Err(WriteError::Content(error)) => {
            let message = format!("the content did not arrive: {error}");
            return Err(Refusal::new(Code::BlobUploadInvalid, message));
        }
    }
    match chunk {
        Some(chunk) if upload.size() != chunk.last + 1 => {
            let message = format!("the upload has {} bytes after this chunk", upload.size());
            Err(Refusal::new(Code::SizeInvalid, message))
        }
        _ => Ok(()),
    }
}

/// A request's body, as long as it keeps coming.
pub(crate) fn patient(body: Body) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    futures::stream::unfold(Some(body.into_data_stream()), |body| async {
        let mut body = body?;
        match tokio::time::timeout(PATIENCE, body.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(None) => None,
            Err(late) => Some((Err(late.into()), None)),
        }
    })
}

fn created(repository: &Repository, digest: &Digest) -> Response {
    Answer::new(StatusCode::CREATED)
        .header(LOCATION, format!("/v2/{repository}/blobs/{digest}"))
        .header(CONTENT_DIGEST, digest)
        .header(CONTENT_LENGTH, 0)
        .empty()
}

fn progress(status: StatusCode, repository: &Repository, upload: &Upload) -> Answer {
    Answer::new(status)
        .header(LOCATION, location(repository, upload))
        .header(RANGE, received(upload))
        .header(UPLOAD_UUID, upload.id())
}

fn location(repository: &Repository, upload: &Upload) -> String {
    format!("/v2/{repository}/blobs/uploads/{}", upload.id())
}

/// What has come. The form has no way to say "nothing"; registries say `0-0` for that.
fn received(upload: &Upload) -> String {
    format!("0-{}", upload.size().saturating_sub(1))
}

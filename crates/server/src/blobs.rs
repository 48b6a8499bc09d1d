//! `/v2/<name>/blobs/<digest>`: pulling a blob or a part of one, looking for it, deleting it.

use axum::body::Body;
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use http::{HeaderMap, StatusCode};
use layout::Layout;
use oci::Digest;

use crate::answer::{Answer, CONTENT_DIGEST};
use crate::errors::{Code, Refusal};
use crate::range::{Requested, requested};

pub(crate) async fn head(layout: &Layout, digest: &Digest) -> Result<Response, Refusal> {
    let size = layout.blob_size(digest).await?.ok_or_else(|| unknown(digest))?;
    Ok(answer(StatusCode::OK, digest).header(CONTENT_LENGTH, size).empty())
}

pub(crate) async fn get(
    layout: &Layout,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let size = layout.blob_size(digest).await?.ok_or_else(|| unknown(digest))?;
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let (status, part) = match requested(range, size) {
        Requested::Whole => (StatusCode::OK, None),
        Requested::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
        Requested::Unsatisfiable => {
            let message = format!("the blob has {size} bytes, none of them in this range");
            return Err(Refusal::new(Code::SizeInvalid, message)
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let offset = part.map_or(0, |part| part.first);
    let content = layout.read_blob(digest, offset).await?.ok_or_else(|| unknown(digest))?;
    let answer = answer(status, digest);
    let (answer, content) = match part {
        None => (answer.header(CONTENT_LENGTH, content.size()), content),
        Some(part) => (
            answer
                .header(CONTENT_LENGTH, part.length())
                .header(CONTENT_RANGE, format!("bytes {}-{}/{size}", part.first, part.last)),
            content.limit(part.length()),
        ),
    };
    Ok(answer.body(Body::from_stream(content)))
}

pub(crate) async fn delete(layout: &Layout, digest: &Digest) -> Result<Response, Refusal> {
    if layout.delete(digest).await? {
        Ok(Answer::new(StatusCode::ACCEPTED).empty())
    } else {
        Err(unknown(digest))
    }
}

fn answer(status: StatusCode, digest: &Digest) -> Answer {
    Answer::new(status)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_DIGEST, digest)
        .header(ETAG, format!("\"{digest}\""))
        .header(ACCEPT_RANGES, "bytes")
}

fn unknown(digest: &Digest) -> Refusal {
    Refusal::new(Code::BlobUnknown, format!("the repository has no blob {digest}"))
}

//! `/v2/<name>/manifests/<tag-or-digest>`: pulling, looking for, pushing and deleting manifests
//! and tags.

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderMap, StatusCode};
use layout::Layout;
use oci::{Algorithm, MANIFEST_SIZE_LIMIT, Manifest, MediaType, Repository, Selector, Tag};

use crate::answer::{Answer, CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG};
use crate::errors::{Code, Refusal};
use crate::registry::Registry;
use crate::router::Query;
use crate::uploads::patient;

pub(crate) async fn head(layout: &Layout, selector: &Selector) -> Result<Response, Refusal> {
    let manifest = layout.resolve(selector).await?.ok_or_else(|| unknown(selector))?;
    Ok(Answer::new(StatusCode::OK)
        .header(CONTENT_TYPE, &manifest.media_type)
        .header(CONTENT_LENGTH, manifest.size)
        .header(CONTENT_DIGEST, manifest.digest)
        .header(ETAG, format!("\"{}\"", manifest.digest))
        .empty())
}

pub(crate) async fn get(layout: &Layout, selector: &Selector) -> Result<Response, Refusal> {
    let manifest = layout.manifest(selector).await?.ok_or_else(|| unknown(selector))?;
    Ok(Answer::new(StatusCode::OK)
        .header(CONTENT_TYPE, manifest.media_type())
        .header(CONTENT_DIGEST, manifest.digest())
        .header(ETAG, format!("\"{}\"", manifest.digest()))
        .body(Body::from(manifest.bytes().clone())))
}

pub(crate) async fn put(
    registry: &Registry,
    repository: &Repository,
    selector: &Selector,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let layout = registry.layout(repository)?;
    let added_tags = query
        .all("tag")
        .map(str::parse)
        .collect::<Result<Vec<Tag>, _>>()
        .map_err(|error| Refusal::new(Code::ManifestInvalid, error.to_string()))?;
    let algorithm = match selector {
        Selector::Tag(_) => Algorithm::Sha256,
        Selector::Digest(digest) => digest.algorithm(),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let manifest = parse(read(headers, body).await?, content_type, algorithm)?;
    let tags = match selector {
        Selector::Tag(tag) => vec![tag.clone()],
        Selector::Digest(digest) if *digest == manifest.digest() => added_tags,
        Selector::Digest(_) => {
            let message = format!("the manifest has digest {}", manifest.digest());
            return Err(Refusal::new(Code::DigestInvalid, message));
        }
    };
    if !registry.sparse {
        check_parts(&layout, &manifest).await?;
    }
    layout.put_tagged(&manifest, &tags).await?;
    let location = format!("/v2/{repository}/manifests/{}", manifest.digest());
    let mut answer = Answer::new(StatusCode::CREATED)
        .header(LOCATION, location)
        .header(CONTENT_DIGEST, manifest.digest());
    if let Some(subject) = manifest.subject() {
        answer = answer.header(OCI_SUBJECT, subject.digest);
    }
    if matches!(selector, Selector::Digest(_)) {
        for tag in &tags {
            answer = answer.header(OCI_TAG, tag);
        }
    }
    Ok(answer.empty())
}

pub(crate) async fn delete(layout: &Layout, selector: &Selector) -> Result<Response, Refusal> {
    let deleted = match selector {
        Selector::Tag(tag) => layout.untag(tag).await?,
        // Not any blob that the digest may mean.
        Selector::Digest(digest) => {
            layout.resolve(selector).await?.is_some() && layout.delete(digest).await?
        }
    };
    if deleted { Ok(Answer::new(StatusCode::ACCEPTED).empty()) } else { Err(unknown(selector)) }
}

/// The manifest's bytes, unless there are too many.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("a manifest may have {MANIFEST_SIZE_LIMIT} bytes, this has more");
        Refusal::new(Code::ManifestInvalid, message).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MANIFEST_SIZE_LIMIT) {
        return Err(too_large());
    }
    let mut content = std::pin::pin!(patient(body));
    let mut bytes = BytesMut::new();
    while let Some(piece) = content.next().await {
        let piece = piece.map_err(|error| {
            Refusal::new(Code::ManifestInvalid, format!("the manifest did not arrive: {error}"))
        })?;
        if (bytes.len() + piece.len()) as u64 > MANIFEST_SIZE_LIMIT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn parse(
    bytes: Bytes,
    content_type: Option<&str>,
    algorithm: Algorithm,
) -> Result<Manifest, Refusal> {
    let invalid = |message: String| Refusal::new(Code::ManifestInvalid, message);
    let content_type = content_type.map(MediaType::new);
    let manifest = Manifest::parse(bytes, content_type.as_ref(), algorithm)
        .map_err(|error| invalid(error.to_string()))?;
    match content_type {
        Some(said) if said.is_manifest() && said != *manifest.media_type() => {
            Err(invalid(format!(
                "the Content-Type is `{said}`, but the manifest says `{}`",
                manifest.media_type()
            )))
        }
        _ => Ok(manifest),
    }
}

/// Refuses a manifest that names what is not here. A subject may come later, and layers that are
/// not to be distributed need not come at all (image spec, "Non-Distributable Layers").
async fn check_parts(layout: &Layout, manifest: &Manifest) -> Result<(), Refusal> {
    let parts = manifest.blobs().chain(manifest.manifests());
    let mut missing = Vec::new();
    for part in parts.filter(|part| !part.media_type.is_foreign_layer()) {
        if layout.blob_size(&part.digest).await?.is_none() {
            let message = format!("the repository does not have {}", part.digest);
            missing.push((Code::ManifestBlobUnknown, message));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Refusal::several(missing)) }
}

fn unknown(selector: &Selector) -> Refusal {
    Refusal::new(Code::ManifestUnknown, format!("the repository has no manifest `{selector}`"))
}

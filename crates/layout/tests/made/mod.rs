//! Small images to put into layouts.
#![allow(dead_code, reason = "each test file uses its part")]

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use layout::Layout;
use oci::{Algorithm, Descriptor, Digest, Manifest, MediaType, Tag};
use serde_json::json;

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Content in pieces, which never fails.
pub(crate) fn pieces(
    content: &[u8],
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
    let pieces: Vec<_> = content.chunks(3).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
    stream::iter(pieces)
}

/// A blob's descriptor.
pub(crate) fn blob(content: &[u8], algorithm: Algorithm) -> Descriptor {
    let digest = Digest::of(algorithm, content);
    Descriptor::new(MediaType::OCI_LAYER, digest, content.len() as u64)
}

fn manifest(json: &serde_json::Value, algorithm: Algorithm) -> Manifest {
    Manifest::parse(Bytes::from(json.to_string()), None, algorithm).unwrap()
}

/// An image with the one layer `content`, which is its config too.
pub(crate) fn image(content: &[u8], algorithm: Algorithm) -> Manifest {
    let part = blob(content, algorithm);
    let config = Descriptor { media_type: MediaType::OCI_CONFIG, ..part.clone() };
    let json = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": [part],
    });
    manifest(&json, algorithm)
}

/// An artifact that refers to `subject`.
pub(crate) fn referrer(subject: &Manifest, artifact_type: &str) -> Manifest {
    let json = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "artifactType": artifact_type,
        "config": Descriptor::new(MediaType::OCI_EMPTY, Digest::sha256(b"{}"), 2), "layers": [],
        "subject": subject.descriptor(), "annotations": { "of": artifact_type },
    });
    manifest(&json, Algorithm::Sha256)
}

/// An index of manifests.
pub(crate) fn index(children: &[&Manifest]) -> Manifest {
    let children: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
    let json = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children,
    });
    manifest(&json, Algorithm::Sha256)
}

/// Stores an image and its blob.
pub(crate) async fn store(layout: &Layout, content: &[u8]) -> Manifest {
    let digest = Digest::sha256(content);
    layout.write_blob(&digest, None, pieces(content)).await.unwrap();
    let image = image(content, Algorithm::Sha256);
    layout.put_manifest(&image).await.unwrap();
    image
}

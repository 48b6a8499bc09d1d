//! Manifests to push.

use bytes::Bytes;
use oci::{Algorithm, Descriptor, Digest, Manifest, MediaType};
use serde_json::{Value, json};

use crate::served::{Answer, Served};

pub(crate) fn parsed(json: &Value, algorithm: Algorithm) -> Manifest {
    Manifest::parse(Bytes::from(json.to_string()), None, algorithm).unwrap()
}

pub(crate) fn descriptor(media_type: MediaType, content: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(content), content.len() as u64)
}

/// The JSON of an image with the config `{}` and one layer.
pub(crate) fn image_json(layer: &[u8]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": descriptor(MediaType::OCI_CONFIG, b"{}"),
        "layers": [descriptor(MediaType::OCI_LAYER, layer)],
    })
}

pub(crate) fn image(layer: &[u8]) -> Manifest {
    parsed(&image_json(layer), Algorithm::Sha256)
}

pub(crate) fn index(children: &[&Manifest]) -> Manifest {
    let children: Vec<_> = children.iter().map(|child| child.descriptor()).collect();
    let json = json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children,
    });
    parsed(&json, Algorithm::Sha256)
}

impl Served {
    /// Pushes a manifest under a tag or digest.
    pub(crate) async fn push(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let content_type = [("content-type", manifest.media_type().as_str())];
        self.send("PUT", &path, &content_type, manifest.bytes()).await
    }

    /// Pushes an image with its blobs.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        reference: &str,
        layer: &[u8],
    ) -> Manifest {
        self.push_blob(repository, b"{}").await;
        self.push_blob(repository, layer).await;
        let image = image(layer);
        self.push(repository, reference, &image).await.expect(201);
        image
    }
}

//! [`Manifest`]: the bytes of a manifest or index, read once and kept as they are.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use crate::{Algorithm, Descriptor, Digest, MediaType};

/// The largest manifest that is read, in bytes. The distribution spec asks registries to take at
/// least 4 MiB ("Pushing Manifests"); clients of the field stop there as well.
pub const MANIFEST_SIZE_LIMIT: u64 = 4 * 1024 * 1024;

/// A manifest of any kind: its exact bytes, and what was read from them.
///
/// Only [`Manifest::bytes`] is ever pushed, so its digest is that of the source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    bytes: Bytes,
    media_type: MediaType,
    digest: Digest,
    content: Content,
}

/// What a manifest says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "each lives in one manifest, beside its bytes")]
pub enum Content {
    /// One image or artifact.
    Image(Image),
    /// A list of manifests.
    Index(Index),
}

/// The content of an image manifest, OCI's or Docker's, or of an artifact manifest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The configuration; only the withdrawn artifact manifest has none.
    pub config: Option<Descriptor>,
    /// The layers, lowest first.
    #[serde(default, alias = "blobs", deserialize_with = "null_as_empty")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// The type of artifact, where it is one.
    pub artifact_type: Option<String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The content of an index, OCI's or Docker's.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The children, in the order of the index.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this index refers to.
    pub subject: Option<Descriptor>,
    /// The type of artifact, where it is one.
    pub artifact_type: Option<String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Go writes an empty list or map as `null`, so manifests in the field have it.
fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Bytes that are no manifest which can be copied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not of the shape its type demands.
    #[error("the manifest cannot be read: {0}")]
    Shape(#[source] serde_json::Error),
    /// Docker's first schema, which has no digest-addressed parts.
    #[error("the image is in Docker's manifest schema 1, which cannot be copied by digest")]
    Schema1,
    /// A media type that no one here knows how to walk.
    #[error("the manifest has media type `{0}`, which is not one of an image or an index")]
    UnknownType(MediaType),
    /// Neither its fields nor its source say what it is, or they contradict each other.
    #[error("the manifest is ambiguous: {0}")]
    Ambiguous(&'static str),
    /// An image manifest without the config that each must have (image spec, "Image Manifest").
    #[error("the image manifest has no config")]
    NoConfig,
    /// Larger than [`MANIFEST_SIZE_LIMIT`].
    #[error("the manifest has {0} bytes, more than the {MANIFEST_SIZE_LIMIT} that registries take")]
    TooLarge(u64),
}

/// The fields that tell what a manifest is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe<'a> {
    schema_version: Option<u32>,
    #[serde(borrow)]
    media_type: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    manifests: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    layers: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    config: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    fs_layers: Option<&'a serde_json::value::RawValue>,
}

impl Manifest {
    /// Reads a manifest. `content_type` is what its source called it; the manifest's own
    /// `mediaType` is believed before that, and its shape after both. The digest is computed with
    /// `algorithm`.
    ///
    /// # Errors
    /// [`ManifestError`], also for one that is a manifest and an index at once (CVE-2021-41190).
    pub fn parse(
        bytes: Bytes,
        content_type: Option<&MediaType>,
        algorithm: Algorithm,
    ) -> Result<Self, ManifestError> {
        let size = bytes.len() as u64;
        if size > MANIFEST_SIZE_LIMIT {
            return Err(ManifestError::TooLarge(size));
        }
        let probe: Probe<'_> = serde_json::from_slice(&bytes).map_err(ManifestError::Shape)?;
        let media_type = media_type_of(&probe, content_type)?;
        let content = if media_type.is_index() {
            Content::Index(serde_json::from_slice(&bytes).map_err(ManifestError::Shape)?)
        } else {
            let image: Image = serde_json::from_slice(&bytes).map_err(ManifestError::Shape)?;
            if image.config.is_none() && media_type != MediaType::OCI_ARTIFACT {
                return Err(ManifestError::NoConfig);
            }
            Content::Image(image)
        };
        let digest = Digest::of(algorithm, &bytes);
        Ok(Self { bytes, media_type, digest, content })
    }

    /// The exact bytes it was read from.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What kind of manifest it is.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether this is a digest of its bytes, in whatever algorithm.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        Digest::of(digest.algorithm(), &self.bytes) == *digest
    }

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The manifest's own descriptor.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.bytes.len() as u64)
    }

    /// The manifest as a list of referrers shows it: with its artifact type and annotations
    /// (distribution spec, "Listing Referrers").
    pub fn as_referrer(&self) -> Descriptor {
        let mut descriptor = self.descriptor();
        descriptor.artifact_type = self.artifact_type().map(str::to_owned);
        descriptor.annotations = self.annotations().clone();
        descriptor
    }

    /// The manifest it refers to, where it is a referrer.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.content {
            Content::Image(image) => image.subject.as_ref(),
            Content::Index(index) => index.subject.as_ref(),
        }
    }

    /// The type of artifact as a referrers list shows it: the manifest's own, or else the media
    /// type of its config (distribution spec, "Listing Referrers").
    pub fn artifact_type(&self) -> Option<&str> {
        match &self.content {
            Content::Image(image) => image
                .artifact_type
                .as_deref()
                .filter(|artifact_type| !artifact_type.is_empty())
                .or_else(|| image.config.as_ref().map(|config| config.media_type.as_str())),
            Content::Index(index) => index.artifact_type.as_deref(),
        }
    }

    /// Its annotations.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        match &self.content {
            Content::Image(image) => &image.annotations,
            Content::Index(index) => &index.annotations,
        }
    }

    /// The manifests it is made of: an index's children that are manifests themselves.
    pub fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        let children = match &self.content {
            Content::Image(_) => &[],
            Content::Index(index) => index.manifests.as_slice(),
        };
        children
            .iter()
            .filter(|child| child.media_type.is_manifest() || child.media_type.is_schema1())
    }

    /// The blobs it is made of: config and layers of an image, and an index's children that are no
    /// manifests (build caches).
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, rest) = match &self.content {
            Content::Image(image) => (image.config.as_ref(), image.layers.as_slice()),
            Content::Index(index) => (None, index.manifests.as_slice()),
        };
        let is_blob =
            |child: &&Descriptor| !child.media_type.is_manifest() && !child.media_type.is_schema1();
        config.into_iter().chain(rest.iter().filter(is_blob))
    }
}

fn media_type_of(
    probe: &Probe<'_>,
    content_type: Option<&MediaType>,
) -> Result<MediaType, ManifestError> {
    if probe.schema_version == Some(1) || probe.fs_layers.is_some() {
        return Err(ManifestError::Schema1);
    }
    let media_type = match (&probe.media_type, content_type) {
        (Some(own), _) => MediaType::new(own),
        (None, Some(given)) if given.is_manifest() => given.clone(),
        (None, _) if probe.manifests.is_some() => MediaType::OCI_INDEX,
        (None, _) if probe.layers.is_some() || probe.config.is_some() => MediaType::OCI_MANIFEST,
        (None, _) => {
            return Err(ManifestError::Ambiguous(
                "it has no mediaType, no layers and no manifests",
            ));
        }
    };
    if media_type.is_schema1() {
        return Err(ManifestError::Schema1);
    }
    if !media_type.is_manifest() {
        return Err(ManifestError::UnknownType(media_type));
    }
    if media_type.is_index() && (probe.layers.is_some() || probe.config.is_some()) {
        return Err(ManifestError::Ambiguous("an index must not have layers or a config"));
    }
    if !media_type.is_index() && probe.manifests.is_some() {
        return Err(ManifestError::Ambiguous("an image manifest must not have manifests"));
    }
    Ok(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, content_type: Option<&MediaType>) -> Result<Manifest, ManifestError> {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Manifest::parse(bytes, content_type, Algorithm::Sha256)
    }

    fn descriptor(media_type: &str) -> String {
        let digest = Digest::sha256(media_type.as_bytes());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1}}"#)
    }

    #[test]
    fn keeps_bytes_and_digest() {
        let text = format!(
            "{{ \"schemaVersion\": 2,\n \"unknown\": 1, \"config\": {}, \"layers\": null }}",
            descriptor("application/vnd.oci.image.config.v1+json")
        );
        let manifest = parse(&text, None).unwrap();
        assert_eq!(manifest.bytes(), text.as_bytes());
        assert_eq!(manifest.digest(), Digest::sha256(text.as_bytes()));
        assert!(manifest.has_digest(&Digest::of(Algorithm::Sha512, text.as_bytes())));
        assert!(!manifest.has_digest(&Digest::of(Algorithm::Sha512, b"")));
        assert_eq!(*manifest.media_type(), MediaType::OCI_MANIFEST);
        assert_eq!(manifest.blobs().count(), 1);
    }

    #[test]
    fn tells_child_manifests_from_child_blobs() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{},{}]}}"#,
            MediaType::OCI_INDEX,
            descriptor(MediaType::OCI_MANIFEST.as_str()),
            descriptor(MediaType::OCI_INDEX.as_str()),
            descriptor("application/vnd.buildkit.cacheconfig.v0"),
        );
        let manifest = parse(&text, None).unwrap();
        assert_eq!((manifest.manifests().count(), manifest.blobs().count()), (2, 1));
    }

    #[test]
    fn believes_its_own_type_then_the_source_then_its_shape() {
        let docker = MediaType::DOCKER_MANIFEST;
        let config = descriptor(MediaType::OCI_CONFIG.as_str());
        let own = format!(r#"{{"schemaVersion":2,"mediaType":"{docker}","config":{config}}}"#);
        let silent = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        let silent = silent.as_str();
        let table = [
            (own.as_str(), Some(MediaType::OCI_MANIFEST), MediaType::DOCKER_MANIFEST),
            (silent, Some(MediaType::DOCKER_MANIFEST), MediaType::DOCKER_MANIFEST),
            (silent, Some(MediaType::new("text/plain; charset=utf-8")), MediaType::OCI_MANIFEST),
            (silent, None, MediaType::OCI_MANIFEST),
            (r#"{"schemaVersion":2,"manifests":[]}"#, None, MediaType::OCI_INDEX),
        ];
        for (text, content_type, expected) in table {
            assert_eq!(
                *parse(text, content_type.as_ref()).unwrap().media_type(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_cannot_be_copied() {
        use ManifestError as E;
        assert!(matches!(parse("<html>", None), Err(E::Shape(_))));
        assert!(matches!(parse(r#"{"schemaVersion":1,"fsLayers":[]}"#, None), Err(E::Schema1)));
        assert!(matches!(parse(r#"{"schemaVersion":2}"#, None), Err(E::Ambiguous(_))));
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
        assert!(matches!(parse(both, None), Err(E::Ambiguous(_))));
        assert!(matches!(parse(both, Some(&MediaType::OCI_MANIFEST)), Err(E::Ambiguous(_))));
        assert!(matches!(
            parse(r#"{"mediaType":"a/b","layers":[]}"#, None),
            Err(E::UnknownType(_))
        ));
    }
}

//! The OCI 1.1 referrer that holds a bundle, as cosign 3 writes it
//! (cosign, `pkg/oci/remote/write.go`, `WriteAttestationNewBundleFormat`).

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use oci::{Descriptor, Digest, MediaType};
use serde::Serialize;

use super::{Bundle, MEDIA_TYPE};

const CONTENT_ANNOTATION: &str = "dev.sigstore.bundle.content";
const PREDICATE_TYPE_ANNOTATION: &str = "dev.sigstore.bundle.predicateType";
const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";

/// What is to be pushed: the blobs, then the manifest by its digest, then, where the registry has no
/// referrers API, the list under the fallback tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Referrer {
    /// The bundle, and the empty config.
    pub blobs: [Bytes; 2],
    /// The manifest, an OCI image manifest.
    pub manifest: Bytes,
}

/// The referrer for a bundle about `subject`, of which only media type, digest and size are said.
/// `created` is written in whole seconds.
pub fn referrer(
    bundle: &Bundle,
    subject: &Descriptor,
    created: Timestamp,
) -> serde_json::Result<Referrer> {
    let json = bundle.to_json();
    let created = Timestamp::from_second(created.as_second()).unwrap_or(created).to_string();
    let predicate_type = bundle.envelope().predicate_type().unwrap_or_default();
    let (manifest_type, empty_type) = (MediaType::OCI_MANIFEST, MediaType::OCI_EMPTY);
    let config = b"{}";
    let manifest = Written {
        schema_version: 2,
        media_type: manifest_type.as_str(),
        config: Part {
            media_type: empty_type.as_str(),
            size: config.len() as u64,
            digest: Digest::sha256(config),
            artifact_type: Some(MEDIA_TYPE),
        },
        layers: [Part {
            media_type: MEDIA_TYPE,
            size: json.len() as u64,
            digest: Digest::sha256(&json),
            artifact_type: None,
        }],
        annotations: BTreeMap::from([
            (CONTENT_ANNOTATION, "dsse-envelope"),
            (PREDICATE_TYPE_ANNOTATION, predicate_type.as_str()),
            (CREATED_ANNOTATION, created.as_str()),
        ]),
        subject: Part {
            media_type: subject.media_type.as_str(),
            size: subject.size,
            digest: subject.digest,
            artifact_type: None,
        },
        artifact_type: MEDIA_TYPE,
    };
    let manifest = serde_json::to_vec(&manifest)?.into();
    Ok(Referrer { blobs: [json, Bytes::from_static(config)], manifest })
}

/// Fields in cosign's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Part<'a>,
    layers: [Part<'a>; 1],
    annotations: BTreeMap<&'a str, &'a str>,
    subject: Part<'a>,
    artifact_type: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    media_type: &'a str,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn writes_what_cosign_writes() {
        // cosign 3.1.3, `sign --use-signing-config=false`.
        let cosign = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"},"layers":[{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","size":659,"digest":"sha256:c72de7c6b58f03ab32b240ba9e0b7c40dd82051b2eafb8f40526a1e03428315d"}],"annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-11-21T08:57:52Z"},"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":401,"digest":"sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93"},"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#;
        let bundle = Bundle::parse(sample::BUNDLE.as_bytes()).unwrap();
        let digest = "sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93";
        let mut subject = Descriptor::new(MediaType::OCI_MANIFEST, digest.parse().unwrap(), 401);
        subject.annotations.insert("left".into(), "out".into());
        let created = "2026-11-21T08:57:52.7Z".parse().unwrap();
        let referrer = referrer(&bundle, &subject, created).unwrap();
        assert_eq!(referrer.manifest, cosign);
        assert_eq!(referrer.blobs, [sample::BUNDLE, "{}"]);
    }
}

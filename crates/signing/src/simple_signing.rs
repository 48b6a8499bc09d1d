//! cosign's first form: a small JSON payload that names the digest, as a layer of the image under the
//! tag `sha256-<hex>.sig`, its signature in an annotation of the layer.
//!
//! All bytes are those that cosign writes (cosign, `specs/SIGNATURE_SPEC.md`,
//! `pkg/oci/static/signature.go`, `pkg/oci/mutate`), so whoever signed first, the tag looks the same.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oci::{Content, Descriptor, Digest, Manifest, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::Object;
use crate::transparency_log::{LOGGED_ANNOTATION, Logged};

/// The media type of a layer that is a payload.
pub const LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The annotation that has the signature, base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// The largest payload that is read, in bytes. cosign's have some 250, with annotations some more.
pub const PAYLOAD_SIZE_LIMIT: u64 = 1024 * 1024;

/// The most layers that are looked at, which is also cosign's limit (`pkg/oci/remote/signatures.go`).
const MOST_LAYERS: usize = 1000;

const PAYLOAD_TYPE: &str = "cosign container image signature";

/// One signature: a payload and what its layer says of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureLayer {
    /// The exact bytes that are signed.
    pub payload: Bytes,
    /// The signature, base64; none where the layer has no such annotation.
    pub signature: Option<String>,
    /// All annotations of the layer, the signature's among them.
    pub annotations: BTreeMap<String, String>,
}

/// What is to be pushed: the blobs first, then the manifest under the tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureImage {
    /// The payload that was appended, and the config.
    pub blobs: [Bytes; 2],
    /// The manifest.
    pub manifest: Bytes,
    /// The manifest's media type.
    pub media_type: MediaType,
}

/// A tag for signatures that holds something to which no signature can be appended.
#[derive(Debug, thiserror::Error)]
#[error("no signature can be added to what the signature tag holds: {0}")]
pub struct Unappendable(String);

/// What a payload says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Claim {
    pub(crate) digest: String,
}

/// The payload that says that `repository`, `host/path` without a tag, has an image with this digest.
pub fn payload(repository: &str, digest: &Digest) -> Vec<u8> {
    let repository = serde_json::Value::from(repository);
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":{repository}}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{PAYLOAD_TYPE}"}},"optional":null}}"#
    )
    .into_bytes()
}

/// The layers of a signature image that are payloads, at most a thousand: what must be fetched before
/// [`read`].
pub fn layers(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let layers = match manifest.content() {
        Content::Image(image) => image.layers.as_slice(),
        Content::Index(_) => &[],
    };
    layers.iter().filter(|layer| layer.media_type.as_str() == LAYER_TYPE).take(MOST_LAYERS)
}

/// The signatures in a signature image, in its order; those whose payload is not among `payloads`, or
/// is not what its digest says, are left out.
pub fn read(manifest: &Manifest, payloads: &BTreeMap<Digest, Bytes>) -> Vec<SignatureLayer> {
    let read = |layer: &Descriptor| {
        let payload = payloads.get(&layer.digest)?.clone();
        if Digest::of(layer.digest.algorithm(), &payload) != layer.digest {
            return None;
        }
        let signature = layer.annotations.get(SIGNATURE_ANNOTATION).cloned();
        Some(SignatureLayer { payload, signature, annotations: layer.annotations.clone() })
    };
    layers(manifest).filter_map(read).collect()
}

impl SignatureLayer {
    /// A layer for a payload and the signature of it.
    pub fn new(payload: impl Into<Bytes>, signature: &[u8]) -> Self {
        let signature = STANDARD.encode(signature);
        Self {
            payload: payload.into(),
            annotations: BTreeMap::from([(SIGNATURE_ANNOTATION.to_owned(), signature.clone())]),
            signature: Some(signature),
        }
    }

    /// The same with its entry in a transparency log, in cosign's annotation.
    #[must_use]
    pub fn with_entry(mut self, logged: &Logged) -> Self {
        self.annotations.insert(LOGGED_ANNOTATION.to_owned(), logged.annotation());
        self
    }

    /// The signature itself, where there is one that can be read.
    pub(crate) fn signature_bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.signature.as_deref()?).ok().filter(|bytes| !bytes.is_empty())
    }

    /// What the payload says, where it is one of cosign's.
    pub(crate) fn claim(&self) -> Option<Claim> {
        let payload: Payload = serde_json::from_slice(&self.payload).ok()?;
        let Critical { image, kind } = payload.critical;
        (kind == PAYLOAD_TYPE).then_some(Claim { digest: image.digest })
    }
}

/// The signature image with one more layer. What is there, layers, annotations and fields that are not
/// known here, stays as it was written. `existing` is the manifest under the tag and its config.
///
/// # Errors
/// [`Unappendable`]
pub fn append(
    existing: Option<(&Manifest, &[u8])>,
    layer: &SignatureLayer,
) -> Result<SignatureImage, Unappendable> {
    let broken = |problem: serde_json::Error| Unappendable(problem.to_string());
    let (mut manifest, mut config, media_type) = match existing {
        Some((manifest, config)) => {
            let Content::Image(_) = manifest.content() else {
                return Err(Unappendable("it is an index".to_owned()));
            };
            let text = serde_json::from_slice(manifest.bytes()).map_err(broken)?;
            let config = serde_json::from_slice(config).map_err(broken)?;
            (text, config, manifest.media_type().clone())
        }
        None => {
            let read = serde_json::from_str::<Object>;
            let manifest = read(EMPTY_MANIFEST).map_err(broken)?;
            (manifest, read(EMPTY_CONFIG).map_err(broken)?, MediaType::OCI_MANIFEST)
        }
    };
    append_to_config(&mut config, layer).map_err(broken)?;
    let config = serde_json::to_vec(&config).map_err(broken)?;

    let mut described: Object = manifest
        .get("config")
        .ok_or_else(|| Unappendable("its config is not a descriptor".to_owned()))?;
    described.set("size", &config.len()).map_err(broken)?;
    described.set("digest", &Digest::sha256(&config)).map_err(broken)?;
    manifest.set("config", &described).map_err(broken)?;

    let mut layers: Vec<Box<RawValue>> = manifest.get("layers").unwrap_or_default();
    layers.push(serde_json::value::to_raw_value(&described_layer(layer)).map_err(broken)?);
    manifest.set("layers", &layers).map_err(broken)?;

    let manifest = serde_json::to_vec(&manifest).map_err(broken)?;
    Ok(SignatureImage {
        blobs: [layer.payload.clone(), config.into()],
        manifest: manifest.into(),
        media_type,
    })
}

/// An image without layers as go-containerregistry writes it, which cosign appends to.
const EMPTY_MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":0,"digest":""},"layers":[]}"#;
const EMPTY_CONFIG: &str = r#"{"architecture":"","created":"0001-01-01T00:00:00Z","history":[],"os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}"#;

/// The layer in the config's lists. A config that has no such lists, as other tools may write it, stays
/// without: cosign reads signatures without looking at it.
fn append_to_config(config: &mut Object, layer: &SignatureLayer) -> serde_json::Result<()> {
    if let Some(mut rootfs) = config.get::<Object>("rootfs")
        && let Some(mut ids) = rootfs.get::<Vec<String>>("diff_ids")
    {
        ids.push(Digest::sha256(&layer.payload).to_string());
        rootfs.set("diff_ids", &ids)?;
        config.set("rootfs", &rootfs)?;
    }
    if let Some(mut history) = config.get::<Vec<Box<RawValue>>>("history") {
        let entry = BTreeMap::from([("created", "0001-01-01T00:00:00Z")]);
        history.push(serde_json::value::to_raw_value(&entry)?);
        config.set("history", &history)?;
    }
    Ok(())
}

/// A descriptor with its fields in cosign's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    media_type: &'a str,
    size: usize,
    digest: Digest,
    annotations: &'a BTreeMap<String, String>,
}

fn described_layer(layer: &SignatureLayer) -> Layer<'_> {
    Layer {
        media_type: LAYER_TYPE,
        size: layer.payload.len(),
        digest: Digest::sha256(&layer.payload),
        annotations: &layer.annotations,
    }
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: PayloadImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PayloadImage {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What cosign 2.6.5 and 3.1.3 wrote under one tag, one after the other.
    mod written_by_cosign {
        pub(super) const REPOSITORY: &str = "127.0.0.1:18731/lib/app";
        pub(super) const DIGEST: &str =
            "sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93";
        pub(super) const PAYLOAD: &str = r#"{"critical":{"identity":{"docker-reference":"127.0.0.1:18731/lib/app"},"image":{"docker-manifest-digest":"sha256:839e792f397168142de54365427ff7f85318e06cb6fe668a10d245574363ad93"},"type":"cosign container image signature"},"optional":null}"#;
        pub(super) const FIRST: &str = "MEQCICMZi4lceQLU5CbnQrWKpVu84ng2ruGd/SChtJVF/Gt4AiB204zLmFHAFlBHrFl05nlFZUQA8sh99PUR3HDm5ihtkg==";
        pub(super) const ONE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":"sha256:d77fa45dacdf1a0aebce42cfab6511e1779ba8aa987df1de6a5ab89bc91ec49d"},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":239,"digest":"sha256:6d837c4e06d9007ff52bfede95a594ffb8bcb10874b65a67ef7d9fa720e6c43c","annotations":{"dev.cosignproject.cosign/signature":"MEQCICMZi4lceQLU5CbnQrWKpVu84ng2ruGd/SChtJVF/Gt4AiB204zLmFHAFlBHrFl05nlFZUQA8sh99PUR3HDm5ihtkg=="}}]}"#;
        pub(super) const SECOND: &str = "Ko28LftBY+MzO/XNnQYnCk/dSrqhbA1O5wo1RUP1h5FU3wp9Q48/h0Vk7S5wfu8MptAw8IVmfCBPgjQUKX3nuFRxHGbHG/q4xgeq/EzshMT1lJY+BSx8VyXLI7YXtacmjjqwBs2XxhdoRGe0SWRVHsO0Zzf7D+82dGWHCCTwKseCl3FFlWAyzxlbPhK3y/ZN8LqJgRP3JjYs7KEiERF/wxKU9YEGDP0xaljmW6g4V7zoW0w5hU1snDvtfMb58WB4Wtfl/Zl4Oo9Ap4vU0GxMT1/HLWodkGp3w4JWv1H8HVWcZPofhLd0xeDAEjEare14vPw+lH72A21jW2fWIzk6XQ==";
        pub(super) const TWO: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":342,"digest":"sha256:47985813c18d4ac8ffa8a8183c0362529a0715e14dba7bb45f7ad07d196679c2"},"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":239,"digest":"sha256:6d837c4e06d9007ff52bfede95a594ffb8bcb10874b65a67ef7d9fa720e6c43c","annotations":{"dev.cosignproject.cosign/signature":"MEQCICMZi4lceQLU5CbnQrWKpVu84ng2ruGd/SChtJVF/Gt4AiB204zLmFHAFlBHrFl05nlFZUQA8sh99PUR3HDm5ihtkg=="}},{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":239,"digest":"sha256:6d837c4e06d9007ff52bfede95a594ffb8bcb10874b65a67ef7d9fa720e6c43c","annotations":{"dev.cosignproject.cosign/signature":"Ko28LftBY+MzO/XNnQYnCk/dSrqhbA1O5wo1RUP1h5FU3wp9Q48/h0Vk7S5wfu8MptAw8IVmfCBPgjQUKX3nuFRxHGbHG/q4xgeq/EzshMT1lJY+BSx8VyXLI7YXtacmjjqwBs2XxhdoRGe0SWRVHsO0Zzf7D+82dGWHCCTwKseCl3FFlWAyzxlbPhK3y/ZN8LqJgRP3JjYs7KEiERF/wxKU9YEGDP0xaljmW6g4V7zoW0w5hU1snDvtfMb58WB4Wtfl/Zl4Oo9Ap4vU0GxMT1/HLWodkGp3w4JWv1H8HVWcZPofhLd0xeDAEjEare14vPw+lH72A21jW2fWIzk6XQ=="}}]}"#;
    }
    use written_by_cosign as cosign;

    fn layer(signature: &str) -> SignatureLayer {
        let payload = payload(cosign::REPOSITORY, &cosign::DIGEST.parse().unwrap());
        SignatureLayer::new(payload, &STANDARD.decode(signature).unwrap())
    }

    fn parsed(bytes: &[u8]) -> Manifest {
        Manifest::parse(Bytes::copy_from_slice(bytes), None, oci::Algorithm::Sha256).unwrap()
    }

    #[test]
    fn writes_what_cosign_writes() {
        assert_eq!(layer(cosign::FIRST).payload, cosign::PAYLOAD);
        let one = append(None, &layer(cosign::FIRST)).unwrap();
        assert_eq!(one.manifest, cosign::ONE);
        let manifest = parsed(&one.manifest);
        let two = append(Some((&manifest, &one.blobs[1])), &layer(cosign::SECOND)).unwrap();
        assert_eq!(two.manifest, cosign::TWO);
        assert_eq!(two.media_type, MediaType::OCI_MANIFEST);
    }

    #[test]
    fn reads_what_it_can_vouch_for() {
        let manifest = parsed(cosign::TWO.as_bytes());
        let payload = Bytes::from_static(cosign::PAYLOAD.as_bytes());
        let digest = Digest::sha256(&payload);
        let read_with = |content: &Bytes| read(&manifest, &[(digest, content.clone())].into());
        assert_eq!(read_with(&payload), [layer(cosign::FIRST), layer(cosign::SECOND)]);
        assert_eq!(read_with(&Bytes::from_static(b"{}")), [], "other content than the digest says");
        assert_eq!(read(&manifest, &BTreeMap::new()), []);
    }

    #[test]
    fn what_others_wrote_stays_as_it_was() {
        let theirs = r#"{"schemaVersion":2, "annotations": {"team": "b"},"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":13,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","x":1},"layers":[{"mediaType":"a/b",  "size":1,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","urls":["u"],"annotations":{"b":"2","a":"1"}}]}"#;
        let manifest = parsed(theirs.as_bytes());
        let image =
            append(Some((&manifest, br#"{"other":[1 ,2]}"#)), &layer(cosign::FIRST)).unwrap();
        let text = std::str::from_utf8(&image.manifest).unwrap();
        let kept = &theirs[theirs.find(r#"{"mediaType":"a/b""#).unwrap()..theirs.len() - 2];
        assert!(text.contains(kept), "{text}");
        assert!(text.contains(r#""annotations":{"team": "b"}"#), "{text}");
        assert!(text.contains(r#","x":1}"#), "{text}");
        assert_eq!(image.blobs[1], br#"{"other":[1 ,2]}"#.as_slice());
    }

    #[test]
    fn nothing_is_appended_to_an_index() {
        let index = parsed(br#"{"schemaVersion":2,"manifests":[]}"#);
        let error = append(Some((&index, b"{}")), &layer(cosign::FIRST)).unwrap_err();
        assert!(error.to_string().contains("it is an index"), "{error}");
        let image = parsed(cosign::ONE.as_bytes());
        assert!(append(Some((&image, b"no JSON")), &layer(cosign::FIRST)).is_err());
    }

    #[test]
    fn a_repository_cannot_break_out_of_its_string() {
        let odd = r#"a","b":"c"#;
        let payload = payload(odd, &cosign::DIGEST.parse().unwrap());
        let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["critical"]["identity"]["docker-reference"], odd);
    }

    proptest! {
        #[test]
        fn never_panics(payload in proptest::collection::vec(any::<u8>(), 0..100), text in ".*") {
            let layer = SignatureLayer {
                payload: payload.into(),
                signature: Some(text.clone()),
                annotations: BTreeMap::new(),
            };
            let _ = layer.claim();
            let _ = layer.signature_bytes();
            let manifest = parsed(cosign::ONE.as_bytes());
            let _ = append(Some((&manifest, text.as_bytes())), &layer);
        }
    }
}

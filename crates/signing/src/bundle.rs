//! cosign's second form: a Sigstore bundle, as a referrer of the image.
//!
//! With a key it is a DSSE [`Envelope`] around an in-toto statement about the digest, and a hint that
//! tells which key. The same holds signatures and attestations, told apart by the predicate type.
//! <https://docs.sigstore.dev/about/bundle/>; cosign, `specs/BUNDLE_SPEC.md`.

mod envelope;
mod referrer;
mod statement;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use envelope::{Envelope, SIZE_LIMIT, pae};
pub use referrer::{Referrer, referrer};
pub(crate) use statement::Statement;
pub use statement::{
    SIGNATURE_PREDICATE_TYPE, STATEMENT_TYPE, predicate_type, signature_statement, statement,
};

use crate::PublicKey;
use crate::transparency_log::{Logged, WrittenEntry};

/// The media type of a bundle, and the artifact type of its referrer.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What bundles of every version begin with; the older ones go on with `+json;version=0.1`.
const MEDIA_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// A bundle that holds an envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bundle {
    json: Bytes,
    envelope: Envelope,
    material: Material,
}

/// What a bundle says of who signed it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Material {
    /// A key, by its hint.
    Key(String),
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// Bytes that are no bundle or envelope that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not JSON, or of another shape.
    #[error("it cannot be read: {0}")]
    Shape(#[source] serde_json::Error),
    /// Another media type.
    #[error("its media type is `{}`, which is not a bundle's", .0.escape_debug())]
    MediaType(String),
    /// Content that is not base64.
    #[error("it has broken base64")]
    Base64,
    /// A signature of a blob, which is not what images are signed with.
    #[error("it has no envelope; images are signed with statements in envelopes")]
    NoEnvelope,
    /// Not exactly one signature (bundle format, `dsse_envelope`).
    #[error("it has {0} signatures, and must have one")]
    Signatures(usize),
    /// An entry in a log without the log's proof that it is there, which bundles must have.
    #[error("the transparency log gave no proof that the entry is in it")]
    NoProof,
    /// Larger than [`SIZE_LIMIT`].
    #[error("it has more than the {SIZE_LIMIT} bytes that are read")]
    TooLarge,
}

impl Bundle {
    /// A bundle of a signed statement, by this key, and of its entry in a transparency log.
    ///
    /// # Errors
    /// [`BundleError::NoProof`]
    pub fn new(
        envelope: Envelope,
        key: &PublicKey,
        logged: Option<&Logged>,
    ) -> Result<Self, BundleError> {
        let entry = |logged: &Logged| logged.written().ok_or(BundleError::NoProof);
        let written = Written {
            media_type: MEDIA_TYPE.to_owned(),
            verification_material: WrittenMaterial {
                public_key: Some(WrittenKey { hint: key.hint() }),
                tlog_entries: logged.map(entry).transpose()?.into_iter().collect(),
                ..WrittenMaterial::default()
            },
            dsse_envelope: Some((&envelope).into()),
        };
        let json = serde_json::to_vec(&written).map_err(BundleError::Shape)?.into();
        Ok(Self { json, envelope, material: Material::Key(key.hint()) })
    }

    /// Reads a bundle of any version.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn parse(json: impl Into<Bytes>) -> Result<Self, BundleError> {
        let json = json.into();
        if json.len() as u64 > SIZE_LIMIT {
            return Err(BundleError::TooLarge);
        }
        let written: Written = serde_json::from_slice(&json).map_err(BundleError::Shape)?;
        if !written.media_type.starts_with(MEDIA_TYPE_PREFIX) {
            return Err(BundleError::MediaType(written.media_type));
        }
        let envelope: Envelope =
            written.dsse_envelope.ok_or(BundleError::NoEnvelope)?.try_into()?;
        match envelope.signatures.len() {
            1 => {}
            other => return Err(BundleError::Signatures(other)),
        }
        let material = written.verification_material.read()?;
        Ok(Self { json, envelope, material })
    }

    /// The bundle's bytes: those it was read from, or those that cosign would have written.
    pub fn to_json(&self) -> Bytes {
        self.json.clone()
    }

    /// What is in it.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// What it says of being in transparency logs, as far as that can be read and a log promises it.
    pub(crate) fn logged(&self) -> Vec<Logged> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Bundle {
            verification_material: Material,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Material {
            tlog_entries: Vec<WrittenEntry>,
        }
        let bundle = serde_json::from_slice::<Bundle>(&self.json).ok();
        let entries = bundle.map(|bundle| bundle.verification_material.tlog_entries);
        entries.into_iter().flatten().filter_map(WrittenEntry::read).collect()
    }

    pub(crate) fn material(&self) -> &Material {
        &self.material
    }
}

/// A bundle as JSON, as far as it matters for keys.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    media_type: String,
    #[serde(default)]
    verification_material: WrittenMaterial,
    dsse_envelope: Option<envelope::Written>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenMaterial {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<WrittenKey>,
    /// Read by [`Bundle::logged`] only: what is wrong with them does not matter for keys.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<WrittenEntry>,
    #[serde(skip_serializing)]
    certificate: Option<WrittenCertificate>,
    #[serde(skip_serializing)]
    x509_certificate_chain: Option<WrittenChain>,
}

#[derive(Deserialize, Serialize)]
struct WrittenKey {
    #[serde(default)]
    hint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenCertificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
struct WrittenChain {
    certificates: Vec<WrittenCertificate>,
}

impl WrittenMaterial {
    fn read(self) -> Result<Material, BundleError> {
        let leaf = |chain: WrittenChain| chain.certificates.into_iter().next();
        if let Some(key) = self.public_key {
            return Ok(Material::Key(key.hint));
        }
        match self.certificate.or_else(|| self.x509_certificate_chain.and_then(leaf)) {
            Some(WrittenCertificate { raw_bytes }) => STANDARD
                .decode(raw_bytes)
                .map(Material::Certificate)
                .map_err(|_| BundleError::Base64),
            None => Ok(Material::Nothing),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn writes_what_cosign_writes() {
        let cosign = Bundle::parse(sample::BUNDLE).unwrap();
        let statement = signature_statement(&sample::SIGNED.parse().unwrap());
        let signature = cosign.envelope.signatures[0].clone();
        let key = PublicKey::from_pem(sample::P256_PUBLIC).unwrap();
        let made = Bundle::new(Envelope::new(statement, signature), &key, None).unwrap();
        assert_eq!(made, cosign);
        assert_eq!(made.to_json(), sample::BUNDLE);
    }

    #[test]
    fn says_why_it_cannot_be_read() {
        let table = [
            (r#""mediaType""#, r#""mediatype""#, "missing field `mediaType`"),
            (".dev.sigstore", ".dev.other", "is not a bundle's"),
            ("dsseEnvelope", "messageSignature", "no envelope"),
            (r#""payload":""#, r#""payload":"!"#, "broken base64"),
            (r#""signatures":["#, r#""signatures":[{"sig":"AA=="},"#, "2 signatures"),
            (r#""payload":"#, r#""payload":"","payload":"#, "duplicate field"),
        ];
        for (from, to, part) in table {
            let changed = sample::BUNDLE.replacen(from, to, 1);
            assert_ne!(changed, sample::BUNDLE, "{from}");
            let error = Bundle::parse(changed).unwrap_err().to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }

    #[test]
    fn reads_who_signed() {
        let with = |material: &str| {
            let start = sample::BUNDLE.find(r#"{"publicKey""#).unwrap();
            let end = sample::BUNDLE.find(r#","dsseEnvelope""#).unwrap();
            let text = [&sample::BUNDLE[..start], material, &sample::BUNDLE[end..]].concat();
            Bundle::parse(text).unwrap().material
        };
        let chain = r#"{"x509CertificateChain":{"certificates":[{"rawBytes":"AQI="}]}}"#;
        assert_eq!(
            with(r#"{"certificate":{"rawBytes":"AQI="}}"#),
            Material::Certificate(vec![1, 2])
        );
        assert_eq!(with(chain), Material::Certificate(vec![1, 2]));
        assert_eq!(with(r#"{"publicKey":{}}"#), Material::Key(String::new()));
        assert_eq!(with("{}"), Material::Nothing);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*", at in 0..sample::BUNDLE.len(), byte in any::<u8>()) {
            let _ = Bundle::parse(text.clone());
            let _ = Envelope::parse(text.as_bytes());
            let mut changed = sample::BUNDLE.as_bytes().to_vec();
            changed[at] = byte;
            let _ = Bundle::parse(changed);
        }
    }
}

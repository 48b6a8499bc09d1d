//! [`Claimant`]: who a signature says it is by. Nothing here is proven; it names somebody in a report
//! where the signature is by none of the keys that are trusted.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::PublicKey;
use crate::bundle::Material;

/// Who a signature says it is by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claimant {
    /// A key: its fingerprint, or the hint as it stands there.
    Key(String),
    /// Somebody with a certificate.
    Certificate {
        /// The e-mail address or URI that it was given to, or else its subject.
        subject: String,
        /// Who said so: the OpenID Connect issuer of a Fulcio certificate.
        issuer: Option<String>,
    },
    /// It does not say.
    Unknown,
}

/// The annotation of a layer that has the signer's certificate (cosign, `pkg/oci/static/signature.go`).
const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";

/// The annotation of a layer that has what the transparency log answered.
const LOG_ANNOTATION: &str = "dev.sigstore.cosign/bundle";

/// The issuer in a Fulcio certificate, as DER text and, in older ones, as bare text
/// (fulcio, `docs/oid-info.md`).
const ISSUER: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.8);
const ISSUER_BARE: Oid<'static> = oid!(1.3.6.1.4.1.57264.1.1);

/// The longest name that is shown, in characters.
const LONGEST: usize = 300;

impl Claimant {
    /// Whom a bundle names.
    pub(crate) fn of_material(material: &Material) -> Self {
        match material {
            Material::Key(hint) => Self::of_hint(hint),
            Material::Certificate(der) => Self::of_certificate(der).unwrap_or(Self::Unknown),
            Material::Nothing => Self::Unknown,
        }
    }

    /// Whom a layer names: in its certificate, or else in the log's answer.
    pub(crate) fn of_annotations(annotations: &BTreeMap<String, String>) -> Self {
        let certificate = || {
            let block = pem::parse(annotations.get(CERTIFICATE_ANNOTATION)?).ok()?;
            Self::of_certificate(block.contents())
        };
        let logged = || {
            let key = logged_key(annotations.get(LOG_ANNOTATION)?)?;
            Some(Self::Key(key.fingerprint()))
        };
        certificate().or_else(logged).unwrap_or(Self::Unknown)
    }

    fn of_hint(hint: &str) -> Self {
        match STANDARD.decode(hint).map(<[u8; 32]>::try_from) {
            Ok(Ok(hash)) => Self::Key(oci::Digest::Sha256(hash).to_string()),
            _ if hint.is_empty() => Self::Unknown,
            _ => Self::Key(shown(hint)),
        }
    }

    fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let named = certificate.subject_alternative_name().ok().flatten().and_then(|names| {
            names.value.general_names.iter().find_map(|name| match name {
                GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some(shown(name)),
                _ => None,
            })
        });
        let subject = named.unwrap_or_else(|| shown(&certificate.subject().to_string()));
        let extension = |oid| Some(certificate.get_extension_unique(oid).ok()??.value);
        // The text behind the two bytes of a DER header; an issuer is far shorter than 128 bytes.
        let issuer =
            extension(&ISSUER).and_then(|value| value.get(2..)).or(extension(&ISSUER_BARE));
        let issuer = issuer.and_then(|text| std::str::from_utf8(text).ok()).map(shown);
        Some(Self::Certificate { subject, issuer })
    }
}

/// The key in what Rekor answered for a signature that was made with a key (`hashedrekord`, `intoto`
/// and `dsse` entries differ; only the first is what cosign made for images).
fn logged_key(answer: &str) -> Option<PublicKey> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        payload: Logged,
    }
    #[derive(Deserialize)]
    struct Logged {
        body: String,
    }
    let answer: Answer = serde_json::from_str(answer).ok()?;
    let entry = STANDARD.decode(answer.payload.body).ok()?;
    let entry: serde_json::Value = serde_json::from_slice(&entry).ok()?;
    let key = entry.pointer("/spec/signature/publicKey/content")?.as_str()?;
    PublicKey::from_pem(std::str::from_utf8(&STANDARD.decode(key).ok()?).ok()?).ok()
}

/// Text of strangers, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().take(LONGEST).flat_map(char::escape_debug).collect()
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, "key {name}"),
            Self::Certificate { subject, issuer: Some(issuer) } => {
                write!(f, "{subject} (certificate, by {issuer})")
            }
            Self::Certificate { subject, issuer: None } => write!(f, "{subject} (certificate)"),
            Self::Unknown => f.write_str("a key that it does not name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn names_a_key_by_its_hint() {
        let key = PublicKey::from_pem(sample::P256_PUBLIC).unwrap();
        let of = |hint: &str| Claimant::of_hint(hint).to_string();
        assert_eq!(of(&key.hint()), format!("key {}", key.fingerprint()));
        assert_eq!(of("my\nkey"), r"key my\nkey");
        assert_eq!(of(""), "a key that it does not name");
    }

    #[test]
    fn names_the_identity_of_a_certificate() {
        let annotations =
            BTreeMap::from([(CERTIFICATE_ANNOTATION.to_owned(), sample::CERTIFICATE.to_owned())]);
        assert_eq!(
            Claimant::of_annotations(&annotations).to_string(),
            "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1 \
             (certificate, by https://token.actions.githubusercontent.com)"
        );
    }

    #[test]
    fn names_the_key_in_the_log() {
        let key = STANDARD.encode(sample::P256_PUBLIC);
        let body = format!(r#"{{"spec":{{"signature":{{"publicKey":{{"content":"{key}"}}}}}}}}"#);
        let answer = format!(r#"{{"Payload":{{"body":"{}"}}}}"#, STANDARD.encode(body));
        let annotations = BTreeMap::from([(LOG_ANNOTATION.to_owned(), answer)]);
        let key = PublicKey::from_pem(sample::P256_PUBLIC).unwrap();
        assert_eq!(Claimant::of_annotations(&annotations), Claimant::Key(key.fingerprint()));
        assert_eq!(Claimant::of_annotations(&BTreeMap::new()), Claimant::Unknown);
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*", der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Claimant::of_hint(&text);
            let _ = Claimant::of_certificate(&der);
            for name in [CERTIFICATE_ANNOTATION, LOG_ANNOTATION] {
                let _ = Claimant::of_annotations(&[(name.to_owned(), text.clone())].into());
            }
        }
    }
}

//! A DSSE envelope: a typed payload with signatures of both.
//! <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{BundleError, Statement};
use crate::{Algorithm, BadSignature, PublicKey};

/// The largest bundle or envelope that is read, in bytes. Attestations hold whole bills of materials.
pub const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// The most signatures of one envelope that are tried.
const MOST_SIGNATURES: usize = 16;

/// A signed payload. In a bundle, or by itself: a layer of the image under `sha256-<hex>.att`, which is
/// how cosign attached attestations before bundles.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    pub(super) payload_type: String,
    pub(super) payload: Vec<u8>,
    pub(super) signatures: Vec<Vec<u8>>,
}

/// What is signed for a payload of this type ("Pre-Authentication Encoding", DSSE protocol).
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded =
        format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

impl Envelope {
    /// The media type of a layer that is an envelope.
    pub const LAYER_TYPE: &str = "application/vnd.dsse.envelope.v1+json";

    /// An envelope of an in-toto statement and the signature of its [`pae`].
    pub fn new(statement: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            payload_type: super::STATEMENT_TYPE.to_owned(),
            payload: statement,
            signatures: vec![signature],
        }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// [`BundleError`]
    pub fn parse(text: &[u8]) -> Result<Self, BundleError> {
        if text.len() as u64 > SIZE_LIMIT {
            return Err(BundleError::TooLarge);
        }
        serde_json::from_slice::<Written>(text).map_err(BundleError::Shape)?.try_into()
    }

    /// The envelope as a bundle has it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!(Written::from(self))
    }

    /// The type of predicate, where the payload is an in-toto statement.
    pub fn predicate_type(&self) -> Option<String> {
        Some(self.statement()?.predicate_type().to_owned())
    }

    /// What the statement says, where it is of this shape.
    pub(crate) fn predicate<T: DeserializeOwned>(&self) -> Option<T> {
        #[derive(Deserialize)]
        struct Statement<T> {
            predicate: T,
        }
        let statement: Statement<T> = serde_json::from_slice(&self.payload).ok()?;
        Some(statement.predicate)
    }

    pub(crate) fn statement(&self) -> Option<Statement> {
        Statement::read(&self.payload_type, &self.payload)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn signatures(&self) -> &[Vec<u8>] {
        &self.signatures
    }

    pub(crate) fn is_unsigned(&self) -> bool {
        self.signatures.is_empty()
    }

    /// Whether one of its signatures is by this key; made with what.
    pub(crate) fn verify(&self, key: &PublicKey) -> Result<Algorithm, BadSignature> {
        let signed = pae(&self.payload_type, &self.payload);
        let by_key = |signature: &Vec<u8>| key.verify_any(&signed, signature).ok();
        self.signatures.iter().take(MOST_SIGNATURES).find_map(by_key).ok_or(BadSignature)
    }
}

/// An envelope as JSON.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<WrittenSignature>,
}

#[derive(Deserialize, Serialize)]
struct WrittenSignature {
    sig: String,
}

impl TryFrom<Written> for Envelope {
    type Error = BundleError;

    fn try_from(written: Written) -> Result<Self, BundleError> {
        let Written { payload, payload_type, signatures } = written;
        let payload = decode(&payload).ok_or(BundleError::Base64)?;
        let signatures: Option<_> = signatures.iter().map(|one| decode(&one.sig)).collect();
        Ok(Self { payload_type, payload, signatures: signatures.ok_or(BundleError::Base64)? })
    }
}

impl From<&Envelope> for Written {
    fn from(envelope: &Envelope) -> Self {
        let written = |signature| WrittenSignature { sig: STANDARD.encode(signature) };
        Self {
            payload: STANDARD.encode(&envelope.payload),
            payload_type: envelope.payload_type.clone(),
            signatures: envelope.signatures.iter().map(written).collect(),
        }
    }
}

/// Base64 with or without padding, standard or URL-safe: "Either standard or URL-safe encodings are
/// allowed" (DSSE envelope), and so has protobuf's JSON.
fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const PLAIN: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    PLAIN.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_protocol_says() {
        // The example of the DSSE protocol's test vectors.
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn both_base64_alphabets_are_read() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(decode("+_8="), None);
    }
}

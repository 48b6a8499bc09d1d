//! [`Proposal`]: an entry as a log is asked to take it, and as it will then have it.
//!
//! Rekor keeps an entry's canonical JSON (RFC 8785), whose leaf in the tree is the entry's name
//! (sigstore/rekor, `pkg/types/{hashedrekord,dsse}/v0.0.1/entry.go`, `Canonicalize`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Logged;
use crate::PublicKey;
use crate::bundle::Envelope;
use crate::simple_signing::SignatureLayer;

/// The version of both kinds of entries.
const VERSION: &str = "0.0.1";

/// An entry for a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposal {
    request: Value,
    body: Vec<u8>,
}

impl Proposal {
    /// A signature in cosign's first form; none where the layer has none that can be read.
    pub fn of_layer(layer: &SignatureLayer, key: &PublicKey) -> Option<Self> {
        let signature = STANDARD.encode(layer.signature_bytes()?);
        let entry = json!({
            "apiVersion": VERSION,
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": hex(&layer.payload) } },
                "signature": {
                    "content": signature,
                    "publicKey": { "content": STANDARD.encode(key.to_pem()) },
                },
            },
        });
        Some(Self { body: canonical(&entry), request: entry })
    }

    /// The envelope of a bundle. The log is told all of it, and keeps hashes.
    pub fn of_envelope(envelope: &Envelope, key: &PublicKey) -> Option<Self> {
        let text = envelope.to_json().to_string();
        let body = envelope_body(envelope, key, &hex(text.as_bytes()))?;
        let request = json!({
            "apiVersion": VERSION,
            "kind": "dsse",
            "spec": {
                "proposedContent": {
                    "envelope": text,
                    "verifiers": [STANDARD.encode(key.to_pem())],
                },
            },
        });
        Some(Self { request, body })
    }

    /// What a log must have of an envelope that somebody told it of, in whatever way they wrote it.
    pub(super) fn of_logged_envelope(
        envelope: &Envelope,
        key: &PublicKey,
        logged: &Logged,
    ) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            spec: Spec,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            envelope_hash: Hash,
        }
        #[derive(Deserialize)]
        struct Hash {
            value: String,
        }
        let Body { spec } = serde_json::from_slice(logged.body()).ok()?;
        let body = envelope_body(envelope, key, &spec.envelope_hash.value)?;
        Some(Self { request: Value::Null, body })
    }

    #[cfg(test)]
    pub(super) fn with_body(body: &[u8]) -> Self {
        Self { request: Value::Null, body: body.to_vec() }
    }

    /// What is sent.
    pub(super) fn request(&self) -> &Value {
        &self.request
    }

    /// What the log must have.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The entry's name in the log: its leaf (RFC 6962, section 2.1).
    pub(super) fn uuid(&self) -> String {
        hex(&[&[0], self.body.as_slice()].concat())
    }
}

/// The log's entry of an envelope with one signature.
fn envelope_body(envelope: &Envelope, key: &PublicKey, envelope_hash: &str) -> Option<Vec<u8>> {
    let [signature] = envelope.signatures() else { return None };
    Some(canonical(&json!({
        "apiVersion": VERSION,
        "kind": "dsse",
        "spec": {
            "envelopeHash": { "algorithm": "sha256", "value": envelope_hash },
            "payloadHash": { "algorithm": "sha256", "value": hex(envelope.payload()) },
            "signatures": [{
                "signature": STANDARD.encode(signature),
                "verifier": STANDARD.encode(key.to_pem()),
            }],
        },
    })))
}

/// RFC 8785: `serde_json` sorts the fields, and there are neither numbers nor anything to be escaped.
fn canonical(entry: &Value) -> Vec<u8> {
    entry.to_string().into_bytes()
}

fn hex(content: &[u8]) -> String {
    Digest::sha256(content).hex()
}

//! [`Logged`]: an entry of a log with what proves it, as the log answers, as cosign's annotation has
//! it, and as a bundle has it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::simple_signing::SignatureLayer;
use crate::{SigningError, SigningErrorKind};

/// The annotation of a layer that has the log's promise (cosign, `pkg/oci/static/signature.go`).
pub(crate) const ANNOTATION: &str = "dev.sigstore.cosign/bundle";

/// An entry of a log. What a log says of it is proven before anybody else gets to see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Logged {
    body: Vec<u8>,
    time: i64,
    index: i64,
    log: [u8; 32],
    promise: Vec<u8>,
    proof: Option<Proof>,
}

/// Where in its tree the entry is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Proof {
    pub(super) index: u64,
    pub(super) tree_size: u64,
    pub(super) root: [u8; 32],
    pub(super) hashes: Vec<[u8; 32]>,
    pub(super) checkpoint: String,
}

impl Logged {
    /// Reads the answer of a log (sigstore/rekor, `openapi.yaml`, `LogEntry`): one entry by its name.
    pub(super) fn of_answer(answer: BTreeMap<String, Answer>) -> Result<Self, SigningError> {
        let mut entries = answer.into_values();
        match (entries.next().and_then(Answer::read), entries.next()) {
            (Some(entry), None) => Ok(entry),
            _ => {
                let message = "the transparency log's answer is not one entry with its promise";
                Err(SigningError::new(SigningErrorKind::Invalid, message)
                    .with_hint("is it a Rekor with the interface of version 1?"))
            }
        }
    }

    /// What a layer's annotation says of it.
    pub(super) fn of_layer(layer: &SignatureLayer) -> Option<Self> {
        let annotation: Annotation =
            serde_json::from_str(layer.annotations.get(ANNOTATION)?).ok()?;
        let Promised { body, integrated_time, log_id, log_index } = annotation.payload;
        Some(Self {
            body: STANDARD.decode(body).ok()?,
            time: integrated_time,
            index: log_index,
            log: from_hex(&log_id)?,
            promise: STANDARD.decode(annotation.signed_entry_timestamp).ok()?,
            proof: None,
        })
    }

    /// The annotation of a layer, as cosign writes it (`pkg/cosign/bundle/rekor.go`).
    pub(crate) fn annotation(&self) -> String {
        let Promised { body, integrated_time, log_id, log_index } = self.payload();
        let promise = STANDARD.encode(&self.promise);
        format!(
            r#"{{"SignedEntryTimestamp":"{promise}","Payload":{{"body":"{body}","integratedTime":{integrated_time},"logIndex":{log_index},"logID":"{log_id}"}}}}"#
        )
    }

    /// The entry as a bundle has it; none where it has no proof or is of no kind.
    pub(crate) fn written(&self) -> Option<Written> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            kind: String,
            api_version: String,
        }
        let Body { kind, api_version } = serde_json::from_slice(&self.body).ok()?;
        let proof = self.proof.as_ref()?;
        Some(Written {
            log_index: self.index.to_string(),
            log_id: LogId { key_id: STANDARD.encode(self.log) },
            kind_version: KindVersion { kind, version: api_version },
            integrated_time: self.time.to_string(),
            inclusion_promise: Some(Promise {
                signed_entry_timestamp: STANDARD.encode(&self.promise),
            }),
            inclusion_proof: Some(WrittenProof {
                log_index: proof.index.to_string(),
                root_hash: STANDARD.encode(proof.root),
                tree_size: proof.tree_size.to_string(),
                hashes: proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect(),
                checkpoint: WrittenCheckpoint { envelope: proof.checkpoint.clone() },
            }),
            canonicalized_body: STANDARD.encode(&self.body),
        })
    }

    /// What the log has.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Which log it is.
    pub(super) fn log(&self) -> Digest {
        Digest::Sha256(self.log)
    }

    /// When the log says that it got the entry, in seconds since 1970.
    pub(super) fn time(&self) -> i64 {
        self.time
    }

    /// The entry's number.
    pub(super) fn index(&self) -> i64 {
        self.index
    }

    pub(super) fn promise(&self) -> &[u8] {
        &self.promise
    }

    pub(super) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    pub(crate) fn has_proof(&self) -> bool {
        self.proof.is_some()
    }

    /// What the log's promise is a signature of, canonical JSON (sigstore/rekor, `pkg/api/entries.go`,
    /// `signEntry`).
    pub(super) fn promised(&self) -> Vec<u8> {
        let Promised { body, integrated_time, log_id, log_index } = self.payload();
        format!(
            r#"{{"body":"{body}","integratedTime":{integrated_time},"logID":"{log_id}","logIndex":{log_index}}}"#
        )
        .into_bytes()
    }

    fn payload(&self) -> Promised {
        Promised {
            body: STANDARD.encode(&self.body),
            integrated_time: self.time,
            log_id: self.log().hex(),
            log_index: self.index,
        }
    }
}

/// One entry of a log's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    #[serde(flatten)]
    payload: Promised,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    signed_entry_timestamp: String,
    #[serde(default)]
    inclusion_proof: Option<AnswerProof>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerProof {
    log_index: u64,
    tree_size: u64,
    root_hash: String,
    hashes: Vec<String>,
    checkpoint: String,
}

impl Answer {
    fn read(self) -> Option<Logged> {
        let Promised { body, integrated_time, log_id, log_index } = self.payload;
        let Verification { signed_entry_timestamp, inclusion_proof } = self.verification;
        let proof = match inclusion_proof {
            Some(proof) => Some(Proof {
                index: proof.log_index,
                tree_size: proof.tree_size,
                root: from_hex(&proof.root_hash)?,
                hashes: proof.hashes.iter().map(|hash| from_hex(hash)).collect::<Option<_>>()?,
                checkpoint: proof.checkpoint,
            }),
            None => None,
        };
        Some(Logged {
            body: STANDARD.decode(body).ok()?,
            time: integrated_time,
            index: log_index,
            log: from_hex(&log_id)?,
            promise: STANDARD.decode(signed_entry_timestamp).ok()?,
            proof,
        })
    }
}

/// What a log promises, and cosign's annotation with it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promised {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Annotation {
    signed_entry_timestamp: String,
    payload: Promised,
}

/// An entry in a bundle, protobuf's JSON (sigstore/protobuf-specs, `sigstore_rekor.proto`), in which
/// what is zero may be missing.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written {
    #[serde(default = "zero")]
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    #[serde(default = "zero")]
    integrated_time: String,
    inclusion_promise: Option<Promise>,
    inclusion_proof: Option<WrittenProof>,
    canonicalized_body: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenProof {
    #[serde(default = "zero")]
    log_index: String,
    root_hash: String,
    #[serde(default = "zero")]
    tree_size: String,
    #[serde(default)]
    hashes: Vec<String>,
    checkpoint: WrittenCheckpoint,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct WrittenCheckpoint {
    envelope: String,
}

impl Written {
    pub(crate) fn read(self) -> Option<Logged> {
        let proof = match self.inclusion_proof {
            Some(proof) => Some(Proof {
                index: proof.log_index.parse().ok()?,
                tree_size: proof.tree_size.parse().ok()?,
                root: from_base64(&proof.root_hash)?,
                hashes: proof.hashes.iter().map(|hash| from_base64(hash)).collect::<Option<_>>()?,
                checkpoint: proof.checkpoint.envelope,
            }),
            None => None,
        };
        Some(Logged {
            body: STANDARD.decode(self.canonicalized_body).ok()?,
            time: self.integrated_time.parse().ok()?,
            index: self.log_index.parse().ok()?,
            log: from_base64(&self.log_id.key_id)?,
            promise: STANDARD.decode(self.inclusion_promise?.signed_entry_timestamp).ok()?,
            proof,
        })
    }
}

fn zero() -> String {
    "0".to_owned()
}

fn from_base64(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// 32 bytes in hex digits.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    match format!("sha256:{text}").parse() {
        Ok(Digest::Sha256(bytes)) => Some(bytes),
        _ => None,
    }
}

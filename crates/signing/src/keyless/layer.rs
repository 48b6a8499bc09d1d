//! cosign's first form of keyless signatures and attestations: layers below the tags `.sig` and `.att`,
//! whose annotations hold the certificate and the log's promise (cosign, `specs/SIGNATURE_SPEC.md` and
//! `pkg/oci/static/signature.go`). A layer is judged as the bundle that says the same.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest as sha256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::types::{Artifact, DerCertificate};

use super::{
    Check, Identity, Refusal, TrustedRoot, VerifiedIdentity, allow, parse, verify, verify_statement,
};
use crate::bundle::Envelope;
use crate::simple_signing::SignatureLayer;
use crate::transparency_log::LOGGED_ANNOTATION as LOGGED;

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// Judges a layer below `.sig`: whether its payload is for this digest, signed by one of the
/// identities. What its `chain` annotation says is not looked at: the trusted root has the chain.
///
/// # Errors
/// The first check that failed.
pub fn verify_layer(
    layer: &SignatureLayer,
    digest: &Digest,
    trusted_root: &TrustedRoot,
    identities: &[Identity],
) -> Result<VerifiedIdentity, Refusal> {
    let signature = layer
        .signature
        .as_deref()
        .ok_or_else(|| Refusal::new(Check::Form, "it has no signature"))?;
    // The digest's algorithm says what was signed with; cosign used SHA-256 with every key.
    let hash = STANDARD.encode(sha256(&SHA256, &layer.payload));
    let content = json!({
        "messageDigest": { "algorithm": "SHA2_256", "digest": hash },
        "signature": signature,
    });
    let bundle = bundle("messageSignature", &content, &layer.annotations, trusted_root)?;
    let verified = verify(&parse(&bundle)?, Artifact::from(layer.payload.as_ref()), trusted_root)?;
    let refused = |check, detail: String| Err(Refusal::new(check, detail).by(&verified.signer));
    match layer.claim() {
        None => refused(Check::Form, "what is signed is no payload of cosign's".to_owned()),
        Some(claim) if claim.digest != digest.to_string() => {
            refused(Check::Digest, format!("for {}", claim.digest))
        }
        Some(_) => allow(verified, identities),
    }
}

/// Judges a layer below `.att`, an envelope, as [`verify_bundle`](super::verify_bundle) does. The log
/// of before bundles names the payload and its signatures, so it does not matter how the envelope around
/// them is written.
///
/// # Errors
/// The first check that failed.
pub fn verify_envelope(
    envelope: &Envelope,
    annotations: &BTreeMap<String, String>,
    digest: &Digest,
    trusted_root: &TrustedRoot,
    identities: &[Identity],
    predicate_type: &str,
) -> Result<VerifiedIdentity, Refusal> {
    let bundle = bundle("dsseEnvelope", &envelope.to_json(), annotations, trusted_root)?;
    verify_statement(&parse(&bundle)?, digest, trusted_root, identities, predicate_type)
}

/// A bundle of this content and what the annotations prove. With a promise of the log it is of version
/// 0.1, the only one that asks for no proof of inclusion: this form has none.
fn bundle(
    kind: &str,
    content: &Value,
    annotations: &BTreeMap<String, String>,
    trusted_root: &TrustedRoot,
) -> Result<Vec<u8>, Refusal> {
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let certificate = annotation(CERTIFICATE).ok_or_else(Refusal::keyed)?;
    let certificate = DerCertificate::from_pem(certificate)
        .map_err(|error| Refusal::new(Check::Form, format!("{CERTIFICATE}: {error}")))?;
    let certificate = json!({ "rawBytes": STANDARD.encode(certificate.as_bytes()) });
    let logged = annotation(LOGGED).map(entry).transpose()?;
    let timestamp = annotation(TIMESTAMP).map(timestamp).transpose()?;
    if logged.is_none() && trusted_root.demands_log() {
        let detail = format!("it has no annotation {LOGGED}, and the log is not asked");
        return Err(Refusal::new(Check::Log, detail));
    }
    let (version, certificate_field, certificate) = if logged.is_some() {
        ("+json;version=0.1", "x509CertificateChain", json!({ "certificates": [certificate] }))
    } else {
        (".v0.3+json", "certificate", certificate)
    };
    let bundle = json!({
        "mediaType": format!("application/vnd.dev.sigstore.bundle{version}"),
        "verificationMaterial": {
            certificate_field: certificate,
            "tlogEntries": logged.into_iter().collect::<Value>(),
            "timestampVerificationData": {
                "rfc3161Timestamps": timestamp.into_iter().collect::<Value>(),
            },
        },
        kind: content,
    });
    Ok(bundle.to_string().into_bytes())
}

/// The log's promise and what it was made for, as a bundle has it.
fn entry(annotation: &str) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Logged {
        signed_entry_timestamp: String,
        payload: Payload,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Payload {
        body: String,
        integrated_time: i64,
        log_index: i64,
        #[serde(rename = "logID")]
        log_id: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        kind: String,
        api_version: String,
    }
    let Logged { signed_entry_timestamp, payload } =
        serde_json::from_str(annotation).map_err(|error| malformed(LOGGED, &error))?;
    let body = STANDARD
        .decode(&payload.body)
        .map_err(|_| Refusal::new(Check::Form, format!("{LOGGED}: it has broken base64")))?;
    let body: Body = serde_json::from_slice(&body).map_err(|error| malformed(LOGGED, &error))?;
    // The log's name is a SHA-256, in hex digits here and in base64 in a bundle.
    let Ok(Digest::Sha256(log)) = format!("sha256:{}", payload.log_id).parse() else {
        let name = payload.log_id;
        return Err(Refusal::new(Check::Form, format!("{LOGGED}: no log is named `{name}`")));
    };
    Ok(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(log) },
        "kindVersion": { "kind": body.kind, "version": body.api_version },
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": signed_entry_timestamp },
        "canonicalizedBody": payload.body,
    }))
}

fn timestamp(annotation: &str) -> Result<Value, Refusal> {
    #[derive(Deserialize)]
    struct Timestamp {
        #[serde(rename = "SignedRFC3161Timestamp")]
        response: String,
    }
    let Timestamp { response } =
        serde_json::from_str(annotation).map_err(|error| malformed(TIMESTAMP, &error))?;
    Ok(json!({ "signedTimestamp": response }))
}

fn malformed(what: &str, error: &serde_json::Error) -> Refusal {
    Refusal::new(Check::Form, format!("{what} cannot be read: {error}"))
}

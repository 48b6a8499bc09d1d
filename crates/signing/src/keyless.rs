//! Keyless signatures: a certificate that lived for minutes says who signed, and a transparency log
//! or a timestamp authority says when. Judged offline against a [`TrustedRoot`], the file that names
//! the authorities and logs.
//!
//! The cryptography is [`sigstore_verify`]'s (aws-lc-rs, no HTTP client): the certificate's chain and
//! its certificate log's timestamp, the log's promise, proof and checkpoint, RFC 3161 timestamps, the
//! signature, and that the log's entry is for this very signature. What is ours: what is demanded
//! ([`TrustedRoot`]), whose signature counts ([`Identity`]), what must be stated, and words for people
//! ([`Refusal`]). A certificate is judged at the times proven, never at today's, so a signature stays
//! valid as long as its root is trusted. `tests/interop/tests/keyless.rs` compares the verdicts with
//! cosign's.
//!
//! The library is the Sigstore project's own, one of the clients that sigstore/sigstore-conformance
//! reports on, and had a security review whose findings (`TOB-SIGSTORE` in its changelog) are mended. It
//! changes with every release until its 1.0, so it is pinned, and only this module knows it. It refuses
//! what it does not know: log entries of kind `intoto` 0.0.1, which old cosigns made for attestations,
//! and P-521 keys.

mod identity;
mod layer;
mod refusal;
mod trusted_root;

pub use identity::{Expected, Identity, InvalidExpectation};
pub use layer::{verify_envelope, verify_layer};
pub use refusal::{Check, Refusal, Signer};
pub use trusted_root::{InvalidTrustedRoot, TrustedRoot};

use jiff::Timestamp;
use oci::Digest;
use sigstore_verify::crypto::parse_certificate_info;
use sigstore_verify::types::{Artifact, ArtifactDigest, Bundle, HashAlgorithm, SignatureContent};

/// A signature that is valid and by one of the identities asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedIdentity {
    /// Who signed.
    pub signer: Signer,
    /// When, by the earliest of the times that were proven.
    pub signed_at: Timestamp,
}

/// Judges a Sigstore bundle, the content of a referrer: whether it states `predicate_type`
/// ([`SIGNATURE_PREDICATE_TYPE`](crate::bundle::SIGNATURE_PREDICATE_TYPE) for a signature) of what has
/// this digest, signed by one of the identities. No identities: nobody's signature counts. The caller
/// limits the size ([`SIZE_LIMIT`](crate::bundle::SIZE_LIMIT)).
///
/// # Errors
/// The first check that failed.
pub fn verify_bundle(
    bundle: &[u8],
    digest: &Digest,
    trusted_root: &TrustedRoot,
    identities: &[Identity],
    predicate_type: &str,
) -> Result<VerifiedIdentity, Refusal> {
    verify_statement(&parse(bundle)?, digest, trusted_root, identities, predicate_type)
}

fn verify_statement(
    bundle: &Bundle,
    digest: &Digest,
    trusted_root: &TrustedRoot,
    identities: &[Identity],
    predicate_type: &str,
) -> Result<VerifiedIdentity, Refusal> {
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        return Err(Refusal::new(Check::Form, "it signs bytes and states nothing of an image"));
    };
    let verified = verify(bundle, artifact(digest)?, trusted_root)?;
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| Refusal::new(Check::Form, error.to_string()).by(&verified.signer))?;
    if statement.predicate_type != predicate_type {
        let detail = format!("{}, not {predicate_type}", statement.predicate_type);
        return Err(Refusal::new(Check::Predicate, detail).by(&verified.signer));
    }
    allow(verified, identities)
}

/// What of an in-toto statement the library does not look at.
#[derive(serde::Deserialize)]
struct Statement {
    #[serde(rename = "predicateType")]
    predicate_type: String,
}

fn parse(bundle: &[u8]) -> Result<Bundle, Refusal> {
    let text =
        std::str::from_utf8(bundle).map_err(|_| Refusal::new(Check::Form, "it is not text"))?;
    Bundle::from_json(text).map_err(|error| Refusal::new(Check::Form, error.to_string()))
}

fn artifact(digest: &Digest) -> Result<Artifact<'static>, Refusal> {
    let digest = match digest {
        Digest::Sha256(bytes) => ArtifactDigest::new(HashAlgorithm::Sha2256, bytes.as_slice()),
        Digest::Sha512(bytes) => ArtifactDigest::new(HashAlgorithm::Sha2512, bytes.as_slice()),
    };
    digest.map(Artifact::from).map_err(|error| Refusal::new(Check::Digest, error.to_string()))
}

/// All that does not depend on who may sign and what must be stated.
fn verify(
    bundle: &Bundle,
    artifact: Artifact<'_>,
    trusted_root: &TrustedRoot,
) -> Result<VerifiedIdentity, Refusal> {
    let certificate = bundle.signing_certificate().ok_or_else(Refusal::keyed)?;
    let certificate = parse_certificate_info(certificate)
        .map_err(|error| Refusal::new(Check::Certificate, error.to_string()))?;
    let result = trusted_root
        .verify(bundle, artifact)
        .map_err(|error| Refusal::because(&error, &certificate))?;
    let signer = Signer::claimed_by(&certificate);
    // A verified time is what the library demands; without one nothing was verified.
    let signed_at = result.verified_timestamps().iter().min().copied().ok_or_else(|| {
        Refusal::new(Check::Time, "neither a log nor a timestamp authority says when").by(&signer)
    })?;
    Ok(VerifiedIdentity { signer, signed_at })
}

fn allow(verified: VerifiedIdentity, identities: &[Identity]) -> Result<VerifiedIdentity, Refusal> {
    if identities.iter().any(|identity| identity.matches(&verified.signer)) {
        return Ok(verified);
    }
    let wanted: Vec<String> = identities.iter().map(ToString::to_string).collect();
    let detail = match wanted.as_slice() {
        [] => format!("nobody is, on {}", verified.signed_at),
        wanted => format!("on {}; wanted: {}", verified.signed_at, wanted.join(", or ")),
    };
    Err(Refusal::new(Check::Identity, detail).by(&verified.signer))
}

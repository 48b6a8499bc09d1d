//! [`LogKeys`]: the keys by which logs are believed, and what is proven with them.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use oci::Digest;
use sigstore_merkle::{hash_leaf, verify_inclusion_proof};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Checkpoint, Sha256Hash};

use super::logged::Proof;
use super::{Logged, Proposal};
use crate::{PublicKey, SigningError, SigningErrorKind};

/// The public keys of one or several logs, each with when it was in use. A log is named by the SHA-256
/// of its key (RFC 6962, section 3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogKeys(BTreeMap<Digest, LogKey>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct LogKey {
    public: PublicKey,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// What of a log's answer is not true.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Untrue {
    /// The entry is of something else.
    #[error("its entry is not what it was told")]
    AnotherEntry,
    /// Nobody knows that log, or not at that time.
    #[error("it names a log of which no key is known for the time that it says")]
    UnknownLog,
    /// The signed entry timestamp is not by the log.
    #[error("its promise is not signed by the log's key")]
    Promise,
    /// The entry is not in the tree.
    #[error("its proof does not show the entry in the log's tree")]
    Inclusion,
    /// The tree is not the log's.
    #[error("the tree of its proof is not signed by the log's key")]
    Tree,
}

impl LogKeys {
    /// Reads a file: a log's public key in PEM, as `GET URL/api/v1/log/publicKey` gives it and
    /// `SIGSTORE_REKOR_PUBLIC_KEY` names it for cosign; or a trusted root, whose logs are taken.
    ///
    /// # Errors
    /// [`SigningErrorKind::NotFound`], [`SigningErrorKind::Invalid`],
    /// [`SigningErrorKind::Unsupported`]
    pub fn read(path: &Path) -> Result<Self, SigningError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => SigningErrorKind::NotFound,
                _ => SigningErrorKind::Invalid,
            };
            SigningError::new(kind, format!("the log's key cannot be read from {shown}: {error}"))
        })?;
        Self::parse(&text).map_err(|error| {
            SigningError::new(error.kind(), format!("the log's key in {shown}: {error}"))
                .with_hint("it is a public key in PEM, or a Sigstore trusted root")
        })
    }

    /// The same of a text.
    ///
    /// # Errors
    /// [`SigningErrorKind::Invalid`], [`SigningErrorKind::Unsupported`]
    pub fn parse(text: &str) -> Result<Self, SigningError> {
        let invalid = |message: String| SigningError::new(SigningErrorKind::Invalid, message);
        if !text.trim_start().starts_with('{') {
            let public = PublicKey::from_pem(text)?;
            let key = LogKey { public, from: None, until: None };
            return Ok(Self([(key.id(), key)].into()));
        }
        let root = TrustedRoot::from_json(text)
            .map_err(|error| invalid(format!("not a Sigstore trusted root: {error}")))?;
        let keys = root.tlogs.iter().filter_map(|log| {
            // A log whose key is of a kind that cannot be read here vouches for nothing.
            let public = PublicKey::from_der(log.public_key.raw_bytes.as_bytes()).ok()?;
            let used = log.public_key.valid_for.as_ref();
            let from = used.map(|used| used.start);
            let key = LogKey { public, from, until: used.and_then(|used| used.end) };
            Some((key.id(), key))
        });
        let keys: BTreeMap<_, _> = keys.collect();
        if keys.is_empty() {
            return Err(invalid("the trusted root names no transparency log".to_owned()));
        }
        Ok(Self(keys))
    }

    /// Whether a log has this entry: nothing that the log says is believed otherwise.
    pub(super) fn prove(&self, logged: &Logged, proposal: &Proposal) -> Result<(), Untrue> {
        if logged.body() != proposal.body() {
            return Err(Untrue::AnotherEntry);
        }
        let key = self.0.get(&logged.log()).filter(|key| key.was_used(logged.time()));
        let LogKey { public, .. } = key.ok_or(Untrue::UnknownLog)?;
        public.verify_any(&logged.promised(), logged.promise()).map_err(|_| Untrue::Promise)?;
        match logged.proof() {
            Some(proof) => prove_inclusion(logged.body(), proof, public),
            None => Ok(()),
        }
    }
}

impl LogKey {
    fn id(&self) -> Digest {
        Digest::sha256(self.public.der())
    }

    fn was_used(&self, time: i64) -> bool {
        self.from.is_none_or(|from| from.as_second() <= time)
            && self.until.is_none_or(|until| time <= until.as_second())
    }
}

/// That the entry is in the tree with this root (RFC 6962, section 2.1.1), and that the root is the
/// log's: a "signed note" with it (<https://github.com/transparency-dev/formats/tree/main/log>).
fn prove_inclusion(body: &[u8], proof: &Proof, key: &PublicKey) -> Result<(), Untrue> {
    let hashes: Vec<Sha256Hash> = proof.hashes.iter().map(|hash| Sha256Hash::new(*hash)).collect();
    let root = Sha256Hash::new(proof.root);
    verify_inclusion_proof(&hash_leaf(body), proof.index, proof.tree_size, &hashes, &root)
        .map_err(|_| Untrue::Inclusion)?;
    let checkpoint = Checkpoint::from_text(&proof.checkpoint).map_err(|_| Untrue::Tree)?;
    let is_signed = checkpoint.signatures().iter().any(|signature| {
        key.verify_any(checkpoint.signed_data(), signature.signature.as_bytes()).is_ok()
    });
    match is_signed && checkpoint.root_hash().as_bytes() == &proof.root {
        true => Ok(()),
        false => Err(Untrue::Tree),
    }
}

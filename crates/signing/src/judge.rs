//! Is there, among what was found for a digest, a valid signature by one of these keys?
//!
//! Pure functions over one piece of [`Evidence`] at a time: [`signature`] and [`attestation`] say by
//! which key it is valid, or why it is not. They are stricter than cosign in one thing: cosign 3 takes
//! any bundle about the digest for a signature; here it must say that it is one.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use oci::Digest;
use serde::de::DeserializeOwned;

use crate::bundle::{Bundle, Envelope, Material, SIGNATURE_PREDICATE_TYPE};
use crate::simple_signing::SignatureLayer;
use crate::{Algorithm, Claimant, KeyKind, PublicKey};

/// One thing that was found for a digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// A layer of the image under `sha256-<hex>.sig`.
    Layer(SignatureLayer),
    /// A bundle, from a referrer.
    Bundle(Bundle),
    /// A layer of the image under `sha256-<hex>.att`.
    Envelope {
        /// The layer's content.
        envelope: Envelope,
        /// The layer's annotations.
        annotations: BTreeMap<String, String>,
    },
}

/// A valid signature or attestation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Valid<'k> {
    /// Whose it is.
    pub key: &'k PublicKey,
    /// What it was made with.
    pub algorithm: Algorithm,
}

/// Why something is no valid signature or attestation by any of the keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is nothing that could be checked.
    #[error("it has no signature")]
    Unsigned,
    /// What is signed is not what cosign signs.
    #[error("what is signed is {0}")]
    Unreadable(&'static str),
    /// Signed by a key or an identity that is not among the keys. What a payload is changed to after it
    /// was signed cannot be told from this, where the signer is not named.
    #[error("by {0}, which is none of the keys, or changed after it was signed")]
    AnotherKey(Claimant),
    /// It names one of the keys, which did not sign what is there.
    #[error("it names key {0}, which did not sign this: it was changed")]
    Changed(String),
    /// It names one of the keys, an Ed25519 one. cosign signs with such a key in a way, Ed25519ph, that
    /// neither aws-lc-rs nor cosign's own `verify` knows.
    #[error(
        "it names key {0}, but was changed, or made by cosign with Ed25519ph, which cannot be verified"
    )]
    ChangedOrPrehashed(String),
    /// A signature of something else, such as one moved here from another image.
    #[error("it is for {}, not for this image", .0.as_deref().unwrap_or("nothing that can be told"))]
    AnotherImage(Option<String>),
    /// A signature where an attestation was asked for, or the other way round, or another kind of one.
    #[error("it is of type `{}`, not `{wanted}`", .found.escape_debug())]
    AnotherType {
        /// Its predicate type.
        found: String,
        /// The one that was asked for.
        wanted: String,
    },
}

impl Evidence {
    /// The type of predicate; none for a simple signature, and for what holds no statement.
    pub fn predicate_type(&self) -> Option<String> {
        self.envelope()?.predicate_type()
    }

    /// What is stated, where it is of this shape. Nothing is proven by that.
    pub fn predicate<T: DeserializeOwned>(&self) -> Option<T> {
        self.envelope()?.predicate()
    }

    /// Whether it is meant as a signature, and not as an attestation.
    pub fn is_signature(&self) -> bool {
        match self {
            Self::Layer(_) => true,
            _ => self.predicate_type().is_some_and(|found| found == SIGNATURE_PREDICATE_TYPE),
        }
    }

    /// Who it says it is by.
    pub fn claimant(&self) -> Claimant {
        match self {
            Self::Layer(layer) => Claimant::of_annotations(&layer.annotations),
            Self::Bundle(bundle) => Claimant::of_material(bundle.material()),
            Self::Envelope { annotations, .. } => Claimant::of_annotations(annotations),
        }
    }

    fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Layer(_) => None,
            Self::Bundle(bundle) => Some(bundle.envelope()),
            Self::Envelope { envelope, .. } => Some(envelope),
        }
    }
}

/// Whether `evidence` is a signature of the image with this digest by one of the keys.
///
/// # Errors
/// [`Refusal`]
pub fn signature<'k, K: Borrow<PublicKey>>(
    evidence: &Evidence,
    digest: &Digest,
    keys: &'k [K],
) -> Result<Valid<'k>, Refusal> {
    match evidence {
        Evidence::Layer(layer) => layer_signature(layer, digest, keys),
        _ => attestation(evidence, SIGNATURE_PREDICATE_TYPE, digest, keys),
    }
}

/// Whether `evidence` is an attestation of this predicate type about the image with this digest, by one
/// of the keys.
///
/// # Errors
/// [`Refusal`]
pub fn attestation<'k, K: Borrow<PublicKey>>(
    evidence: &Evidence,
    predicate_type: &str,
    digest: &Digest,
    keys: &'k [K],
) -> Result<Valid<'k>, Refusal> {
    let another_type = |found| Refusal::AnotherType { found, wanted: predicate_type.to_owned() };
    let Some(envelope) = evidence.envelope() else {
        return Err(another_type("a signature".to_owned()));
    };
    if envelope.is_unsigned() {
        return Err(Refusal::Unsigned);
    }
    let statement = envelope.statement().ok_or(Refusal::Unreadable("not an in-toto statement"))?;
    if !statement.is_about(digest) {
        return Err(Refusal::AnotherImage(statement.subject()));
    }
    if statement.predicate_type() != predicate_type {
        return Err(another_type(statement.predicate_type().to_owned()));
    }
    first_valid(keys, |key| envelope.verify(key).ok()).ok_or_else(|| not_by(evidence, keys))
}

fn layer_signature<'k, K: Borrow<PublicKey>>(
    layer: &SignatureLayer,
    digest: &Digest,
    keys: &'k [K],
) -> Result<Valid<'k>, Refusal> {
    let signature = layer.signature_bytes().ok_or(Refusal::Unsigned)?;
    let claim = layer.claim().ok_or(Refusal::Unreadable("not one of cosign's payloads"))?;
    if claim.digest != digest.to_string() {
        return Err(Refusal::AnotherImage(
            claim.digest.parse().ok().map(|d: Digest| d.to_string()),
        ));
    }
    first_valid(keys, |key| key.verify_any(&layer.payload, &signature).ok())
        .ok_or_else(|| Refusal::AnotherKey(Claimant::of_annotations(&layer.annotations)))
}

fn first_valid<'k, K: Borrow<PublicKey>>(
    keys: &'k [K],
    verify: impl Fn(&PublicKey) -> Option<Algorithm>,
) -> Option<Valid<'k>> {
    public_keys(keys).find_map(|key| Some(Valid { key, algorithm: verify(key)? }))
}

fn public_keys<K: Borrow<PublicKey>>(keys: &[K]) -> impl Iterator<Item = &PublicKey> {
    keys.iter().map(Borrow::borrow)
}

/// Why no key verifies a statement that is about the right thing.
fn not_by<K: Borrow<PublicKey>>(evidence: &Evidence, keys: &[K]) -> Refusal {
    let hint = match evidence {
        Evidence::Bundle(bundle) => match bundle.material() {
            Material::Key(hint) => Some(hint),
            Material::Certificate(_) | Material::Nothing => None,
        },
        _ => None,
    };
    let named = |key: &&PublicKey| hint.is_some_and(|hint| key.hint() == *hint);
    match public_keys(keys).find(named) {
        Some(key) if key.kind() == KeyKind::Ed25519 => {
            Refusal::ChangedOrPrehashed(key.fingerprint())
        }
        Some(key) => Refusal::Changed(key.fingerprint()),
        None => Refusal::AnotherKey(evidence.claimant()),
    }
}

#[cfg(test)]
mod tests;

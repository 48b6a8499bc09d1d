//! Signatures: those that a source must have (`trust`), and those that the mirror makes (`ours`).
//!
//! What a place has of them is read in `found`; what is to be done about it is one table, `rule`.

mod attest;
mod former;
mod found;
mod logged;
mod ours;
mod publish;
mod rule;
mod single;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;

use signing::keyless::{Identity, TrustedRoot};
use signing::transparency_log::TransparencyLog;
use signing::{KeyReference, Signer};

pub use attest::{MIRRORING, SyncFileFacts};
pub(crate) use ours::{Subject, check as check_ours, sign};
pub use single::Judged;
pub(crate) use trust::{Trust, check as check_trust};

/// Every key that an item of a run names, to sign with or to trust.
pub type Keys = BTreeMap<KeyReference, Arc<Signer>>;

/// How what is published is signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignWith {
    /// The key.
    pub key: KeyReference,
    /// Keys that signed before it. What they signed is no stranger's, and is signed anew.
    pub former: Vec<KeyReference>,
    /// In which of cosign's forms.
    pub format: SignatureFormat,
    /// Whether every manifest of an image is signed, or its root alone.
    pub recursively: bool,
    /// Whether a statement about the mirroring is made as well.
    pub attest: bool,
    /// The transparency log that every signature and statement is in before it is published; none:
    /// nobody is told.
    pub log: Option<Arc<TransparencyLog>>,
}

/// What a statement about the mirroring says of its run.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The program's version.
    pub version: String,
    /// The sync files that it goes by.
    pub sync_files: Vec<SyncFileFacts>,
}

/// Cosign's forms of a signature.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SignatureFormat {
    /// The tag `sha256-<hex>.sig` with simple signing. Every cosign verifies it, and so do the
    /// admission controllers of before 2025.
    #[default]
    Legacy,
    /// A Sigstore bundle as a referrer, as cosign 3 makes it.
    Bundle,
    /// Both. Cosign 2 finds the bundle and then wants a trusted root to verify anything.
    Both,
}

impl SignatureFormat {
    pub(crate) fn has_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Both)
    }

    pub(crate) fn has_bundle(self) -> bool {
        matches!(self, Self::Bundle | Self::Both)
    }
}

/// What an item asks of signatures. Nothing by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WantedSignatures {
    /// How the target's copy is signed.
    pub sign: Option<SignWith>,
    /// What the source's signatures must prove before it is copied: all of these.
    pub demands: Vec<Arc<Demand>>,
}

/// Something that the signatures of a source must prove. Two are equal that were written down in
/// the same place.
#[derive(Debug)]
pub struct Demand {
    /// Where it was written down, such as `images.yaml:12`.
    pub rule: String,
    /// A valid signature by any of these keys is enough.
    pub keys: Vec<KeyReference>,
    /// A valid signature by any of these identities is enough as well.
    pub keyless: Option<Keyless>,
    /// Whether an image without is refused, or only remarked on.
    pub is_required: bool,
    /// Predicate types of attestations that must be there, signed by one of the keys or identities.
    pub attestations: Vec<String>,
}

/// Who may sign with a certificate instead of a key.
#[derive(Debug)]
pub struct Keyless {
    /// The authorities and logs that are believed.
    pub trusted_root: TrustedRoot,
    /// Any of these may.
    pub identities: Vec<Identity>,
}

impl PartialEq for Demand {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}

impl Eq for Demand {}

/// What became of the signature of one item's copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureReport {
    /// The key, as it was named.
    pub key: KeyReference,
    /// What became of all that the key is to sign: of the signatures and of the statement, whichever weighs
    /// more, so an image that got a statement alone is signed, not as it was.
    pub state: SignatureState,
    /// What became of the statement about the mirroring; none where none is wanted.
    pub statement: Option<SignatureState>,
}

impl SignatureReport {
    /// Where all that is wanted is in one state.
    pub(crate) fn all(with: &SignWith, state: SignatureState) -> Self {
        Self::of(with, state, with.attest.then_some(state))
    }

    pub(crate) fn of(
        with: &SignWith,
        signatures: SignatureState,
        statement: Option<SignatureState>,
    ) -> Self {
        let state = statement.map_or(signatures, |statement| statement.max(signatures));
        Self { key: with.key.clone(), state, statement }
    }
}

/// What became of a signature, or of a signed statement. Those that weigh more are greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SignatureState {
    /// A valid one was there.
    Present,
    /// There are some; a plan does not ask the key whose.
    Unchecked,
    /// There was none by the key, and a plan left it so.
    WouldSign,
    /// It was signed.
    Signed,
    /// It could not be signed, or what is there is not what is wanted.
    Missing,
}

//! The mirror's own signatures: made before the tag is set, and looked for where it is set already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Descriptor, Digest, Location, Manifest};
use signing::{KeyReference, Signer, SigningError, SigningErrorKind};

use super::found::Found;
use super::rule::{Seen, Verdict, decide};
use super::{SignWith, SignatureFormat, SignatureState, attest, publish};
use crate::item::Item;
use crate::place::Place;
use crate::walk::Walk;
use crate::{Class, Failure, Mode, Outcome, Side, closure};

/// Signing one thing at one place is one walk's affair at a time, so that two tags of one image get
/// one signature.
#[derive(Default)]
pub(crate) struct SigningTurns(Mutex<HashMap<(Location, Digest), Turn>>);

type Turn = Arc<tokio::sync::Mutex<()>>;

impl SigningTurns {
    fn of(&self, place: &Place, digest: Digest) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry((place.location().clone(), digest)).or_default())
    }
}

/// Something that is to be signed.
pub(crate) struct Subject(Descriptor);

impl Subject {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self(manifest.descriptor())
    }
}

/// Signs what an item's copy is made of, its root first, where that is wanted and not done. The outcome where it may
/// not be: the item's report says why.
pub(crate) async fn sign(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    subjects: &[Subject],
) -> Result<Option<Outcome>, Failure> {
    let Some(with) = &item.wanted.signatures.sign else { return Ok(None) };
    item.signature_is(&with.key, SignatureState::Missing);
    match sign_all(walk, with, source, target, subjects).await? {
        Ok(state) => {
            item.signature_is(&with.key, state);
            if let (true, Some(Subject(root))) = (with.attest, subjects.first()) {
                let signer = signer(walk, &with.key, Side::Target)?;
                attest::mirrored(walk, item, signer, target, root).await?;
            }
            Ok(None)
        }
        Err(refused) => {
            item.report().failure = Some(refused);
            Ok(Some(Outcome::Refused))
        }
    }
}

/// Signs all of these; the inner failure says that it may not be.
pub(super) async fn sign_all(
    walk: &Walk,
    with: &SignWith,
    source: &Place,
    target: &Place,
    subjects: &[Subject],
) -> Result<Result<SignatureState, Failure>, Failure> {
    let signer = signer(walk, &with.key, Side::Target)?;
    let mut state = SignatureState::Present;
    for Subject(subject) in subjects {
        match one(walk, signer, with.format, source, target, subject).await? {
            Done::Present => {}
            Done::Signed => state = SignatureState::Signed,
            Done::Refused(whose) => return Ok(Err(strange(subject.digest, &whose))),
        }
    }
    Ok(Ok(state))
}

/// Looks for the signatures of a tag that is up to date, and makes those that are missing, as far as
/// the run's mode allows.
pub(crate) async fn check(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    root: Digest,
) -> Result<Option<Outcome>, Failure> {
    let Some(with) = &item.wanted.signatures.sign else { return Ok(None) };
    let key = &with.key;
    let subjects = subjects(walk, target, root, with.recursively).await?;
    if walk.options.mode == Mode::Sync {
        return sign(walk, item, source, target, &subjects).await;
    }
    let signer = signer(walk, key, Side::Target)?;
    let mut state = SignatureState::Present;
    for Subject(subject) in &subjects {
        let found = Found::at(target, subject.digest).await?;
        // A plan does not ask a service for its key.
        if found.is_empty() {
            state = state.max(SignatureState::WouldSign);
        } else if walk.options.mode == Mode::Plan && is_in_a_service(signer.reference()) {
            state = state.max(SignatureState::Unchecked);
        } else {
            let seen = seen(signer, key, source, &found, subject.digest).await?;
            match decide(with.format, &seen) {
                Verdict::Signed => {}
                Verdict::Sign { .. } => state = state.max(SignatureState::WouldSign),
                Verdict::Refused(whose) => {
                    item.signature_is(key, SignatureState::Missing);
                    item.report().failure = Some(strange(subject.digest, &whose));
                    return Ok(Some(Outcome::Refused));
                }
            }
        }
    }
    let is_unsigned = state == SignatureState::WouldSign && walk.options.mode == Mode::Verify;
    if is_unsigned {
        state = SignatureState::Missing;
    }
    item.signature_is(key, state);
    if is_unsigned {
        let message = format!("it is not signed by {key}");
        item.report().failure = Some(
            Failure::new(Side::Target, Class::Signature, message).with_hint("`sync` signs it"),
        );
        return Ok(Some(Outcome::Refused));
    }
    Ok(None)
}

/// What is to be signed of an image that is there.
async fn subjects(
    walk: &Walk,
    target: &Place,
    root: Digest,
    recursively: bool,
) -> Result<Vec<Subject>, Failure> {
    let missing = || Failure::new(Side::Target, Class::Content, "its manifest is gone");
    let manifest = target.manifest(root).await?.ok_or_else(missing)?;
    if !recursively {
        return Ok(vec![Subject::of(&manifest)]);
    }
    let foreign = walk.options.foreign_layers;
    let closure = closure::read(target, Side::Target, manifest, foreign).await?;
    Ok(closure.levels.iter().rev().flatten().map(Subject::of).collect())
}

enum Done {
    Present,
    Signed,
    Refused(Vec<String>),
}

/// Signs one manifest, if that is to be done.
async fn one(
    walk: &Walk,
    signer: &Signer,
    format: SignatureFormat,
    source: &Place,
    target: &Place,
    subject: &Descriptor,
) -> Result<Done, Failure> {
    let turn = walk.signing_turns.of(target, subject.digest);
    let _turn = turn.lock().await;
    let found = Found::at(target, subject.digest).await?;
    let key = signer.reference();
    let seen = seen(signer, key, source, &found, subject.digest).await?;
    match decide(format, &seen) {
        Verdict::Signed => Ok(Done::Present),
        Verdict::Refused(whose) => Ok(Done::Refused(whose)),
        Verdict::Sign { legacy, bundle } => {
            if legacy {
                publish::legacy(signer, target, subject.digest, &found).await?;
            }
            if bundle {
                publish::bundle(walk, signer, target, subject).await?;
            }
            Ok(Done::Signed)
        }
    }
}

/// Whose the signatures are that the target has. The source is asked only where there is one that
/// is not ours and none that is.
async fn seen(
    signer: &Signer,
    key: &KeyReference,
    source: &Place,
    found: &Found,
    digest: Digest,
) -> Result<Seen, Failure> {
    let public = signer.public_key().await.map_err(|error| failed(Side::Target, key, &error))?;
    let mut seen = found.by(&public, digest);
    let has_own = seen.own_legacy || seen.own_bundle;
    if !has_own && !seen.strangers.is_empty() {
        let came_along = Found::at(source, digest).await?;
        seen.strangers = found.without(&came_along).by(&public, digest).strangers;
    }
    Ok(seen)
}

/// Whether to see the key costs a request to somebody.
fn is_in_a_service(key: &KeyReference) -> bool {
    !matches!(key, KeyReference::File(_) | KeyReference::Variable(_) | KeyReference::Inline(_))
}

/// The signer of a key that an item names.
pub(super) fn signer<'a>(
    walk: &'a Walk,
    key: &KeyReference,
    side: Side,
) -> Result<&'a Arc<Signer>, Failure> {
    walk.options.keys.get(key).ok_or_else(|| {
        let message = format!("nothing is known of key {key}, which is a fault of this program");
        Failure::new(side, Class::Key, message)
    })
}

/// What it means that a key could not be used.
pub(super) fn failed(side: Side, key: &KeyReference, error: &SigningError) -> Failure {
    let class = match error.kind() {
        SigningErrorKind::Denied => Class::KeyDenied,
        _ => Class::Key,
    };
    let failure = Failure::new(side, class, format!("key {key}: {error}"));
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn strange(digest: Digest, whose: &[String]) -> Failure {
    let message = format!(
        "{digest} has a signature there that is neither by this key nor from its source: {}",
        whose.join("; ")
    );
    Failure::new(Side::Target, Class::Signature, message).with_hint(
        "find out who else publishes there; what is theirs has to go before the mirror signs",
    )
}

//! The mirror's own signatures: made before the tag is set, and looked for where it is set already.

use std::sync::Arc;

use oci::{Descriptor, Digest, Manifest};
use signing::{KeyReference, Signer, SigningError, SigningErrorKind};

use super::found::Found;
use super::publish::Publisher;
use super::rule::{Seen, Verdict, decide};
use super::{SignWith, SignatureFormat, SignatureReport, SignatureState, attest, logged, publish};
use crate::item::Item;
use crate::place::Place;
use crate::plan::foresee;
use crate::walk::Walk;
use crate::{Class, Failure, Mode, Side, closure};

/// Something that is to be signed.
pub(crate) struct Subject {
    pub(super) digest: Digest,
    /// Where it was read already.
    descriptor: Option<Descriptor>,
}

impl Subject {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        Self { digest: manifest.digest(), descriptor: Some(manifest.descriptor()) }
    }

    /// What a referrer calls it. Where nothing is written, nobody needs it.
    pub(super) async fn descriptor(&self, place: &Place) -> Result<Descriptor, Failure> {
        if let Some(descriptor) = &self.descriptor {
            return Ok(descriptor.clone());
        }
        Ok(there(place, self.digest).await?.descriptor())
    }
}

/// Signs what an item's copy is made of, its root first, where that is wanted and not done.
pub(crate) async fn sign(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    subjects: &[Subject],
) -> Result<(), Failure> {
    let Some(with) = &item.wanted.signatures.sign else { return Ok(()) };
    item.signature_is(SignatureReport::all(with, SignatureState::Missing));
    let signatures = sign_all(walk, with, source, target, subjects).await;
    let signatures = signatures.map_err(|failure| unless_lost(item, failure))?;
    let statement = match (with.attest, subjects.first()) {
        (true, Some(root)) => {
            Some(attest::mirrored(walk, item, &publisher(walk, with)?, target, root).await?)
        }
        _ => None,
    };
    told(item, SignatureReport::of(with, signatures, statement));
    Ok(())
}

/// Signs all of these.
pub(super) async fn sign_all(
    walk: &Walk,
    with: &SignWith,
    source: &Place,
    target: &Place,
    subjects: &[Subject],
) -> Result<SignatureState, Failure> {
    let publisher = publisher(walk, with)?;
    if with.attest && !subjects.is_empty() {
        logged::takes(&publisher, false, true).await?;
    }
    let mut state = SignatureState::Present;
    for subject in subjects {
        state = state.max(one(walk, &publisher, with.format, source, target, subject).await?);
    }
    Ok(state)
}

/// Looks for the signatures of a tag that is there, and for the statement about its mirroring, and makes
/// those that are missing, as far as the run's mode allows.
pub(crate) async fn check(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    root: Digest,
) -> Result<(), Failure> {
    let Some(with) = &item.wanted.signatures.sign else { return Ok(()) };
    let subjects = subjects(walk, target, root, with.recursively).await?;
    if walk.options.mode == Mode::Sync {
        return sign(walk, item, source, target, &subjects).await;
    }
    item.signature_is(SignatureReport::all(with, SignatureState::Missing));
    let looked = look(walk, with, source, target, &subjects).await;
    let Looked { state, unsigned, is_unlogged } =
        looked.map_err(|failure| unless_lost(item, failure))?;
    let verifies = walk.options.mode == Mode::Verify;
    if verifies && state == SignatureState::WouldSign {
        return Err(not_signed(with, is_unlogged));
    }
    let statement = match with.attest {
        true => Some(attest::look(walk, item, &publisher(walk, with)?, target, root).await?),
        false => None,
    };
    if verifies && statement.is_some_and(|statement| statement != SignatureState::Present) {
        return Err(not_stated(item, with));
    }
    told(item, SignatureReport::of(with, state, statement));
    let attests = matches!(statement, Some(SignatureState::WouldSign | SignatureState::Unchecked));
    if walk.options.foresees && (attests || !unsigned.is_empty()) {
        foresee::signatures(item, source, root, unsigned, attests);
    }
    Ok(())
}

/// What there is of the signatures that are wanted.
struct Looked {
    state: SignatureState,
    /// What would be signed.
    unsigned: Vec<Digest>,
    /// Whether there is one by the key that is in no transparency log, and should be.
    is_unlogged: bool,
}

/// Looks for signatures of all of these.
async fn look(
    walk: &Walk,
    with: &SignWith,
    source: &Place,
    target: &Place,
    subjects: &[Subject],
) -> Result<Looked, Failure> {
    let publisher = publisher(walk, with)?;
    let signer = publisher.signer;
    let mut is_unlogged = false;
    let (mut state, mut unsigned) = (SignatureState::Present, Vec::new());
    for subject in subjects {
        let found = Found::at(target, subject.digest).await?;
        // A plan does not ask a service for its key.
        if found.is_empty() {
            unsigned.push(subject.digest);
            state = state.max(SignatureState::WouldSign);
        } else if walk.options.mode == Mode::Plan && is_in_a_service(signer.reference()) {
            // One that is not by the key would have to be made.
            unsigned.push(subject.digest);
            state = state.max(SignatureState::Unchecked);
        } else {
            let seen = seen(&publisher, source, &found, subject.digest).await?;
            is_unlogged |= seen.own_unlogged;
            match decide(with.format, &seen) {
                Verdict::Signed => {}
                Verdict::Sign { .. } => {
                    unsigned.push(subject.digest);
                    state = state.max(SignatureState::WouldSign);
                }
                Verdict::Refused(whose) => return Err(strange(subject.digest, &whose)),
            }
        }
    }
    Ok(Looked { state, unsigned, is_unlogged })
}

/// Notes what became of all that the key is to sign.
fn told(item: &Item, signature: SignatureReport) {
    if signature.statement == Some(SignatureState::Missing) {
        item.report().notes.push(UNSTATABLE.to_owned());
    }
    item.signature_is(signature);
}

const UNSTATABLE: &str = "there is no statement about its mirroring, and none can be made any more: \
    the source has lost it";

/// That a signature of an item's copy is not there.
fn not_signed(SignWith { key, log, .. }: &SignWith, is_unlogged: bool) -> Failure {
    let message = match (is_unlogged, log) {
        (true, Some(log)) => format!("a signature of it by {key} is not in the log {log}"),
        _ => format!("it is not signed by {key}"),
    };
    Failure::new(Side::Target, Class::Signature, message).with_hint("`sync` signs it")
}

/// That the statement about an item's copy is not there.
fn not_stated(item: &Item, with: &SignWith) -> Failure {
    let SignWith { key, log, .. } = with;
    let logged = log.as_ref().map_or(String::new(), |log| format!(" that is in the log {log}"));
    let message = format!("there is no statement about its mirroring by {key}{logged}");
    let hint = match is_lost(item) {
        true => "none can be made any more: the source has lost it",
        false => "`sync` makes it",
    };
    Failure::new(Side::Target, Class::Signature, message).with_hint(hint)
}

/// Whether the source has lost what is to be signed.
fn is_lost(item: &Item) -> bool {
    item.report().source_digest.is_none()
}

/// A refusal of strangers' signatures, with what it may come from where the source has lost the image, and
/// with it what proved that they came from there.
fn unless_lost(item: &Item, failure: Failure) -> Failure {
    match failure.class == Class::Signature && is_lost(item) {
        true => failure.with_hint(STRANGE_AND_LOST),
        false => failure,
    }
}

/// What is to be signed of an image that is there.
async fn subjects(
    walk: &Walk,
    target: &Place,
    root: Digest,
    recursively: bool,
) -> Result<Vec<Subject>, Failure> {
    if !recursively {
        return Ok(vec![Subject { digest: root, descriptor: None }]);
    }
    let root = there(target, root).await?;
    let closure = closure::read(target, Side::Target, root, walk.options.foreign_layers).await?;
    Ok(closure.levels.iter().rev().flatten().map(Subject::of).collect())
}

/// A manifest that the target has.
async fn there(target: &Place, digest: Digest) -> Result<Manifest, Failure> {
    let missing = || Failure::new(Side::Target, Class::Content, "its manifest is gone");
    target.manifest(digest).await?.ok_or_else(missing)
}

/// Signs one manifest, if that is to be done.
async fn one(
    walk: &Walk,
    publisher: &Publisher<'_>,
    format: SignatureFormat,
    source: &Place,
    target: &Place,
    subject: &Subject,
) -> Result<SignatureState, Failure> {
    let turn = walk.signing_turns.of(target, subject.digest);
    let _turn = turn.lock().await;
    let found = Found::at(target, subject.digest).await?;
    let seen = seen(publisher, source, &found, subject.digest).await?;
    match decide(format, &seen) {
        Verdict::Signed => Ok(SignatureState::Present),
        Verdict::Refused(whose) => Err(strange(subject.digest, &whose)),
        Verdict::Sign { legacy, bundle } => {
            if let Some(fence) = &walk.options.fence {
                fence.check_signature(target.location(), subject.digest)?;
            }
            logged::takes(publisher, legacy, bundle).await?;
            if legacy {
                publish::legacy(walk, publisher, target, subject.digest, &found).await?;
            }
            if bundle {
                let subject = subject.descriptor(target).await?;
                publish::bundle(walk, publisher, target, &subject).await?;
            }
            Ok(SignatureState::Signed)
        }
    }
}

/// Whose the signatures are that the target has. The source is asked only where there is one that
/// is not ours and none that is.
async fn seen(
    publisher: &Publisher<'_>,
    source: &Place,
    found: &Found,
    digest: Digest,
) -> Result<Seen, Failure> {
    let Publisher { signer, log } = *publisher;
    let public = signer.public_key().await;
    let public = public.map_err(|error| failed(Side::Target, signer.reference(), &error))?;
    let mut seen = found.by(&public, log, digest);
    if !seen.has_own() && !seen.strangers.is_empty() {
        let came_along = Found::at(source, digest).await.map_err(|failure| Failure {
            message: format!(
                "whose the signatures there are, the source does not say: {}",
                failure.message
            ),
            ..failure
        })?;
        seen.strangers = found.without(&came_along).by(&public, log, digest).strangers;
    }
    Ok(seen)
}

/// Whether to see the key costs a request to somebody.
pub(super) fn is_in_a_service(key: &KeyReference) -> bool {
    !matches!(key, KeyReference::File(_) | KeyReference::Variable(_) | KeyReference::Inline(_))
}

/// Who signs, as an item says.
fn publisher<'a>(walk: &'a Walk, with: &'a SignWith) -> Result<Publisher<'a>, Failure> {
    let signer = signer(walk, &with.key, Side::Target)?;
    Ok(Publisher { signer, log: with.log.as_deref() })
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

const STRANGE_AND_LOST: &str = "the source has lost the image, so nothing there proves that they came from it; \
    `image-syncer sign` signs beside them";

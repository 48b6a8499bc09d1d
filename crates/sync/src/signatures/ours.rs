//! The mirror's own signatures: made before the tag is set, and looked for where it is set already.

use std::sync::Arc;

use oci::{Descriptor, Digest, Manifest};
use signing::{KeyReference, PublicKey, Signer, SigningError, SigningErrorKind};

use super::found::Found;
use super::publish::Publisher;
use super::rule::{Seen, Verdict, decide};
use super::{SignWith, SignatureReport, SignatureState, attest, former, logged, publish};
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
        state = state.max(one(walk, &publisher, with, source, target, subject).await?);
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
    let looked = looked.map_err(|failure| unless_lost(item, failure))?;
    let verifies = walk.options.mode == Mode::Verify;
    if verifies && looked.state == SignatureState::WouldSign {
        return Err(not_signed(with, &looked));
    }
    let Looked { state, unsigned, .. } = looked;
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
    /// Whether there is one by a former key, and none by today's.
    is_former: bool,
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
    let (mut is_unlogged, mut is_former) = (false, false);
    let (mut state, mut unsigned) = (SignatureState::Present, Vec::new());
    for subject in subjects {
        let found = Found::at(target, subject.digest).await?;
        // A plan does not ask a service for its key.
        if found.is_empty() {
            unsigned.push(subject.digest);
            state = state.max(SignatureState::WouldSign);
        } else if walk.options.mode == Mode::Plan
            && asks_a_service(&publisher, with, &found, subject.digest).await?
        {
            // One that is not by the key would have to be made.
            unsigned.push(subject.digest);
            state = state.max(SignatureState::Unchecked);
        } else {
            let seen = seen(walk, &publisher, with, source, &found, subject.digest).await?;
            is_unlogged |= seen.own_unlogged;
            is_former |= seen.own_former;
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
    Ok(Looked { state, unsigned, is_unlogged, is_former })
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
fn not_signed(SignWith { key, log, .. }: &SignWith, looked: &Looked) -> Failure {
    let (message, hint) = match log {
        Some(log) if looked.is_unlogged => {
            (format!("a signature of it by {key} is not in the log {log}"), "`sync` signs it")
        }
        _ if looked.is_former => (
            format!("it is signed by a former key of the mirror, not by {key}"),
            "`sync` signs it anew",
        ),
        _ => (format!("it is not signed by {key}"), "`sync` signs it"),
    };
    Failure::new(Side::Target, Class::Signature, message).with_hint(hint)
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
    with: &SignWith,
    source: &Place,
    target: &Place,
    subject: &Subject,
) -> Result<SignatureState, Failure> {
    let turn = walk.signing_turns.of(target, subject.digest);
    let _turn = turn.lock().await;
    let found = Found::at(target, subject.digest).await?;
    let seen = seen(walk, publisher, with, source, &found, subject.digest).await?;
    match decide(with.format, &seen) {
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

/// Whose the signatures are that the target has. Former keys, and then the source, are asked for only
/// where there is one that is not ours and none that is.
async fn seen(
    walk: &Walk,
    publisher: &Publisher<'_>,
    with: &SignWith,
    source: &Place,
    found: &Found,
    digest: Digest,
) -> Result<Seen, Failure> {
    let log = publisher.log;
    let public = public_key(publisher).await?;
    let seen = found.by(&public, &[], log, digest);
    if seen.has_own() || seen.strangers.is_empty() {
        return Ok(seen);
    }
    let former = former::keys(walk, with).await;
    let known = former.as_deref().unwrap_or_default();
    let mut seen = found.by(&public, known, log, digest);
    if !seen.has_own() {
        let came_along = Found::at(source, digest).await.map_err(|failure| Failure {
            message: format!(
                "whose the signatures there are, the source does not say: {}",
                failure.message
            ),
            ..failure
        })?;
        seen.strangers = found.without(&came_along).by(&public, known, log, digest).strangers;
    }
    match former {
        // Nobody is called a stranger before all keys of ours are known.
        Err(failure) if !seen.strangers.is_empty() => Err(failure),
        _ => Ok(seen),
    }
}

/// Whether a key service is to be asked whose the signatures are that the target has. A plan asks none.
async fn asks_a_service(
    publisher: &Publisher<'_>,
    with: &SignWith,
    found: &Found,
    digest: Digest,
) -> Result<bool, Failure> {
    if is_in_a_service(&with.key) || !with.former.iter().any(is_in_a_service) {
        return Ok(is_in_a_service(&with.key));
    }
    let public = public_key(publisher).await?;
    Ok(!found.by(&public, &[], publisher.log, digest).has_own())
}

/// The public half of the key that signs.
async fn public_key(publisher: &Publisher<'_>) -> Result<Arc<PublicKey>, Failure> {
    let signer = publisher.signer;
    let public = signer.public_key().await;
    public.map_err(|error| failed(Side::Target, signer.reference(), &error))
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
        "find out who else publishes there; what is theirs has to go before the mirror signs; if it is an \
         earlier key of this mirror, name it in `formerKeys`",
    )
}

const STRANGE_AND_LOST: &str = "the source has lost the image, so nothing there proves that they came from it; \
    `image-syncer sign` signs beside them; what an earlier key of this mirror made is known by `formerKeys`";

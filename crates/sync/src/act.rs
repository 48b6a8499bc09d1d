//! [`Act`]: something that changed a target, or was refused; and who witnesses it.
//!
//! An [`Event`](crate::Event) is told to whoever listens and forgotten. An act is handed to the
//! [`Witness`], and what it belongs to has not ended before the witness has it on record. Before an
//! act the witness is asked for room for it: what could not be recorded is not begun. Nothing is asked
//! for items that are up to date.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use oci::{Digest, Location, Selection};
use tokio_util::sync::CancellationToken;

use crate::item::Item;
use crate::{Class, Failure, ItemReport, Origin, Outcome, Side, Wish};

/// Something that changed a target, or was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Act {
    /// What kind of act.
    pub kind: ActKind,
    /// Where content came from, as text; none where none came.
    pub source: Option<String>,
    /// What was changed or left alone, as text: a tag, a digest in a repository, a repository.
    pub target: String,
    /// What the target had before; none where it had nothing, or where that is no digest.
    pub from: Option<Digest>,
    /// What it has now; for what was refused or left alone, what was wanted.
    pub to: Option<Digest>,
    /// What had been decided, in a word or two.
    pub decision: &'static str,
    /// What the decision goes by, and what is known of the act.
    pub evidence: Evidence,
}

/// A kind of act.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ActKind {
    /// A tag was absent and points at an image now.
    TagPublished,
    /// A signature was made.
    SignatureMade,
    /// A statement about the mirroring was made and signed.
    AttestationMade,
    /// A referrer of the source was brought along.
    ReferrerBrought,
    /// A tag of cosign's was brought along.
    CompanionTagBrought,
    /// The list of referrers under a fallback tag was rewritten, and has more entries now.
    ReferrerListRewritten,
    /// An ECR repository or registry was changed, or made.
    RepositoryChanged,
    /// An act was begun, and that it was done is not known.
    Unfinished,
    /// A policy forbade it.
    Refused,
    /// The target's tag holds other content; it was left alone.
    DriftLeftAlone,
    /// What was wanted could not be done.
    Failed,
}

/// What a decision goes by, and what is known of an act. Empty where nothing is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// The place in a sync file that asked for it.
    pub origin: Option<Origin>,
    /// The digest seen at the source.
    pub source_digest: Option<Digest>,
    /// The digest seen at the target, before the act.
    pub target_digest: Option<Digest>,
    /// What the target's tag pointed at when it was read back after the act.
    pub read_back: Option<Digest>,
    /// The digest that the sync file pins the source to.
    pub pin: Option<Digest>,
    /// What a signature, an attestation or a referrer is about.
    pub subject: Option<Digest>,
    /// The key that signed.
    pub key: Option<String>,
    /// By whom the source is signed, of those that it had to be signed by.
    pub verified: Vec<String>,
    /// The rules that the source's signatures had to satisfy, by their places.
    pub rules: Vec<String>,
    /// What was changed of a repository.
    pub changes: Vec<String>,
    /// Of an unfinished act: what kind it would have been.
    pub begun: Option<ActKind>,
    /// Why it failed or was refused.
    pub failure: Option<Failure>,
}

/// Someone who keeps a record of acts that outlives the run.
///
/// Called from many tasks at once.
pub trait Witness: fmt::Debug + Send + Sync {
    /// Sees to it that one more act can be recorded.
    ///
    /// # Errors
    /// It could not be; the act is not begun then, and no other after it.
    fn ready(&self) -> BoxFuture<'_, Result<Room, Unrecorded>>;

    /// Records an act. When the answer comes, the record survives the loss of power. The act is on its
    /// way when this returns, also where nobody waits for the answer any more.
    ///
    /// # Errors
    /// It was not recorded.
    fn record(&self, act: Act) -> BoxFuture<'_, Result<(), Unrecorded>>;
}

/// Room for one record, kept until it is dropped.
#[derive(Debug)]
pub struct Room(Arc<AtomicUsize>);

impl Room {
    /// Takes one more of those that `taken` counts.
    pub fn take(taken: &Arc<AtomicUsize>) -> Self {
        taken.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(taken))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why nothing can be recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unrecorded {
    /// What stands in the way, in one line.
    pub problem: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Unrecorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Unrecorded {}

impl Unrecorded {
    /// What becomes of an act, named as in "a tag", that was to be done, or that was done already.
    pub fn failure(self, kind: ActKind, is_done: bool) -> Failure {
        let message = if is_done {
            format!("{kind}, but that could not be recorded in the audit log: {self}")
        } else {
            format!("nothing was begun, because the audit log cannot be written: {self}")
        };
        let failure = Failure::new(Side::Target, Class::Storage, message);
        match self.hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl ActKind {
    /// Its name, as it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TagPublished => "tag-published",
            Self::SignatureMade => "signature-made",
            Self::AttestationMade => "attestation-made",
            Self::ReferrerBrought => "referrer-brought",
            Self::CompanionTagBrought => "companion-tag-brought",
            Self::ReferrerListRewritten => "referrer-list-rewritten",
            Self::RepositoryChanged => "repository-changed",
            Self::Unfinished => "unfinished",
            Self::Refused => "refused",
            Self::DriftLeftAlone => "drift-left-alone",
            Self::Failed => "failed",
        }
    }
}

/// In words: "the tag was published".
impl fmt::Display for ActKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TagPublished => "the tag was published",
            Self::SignatureMade => "a signature was made",
            Self::AttestationMade => "an attestation was made",
            Self::ReferrerBrought => "a referrer was copied",
            Self::CompanionTagBrought => "a tag of cosign's was copied",
            Self::ReferrerListRewritten => "the list of referrers was rewritten",
            Self::RepositoryChanged => "the repository was changed",
            Self::Unfinished => "something was begun",
            Self::Refused => "it was refused",
            Self::DriftLeftAlone => "it was found to have drifted",
            Self::Failed => "it failed",
        })
    }
}

impl Act {
    /// An act at a tag of a place.
    pub(crate) fn at_tag(kind: ActKind, location: &Location, tag: &oci::Tag) -> Self {
        Self::at(kind, format!("{location}:{tag}"))
    }

    /// An act about a digest at a place.
    pub(crate) fn at_digest(kind: ActKind, location: &Location, digest: &Digest) -> Self {
        Self::at(kind, format!("{location}@{digest}"))
    }

    fn at(kind: ActKind, target: String) -> Self {
        let decision = match kind {
            ActKind::SignatureMade | ActKind::AttestationMade => "sign",
            ActKind::ReferrerListRewritten => "list",
            _ => "copy",
        };
        let evidence = Evidence::default();
        Self { kind, source: None, target, from: None, to: None, decision, evidence }
    }

    /// That an item's tag was published.
    pub(crate) fn published(item: &Item, to: Digest) -> Self {
        let (report, wanted) = (item.report(), &item.wanted);
        let moved = item.copied() == Outcome::SourceMoved;
        Self {
            kind: ActKind::TagPublished,
            source: Some(wanted.source.to_string()),
            target: wanted.target.to_string(),
            from: None,
            to: Some(to),
            decision: if moved { "copy what is pinned" } else { "copy" },
            evidence: Evidence::of(&report),
        }
    }

    /// That an item did not end as it was wanted to, and that this is for the record: what was refused,
    /// left alone, or failed. What was only put off is not, nor is what is as wanted.
    pub fn of_end(report: &ItemReport) -> Option<Self> {
        let (kind, decision) = match report.outcome {
            Outcome::Refused => (ActKind::Refused, "refuse"),
            Outcome::Drift => (ActKind::DriftLeftAlone, "drift"),
            Outcome::Failed => (ActKind::Failed, "fail"),
            Outcome::SourceMissing => (ActKind::Failed, "source missing"),
            Outcome::Copied
            | Outcome::WouldCopy
            | Outcome::UpToDate
            | Outcome::SourceMoved
            | Outcome::SourceLost
            | Outcome::Deferred => return None,
        };
        Some(Self {
            kind,
            source: Some(report.wanted.source()),
            target: report.wanted.target(),
            from: report.target_digest,
            to: report.source_digest,
            decision,
            evidence: Evidence { failure: report.failure.clone(), ..Evidence::of(report) },
        })
    }
}

impl Evidence {
    fn of(report: &ItemReport) -> Self {
        let (signatures, origin, pin) = match &report.wanted {
            Wish::Tag(wanted) => {
                let pin = match &wanted.source.selection {
                    Selection::Digest(digest) | Selection::Pinned { digest, .. } => Some(*digest),
                    Selection::Tag(_) => None,
                };
                (&wanted.signatures, &wanted.origin, pin)
            }
            Wish::Selection(selection) => (&selection.signatures, &selection.origin, None),
        };
        Self {
            origin: origin.clone(),
            source_digest: report.source_digest,
            target_digest: report.target_digest,
            pin,
            verified: report.verified.clone(),
            rules: signatures.demands.iter().map(|demand| demand.rule.clone()).collect(),
            ..Self::default()
        }
    }
}

/// The acts of a run on their way to its witness, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Acts(Option<Arc<Shared>>);

struct Shared {
    witness: Arc<dyn Witness>,
    /// Cancelled when something could not be recorded: nothing more may be begun.
    failed: CancellationToken,
    /// Those that were begun and of which it is not known whether they were done.
    unfinished: Mutex<Vec<Act>>,
}

impl Acts {
    pub(crate) fn new(witness: Option<Arc<dyn Witness>>) -> Self {
        Self(witness.map(|witness| {
            let (failed, unfinished) = (CancellationToken::new(), Mutex::default());
            Arc::new(Shared { witness, failed, unfinished })
        }))
    }

    /// Returns when something could not be recorded.
    pub(crate) async fn failed(&self) {
        match &self.0 {
            Some(shared) => shared.failed.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether something could not be recorded.
    pub(crate) fn have_failed(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.failed.is_cancelled())
    }

    /// Asks for room for an act, which may begin then.
    pub(crate) async fn begin(&self, act: impl FnOnce() -> Act) -> Result<Begun, Failure> {
        let Some(shared) = &self.0 else { return Ok(Begun(None)) };
        let act = act();
        match shared.witness.ready().await {
            Ok(room) => Ok(Begun(Some((Arc::clone(shared), room, act)))),
            Err(problem) => {
                shared.failed.cancel();
                Err(problem.failure(act.kind, false))
            }
        }
    }

    /// Records how items ended, where that is for the record, and acts whose end is not known. An
    /// item whose end could not be recorded says so.
    pub(crate) async fn ended(&self, reports: impl Iterator<Item = &mut ItemReport>) {
        let Some(shared) = &self.0 else { return };
        let unfinished = {
            let mut unfinished = shared.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *unfinished)
        };
        let unfinished = unfinished.into_iter().map(|act| shared.record(act));
        let ends = reports.filter_map(|report| Act::of_end(report).map(|act| (report, act)));
        let ends = ends.map(|(report, act)| async {
            if let Err(problem) = shared.record(act).await {
                let note = format!("this could not be recorded in the audit log: {problem}");
                report.notes.push(note);
            }
        });
        let unfinished = futures::future::join_all(unfinished);
        futures::future::join(unfinished, futures::future::join_all(ends)).await;
    }
}

impl Shared {
    async fn record(&self, act: Act) -> Result<(), Unrecorded> {
        let recorded = self.witness.record(act).await;
        if recorded.is_err() {
            self.failed.cancel();
        }
        recorded
    }
}

/// An act that has begun. Dropped, it is one of which nobody knows whether it was done.
pub(crate) struct Begun(Option<(Arc<Shared>, Room, Act)>);

impl Begun {
    /// Records that it was done, with what is known of it now.
    pub(crate) async fn done(mut self, learn: impl FnOnce(&mut Act)) -> Result<(), Failure> {
        let Some((shared, room, mut act)) = self.0.take() else { return Ok(()) };
        learn(&mut act);
        let kind = act.kind;
        let recorded = shared.record(act).await;
        drop(room);
        recorded.map_err(|problem| problem.failure(kind, true))
    }

    /// Nothing had to be done.
    pub(crate) fn was_nothing(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some((shared, _room, mut act)) = self.0.take() else { return };
        act.evidence.begun = Some(act.kind);
        act.kind = ActKind::Unfinished;
        shared.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(act);
    }
}

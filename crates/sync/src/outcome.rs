//! [`ItemReport`] and [`RunReport`]: what became of each wanted item.

use std::time::Duration;

use oci::{Digest, Extent};

use crate::{Class, Failure, Foreseen, SignatureReport, Wish};

/// The one thing that became of an item.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The target did not have the tag and has it now.
    Copied,
    /// The target does not have the tag; a dry run left it so.
    WouldCopy,
    /// The target had it already.
    UpToDate,
    /// The target's tag holds other content. It was left alone.
    Drift,
    /// The source's tag no longer points at the pinned digest; the target has what was pinned.
    SourceMoved,
    /// The source does not have it, and neither does the target.
    SourceMissing,
    /// The source no longer has it; the target still does.
    SourceLost,
    /// A policy forbids it.
    Refused,
    /// It could not be done.
    Failed,
    /// It was put off: a rate limit, the deadline, or the run was stopped before its turn.
    Deferred,
}

/// How content came to the target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Moved through this program.
    Copied,
    /// Taken over from another repository of the target.
    Mounted,
    /// It was there.
    Present,
}

/// Bytes of blobs by the way they came, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Transferred {
    /// Moved through this program.
    pub copied: u64,
    /// Taken over from another repository of the target.
    pub mounted: u64,
    /// Already there.
    pub present: u64,
}

impl Transferred {
    pub(crate) fn add(&mut self, way: Way, size: u64) {
        match way {
            Way::Copied => self.copied += size,
            Way::Mounted => self.mounted += size,
            Way::Present => self.present += size,
        }
    }
}

/// Referrers and signatures that came to belong to an image after it was copied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LateArrivals {
    /// So many were copied.
    Copied(usize),
    /// So many would be copied; a plan left them.
    WouldCopy(usize),
}

/// What became of one item.
#[derive(Clone, Debug)]
pub struct ItemReport {
    /// What was wanted.
    pub wanted: Wish,
    /// What became of it.
    pub outcome: Outcome,
    /// The digest at the source, as far as it was learned.
    pub source_digest: Option<Digest>,
    /// The digest that the target's tag points at in the end, as far as it is known.
    pub target_digest: Option<Digest>,
    /// For drift where only a part of the source is wanted: the digest to pin the source to, so
    /// that the target has what is wanted of it; none where that is not known.
    pub part_of: Option<Digest>,
    /// By whom the source is signed, of those that it had to be signed by.
    pub verified: Vec<String>,
    /// What became of its signature, where it is to be signed.
    pub signature: Option<SignatureReport>,
    /// What came to belong to it after it was copied.
    pub late: Option<LateArrivals>,
    /// What would be written for it, where a plan was asked to find out.
    pub foreseen: Option<Box<Foreseen>>,
    /// What was moved for it.
    pub transferred: Transferred,
    /// How long it took.
    pub duration: Duration,
    /// Why it failed, was refused or was put off.
    pub failure: Option<Failure>,
    /// What a reader should know besides: content that was left out, a tag that moved.
    pub notes: Vec<String>,
}

impl ItemReport {
    pub(crate) fn new(wanted: impl Into<Wish>, outcome: Outcome) -> Self {
        Self {
            wanted: wanted.into(),
            outcome,
            source_digest: None,
            target_digest: None,
            part_of: None,
            verified: Vec::new(),
            signature: None,
            late: None,
            foreseen: None,
            transferred: Transferred::default(),
            duration: Duration::ZERO,
            failure: None,
            notes: Vec::new(),
        }
    }

    /// Turns it into the report of a failure. A rate limit or the deadline puts an item off, it does
    /// not end it; a signature that is not what is wanted refuses it.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.outcome = match failure.class {
            Class::RateLimited | Class::Deadline => Outcome::Deferred,
            Class::Signature => Outcome::Refused,
            _ => Outcome::Failed,
        };
        self.failure = Some(failure);
    }

    /// For drift: the source, pinned to what the target has; where only a part was wanted, to what
    /// that is a part of.
    pub fn pinned(&self) -> Option<String> {
        let (Wish::Tag(wanted), Outcome::Drift) = (&self.wanted, self.outcome) else {
            return None;
        };
        let digest = match wanted.extent {
            Extent::Whole => self.target_digest,
            Extent::Platforms(_) | Extent::Image(_) => self.part_of,
            // A chart is wanted by its version.
            Extent::Chart => None,
        };
        digest.map(|digest| wanted.pinned_to(digest))
    }

    /// For drift: the line of the sync file that pins what the target has.
    pub fn pin_line(&self) -> Option<String> {
        self.pinned().map(|source| format!("- source: \"{source}\""))
    }
}

/// What became of a whole run, items in the order they were wanted.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// One report for each wanted item.
    pub items: Vec<ItemReport>,
    /// How long the run took.
    pub duration: Duration,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
}

impl RunReport {
    /// How many items ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.items.iter().filter(|item| item.outcome == outcome).count()
    }

    /// What was moved in all.
    pub fn transferred(&self) -> Transferred {
        self.items.iter().fold(Transferred::default(), |sum, item| Transferred {
            copied: sum.copied + item.transferred.copied,
            mounted: sum.mounted + item.transferred.mounted,
            present: sum.present + item.transferred.present,
        })
    }
}

//! [`Item`]: one wanted item and what became of it, as the report tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sync::ItemReport;

use super::{Error, ErrorClass, LateArrivals, Outcome, Timing, seconds};
use crate::ForeseenNumbers;
use crate::repositories::{RepositoryReport, is_chart};

/// One wanted item.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Where the content comes from; a repository without a tag where tags could not be selected. For a
    /// repository as desired state it is the sync file.
    pub source: String,
    /// The tag that is to hold it; a repository without a tag where tags could not be selected.
    pub target: String,
    /// The only platforms that were wanted of the source; left out where all of it was. Then the
    /// target's digest is not the source's: it is that of a part of the source's index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// The place in a sync file that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What became of it.
    pub outcome: Outcome,
    /// The manifest digest at the source, as far as it was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// The manifest digest that the target's tag points at in the end, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_digest: Option<String>,
    /// What was moved for it.
    pub bytes: Bytes,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Why it failed, was refused or was put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// By whom the source is signed, of those that it had to be signed by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<String>,
    /// What became of its signature, where it is to be signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Referrers and signatures that came to belong to it after it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_arrivals: Option<LateArrivals>,
    /// What would be written for it, where a plan was asked to find out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<ForeseenNumbers>,
    /// For drift: the line of the sync file that pins what the target has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_line: Option<String>,
    /// Of a repository: what was changed or would be, each as lines, `+` for what comes and `-` for what
    /// goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Of a repository: how many policies were put or removed.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub policies: usize,
    /// What a reader should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When things happened to it, where that was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
}

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A container image or another OCI artifact.
    Image,
    /// A Helm chart.
    Chart,
    /// A repository as desired state.
    Repository,
}

/// A place in a sync file.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The file as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// What became of the signature of an item's copy.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// The key, as it was named.
    pub key: String,
    /// What became of all that the key is to sign: of the signatures and of the statement, whichever weighs
    /// more (`missing`, `signed`, `would-sign`, `unchecked`, `present`).
    pub state: SignatureState,
    /// What became of the statement about the mirroring, where one is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<SignatureState>,
}

/// What became of a signature, or of a signed statement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureState {
    /// A valid one was there.
    Present,
    /// There are some; a plan does not ask the key whose.
    Unchecked,
    /// There was none by the key; nothing was written.
    WouldSign,
    /// It was signed.
    Signed,
    /// It could not be signed, or what is there is not what is wanted.
    Missing,
}

impl Kind {
    /// The kind of an item that is copied.
    pub(crate) fn of(item: &ItemReport) -> Self {
        if is_chart(item) { Self::Chart } else { Self::Image }
    }

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Chart => "chart",
            Self::Repository => "repository",
        }
    }
}

impl SignatureState {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Unchecked => "unchecked",
            Self::WouldSign => "would-sign",
            Self::Signed => "signed",
            Self::Missing => "missing",
        }
    }
}

/// Sizes of blobs by the way they came to the target, in bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bytes {
    /// Moved through the program.
    pub copied: u64,
    /// Taken over from another repository of the target.
    pub mounted: u64,
    /// Already there.
    pub present: u64,
}

impl Item {
    /// What its outcome means, as a sentence without its end.
    pub fn meaning(&self) -> &'static str {
        match (self.kind, self.outcome) {
            (Kind::Repository, Outcome::Drift) => {
                "the repository is not as it is to be, and that cannot be changed"
            }
            (Kind::Repository, Outcome::UpToDate) => "the repository is as it is to be",
            _ => self.outcome.meaning(),
        }
    }

    /// Whether the run was stopped before its turn came.
    pub fn never_begun(&self) -> bool {
        let why = self.error.as_ref().map(|error| error.class);
        self.outcome == Outcome::Deferred
            && matches!(why, Some(ErrorClass::Interrupted | ErrorClass::Deadline))
    }
}

impl Bytes {
    /// What did not have to be moved.
    pub fn saved(&self) -> u64 {
        self.mounted + self.present
    }

    /// All of it, whichever way it came.
    pub fn total(&self) -> u64 {
        self.copied + self.saved()
    }
}

fn is_none_of_them(policies: &usize) -> bool {
    *policies == 0
}

impl From<&sync::Origin> for Origin {
    fn from(origin: &sync::Origin) -> Self {
        Self { file: origin.file.clone(), line: origin.line }
    }
}

impl From<&ItemReport> for Item {
    fn from(item: &ItemReport) -> Self {
        Self {
            kind: Kind::of(item),
            source: item.wanted.source(),
            target: item.wanted.target(),
            platforms: item.wanted.extent().platforms().map(ToString::to_string).collect(),
            origin: item.wanted.origin().map(Origin::from),
            outcome: item.outcome.into(),
            source_digest: item.source_digest.map(|digest| digest.to_string()),
            target_digest: item.target_digest.map(|digest| digest.to_string()),
            bytes: item.transferred.into(),
            seconds: seconds(item.duration),
            error: item.failure.as_ref().map(Error::from),
            foreseen: ForeseenNumbers::of_item(item),
            pin_line: item.pin_line(),
            verified: item.verified.clone(),
            signature: item.signature.as_ref().map(Signature::from),
            late_arrivals: item.late.map(LateArrivals::from),
            changes: Vec::new(),
            policies: 0,
            notes: item.notes.clone(),
            timing: None,
        }
    }
}

impl From<&RepositoryReport> for Item {
    fn from(report: &RepositoryReport) -> Self {
        let origin = report.origin.as_ref();
        Self {
            kind: Kind::Repository,
            source: origin.map(|origin| origin.file.clone()).unwrap_or_default(),
            target: report.name.clone(),
            platforms: Vec::new(),
            origin: origin.map(Origin::from),
            outcome: report.outcome.into(),
            source_digest: None,
            target_digest: None,
            bytes: Bytes::default(),
            seconds: seconds(report.duration),
            error: report.failure.as_ref().map(Error::from),
            foreseen: None,
            pin_line: None,
            verified: Vec::new(),
            signature: None,
            late_arrivals: None,
            changes: report.changes.clone(),
            policies: report.policies,
            notes: report.notes.clone(),
            timing: None,
        }
    }
}

impl From<&sync::SignatureReport> for Signature {
    fn from(report: &sync::SignatureReport) -> Self {
        Self {
            key: report.key.to_string(),
            state: report.state.into(),
            statement: report.statement.map(SignatureState::from),
        }
    }
}

impl From<sync::SignatureState> for SignatureState {
    fn from(state: sync::SignatureState) -> Self {
        match state {
            sync::SignatureState::Present => Self::Present,
            sync::SignatureState::Unchecked => Self::Unchecked,
            sync::SignatureState::WouldSign => Self::WouldSign,
            sync::SignatureState::Signed => Self::Signed,
            sync::SignatureState::Missing => Self::Missing,
        }
    }
}

impl From<sync::Transferred> for Bytes {
    fn from(transferred: sync::Transferred) -> Self {
        Self {
            copied: transferred.copied,
            mounted: transferred.mounted,
            present: transferred.present,
        }
    }
}

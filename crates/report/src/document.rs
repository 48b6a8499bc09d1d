//! The JSON report: a contract from the first day. Its schema lies in `schema/report.schema.json`;
//! fields and values may be added, never renamed or removed.
//!
//! The types here are the contract and nothing else; the engine's types may change without it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sync::{ItemReport, RunReport};

use crate::ExitStatus;
use crate::hint::next_step;
use crate::registries::RegistryUse;
use crate::repositories::{RepositoryOutcome, RepositoryReport, is_chart};

/// The name of this contract, the first field of every report.
const SCHEMA: &str = "image-syncer/report/v1";

/// What became of a run, item by item.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer report")]
pub struct Document {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The run.
    pub run: Run,
    /// One entry for each wanted item, in the order they were wanted.
    pub items: Vec<Item>,
    /// The items taken together.
    pub summary: Summary,
    /// The registries that were asked, by side and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registries: Vec<RegistryUse>,
}

/// One run of the program.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// A name that no other run has (a UUID, version 7).
    pub id: String,
    /// The version of image-syncer.
    pub version: String,
    /// What the run did with what it decided.
    pub mode: Mode,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub started_at: Timestamp,
    /// When it ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub finished_at: Timestamp,
    /// Whether a signal stopped it before its end.
    pub interrupted: bool,
}

/// What a run does with what it decides.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It copied what was missing.
    Sync,
    /// It said what would be copied (`plan` or `--dry-run`) and wrote nothing.
    Plan,
    /// It checked that the target has everything and wrote nothing.
    Verify,
}

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
    /// For drift: the line of the sync file that pins what the target has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_line: Option<String>,
    /// Of a repository: what was changed or would be, each as lines, `+` for what comes and `-` for what
    /// goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// What a reader should know besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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

/// The one thing that became of an item.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target did not have the tag and has it now.
    Copied,
    /// The target does not have the tag; nothing was written.
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
    /// A repository was created.
    Created,
    /// A repository was changed.
    Updated,
    /// A repository is not there; nothing was written.
    WouldCreate,
    /// A repository is not as it is to be; nothing was written.
    WouldUpdate,
}

/// What became of the signature of an item's copy.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// The key, as it was named.
    pub key: String,
    /// What became of it.
    pub state: SignatureState,
}

/// What became of a signature.
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

/// Why an item did not end well.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// The side it happened on.
    pub side: ErrorSide,
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// What happened.
    pub message: String,
    /// What to do next, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A side of a copy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorSide {
    /// Where content comes from.
    Source,
    /// Where content goes to.
    Target,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The credentials were refused, or there were none.
    Credentials,
    /// The credentials are known but not allowed to do this.
    Denied,
    /// What was asked for is not there.
    NotFound,
    /// A rate limit stood in the way for longer than a run waits.
    RateLimited,
    /// The other side could not be reached or went away.
    Network,
    /// The connection could not be made secure.
    Tls,
    /// The other side failed (5xx).
    Server,
    /// The other side refused the request itself.
    Rejected,
    /// The content is not what its digest or size says.
    Content,
    /// The content is of a kind that cannot be copied.
    Unsupported,
    /// The answer makes no sense in the protocol.
    Protocol,
    /// A local file or folder could not be read or written.
    Storage,
    /// The rules that select tags do not fit the tags that are there.
    Selection,
    /// A signature is not what is wanted: none by a key that is trusted, or one by somebody else.
    Signature,
    /// The key that signs is not for us.
    KeyDenied,
    /// The key that signs, or its service, could not be used.
    Key,
    /// The run was stopped before it was done.
    Interrupted,
    /// The run's deadline came before it was done.
    Deadline,
}

/// The items taken together.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How many items were wanted.
    pub items: usize,
    /// How many ended with each outcome; an outcome that none had is left out.
    #[schemars(with = "BTreeMap<String, usize>")]
    pub outcomes: BTreeMap<Outcome, usize>,
    /// What was moved in all.
    pub bytes: Bytes,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// The code that the process exits with.
    pub exit_code: u8,
}

/// What a report says of its run besides its items.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// A name that no other run has.
    pub id: String,
    /// The version of the program.
    pub version: String,
    /// What the run does with what it decides.
    pub mode: sync::Mode,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The registries that were asked, by side and name.
    pub registries: Vec<RegistryUse>,
    /// What became of the repositories that are desired state, before everything else.
    pub repositories: Vec<RepositoryReport>,
}

impl Document {
    /// The document of a run that ended with `exit_status`.
    pub fn new(facts: &RunFacts, report: &RunReport, exit_status: ExitStatus) -> Self {
        let mut outcomes = BTreeMap::new();
        for item in &report.items {
            *outcomes.entry(Outcome::from(item.outcome)).or_default() += 1;
        }
        for repository in &facts.repositories {
            *outcomes.entry(Outcome::from(repository.outcome)).or_default() += 1;
        }
        let repositories = facts.repositories.iter().map(Item::from);
        Self {
            schema: SCHEMA.to_owned(),
            run: Run {
                id: facts.id.clone(),
                version: facts.version.clone(),
                mode: facts.mode.into(),
                started_at: facts.started_at,
                finished_at: facts.finished_at,
                interrupted: report.interrupted,
            },
            items: repositories.chain(report.items.iter().map(Item::from)).collect(),
            summary: Summary {
                items: facts.repositories.len() + report.items.len(),
                outcomes,
                bytes: report.transferred().into(),
                seconds: seconds(report.duration),
                exit_code: exit_status.code(),
            },
            registries: facts.registries.clone(),
        }
    }

    /// The document as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a document can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// The JSON Schema of [`Document`].
pub fn json_schema() -> Schema {
    schemars::schema_for!(Document)
}

/// Whole milliseconds are all that anybody reads.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

impl From<&ItemReport> for Item {
    fn from(item: &ItemReport) -> Self {
        Self {
            kind: if is_chart(item) { Kind::Chart } else { Kind::Image },
            source: item.wanted.source(),
            target: item.wanted.target(),
            platforms: item.wanted.extent().platforms().map(ToString::to_string).collect(),
            origin: item
                .wanted
                .origin()
                .map(|origin| Origin { file: origin.file.clone(), line: origin.line }),
            outcome: item.outcome.into(),
            source_digest: item.source_digest.map(|digest| digest.to_string()),
            target_digest: item.target_digest.map(|digest| digest.to_string()),
            bytes: item.transferred.into(),
            seconds: seconds(item.duration),
            error: item.failure.as_ref().map(Error::from),
            pin_line: item.pin_line(),
            verified: item.verified.clone(),
            signature: item.signature.as_ref().map(Signature::from),
            changes: Vec::new(),
            notes: item.notes.clone(),
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
            origin: origin.map(|origin| Origin { file: origin.file.clone(), line: origin.line }),
            outcome: report.outcome.into(),
            source_digest: None,
            target_digest: None,
            bytes: Bytes::default(),
            seconds: seconds(report.duration),
            error: report.failure.as_ref().map(Error::from),
            pin_line: None,
            verified: Vec::new(),
            signature: None,
            changes: report.changes.clone(),
            notes: report.notes.clone(),
        }
    }
}

impl From<RepositoryOutcome> for Outcome {
    fn from(outcome: RepositoryOutcome) -> Self {
        match outcome {
            RepositoryOutcome::Created => Self::Created,
            RepositoryOutcome::Updated => Self::Updated,
            RepositoryOutcome::UpToDate => Self::UpToDate,
            RepositoryOutcome::WouldCreate => Self::WouldCreate,
            RepositoryOutcome::WouldUpdate => Self::WouldUpdate,
            RepositoryOutcome::Drift => Self::Drift,
            RepositoryOutcome::Failed => Self::Failed,
            RepositoryOutcome::Deferred => Self::Deferred,
        }
    }
}

impl From<sync::Mode> for Mode {
    fn from(mode: sync::Mode) -> Self {
        match mode {
            sync::Mode::Sync => Self::Sync,
            sync::Mode::Plan => Self::Plan,
            sync::Mode::Verify => Self::Verify,
        }
    }
}

impl From<sync::Outcome> for Outcome {
    fn from(outcome: sync::Outcome) -> Self {
        match outcome {
            sync::Outcome::Copied => Self::Copied,
            sync::Outcome::WouldCopy => Self::WouldCopy,
            sync::Outcome::UpToDate => Self::UpToDate,
            sync::Outcome::Drift => Self::Drift,
            sync::Outcome::SourceMoved => Self::SourceMoved,
            sync::Outcome::SourceMissing => Self::SourceMissing,
            sync::Outcome::SourceLost => Self::SourceLost,
            sync::Outcome::Refused => Self::Refused,
            sync::Outcome::Failed => Self::Failed,
            sync::Outcome::Deferred => Self::Deferred,
        }
    }
}

impl From<&sync::SignatureReport> for Signature {
    fn from(report: &sync::SignatureReport) -> Self {
        let state = match report.state {
            sync::SignatureState::Present => SignatureState::Present,
            sync::SignatureState::Unchecked => SignatureState::Unchecked,
            sync::SignatureState::WouldSign => SignatureState::WouldSign,
            sync::SignatureState::Signed => SignatureState::Signed,
            sync::SignatureState::Missing => SignatureState::Missing,
        };
        Self { key: report.key.to_string(), state }
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

impl From<&sync::Failure> for Error {
    fn from(failure: &sync::Failure) -> Self {
        Self {
            side: match failure.side {
                sync::Side::Source => ErrorSide::Source,
                sync::Side::Target => ErrorSide::Target,
            },
            class: failure.class.into(),
            message: failure.message.clone(),
            hint: Some(next_step(failure).to_owned()),
        }
    }
}

impl From<sync::Class> for ErrorClass {
    fn from(class: sync::Class) -> Self {
        match class {
            sync::Class::Credentials => Self::Credentials,
            sync::Class::Denied => Self::Denied,
            sync::Class::NotFound => Self::NotFound,
            sync::Class::RateLimited => Self::RateLimited,
            sync::Class::Network => Self::Network,
            sync::Class::Tls => Self::Tls,
            sync::Class::Server => Self::Server,
            sync::Class::Rejected => Self::Rejected,
            sync::Class::Content => Self::Content,
            sync::Class::Unsupported => Self::Unsupported,
            sync::Class::Protocol => Self::Protocol,
            sync::Class::Storage => Self::Storage,
            sync::Class::Selection => Self::Selection,
            sync::Class::Signature => Self::Signature,
            sync::Class::KeyDenied => Self::KeyDenied,
            sync::Class::Key => Self::Key,
            sync::Class::Interrupted => Self::Interrupted,
            sync::Class::Deadline => Self::Deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn document() -> Document {
        Document::new(&sample::facts(), &sample::report(), ExitStatus::Drift)
    }

    #[test]
    fn the_document_is_what_it_was() {
        insta::assert_snapshot!(document().to_json().unwrap());
    }

    #[test]
    fn the_platforms_are_told_where_not_all_are_wanted() {
        let mut report = sample::report();
        let mut wanted = sync::Wanted::clone(&sample::wanted("nginx:1.27", 3));
        wanted.extent = oci::Extent::Image("linux/amd64".parse().unwrap());
        report.items[0].wanted = std::sync::Arc::new(wanted).into();
        let items = Document::new(&sample::facts(), &report, ExitStatus::Drift).items;
        assert_eq!(items[0].platforms, ["linux/amd64"]);
        assert_eq!(items[1].platforms, [""; 0]);
    }

    #[test]
    fn the_document_fits_its_schema_and_is_read_back() {
        let json = document().to_json().unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let schema = serde_json::to_value(json_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document());

        let mut wrong = value;
        wrong["items"][0]["outcome"] = "perhaps".into();
        assert!(!validator.is_valid(&wrong));
        wrong["items"][0]["outcome"] = "copied".into();
        wrong["schema"] = "image-syncer/report/v2".into();
        assert!(!validator.is_valid(&wrong));
    }

    /// After a wanted change: `image-syncer schema report > schema/report.schema.json`.
    #[test]
    fn the_schema_in_the_repository_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/report.schema.json");
        let expected = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}

//! The JSON report: a contract from the first day. Its schema lies in `schema/report.schema.json`;
//! fields and values may be added, never renamed or removed.
//!
//! The types here are the contract and nothing else; the engine's types may change without it.

mod change;
mod error;
mod item;
mod outcome;
mod severity;
mod timing;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sync::RunReport;

pub use change::{LateArrivals, LateState};
pub use error::{Error, ErrorClass, ErrorSide};
pub use item::{Bytes, Item, Kind, Origin, Signature, SignatureState};
pub use outcome::Outcome;
pub use severity::Severity;
pub use timing::{Blobs, Timing};

use crate::notices::NoticeReport;
use crate::registries::RegistryUse;
use crate::repositories::RepositoryReport;
use crate::{ExitStatus, ForeseenNumbers, SourceLost};

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
    /// What became of the notices that were due.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeReport>,
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
    /// Whether it counts as a failure that a source has lost what the target still has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub source_lost_fails: bool,
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
    /// What would be written in all, where a plan was asked to find out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<ForeseenNumbers>,
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
    /// What a lost source counts as.
    pub source_lost: SourceLost,
    /// When things happened to each item of the report, in its order ([`crate::Timeline::timings`]); empty
    /// where nobody took note.
    pub timings: Vec<Option<Timing>>,
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
        let timings = facts.timings.iter().cloned().chain(std::iter::repeat(None));
        let items = report.items.iter().zip(timings);
        let items = items.map(|(item, timing)| Item { timing, ..Item::from(item) });
        Self {
            schema: SCHEMA.to_owned(),
            run: Run {
                id: facts.id.clone(),
                version: facts.version.clone(),
                mode: facts.mode.into(),
                started_at: facts.started_at,
                finished_at: facts.finished_at,
                interrupted: report.interrupted,
                source_lost_fails: facts.source_lost == SourceLost::Fail,
            },
            items: repositories.chain(items).collect(),
            summary: Summary {
                items: facts.repositories.len() + report.items.len(),
                outcomes,
                bytes: report.transferred().into(),
                foreseen: ForeseenNumbers::of(report),
                seconds: seconds(report.duration),
                exit_code: exit_status.code(),
            },
            registries: facts.registries.clone(),
            notices: Vec::new(),
        }
    }

    /// How much one of its items matters to who reads of this run.
    pub fn severity(&self, item: &Item) -> Severity {
        Severity::of(item, &self.run)
    }

    /// The items that are not as they should be, the most urgent first; the order of the file stays within
    /// an urgency. Those whose turn never came are not among them: they share one reason.
    pub fn to_look_at(&self) -> Vec<&Item> {
        let is_bad = |item: &&Item| self.severity(item) >= Severity::Warning && !item.never_begun();
        let mut items: Vec<&Item> = self.items.iter().filter(is_bad).collect();
        items.sort_by_key(|item| (std::cmp::Reverse(self.severity(item)), item.outcome.urgency()));
        items
    }

    /// The items whose turn never came.
    pub fn never_begun(&self) -> Vec<&Item> {
        self.items.iter().filter(|item| item.never_begun()).collect()
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

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whole milliseconds are all that anybody reads.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Mode {
    /// As in reports and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Plan => "plan",
            Self::Verify => "verify",
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
    fn an_outcome_has_the_name_of_the_document() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
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

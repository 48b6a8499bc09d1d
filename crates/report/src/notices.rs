//! [`Notice`]: what of a run is told to people where they are, and when. Pure: who sends it is
//! [`crate::deliver`].
//!
//! A notice is made once and takes the form of the place it goes to: [`slack()`], [`teams()`], or its own
//! JSON, which a [`Template`] may change.

mod lines;
mod slack;
mod teams;
mod webhook;

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::document::{Item, Run, Summary};
use crate::{Document, Mode, Outcome, words};

pub use slack::slack;
pub use teams::teams;
pub use webhook::{Template, TemplateError, WebhookSignature};

/// The name of this contract, the first field of every notice.
const SCHEMA: &str = "image-syncer/notice/v1";

/// So many items a notice has at most; the report has all.
const MOST_ITEMS: usize = 100;

/// When a notice is sent.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// Something could not be done or was refused: an item failed, its source is missing, a signature is not
    /// what it must be.
    Failure,
    /// A target tag holds other content.
    Drift,
    /// Something was copied, created, updated or signed.
    Change,
    /// A plan has something to do: something would be copied, created, updated or signed.
    Pending,
    /// A sync or a verification ended, however.
    Always,
}

/// What a run gives occasion to. A plan is somebody looking at what would be: of it only [`Occasion::Pending`]
/// is told.
pub fn causes(document: &Document) -> BTreeSet<Occasion> {
    let is = |wanted: &[Outcome]| document.items.iter().any(|item| wanted.contains(&item.outcome));
    let is_pending = document.pending().next().is_some();
    let has_changed = document.items.iter().any(Item::has_changed);
    // With --source-lost=fail a lost source is a failure, which only the exit code tells.
    let code_says_failure = matches!(document.summary.exit_code, 1 | 4 | 5);
    let has_failed = is(&[Outcome::Failed, Outcome::SourceMissing, Outcome::Refused]);
    let occasions = match document.run.mode {
        Mode::Plan => [is_pending.then_some(Occasion::Pending), None, None, None],
        Mode::Sync | Mode::Verify => [
            (has_failed || code_says_failure).then_some(Occasion::Failure),
            is(&[Outcome::Drift]).then_some(Occasion::Drift),
            has_changed.then_some(Occasion::Change),
            Some(Occasion::Always),
        ],
    };
    occasions.into_iter().flatten().collect()
}

/// What is told of a run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer notice")]
pub struct Notice {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Why it is sent, of what was asked for.
    pub causes: BTreeSet<Occasion>,
    /// The run in one line.
    pub title: String,
    /// The run.
    pub run: Run,
    /// All of its items taken together.
    pub summary: Summary,
    /// The items that are worth a look, the worst ones first, at most 100.
    pub items: Vec<Item>,
    /// How many more there are.
    pub omitted: usize,
}

impl Notice {
    /// The notice of a run for who wants to hear on these occasions; none where there is none.
    pub fn of(document: &Document, on: &BTreeSet<Occasion>) -> Option<Self> {
        let causes: BTreeSet<Occasion> = causes(document).intersection(on).copied().collect();
        if causes.is_empty() {
            return None;
        }
        let mut items: Vec<Item> = document
            .items
            .iter()
            .filter(|item| lines::rank_of(item) < lines::UNREMARKABLE)
            .cloned()
            .collect();
        items.sort_by_key(lines::rank_of);
        let omitted = items.len().saturating_sub(MOST_ITEMS);
        items.truncate(MOST_ITEMS);
        Some(Self {
            schema: SCHEMA.to_owned(),
            title: lines::title(document),
            causes,
            run: document.run.clone(),
            summary: document.summary.clone(),
            items,
            omitted,
        })
    }
}

/// Where a notice goes to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// An incoming webhook of Slack.
    Slack,
    /// A webhook of Teams' Workflows.
    Teams,
    /// Any server.
    Webhook,
}

impl NoticeKind {
    /// Its name, as it stands in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Webhook => "webhook",
        }
    }
}

/// What became of a notice.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeReport {
    /// Where it went to. The address is a secret.
    pub kind: NoticeKind,
    /// The place in a sync file that asked for it.
    pub origin: crate::document::Origin,
    /// Whether it was taken.
    pub delivered: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// Why it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of notices, for people: a line for each that was not delivered, and one for all that were.
pub(crate) fn told(reports: &[NoticeReport]) -> Vec<String> {
    let failed = reports.iter().filter(|report| !report.delivered).map(|report| {
        let (kind, place) = (report.kind.as_str(), &report.origin);
        let why = report.error.as_deref().unwrap_or("nothing is known of why");
        let attempts = words::count(report.attempts as usize, "attempt");
        format!(
            "the notice for {kind} ({}:{}) was not delivered, {attempts}: {why}",
            place.file, place.line
        )
    });
    let delivered = reports.iter().filter(|report| report.delivered).count();
    let delivered = (delivered > 0).then(|| {
        let were = if delivered == 1 { "was" } else { "were" };
        format!("{} {were} delivered", words::count(delivered, "notice"))
    });
    failed.chain(delivered).collect()
}

/// The JSON Schema of [`Notice`].
pub fn notice_schema() -> Schema {
    schemars::schema_for!(Notice)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{ExitStatus, sample};

    pub(crate) fn document() -> Document {
        Document::new(&sample::facts(), &sample::report(), ExitStatus::Drift)
    }

    pub(crate) fn notice() -> Notice {
        Notice::of(&document(), &[Occasion::Failure, Occasion::Drift].into()).unwrap()
    }

    /// A notice of many items with long and odd names.
    pub(crate) fn huge() -> Notice {
        let mut report = sample::report();
        for number in 0..5000 {
            let mut item = sample::item("redis:8", number, sync::Outcome::Failed);
            if let Some(failure) = &mut item.failure {
                failure.message = "a & b < c > *d* `e` _f_ ü 😀 \"\\ ".repeat(number % 97);
            }
            report.items.push(item);
        }
        let document = Document::new(&sample::facts(), &report, ExitStatus::Drift);
        Notice::of(&document, &[Occasion::Always].into()).unwrap()
    }

    #[test]
    fn what_became_of_notices_is_told_of_each_that_failed() {
        let [failed, delivered] = &sample::notices()[..] else { panic!("two in the sample") };
        let told = |reports: &[&NoticeReport]| {
            super::told(&reports.iter().copied().cloned().collect::<Vec<_>>())
        };
        let expected = "the notice for teams (images.yaml:21) was not delivered, 3 attempts: the server \
                        answered 503";
        assert_eq!(told(&[failed, delivered]), [expected, "1 notice was delivered"]);
        assert_eq!(told(&[delivered, delivered]), ["2 notices were delivered"]);
        assert_eq!(told(&[]), [""; 0]);
    }

    fn of(mode: sync::Mode, outcome: sync::Outcome, status: ExitStatus) -> BTreeSet<Occasion> {
        let facts = crate::RunFacts { mode, ..sample::facts() };
        let report = sample::report_of(vec![sample::item("a:1", 1, outcome)]);
        causes(&Document::new(&facts, &report, status))
    }

    #[test]
    fn what_a_run_gives_occasion_to() {
        use Occasion::{Always, Change, Drift, Failure, Pending};
        use sync::Mode::{Plan, Sync, Verify};
        use sync::Outcome as O;
        let (ok, failed) = (ExitStatus::Success, ExitStatus::ItemFailed);
        for (mode, outcome, status, expected) in [
            (Sync, O::UpToDate, ok, vec![Always]),
            (Sync, O::Copied, ok, vec![Change, Always]),
            (Sync, O::Drift, ExitStatus::Drift, vec![Drift, Always]),
            (Sync, O::Failed, failed, vec![Failure, Always]),
            (Sync, O::SourceMissing, failed, vec![Failure, Always]),
            (Sync, O::Refused, ExitStatus::Refused, vec![Failure, Always]),
            // Put off by a rate limit: the next run is for that.
            (Sync, O::Deferred, ExitStatus::RateLimited, vec![Always]),
            (Sync, O::SourceLost, ok, vec![Always]),
            (Sync, O::SourceLost, failed, vec![Failure, Always]),
            (Verify, O::WouldCopy, failed, vec![Failure, Always]),
            (Verify, O::UpToDate, ok, vec![Always]),
            (Plan, O::WouldCopy, ok, vec![Pending]),
            (Plan, O::Drift, ExitStatus::Drift, vec![]),
            (Plan, O::Failed, failed, vec![]),
        ] {
            assert_eq!(of(mode, outcome, status), expected.into_iter().collect(), "{outcome:?}");
        }
    }

    #[test]
    fn a_notice_is_made_of_what_was_asked_for() {
        let document = document();
        assert_eq!(Notice::of(&document, &BTreeSet::new()), None);
        assert_eq!(Notice::of(&document, &[Occasion::Pending].into()), None);
        let notice = notice();
        assert_eq!(notice.causes, [Occasion::Failure, Occasion::Drift].into());
        let outcomes: Vec<Outcome> = notice.items.iter().map(|item| item.outcome).collect();
        assert_eq!(outcomes.first(), Some(&Outcome::Drift));
        assert!(!outcomes.contains(&Outcome::UpToDate));
        assert_eq!(notice.title, "image-syncer: 1 drift, 1 failed, 1 source missing of 8 items");
        let huge = huge();
        assert_eq!((huge.items.len(), huge.omitted), (100, 4907));
    }

    #[test]
    fn a_notice_fits_its_schema_which_is_in_the_repository() {
        let schema = serde_json::to_value(notice_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for notice in [notice(), huge()] {
            assert!(validator.is_valid(&serde_json::to_value(notice).unwrap()));
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/notice.schema.json");
        let expected = serde_json::to_string_pretty(&notice_schema()).unwrap() + "\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}

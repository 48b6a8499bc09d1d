//! [`RepositoryReport`]: what became of the repositories that are desired state, and what people read of
//! them: a table, what differed as lines, and ecr-sync's summary.

use std::time::Duration;

use comfy_table::{Cell, Table, presets};
use jiff::tz::TimeZone;
use sync::{Failure, ItemReport, Origin, Wish};

use crate::hint::next_step;
use crate::summary::{View, hint_line, painted, style};
use crate::table::{Layout, laid_out};
use crate::{Bytes, Document, Item, Kind, Outcome, words};

/// The one thing that became of a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RepositoryOutcome {
    /// It was not there and was created.
    Created,
    /// It was changed.
    Updated,
    /// It was as it is to be.
    UpToDate,
    /// It is not there; nothing was written.
    WouldCreate,
    /// It is not as it is to be; nothing was written.
    WouldUpdate,
    /// It is not as it is to be, and that cannot be changed.
    Drift,
    /// It could not be looked at, or not be brought to its end.
    Failed,
    /// It was put off: a rate limit, the deadline, or the run was stopped before its turn.
    Deferred,
}

/// What became of one repository.
#[derive(Clone, Debug)]
pub struct RepositoryReport {
    /// Its name in references, `HOST/NAME`.
    pub name: String,
    /// The place in a sync file that asked for it.
    pub origin: Option<Origin>,
    /// What became of it.
    pub outcome: RepositoryOutcome,
    /// What was changed or would be, each as lines without an end: `+` for what comes, `-` for what goes.
    pub changes: Vec<String>,
    /// Policies that were put or removed.
    pub policies: usize,
    /// What a reader should know besides.
    pub notes: Vec<String>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// How long it took.
    pub duration: Duration,
}

impl RepositoryOutcome {
    /// Its name, the same as in the JSON report.
    fn word(self) -> &'static str {
        crate::Outcome::from(self).name()
    }

    /// The outcome of an image whose colour it shares.
    fn like(self) -> sync::Outcome {
        crate::Outcome::from(self).like()
    }
}

/// The table of the repositories, and what differs of each; nothing where there is none. Ends with an
/// empty line.
pub fn repositories(reports: &[RepositoryReport], view: &View) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["REPOSITORY", "OUTCOME", "CHANGES", "TIME"]);
    for report in reports {
        table.add_row([
            Cell::new(&report.name),
            crate::table::coloured(report.outcome.word(), report.outcome.like(), view),
            Cell::new(match report.changes.len() {
                0 => "-".to_owned(),
                changes => changes.to_string(),
            }),
            Cell::new(words::time(report.duration)),
        ]);
    }
    let layout = Layout { width: view.width, colour: view.colour, wraps: 0, numbers_from: 2 };
    let mut text = laid_out(table, &layout);
    text.push('\n');
    for report in reports {
        text.push_str(&details(report, view));
    }
    text
}

fn details(report: &RepositoryReport, view: &View) -> String {
    if report.changes.is_empty() && report.notes.is_empty() && report.failure.is_none() {
        return String::new();
    }
    let title = painted(style(report.outcome.like()), report.outcome.word(), view);
    let mut text = format!("{title}: {}", report.name);
    if let Some(origin) = &report.origin {
        text.push_str(&format!(" ({origin})"));
    }
    text.push('\n');
    for line in report.changes.iter().flat_map(|change| change.lines()) {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(failure) = &report.failure {
        text.push_str(&format!("  {}\n", failure.message));
        text.push_str(&hint_line(next_step(failure), view));
    }
    for note in &report.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text.push('\n');
    text
}

/// ecr-sync's summary of a run with repositories; nothing where there is none.
///
/// Synchronized are the tags that this run copied. The success rate is the share of all repositories and
/// tags that are as they are to be in the end; of a plan, that it could say what would become of them.
pub fn ecr_summary(document: &Document) -> String {
    let repositories: Vec<&Item> =
        document.items.iter().filter(|item| item.kind == Kind::Repository).collect();
    if repositories.is_empty() {
        return String::new();
    }
    let with = |outcomes: &[Outcome]| {
        repositories.iter().filter(|one| outcomes.contains(&one.outcome)).count()
    };
    let created = with(&[Outcome::Created, Outcome::WouldCreate]);
    let updated = with(&[Outcome::Updated, Outcome::WouldUpdate]);
    let failed = with(&[Outcome::Failed, Outcome::Deferred, Outcome::Drift]);
    let skipped = repositories.len() - created - updated - failed;
    let copied = |kind: Kind| {
        document.items.iter().filter(|item| item.kind == kind && is_copied(item)).count()
    };
    let is_plan = document.run.mode == crate::Mode::Plan;
    let well = document.items.iter().filter(|item| is_well(item, is_plan)).count();
    // The share, rounded down: what is not whole is never 100.
    let per_mille = well * 1000 / document.items.len().max(1);
    let ruler = "=".repeat(80);
    let time = |time: jiff::Timestamp| {
        time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    };
    let counts: Vec<(&str, usize)> =
        [("Created", created), ("Updated", updated), ("Skipped", skipped), ("Failed", failed)]
            .into_iter()
            .filter(|(name, count)| *name != "Failed" || *count > 0)
            .collect();
    let last = counts.len() - 1;
    let tree: String = counts
        .iter()
        .enumerate()
        .map(|(at, (name, count))| {
            format!("{} {name}: {count}\n", if at == last { "└──" } else { "├──" })
        })
        .collect();
    let (started, finished) = (document.run.started_at, document.run.finished_at);
    format!(
        "{ruler}\nECR SYNC SUMMARY\n{ruler}\n\
         Start Time: {}\nEnd Time: {}\nDuration: {:.1} seconds\n\n\
         Repositories Processed: {}\n{tree}\n\
         Artifacts Synchronized:\n├── Container Images: {}\n└── Helm Charts: {}\n\n\
         Policies Applied: {}\n\n\
         Overall Success Rate: {}.{}%\n{ruler}\n",
        time(started),
        time(finished),
        (finished - started).total(jiff::Unit::Second).unwrap_or_default(),
        repositories.len(),
        copied(Kind::Image),
        copied(Kind::Chart),
        repositories.iter().map(|one| one.policies).sum::<usize>(),
        per_mille / 10,
        per_mille % 10,
    )
}

/// Whether an item is a Helm chart.
pub(crate) fn is_chart(item: &ItemReport) -> bool {
    match &item.wanted {
        Wish::Tag(wanted) => wanted.extent == oci::Extent::Chart,
        Wish::Selection(selection) => selection.extent == oci::Extent::Chart,
    }
}

fn is_copied(item: &Item) -> bool {
    // What moved away from its pin may have been there.
    let was_moved = item.bytes != Bytes::default();
    match item.outcome {
        Outcome::Copied => true,
        Outcome::SourceMoved => was_moved,
        _ => false,
    }
}

fn is_well(item: &Item, is_plan: bool) -> bool {
    use Outcome as O;
    match item.outcome {
        O::Copied | O::UpToDate | O::SourceMoved | O::SourceLost | O::Created | O::Updated => true,
        O::WouldCopy | O::WouldCreate | O::WouldUpdate => is_plan,
        // Of a plan: it could say what would become of it.
        O::Drift => is_plan && item.kind == Kind::Repository,
        O::SourceMissing | O::Refused | O::Failed | O::Deferred => false,
    }
}

#[cfg(test)]
mod tests {
    use sync::Mode;

    use super::*;
    use crate::{RunFacts, sample};

    const PLAIN: View = View { mode: Mode::Sync, width: None, colour: false, verbose: false };

    #[test]
    fn a_table_and_what_differs() {
        insta::assert_snapshot!(repositories(&sample::repositories(), &PLAIN));
        assert_eq!(repositories(&[], &PLAIN), "");
    }

    #[test]
    fn the_summary_of_ecr_sync_has_true_figures() {
        let facts = RunFacts { repositories: sample::repositories(), ..sample::facts() };
        let of = |facts| Document::new(facts, &sample::report(), crate::ExitStatus::Drift);
        insta::assert_snapshot!(ecr_summary(&of(&facts)));
        assert_eq!(ecr_summary(&of(&sample::facts())), "");
    }

    #[test]
    fn what_is_not_whole_is_never_rounded_up_to_it() {
        let up_to_date =
            |number| sample::item(&format!("a:{number}"), number, sync::Outcome::UpToDate);
        let mut items: Vec<_> = (1..=2000).map(up_to_date).collect();
        items.push(sample::item("b:1", 1, sync::Outcome::Failed));
        let mut repositories = sample::repositories();
        repositories.retain(|one| one.outcome == RepositoryOutcome::UpToDate);
        let facts = RunFacts { repositories, ..sample::facts() };
        let report = sample::report_of(items);
        let text = ecr_summary(&Document::new(&facts, &report, crate::ExitStatus::ItemFailed));
        assert!(text.contains("Rate: 99.9%"), "{text}");
    }
}

//! The words of a notice, for every place that is for people.

use crate::document::Item;
use crate::words::{count, size};
use crate::{Document, Mode, Notice, Outcome};

/// The rank from which on an outcome is not worth a line.
pub(super) const UNREMARKABLE: u8 = 10;

const CHANGED: u8 = 7;

const PENDING: u8 = 8;

/// What a person should look at first.
pub(super) fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Refused => 0,
        Outcome::Drift => 1,
        Outcome::Failed => 2,
        Outcome::SourceMissing => 3,
        Outcome::SourceLost => 4,
        Outcome::Deferred => 5,
        Outcome::SourceMoved => 6,
        Outcome::Copied | Outcome::Created | Outcome::Updated => CHANGED,
        Outcome::WouldCopy | Outcome::WouldCreate | Outcome::WouldUpdate => PENDING,
        Outcome::UpToDate => UNREMARKABLE,
    }
}

/// The rank of one item: what is up to date may have been signed, or be to sign.
pub(super) fn rank_of(item: &Item) -> u8 {
    let rank = rank(item.outcome);
    match (item.has_changed(), item.is_pending()) {
        (true, _) => rank.min(CHANGED),
        (_, true) => rank.min(PENDING),
        _ => rank,
    }
}

/// The run in one line.
pub(super) fn title(document: &Document) -> String {
    let mut outcomes: Vec<(Outcome, usize)> =
        document.summary.outcomes.iter().map(|(outcome, items)| (*outcome, *items)).collect();
    outcomes.sort_by_key(|(outcome, _)| rank(*outcome));
    // What is wrong, or else what was done: the rest is in the summary.
    let is_wrong = |outcome: Outcome| rank(outcome) <= rank(Outcome::SourceMissing);
    let has_wrong = outcomes.iter().any(|(outcome, _)| is_wrong(*outcome));
    outcomes.retain(|(outcome, _)| !has_wrong || is_wrong(*outcome));
    let what = match document.run.mode {
        Mode::Sync => "image-syncer",
        Mode::Plan => "image-syncer plan",
        Mode::Verify => "image-syncer verify",
    };
    let interrupted = if document.run.interrupted { ", interrupted" } else { "" };
    let items = count(document.summary.items, "item");
    let besides = if has_wrong { Vec::new() } else { document.besides() };
    let besides: String = besides.iter().map(|one| format!("; {one}")).collect();
    match outcomes.is_empty() {
        true => format!("{what}: {items}{besides}{interrupted}"),
        false => format!("{what}: {} of {items}{besides}{interrupted}", counts(&outcomes)),
    }
}

fn counts(outcomes: &[(Outcome, usize)]) -> String {
    let counts = outcomes
        .iter()
        .map(|(outcome, items)| format!("{items} {}", outcome.name().replace('-', " ")));
    counts.collect::<Vec<_>>().join(", ")
}

/// The numbers of the run, in one line.
pub(super) fn numbers(notice: &Notice) -> String {
    let bytes = notice.summary.bytes;
    let moved = [("copied", bytes.copied), ("mounted", bytes.mounted), ("present", bytes.present)]
        .map(|(way, bytes)| format!("{} {way}", size(bytes)));
    format!("{} in {:.1} s", moved.join(", "), notice.summary.seconds)
}

/// What identifies the run, in one line.
pub(super) fn footer(notice: &Notice) -> String {
    let run = &notice.run;
    format!(
        "run {} ended {} with exit code {}, image-syncer {}",
        run.id, run.finished_at, notice.summary.exit_code, run.version
    )
}

/// Why an item is as it is, in at most so many characters; nothing where its outcome says it all.
pub(super) fn reason(item: &Item, longest: usize) -> Option<String> {
    let text = match (&item.error, item.outcome) {
        (Some(error), _) => {
            let hint = error.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}{hint}", error.message)
        }
        (None, Outcome::Drift) => format!(
            "source {}, target {}",
            item.source_digest.as_deref().unwrap_or("unknown"),
            item.target_digest.as_deref().unwrap_or("unknown")
        ),
        _ => Some(item.besides().join("; ")).filter(|text| !text.is_empty())?,
    };
    Some(shortened(&text, longest))
}

/// A text in one line of at most so many characters.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    let kept: String = line.chars().take(longest.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// What there is beyond the items that are shown.
pub(super) fn more(hidden: usize) -> Option<String> {
    (hidden > 0).then(|| format!("… and {} more; the report has them all", count(hidden, "item")))
}

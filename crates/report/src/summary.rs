//! What a person reads at the end of a run: the table, then everything that must be looked at,
//! then one line.

use anstyle::{AnsiColor, Style};
use oci::Extent;
use sync::{Class, ItemReport, Mode, Outcome, RunReport};

use crate::foreseen::foreseen;
use crate::hint::next_step;
use crate::registries::RegistryUse;
use crate::table::table;
use crate::{Document, Outcome as All, notices, words};

/// How the summary is to look.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// What the run did with what it decided.
    pub mode: Mode,
    /// The width to keep to, in columns; none where a line may be as long as it likes.
    pub width: Option<u16>,
    /// Whether to colour.
    pub colour: bool,
    /// Whether to list what is usually only counted.
    pub verbose: bool,
}

/// The summary of a run, of what registries made of it and of its notices, as text that ends with a line end.
/// `document` is its report for others, whose figures are those of the last line.
pub fn summary(report: &RunReport, document: &Document, view: &View) -> String {
    let mut text = table(report, view);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&foreseen(report, view));
    for details in details(report, view) {
        text.push_str(&details);
        text.push('\n');
    }
    let registries = document.registries.iter().flat_map(RegistryUse::lines);
    for line in registries.chain(notices::told(&document.notices)) {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&last_line(report, document, view));
    text.push('\n');
    text
}

/// One paragraph for each thing to look at, the worst first.
fn details(report: &RunReport, view: &View) -> Vec<String> {
    let mut items: Vec<&ItemReport> =
        report.items.iter().filter(|item| urgency(item).is_some() && !never_begun(item)).collect();
    // A stable sort: within an urgency the order of the file stays.
    items.sort_by_key(|item| urgency(item));
    let mut paragraphs: Vec<String> = items.iter().map(|item| paragraph(item, view)).collect();
    paragraphs.extend(not_begun(report, view));
    paragraphs
}

/// How soon an item must be looked at, 0 first; none if it need not be.
fn urgency(item: &ItemReport) -> Option<u8> {
    Some(match item.outcome {
        Outcome::Refused => 0,
        Outcome::Drift => 1,
        Outcome::Failed => 2,
        Outcome::SourceMissing => 3,
        Outcome::Deferred => 4,
        Outcome::SourceLost => 5,
        Outcome::SourceMoved => 6,
        Outcome::Copied | Outcome::WouldCopy | Outcome::UpToDate if item.notes.is_empty() => {
            return None;
        }
        Outcome::Copied | Outcome::WouldCopy | Outcome::UpToDate => 7,
    })
}

fn paragraph(item: &ItemReport, view: &View) -> String {
    let title = painted(style(item.outcome), words::outcome(item.outcome), view);
    let mut text = format!("{title}: {}", item.wanted.target());
    if let Some(origin) = item.wanted.origin() {
        text.push_str(&format!(" ({origin})"));
    }
    text.push('\n');
    if item.outcome == Outcome::Drift {
        text.push_str(&drift(item, view));
    }
    if item.outcome == Outcome::SourceLost && item.failure.is_none() {
        text.push_str(&format!("  {} is no longer at the source", item.wanted.source()));
        match item.target_digest {
            Some(digest) => text.push_str(&format!("; the target still has {digest}\n")),
            None => text.push_str("; the target still has it\n"),
        }
    }
    if let Some(failure) = &item.failure {
        text.push_str(&format!("  from {}\n", item.wanted.source()));
        text.push_str(&format!("  {failure}\n"));
        text.push_str(&hint_line(next_step(failure), view));
    }
    for note in &item.notes {
        text.push_str(&format!("  note: {note}\n"));
    }
    text
}

fn drift(item: &ItemReport, view: &View) -> String {
    let mut text = String::new();
    for (side, digest) in [("source", item.source_digest), ("target", item.target_digest)] {
        if let Some(digest) = digest {
            text.push_str(&format!("  the {side} has {digest}\n"));
        }
    }
    text.push_str("  the target was left as it is\n");
    match (item.wanted.origin(), item.pin_line(), item.pinned()) {
        (Some(origin), Some(pin), _) => {
            let hint = format!("to keep what the target has, write in {origin}:");
            text.push_str(&hint_line(&hint, view));
            text.push_str(&format!("    {}\n", painted(CYAN, &pin, view)));
        }
        (None, _, Some(pinned)) => {
            let what = match item.wanted.extent() {
                Extent::Whole | Extent::Chart => "what the target has is",
                Extent::Platforms(_) | Extent::Image(_) => "what the target has is a part of",
            };
            text.push_str(&hint_line(&format!("{what} {pinned}"), view));
        }
        _ => {}
    }
    text
}

fn never_begun(item: &ItemReport) -> bool {
    let stopped = item
        .failure
        .as_ref()
        .is_some_and(|why| matches!(why.class, Class::Interrupted | Class::Deadline));
    item.outcome == Outcome::Deferred && stopped
}

/// The items that were never begun share one paragraph: they share their reason.
fn not_begun(report: &RunReport, view: &View) -> Option<String> {
    let mut items = report.items.iter().filter(|item| never_begun(item));
    let failure = items.next()?.failure.as_ref()?;
    let items = words::count(items.count() + 1, "item");
    let title = painted(style(Outcome::Deferred), words::outcome(Outcome::Deferred), view);
    let mut text = format!("{title}: {items}\n  {}\n", failure.message);
    text.push_str(&hint_line(next_step(failure), view));
    Some(text)
}

/// Such as `8 items: 2 copied, 1 drift; 136.0 MiB copied, 6.0 MiB mounted; 1 min 12 s`. Repositories are items
/// as well, as in every report.
fn last_line(report: &RunReport, document: &Document, view: &View) -> String {
    let items = words::count(document.summary.items, "item");
    let outcomes: Vec<String> = BY_WELCOME
        .into_iter()
        .filter_map(|outcome| Some((outcome, document.summary.outcomes.get(&outcome)?)))
        .map(|(outcome, count)| {
            painted(style(outcome.like()), &format!("{count} {}", outcome.name()), view)
        })
        .collect();
    let mut parts =
        vec![if outcomes.is_empty() { items } else { format!("{items}: {}", outcomes.join(", ")) }];
    parts.extend(document.besides());
    let moved = report.transferred();
    let sizes: Vec<String> =
        [("copied", moved.copied), ("mounted", moved.mounted), ("already there", moved.present)]
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(way, bytes)| format!("{} {way}", words::size(bytes)))
            .collect();
    if !sizes.is_empty() {
        parts.push(sizes.join(", "));
    }
    parts.push(words::time(report.duration));
    if view.mode != Mode::Sync {
        parts.push("nothing was written".to_owned());
    }
    if report.interrupted {
        parts.push("stopped by a signal".to_owned());
    }
    let missed = |item: &ItemReport| item.failure.as_ref().map(|why| why.class);
    if report.items.iter().any(|item| missed(item) == Some(Class::Deadline)) {
        parts.push("stopped at its deadline".to_owned());
    }
    parts.join("; ")
}

const BY_WELCOME: [All; 14] = [
    All::Copied,
    All::Created,
    All::Updated,
    All::WouldCopy,
    All::WouldCreate,
    All::WouldUpdate,
    All::UpToDate,
    All::SourceMoved,
    All::SourceLost,
    All::Deferred,
    All::SourceMissing,
    All::Failed,
    All::Drift,
    All::Refused,
];

const CYAN: Style = AnsiColor::Cyan.on_default();

pub(crate) fn style(outcome: Outcome) -> Style {
    words::colour(outcome).map_or_else(Style::new, AnsiColor::on_default)
}

pub(crate) fn hint_line(hint: &str, view: &View) -> String {
    format!("  {} {hint}\n", painted(CYAN, "hint:", view))
}

pub(crate) fn painted(style: Style, text: &str, view: &View) -> String {
    if view.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{ExitStatus, RunFacts, sample};

    fn told(report: &RunReport, view: &View) -> String {
        let facts = RunFacts { mode: view.mode, registries: Vec::new(), ..sample::facts() };
        summary(report, &Document::new(&facts, report, ExitStatus::Success), view)
    }

    const PLAIN: View = View { mode: Mode::Sync, width: None, colour: false, verbose: false };

    #[test]
    fn everything_in_a_pipe() {
        insta::assert_snapshot!(told(&sample::report(), &PLAIN));
    }

    #[test]
    fn everything_on_a_narrow_terminal() {
        let view = View { width: Some(100), ..PLAIN };
        let text = told(&sample::report(), &view);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let coloured = told(&sample::report(), &View { colour: true, ..PLAIN });
        assert!(coloured.contains("\x1b["));
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain.push_str(rest);
        assert_eq!(plain, told(&sample::report(), &PLAIN));
    }

    #[test]
    fn many_up_to_date_items_are_counted_unless_asked() {
        let mut items: Vec<ItemReport> = (1..=51)
            .map(|number| sample::item(&format!("a:{number}"), number, Outcome::UpToDate))
            .collect();
        items.push(sample::item("b:1", 99, Outcome::WouldCopy));
        let report = sample::report_of(items);
        let view = View { mode: Mode::Plan, ..PLAIN };
        insta::assert_snapshot!(told(&report, &view));
        let verbose = told(&report, &View { verbose: true, ..view });
        assert_eq!(verbose.matches("up-to-date").count(), 51 + 1);
    }

    #[test]
    fn what_registries_made_of_it_and_of_notices_stands_before_the_end() {
        let report = sample::report_of(Vec::new());
        let document = Document::new(&sample::facts(), &report, ExitStatus::Success);
        let document = Document { notices: sample::notices(), ..document };
        let expected = "docker.io answered \"too many requests\" 12 times; slowed to 19.3 requests a second\n\
             the notice for teams (images.yaml:21) was not delivered, 3 attempts: the server answered 503\n\
             1 notice was delivered\n\
             0 items; 1 min 12 s\n";
        assert_eq!(summary(&report, &document, &PLAIN), expected);
    }

    /// The same figures as in every other form.
    #[test]
    fn repositories_are_items_of_the_last_line() {
        let document = sample::whole();
        let expected: Vec<String> = BY_WELCOME
            .into_iter()
            .filter_map(|one| {
                Some(format!("{} {}", document.summary.outcomes.get(&one)?, one.name()))
            })
            .collect();
        let line = last_line(&sample::report(), &document, &PLAIN);
        let start = format!("{} items: {}; ", document.items.len(), expected.join(", "));
        assert!(line.starts_with(&start), "{line}");
        assert!(start.contains("1 created, 1 updated, "), "{start}");
        let (all, welcome) = (BTreeSet::from(All::ALL), BTreeSet::from(BY_WELCOME));
        assert_eq!(all, welcome);
    }

    #[test]
    fn what_was_never_begun_is_told_once() {
        let stopped = sync::Failure {
            message: "the run was stopped before its turn came".into(),
            hint: Some("run again: what is done is not done twice".into()),
            ..sample::failure(sync::Side::Source, Class::Interrupted)
        };
        let items = ["a:1", "b:1"].map(|name| ItemReport {
            failure: Some(stopped.clone()),
            ..sample::item(name, 1, Outcome::Deferred)
        });
        let report = RunReport { interrupted: true, ..sample::report_of(items.into()) };
        insta::assert_snapshot!(told(&report, &PLAIN));
    }

    #[test]
    fn drift_of_a_single_copy_has_no_file_to_edit() {
        let mut item = sample::item("python:3.14", 1, Outcome::Drift);
        let mut wanted = sync::Wanted::clone(&sample::wanted("python:3.14", 1));
        wanted.origin = None;
        item.wanted = std::sync::Arc::new(wanted).into();
        insta::assert_snapshot!(told(&sample::report_of(vec![item]), &PLAIN));
    }

    #[test]
    fn drift_of_a_part_names_what_it_is_a_part_of_or_nothing() {
        let mut item = sample::item("python:3.14", 6, Outcome::Drift);
        let mut wanted = sync::Wanted::clone(&sample::wanted("python:3.14", 6));
        wanted.extent = Extent::Image("linux/amd64".parse().unwrap());
        item.wanted = std::sync::Arc::new(wanted.clone()).into();
        let told = |item: &ItemReport| told(&sample::report_of(vec![item.clone()]), &PLAIN);
        assert!(!told(&item).contains("hint:"), "{}", told(&item));
        item.part_of = Some(sample::SOURCE);
        let line = format!("    - source: \"python:3.14@{}\"\n", sample::SOURCE);
        assert!(told(&item).contains(&line), "{}", told(&item));
        wanted.origin = None;
        item.wanted = std::sync::Arc::new(wanted).into();
        let line = format!("what the target has is a part of python:3.14@{}\n", sample::SOURCE);
        assert!(told(&item).contains(&line), "{}", told(&item));
    }

    #[test]
    fn an_empty_run_is_one_line() {
        assert_eq!(told(&sample::report_of(Vec::new()), &PLAIN), "0 items; 1 min 12 s\n");
    }
}

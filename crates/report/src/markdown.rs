//! The report as Markdown for pull requests and for GitHub's step summary, cut at whole rows where it would
//! become too long: what would change and what must be looked at has room before anything else.

mod text;

pub(crate) use text::code;

use crate::document::Severity;
use crate::{Document, ExitStatus, Item, Mode, Outcome, ecr_summary, notices, words};

/// How long a comment may be on GitHub. The limit is one of characters; bytes are never fewer.
pub(crate) const COMMENT: usize = 65_536;

/// A part of the report that gives way where there is not room for all of it.
struct Section {
    /// What stands before the rows.
    head: String,
    /// The rows, each with its line end.
    rows: Vec<String>,
    /// What stands after them.
    foot: &'static str,
    /// What a row is, in the singular.
    noun: &'static str,
}

/// The report as Markdown of at most `room` bytes, if that is not less than its head needs.
pub(crate) fn markdown(document: &Document, room: usize) -> String {
    let changes = table(
        "### Would change\n\n| | What | From |\n|---|---|---|\n",
        "change",
        document.pending().map(change_row).collect(),
    );
    let attention = table(
        "### Look at\n\n| | What | Why |\n|---|---|---|\n",
        "item",
        document.to_look_at().into_iter().map(attention_row).collect(),
    );
    let done = table(
        "### Changed\n\n| | What | Moved |\n|---|---|---|\n",
        "item",
        document.items.iter().filter(|item| item.has_changed()).map(done_row).collect(),
    );
    let differences = Section {
        head: "### Repositories\n\n".to_owned(),
        rows: document.items.iter().filter_map(difference).collect(),
        foot: "",
        noun: "repository",
    };
    let notes = Section {
        head: "### Notes\n\n".to_owned(),
        rows: unremarkable(document).flat_map(note_rows).collect(),
        foot: "\n",
        noun: "note",
    };
    // A plan is read for what it would do, a run for what went wrong.
    let first = if document.run.mode == Mode::Plan { 0 } else { 1 };
    let mut sections = vec![changes, attention];
    sections.rotate_left(first);
    sections.extend([differences, done, notes]);
    sections.retain(|section| !section.rows.is_empty());

    let (head, tail) = (head(document), tail(document));
    let fixed: usize = sections.iter().map(Section::fixed_size).sum();
    let mut room = room.saturating_sub(head.len() + tail.len() + fixed);
    let mut text = head;
    for section in &sections {
        section.write(&mut text, &mut room);
    }
    text.push_str(&tail);
    text
}

impl Section {
    /// Its bytes without rows, as if some of them were left out.
    fn fixed_size(&self) -> usize {
        self.head.len() + self.foot.len() + self.left_out(self.rows.len()).len()
    }

    fn left_out(&self, rows: usize) -> String {
        format!("\n… and {} more.\n\n", words::count(rows, self.noun))
    }

    fn write(&self, text: &mut String, room: &mut usize) {
        text.push_str(&self.head);
        let mut written = 0;
        for row in &self.rows {
            if row.len() > *room {
                break;
            }
            *room -= row.len();
            written += 1;
            text.push_str(row);
        }
        text.push_str(self.foot);
        if written < self.rows.len() {
            text.push_str(&self.left_out(self.rows.len() - written));
        }
    }
}

fn table(head: &str, noun: &'static str, rows: Vec<String>) -> Section {
    Section { head: head.to_owned(), rows, foot: "\n", noun }
}

/// The items whose notes stand in no other table.
fn unremarkable(document: &Document) -> impl Iterator<Item = &Item> {
    document.items.iter().filter(|item| document.severity(item) < Severity::Warning)
}

fn head(document: &Document) -> String {
    let mode = match document.run.mode {
        Mode::Sync => "sync",
        Mode::Plan => "plan",
        Mode::Verify => "verify",
    };
    let worst = document.items.iter().map(|item| document.severity(item)).max();
    let sign = match worst.unwrap_or(Severity::Fine) {
        Severity::Fine => "✅",
        Severity::Pending => "🔷",
        Severity::Warning => "⚠️",
        Severity::Error => "❌",
    };
    let mut text = format!("## {sign} image-syncer {mode}\n\n**{}**", counts(document));
    for besides in document.besides() {
        text.push_str(&format!("; {besides}"));
    }
    let bytes = document.summary.bytes;
    let moved: Vec<String> =
        [("copied", bytes.copied), ("mounted", bytes.mounted), ("already there", bytes.present)]
            .into_iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(way, bytes)| format!("{} {way}", words::size(bytes)))
            .collect();
    if !moved.is_empty() {
        text.push_str(&format!("; {}", moved.join(", ")));
    }
    text.push_str(&format!("; {}", words::seconds(document.summary.seconds)));
    if document.run.mode != Mode::Sync {
        text.push_str("; nothing was written");
    }
    text.push_str(".\n\n");
    if let Some(status) = ExitStatus::of_code(document.summary.exit_code)
        && status != ExitStatus::Success
    {
        text.push_str(&format!("Exit code {}: {}.\n\n", status.code(), status.meaning()));
    }
    let stopped = document.never_begun();
    if let Some(error) = stopped.first().and_then(|item| item.error.as_ref()) {
        let items = words::count(stopped.len(), "item");
        text.push_str(&format!("{items} put off: {}.\n\n", code(&error.message)));
    }
    text
}

/// Such as `8 items: 1 drift, 2 copied`.
pub(crate) fn counts(document: &Document) -> String {
    let items = words::count(document.summary.items, "item");
    let outcomes: Vec<String> = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| {
            let count = document.summary.outcomes.get(&outcome)?;
            Some(format!("{count} {}", outcome.name()))
        })
        .collect();
    if outcomes.is_empty() { items } else { format!("{items}: {}", outcomes.join(", ")) }
}

fn tail(document: &Document) -> String {
    let mut text = String::new();
    let registries = document.registries.iter().flat_map(crate::RegistryUse::lines);
    let lines: Vec<String> = registries.chain(notices::told(&document.notices)).collect();
    for line in &lines {
        text.push_str(&format!("- {}\n", code(line)));
    }
    if !lines.is_empty() {
        text.push('\n');
    }
    let summary = ecr_summary(document);
    if !summary.is_empty() {
        text.push_str(&format!("```text\n{summary}```\n\n"));
    }
    let run = &document.run;
    let at = run.started_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let (version, id) = (code(&run.version), code(&run.id));
    text.push_str(&format!("<sub>image-syncer {version}, run {id}, {at}</sub>\n"));
    text
}

fn change_row(item: &Item) -> String {
    let digest = item.source_digest.as_deref().map(|digest| code(words::short(digest).as_str()));
    let from = match item.kind {
        crate::Kind::Repository => origin(item),
        _ => format!("{} {}", code(&item.source), digest.unwrap_or_default()),
    };
    row(item, &with_besides(from.trim_end().to_owned(), item))
}

fn done_row(item: &Item) -> String {
    row(item, &with_besides(words::size(item.bytes.copied), item))
}

fn with_besides(text: String, item: &Item) -> String {
    let besides = item.besides();
    let parts = std::iter::once(text).chain(besides.iter().map(|one| code(one)));
    parts.collect::<Vec<_>>().join("<br>")
}

fn attention_row(item: &Item) -> String {
    let mut parts = Vec::new();
    match &item.error {
        Some(error) => {
            parts.push(code(&error.message));
            parts.extend(error.hint.as_deref().map(|hint| format!("hint: {}", code(hint))));
        }
        None => parts.push(item.meaning().to_owned()),
    }
    for (side, digest) in [("source", &item.source_digest), ("target", &item.target_digest)] {
        if let (Some(digest), Outcome::Drift) = (digest, item.outcome) {
            parts.push(format!("{side} has {}", code(digest)));
        }
    }
    parts
        .extend(item.pin_line.as_deref().map(|pin| format!("to keep the target's: {}", code(pin))));
    parts.extend(item.notes.iter().map(|note| format!("note: {}", code(note))));
    parts.extend(Some(origin(item)).filter(|origin| !origin.is_empty()));
    row(item, &parts.join("<br>"))
}

fn row(item: &Item, last: &str) -> String {
    format!("| **{}** | {} | {last} |\n", item.outcome.name(), code(&item.target))
}

fn origin(item: &Item) -> String {
    let origin = item.origin.as_ref();
    origin.map(|origin| code(&format!("{}:{}", origin.file, origin.line))).unwrap_or_default()
}

/// What differs of a repository, as a block of its own.
fn difference(item: &Item) -> Option<String> {
    if item.changes.is_empty() {
        return None;
    }
    let lines = item.changes.join("\n");
    let fence = text::fence(&lines);
    let target = code(&item.target);
    Some(format!("**{}** {target}\n\n{fence}diff\n{lines}\n{fence}\n\n", item.outcome.name()))
}

fn note_rows(item: &Item) -> Vec<String> {
    let row = |note: &String| format!("- {}: {}\n", code(&item.target), code(note));
    item.notes.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_whole_text() {
        insta::assert_snapshot!(markdown(&sample::whole(), COMMENT));
    }

    #[test]
    fn a_plan_begins_with_what_would_change() {
        use sync::Outcome as O;
        let items = vec![
            sample::item("same:1", 1, O::UpToDate),
            sample::item("moved:1", 2, O::Drift),
            sample::item("new:1", 3, O::WouldCopy),
        ];
        let document = sample::document_of(sync::Mode::Plan, items);
        insta::assert_snapshot!(markdown(&document, COMMENT));
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_row_and_says_so() {
        let document = sample::many(2_000);
        let whole = markdown(&document, usize::MAX);
        for room in [COMMENT, 20_000, 9_999] {
            let text = markdown(&document, room);
            assert!(text.len() <= room, "{} of {room}", text.len());
            assert!(text.contains("… and ") && text.contains(" more."), "{text}");
            assert!(text.ends_with("</sub>\n"));
            let rows = |text: &str| text.lines().filter(|line| line.starts_with("| **")).count();
            let is_whole = |line: &str| whole.lines().any(|one| one == line);
            for line in text.lines().filter(|line| line.starts_with('|')) {
                assert!(is_whole(line), "cut within a row: {line}");
            }
            let left_out: usize = text
                .lines()
                .filter_map(|line| {
                    line.strip_prefix("… and ")?.split(' ').next()?.parse::<usize>().ok()
                })
                .sum();
            let notes = |text: &str| text.lines().filter(|line| line.starts_with("- `r")).count();
            assert_eq!(rows(&text) + notes(&text) + left_out, rows(&whole) + notes(&whole));
        }
    }

    #[test]
    fn whatever_is_said_stays_text() {
        let text = markdown(&sample::hostile(), COMMENT);
        let mut fence = None;
        for line in text.lines() {
            match fence {
                Some(end) if line == end => fence = None,
                Some(_) => {}
                None if line.starts_with("```") => {
                    fence = Some(line.trim_end_matches(char::is_alphabetic));
                }
                None => {
                    let outside = line
                        .split("<code>")
                        .map(|part| part.rsplit("</code>").next().unwrap_or(""));
                    let outside: String = outside.collect();
                    assert!(!outside.contains("script") && !outside.contains('@'), "{line}");
                }
            }
        }
        assert_eq!(fence, None);
        let cells = text
            .lines()
            .filter(|line| line.starts_with("| **"))
            .map(|line| line.matches('|').count());
        assert!(cells.into_iter().all(|bars| bars == 4), "{text}");
    }
}

//! What a job of GitHub Actions shows of a run: annotations at the lines of the sync file, and a summary of
//! the step.

use crate::markdown::markdown;
use crate::{Document, Item, Severity};

/// How many bytes the summary of one step may have; more is refused as a whole
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>).
pub const STEP_SUMMARY_LIMIT: usize = 1024 * 1024;

/// How many annotations of a kind GitHub shows of one step; the others it drops without a word
/// (<https://docs.github.com/en/rest/checks/runs>).
const SHOWN: usize = 10;

impl Document {
    /// A summary of a step in Markdown, of at most `room` bytes.
    pub fn step_summary(&self, room: usize) -> String {
        markdown(self, room.min(STEP_SUMMARY_LIMIT))
    }

    /// Workflow commands that annotate the lines of sync files, one a line, each with its end. Files below
    /// `workspace`, the folder of the checkout, are named as they are in it.
    ///
    /// They may be written to standard error: the runner reads both streams
    /// (<https://github.com/actions/runner/blob/main/src/Runner.Worker/Handlers/ScriptHandler.cs>).
    pub fn annotations(&self, workspace: Option<&str>) -> String {
        let items = self.to_look_at();
        let mut text = String::new();
        for (severity, command) in [(Severity::Error, "error"), (Severity::Warning, "warning")] {
            let items: Vec<&&Item> =
                items.iter().filter(|item| self.severity(item) == severity).collect();
            // The last place tells how many there are besides.
            let shown = if items.len() > SHOWN { SHOWN - 1 } else { items.len() };
            for item in items.iter().take(shown) {
                text.push_str(&annotation(command, item, workspace));
            }
            if items.len() > shown {
                let more = items.len() - shown;
                text.push_str(&format!("::{command}::and {more} more; the report has them all\n"));
            }
        }
        text
    }
}

fn annotation(command: &str, item: &Item, workspace: Option<&str>) -> String {
    let mut properties = Vec::new();
    if let Some(origin) = item.origin.as_ref().filter(|origin| origin.file != "-") {
        let file = workspace
            .and_then(|folder| origin.file.strip_prefix(folder)?.strip_prefix('/'))
            .unwrap_or(&origin.file);
        let file = file.strip_prefix("./").unwrap_or(file);
        properties.push(format!("file={}", property(file)));
        properties.push(format!("line={}", origin.line));
    }
    properties.push(format!("title={}", property(item.outcome.name())));
    let properties = properties.join(",");
    format!("::{command} {properties}::{}\n", data(&message(item)))
}

fn message(item: &Item) -> String {
    let mut lines = vec![item.target.clone()];
    match &item.error {
        Some(error) => {
            lines.push(error.message.clone());
            lines.extend(error.hint.iter().map(|hint| format!("hint: {hint}")));
        }
        None => lines.push(item.meaning().to_owned()),
    }
    if let Some(pin) = &item.pin_line {
        lines.push(format!("to keep what the target has, write: {pin}"));
    }
    lines.extend(item.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// Escapes the message of a command, as GitHub's own library does
/// (<https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts>).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn all_annotations_of_a_run() {
        insta::assert_snapshot!(sample::whole().annotations(None));
    }

    #[test]
    fn what_ends_a_property_or_a_line_is_escaped() {
        let table = [
            ("100%", "100%25", "100%25"),
            ("%0A", "%250A", "%250A"),
            ("a\r\nb", "a%0D%0Ab", "a%0D%0Ab"),
            ("a:b,c", "a:b,c", "a%3Ab%2Cc"),
            ("::error::x", "::error::x", "%3A%3Aerror%3A%3Ax"),
        ];
        for (text, as_data, as_property) in table {
            assert_eq!((data(text).as_str(), property(text).as_str()), (as_data, as_property));
        }
    }

    #[test]
    fn no_text_begins_a_command_of_its_own() {
        let text = sample::hostile().annotations(None);
        for line in text.lines() {
            assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{line}");
        }
        assert!(text.contains("%0A::stop-commands::"), "{text}");
    }

    #[test]
    fn a_file_of_the_checkout_is_named_as_in_it() {
        let mut document = sample::document_of(
            sync::Mode::Sync,
            vec![sample::item("a:1", 7, sync::Outcome::Failed)],
        );
        for (file, expected) in [
            ("/home/runner/work/a/a/lists/x.yaml", "file=lists/x.yaml,line=7,"),
            ("./images.yaml", "file=images.yaml,line=7,"),
            ("/home/runner/work/a/ab.yaml", "file=/home/runner/work/a/ab.yaml,line=7,"),
        ] {
            for item in &mut document.items {
                item.origin =
                    item.origin.take().map(|origin| crate::Origin { file: file.into(), ..origin });
            }
            let text = document.annotations(Some("/home/runner/work/a/a"));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn no_more_than_are_shown() {
        let text = sample::many(2_000).annotations(None);
        let of = |command: &str| text.lines().filter(|line| line.starts_with(command)).count();
        assert_eq!((of("::error"), of("::warning")), (SHOWN, SHOWN));
        assert_eq!(text.lines().filter(|line| line.contains("::and ")).count(), 2);
    }

    #[test]
    fn a_summary_keeps_to_its_room() {
        let document = sample::many(20_000);
        assert!(document.step_summary(usize::MAX).len() <= STEP_SUMMARY_LIMIT);
        assert!(document.step_summary(10_000).len() <= 10_000);
    }
}

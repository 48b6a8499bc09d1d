//! The report as JUnit's XML, which Jenkins, GitLab, Azure and others show as tests: one test for each item.
//!
//! There is no one specification; what is written here is what Jenkins' schema allows
//! (<https://github.com/jenkinsci/xunit-plugin>, `junit-10.xsd`), which others read as well. A failure is
//! something that is not as wanted, an error something that could not be done, and skipped is what was put
//! off, or what a plan leaves to be done.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::{Document, Item, Kind, Outcome, Severity, SignatureState};

/// The report as JUnit's XML.
pub(crate) fn junit(document: &Document) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let all: Vec<&Item> = document.items.iter().collect();
    let total = Totals::of(document, &all);
    writer
        .create_element("testsuites")
        .with_attributes([
            ("name", "image-syncer"),
            ("tests", &all.len().to_string()),
            ("failures", &total.failures.to_string()),
            ("errors", &total.errors.to_string()),
            ("time", &time(document.summary.seconds)),
        ])
        .write_inner_content(|writer| {
            for kind in [Kind::Repository, Kind::Chart, Kind::Image] {
                let items: Vec<&Item> =
                    document.items.iter().filter(|item| item.kind == kind).collect();
                if !items.is_empty() {
                    suite(writer, document, kind, &items)?;
                }
            }
            Ok(())
        })?;
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

/// How many ended how.
#[derive(Default)]
struct Totals {
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Totals {
    fn of(document: &Document, items: &[&Item]) -> Self {
        let mut totals = Self::default();
        for item in items {
            match Verdict::of(document, item) {
                Verdict::Passed => {}
                Verdict::Failure => totals.failures += 1,
                Verdict::Error => totals.errors += 1,
                Verdict::Skipped => totals.skipped += 1,
            }
        }
        totals
    }
}

/// What became of a test.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Passed,
    Failure,
    Error,
    Skipped,
}

impl Verdict {
    fn of(document: &Document, item: &Item) -> Self {
        match (document.severity(item), item.outcome) {
            (Severity::Error, Outcome::Failed) => Self::Error,
            (Severity::Error, _) => Self::Failure,
            (Severity::Pending, _) | (_, Outcome::Deferred) => Self::Skipped,
            (Severity::Fine | Severity::Warning, _) => Self::Passed,
        }
    }

    fn element(self) -> Option<&'static str> {
        match self {
            Self::Passed => None,
            Self::Failure => Some("failure"),
            Self::Error => Some("error"),
            Self::Skipped => Some("skipped"),
        }
    }
}

fn suite(
    writer: &mut Writer<Vec<u8>>,
    document: &Document,
    kind: Kind,
    items: &[&Item],
) -> io::Result<()> {
    let totals = Totals::of(document, items);
    let started = document.run.started_at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let seconds = items.iter().map(|item| item.seconds).sum();
    writer
        .create_element("testsuite")
        .with_attributes([
            ("name", kind.name()),
            ("tests", &items.len().to_string()),
            ("failures", &totals.failures.to_string()),
            ("errors", &totals.errors.to_string()),
            ("skipped", &totals.skipped.to_string()),
            ("time", &time(seconds)),
            ("timestamp", &started),
        ])
        .write_inner_content(|writer| {
            properties(writer, document)?;
            items.iter().try_for_each(|item| case(writer, document, item))
        })?;
    Ok(())
}

fn properties(writer: &mut Writer<Vec<u8>>, document: &Document) -> io::Result<()> {
    let mode = format!("{:?}", document.run.mode).to_lowercase();
    let exit_code = document.summary.exit_code.to_string();
    let facts = [
        ("run", document.run.id.as_str()),
        ("version", &document.run.version),
        ("mode", &mode),
        ("exitCode", &exit_code),
    ];
    writer.create_element("properties").write_inner_content(|writer| {
        for (name, value) in facts {
            let property = writer.create_element("property");
            property.with_attributes([("name", name), ("value", &legal(value))]).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, document: &Document, item: &Item) -> io::Result<()> {
    let element = writer.create_element("testcase").with_attributes([
        ("name", legal(&item.target).as_str()),
        ("classname", &format!("image-syncer.{}", item.kind.name())),
        ("time", &time(item.seconds)),
    ]);
    let verdict = Verdict::of(document, item).element();
    let said = said(item);
    element.write_inner_content(|writer| {
        if let Some(name) = verdict {
            let besides = item.besides().join("; ");
            let meaning = match item.outcome {
                Outcome::UpToDate if !besides.is_empty() => &besides,
                _ => item.meaning(),
            };
            let why = item.error.as_ref().map_or(meaning, |error| &error.message);
            writer
                .create_element(name)
                .with_attributes([
                    ("type", item.outcome.name()),
                    ("message", one_line(&legal(why)).as_str()),
                ])
                .write_text_content(BytesText::new(&said))?;
        } else {
            writer.create_element("system-out").write_text_content(BytesText::new(&said))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// All that there is to say of an item, line by line.
fn said(item: &Item) -> String {
    let mut lines = vec![format!("{}: {}", item.outcome.name(), item.meaning())];
    if let Some(origin) = &item.origin {
        lines.push(format!("wanted in {}:{}", origin.file, origin.line));
    }
    if item.kind != Kind::Repository {
        lines.push(format!("from {}", item.source));
    }
    for (side, digest) in [("source", &item.source_digest), ("target", &item.target_digest)] {
        lines.extend(digest.iter().map(|digest| format!("the {side} has {digest}")));
    }
    if let Some(pin) = &item.pin_line {
        lines.push(format!("to keep what the target has, write: {pin}"));
    }
    if let Some(error) = &item.error {
        lines.push(error.message.clone());
        lines.extend(error.hint.iter().map(|hint| format!("hint: {hint}")));
    }
    if let Some(signature) = &item.signature {
        lines.push(format!("signature by {}: {}", signature.key, signature.state.name()));
        let statement = signature.statement.map(SignatureState::name);
        lines.extend(statement.map(|state| format!("statement about its mirroring: {state}")));
    }
    lines.extend(item.changes.iter().cloned());
    lines.extend(item.notes.iter().map(|note| format!("note: {note}")));
    legal(&lines.join("\n"))
}

fn time(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// A line end in an attribute reads as a space (XML 1.0, section 3.3.3).
fn one_line(text: &str) -> String {
    text.split(['\r', '\n']).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text without what no XML may hold, not even escaped (XML 1.0, section 2.2).
fn legal(text: &str) -> String {
    let is_legal = |character: char| {
        matches!(character,
            '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    };
    text.chars().map(|one| if is_legal(one) { one } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_whole_file() {
        insta::assert_snapshot!(junit(&sample::whole()).unwrap());
    }

    #[test]
    fn a_plan_skips_and_a_verification_fails() {
        let items = vec![sample::item("a:1", 1, sync::Outcome::WouldCopy)];
        let verdict = |mode| {
            let document = sample::document_of(mode, items.clone());
            Verdict::of(&document, &document.items[0])
        };
        assert_eq!(verdict(sync::Mode::Plan), Verdict::Skipped);
        assert_eq!(verdict(sync::Mode::Verify), Verdict::Failure);
    }

    #[test]
    fn whatever_is_said_stays_text() {
        let text = junit(&sample::hostile()).unwrap();
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains(['\0', '\u{1b}', '\u{ffff}']), "{text}");
        assert!(text.contains("&lt;script&gt;"), "{text}");
        assert!(text.contains("&quot; &amp;amp;"), "{text}");
    }
}

//! The report as SARIF 2.1.0, which code scanning shows at the line of the sync file: drift, refusals,
//! failures and what else is not as it should be.
//!
//! Sections are those of <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oci::Digest;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;

use crate::{Document, Item, Origin, Outcome, Severity};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as SARIF.
pub(crate) fn sarif(document: &Document) -> Result<String, serde_json::Error> {
    let items = document.to_look_at();
    let mut outcomes: Vec<Outcome> = items.iter().map(|item| item.outcome).collect();
    outcomes.sort_by_key(|outcome| outcome.urgency());
    outcomes.dedup();
    let rule_index = |outcome| outcomes.iter().position(|one| *one == outcome).unwrap_or_default();
    let results = items.iter().map(|item| Finding::of(document, item, rule_index(item.outcome)));
    let log = Log {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "image-syncer",
                    version: &document.run.version,
                    rules: outcomes.iter().map(|outcome| Rule::of(*outcome)).collect(),
                },
            },
            automation_details: AutomationDetails {
                id: format!("image-syncer/{}", document.run.id),
            },
            invocations: [Invocation {
                execution_successful: document.summary.exit_code == 0,
                exit_code: document.summary.exit_code,
                start_time_utc: document.run.started_at,
                end_time_utc: document.run.finished_at,
            }],
            column_kind: "utf16CodeUnits",
            results: results.collect(),
        }],
    };
    serde_json::to_string_pretty(&log).map(|json| json + "\n")
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool<'a>,
    automation_details: AutomationDetails,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Tool<'a> {
    driver: Driver<'a>,
}

#[derive(Serialize)]
struct Driver<'a> {
    name: &'static str,
    version: &'a str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Message,
    help: Message,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AutomationDetails {
    /// A category, and the run within it (section 3.17.2). The run's id is no GUID for SARIF, which knows
    /// versions 1 to 5 only.
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    exit_code: u8,
    start_time_utc: Timestamp,
    end_time_utc: Timestamp,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location<'a>>,
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    logical_locations: [LogicalLocation<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'a> {
    fully_qualified_name: &'a str,
}

impl Rule {
    fn of(outcome: Outcome) -> Self {
        let help = match outcome {
            Outcome::Drift => {
                "pin the source to what the target has, or remove the tag at the target"
            }
            Outcome::Refused => "see who signed it, and whose signature is trusted",
            Outcome::SourceMissing => "check the spelling of the source",
            Outcome::SourceLost => {
                "the target's copy is the last one; keep it, or take the entry out"
            }
            Outcome::SourceMoved => {
                "the target has what was pinned; pin the new digest if it is wanted"
            }
            Outcome::Deferred => "run again later",
            _ => "what to do is in the message",
        };
        Self {
            id: outcome.name(),
            short_description: Message { text: outcome.meaning().to_owned() },
            help: Message { text: help.to_owned() },
        }
    }
}

impl<'a> Finding<'a> {
    fn of(document: &Document, item: &'a Item, rule_index: usize) -> Self {
        let name = item.outcome.name();
        // Stable over runs and over lines that move, so that code scanning knows a finding again.
        let fingerprint = Digest::sha256(format!("{name} {}", item.target).as_bytes()).to_string();
        Self {
            rule_id: name,
            rule_index,
            level: match document.severity(item) {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Fine | Severity::Pending => "note",
            },
            message: Message { text: plain(&message(item)) },
            locations: vec![Location {
                physical_location: item.origin.as_ref().and_then(physical_location),
                logical_locations: [LogicalLocation { fully_qualified_name: &item.target }],
            }],
            partial_fingerprints: [("outcomeOfTarget/v1", fingerprint)].into(),
        }
    }
}

fn message(item: &Item) -> String {
    let mut text = format!("{}: {}.", item.target, item.meaning());
    let mut sentence = |sentence: String| text.push_str(&format!(" {sentence}."));
    for (side, digest) in [("source", &item.source_digest), ("target", &item.target_digest)] {
        if let Some(digest) = digest {
            sentence(format!("The {side} has {digest}"));
        }
    }
    if let Some(pin) = &item.pin_line {
        sentence(format!("To keep what the target has, write: {pin}"));
    }
    if let Some(error) = &item.error {
        sentence(error.message.clone());
        if let Some(hint) = &error.hint {
            sentence(format!("Hint: {hint}"));
        }
    }
    for note in &item.notes {
        sentence(format!("Note: {note}"));
    }
    text
}

/// Escapes what means something in a message: links (section 3.11.6) and placeholders (3.11.5).
fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    if text.contains("](") {
        plain = plain.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
    }
    let is_placeholder = |rest: &str| rest.starts_with(|next: char| next.is_ascii_digit());
    if text.split('{').skip(1).any(is_placeholder) {
        plain = plain.replace('{', "{{").replace('}', "}}");
    }
    plain
}

/// What stands for itself in a path is left as it is (RFC 3986, section 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Where a sync file asked for it; none where it came from standard input.
fn physical_location(origin: &Origin) -> Option<PhysicalLocation> {
    let file = origin.file.strip_prefix("./").unwrap_or(&origin.file);
    if file == "-" || file.is_empty() || origin.line == 0 {
        return None;
    }
    let path = utf8_percent_encode(file, PATH);
    // An absolute path without a scheme would not be an absolute URI.
    let uri = if file.starts_with('/') { format!("file://{path}") } else { path.to_string() };
    let region = Region { start_line: origin.line };
    Some(PhysicalLocation { artifact_location: ArtifactLocation { uri }, region })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// The schema that OASIS publishes, as the crate serde-sarif 0.8.0 has it.
    fn validator() -> jsonschema::Validator {
        let schema = include_str!("../tests/sarif-schema-2.1.0.json");
        let mut schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        // Their `]` without a `[` is a regular expression for JavaScript only.
        for name in ["run", "toolComponent"] {
            let language = &mut schema["definitions"][name]["properties"]["language"];
            language.as_object_mut().unwrap().remove("pattern").unwrap();
        }
        jsonschema::validator_for(&schema).unwrap()
    }

    #[track_caller]
    fn fits_the_schema(text: &str) {
        let value = serde_json::from_str(text).unwrap();
        let errors: Vec<String> =
            validator().iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new());
    }

    #[test]
    fn the_whole_file_fits_the_official_schema() {
        let text = sarif(&sample::whole()).unwrap();
        fits_the_schema(&text);
        insta::assert_snapshot!(text);
        fits_the_schema(&sarif(&sample::hostile()).unwrap());
        fits_the_schema(&sarif(&sample::document_of(sync::Mode::Plan, Vec::new())).unwrap());

        let wrong = text.replace("\"level\": \"error\"", "\"level\": \"dreadful\"");
        assert!(!validator().is_valid(&serde_json::from_str(&wrong).unwrap()));
    }

    #[test]
    fn what_means_something_in_a_message_is_escaped() {
        let table = [
            ("at [::1]:5000 {\"code\": 1}", "at [::1]:5000 {\"code\": 1}"),
            ("[click](https://evil.example)", "\\[click\\](https://evil.example)"),
            ("see {0}", "see {{0}}"),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn a_file_is_a_uri() {
        let table = [
            ("images.yaml", Some("images.yaml")),
            ("./lists/my images.yaml", Some("lists/my%20images.yaml")),
            ("/etc/images.yaml", Some("file:///etc/images.yaml")),
            ("a:b#c.yaml", Some("a%3Ab%23c.yaml")),
            ("-", None),
        ];
        for (file, expected) in table {
            let location = physical_location(&Origin { file: file.into(), line: 3 });
            assert_eq!(location.map(|it| it.artifact_location.uri).as_deref(), expected, "{file}");
        }
    }
}

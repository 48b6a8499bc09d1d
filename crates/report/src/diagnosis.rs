//! [`Diagnosis`]: what `doctor` found out about a registry, as text for people and as JSON. Its
//! schema lies in `schema/doctor.schema.json`; fields and values may be added, never renamed or
//! removed.

use anstyle::{AnsiColor, Style};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::ExitStatus;

/// The name of this contract, the first field of every diagnosis.
const SCHEMA: &str = "image-syncer/doctor/v1";

/// What was found out about a registry, check by check.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer doctor")]
pub struct Diagnosis {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The version of image-syncer.
    pub version: String,
    /// The registry.
    pub registry: String,
    /// The repository, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What kind of registry it was taken for.
    pub kind: String,
    /// The checks, in the order they were made.
    pub checks: Vec<Check>,
    /// The code that the process exits with.
    pub exit_code: u8,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at; a word that does not change.
    pub name: String,
    /// Whether it is as it should be.
    pub status: CheckStatus,
    /// What was found, in words that may change.
    pub finding: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Whether what was looked at is as it should be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// It is.
    Ok,
    /// It works, and something should be known about it.
    Warning,
    /// It is not.
    Failure,
    /// It was not looked at; what was found says why.
    Skipped,
}

impl Check {
    /// A check with what it found.
    pub fn new(name: &str, status: CheckStatus, finding: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status, finding: finding.into(), hint: None }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Diagnosis {
    /// A diagnosis of these checks.
    pub fn new(
        registry: String,
        repository: Option<String>,
        kind: String,
        checks: Vec<Check>,
        exit_status: ExitStatus,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            registry,
            repository,
            kind,
            checks,
            exit_code: exit_status.code(),
        }
    }

    /// The diagnosis as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a diagnosis can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }

    /// The diagnosis for people: a line for each check, hints below them.
    pub fn to_text(&self, colour: bool) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for check in &self.checks {
            let (word, style) = shown(check.status);
            let style = if colour { style } else { Style::new() };
            let (name, finding) = (&check.name, &check.finding);
            text.push_str(&format!("{style}{word:<7}{style:#}  {name:<width$}  {finding}\n"));
            if let Some(hint) = &check.hint {
                text.push_str(&format!("{:<7}  {:<width$}  hint: {hint}\n", "", ""));
            }
        }
        text
    }
}

/// A status as a word, and its colour.
fn shown(status: CheckStatus) -> (&'static str, Style) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match status {
        CheckStatus::Ok => ("ok", colour(AnsiColor::Green)),
        CheckStatus::Warning => ("warning", colour(AnsiColor::Yellow)),
        CheckStatus::Failure => ("failure", colour(AnsiColor::Red)),
        CheckStatus::Skipped => ("-", Style::new()),
    }
}

/// The JSON Schema of a [`Diagnosis`].
pub fn diagnosis_schema() -> Schema {
    schemars::schema_for!(Diagnosis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnosis() -> Diagnosis {
        let checks = vec![
            Check::new("connection", CheckStatus::Ok, "https://r.example/"),
            Check::new("login", CheckStatus::Failure, "refused").hint("log in"),
            Check::new("push", CheckStatus::Skipped, "not asked for"),
        ];
        let (registry, repository) = ("r.example".to_owned(), Some("team/app".to_owned()));
        Diagnosis::new(registry, repository, "generic".to_owned(), checks, ExitStatus::Credentials)
    }

    #[test]
    fn people_read_a_line_for_each_check() {
        let expected = "\
ok       connection  https://r.example/
failure  login       refused
                     hint: log in
-        push        not asked for
";
        assert_eq!(diagnosis().to_text(false), expected);
        let coloured = diagnosis().to_text(true);
        assert!(coloured.contains("\u{1b}[31mfailure\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn the_diagnosis_fits_its_schema_and_is_read_back() {
        let json = diagnosis().to_json().unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let schema = serde_json::to_value(diagnosis_schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        assert!(validator.is_valid(&value), "{json}");
        assert_eq!(serde_json::from_str::<Diagnosis>(&json).unwrap(), diagnosis());
        value["checks"][0]["status"] = "perhaps".into();
        assert!(!validator.is_valid(&value));
    }

    /// After a wanted change: `image-syncer schema doctor > schema/doctor.schema.json`.
    #[test]
    fn the_schema_in_the_repository_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/doctor.schema.json");
        let expected = serde_json::to_string_pretty(&diagnosis_schema()).unwrap() + "\n";
        assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    }
}

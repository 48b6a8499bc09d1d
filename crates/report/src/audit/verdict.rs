//! [`AuditVerdict`]: what `audit verify` says, for people and for machines; a contract as the report's
//! is, with its schema in `schema/audit-verdict.schema.json`.

use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::verify::{Break, Verified};
use crate::ExitStatus;

/// The name of this contract.
const SCHEMA: &str = "image-syncer/audit-verdict/v1";

/// Whether an audit log is as it was written.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer audit verdict")]
pub struct AuditVerdict {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// Whether it is.
    pub unbroken: bool,
    /// How many lines it has, where it is unbroken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// How many runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u64>,
    /// The number of its last line within its chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The hash of its last line, 64 hex digits: what to keep elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What a reader should know of an unbroken log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<AuditPlace>,
    /// Where it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<AuditPlace>,
    /// The code that the process exits with.
    pub exit_code: u8,
}

/// Something about a line.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditPlace {
    /// The file, as it was given.
    pub file: String,
    /// The line in it, from 1.
    pub line: u64,
    /// What there is to say of it.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl AuditVerdict {
    /// Of a log that is as it was written.
    pub fn unbroken(verified: &Verified) -> Self {
        let remarks = verified.remarks.iter().map(|remark| AuditPlace {
            file: remark.file.display().to_string(),
            line: remark.line,
            message: remark.text.clone(),
            hint: None,
        });
        Self {
            schema: SCHEMA.to_owned(),
            unbroken: true,
            lines: Some(verified.lines),
            runs: Some(verified.runs),
            sequence: Some(verified.sequence),
            hash: Some(verified.hash.clone()),
            remarks: remarks.collect(),
            broken: None,
            exit_code: ExitStatus::Success.code(),
        }
    }

    /// Of one that is not.
    pub fn broken(broken: &Break) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            unbroken: false,
            lines: None,
            runs: None,
            sequence: None,
            hash: None,
            remarks: Vec::new(),
            broken: Some(AuditPlace {
                file: broken.file.display().to_string(),
                line: broken.line,
                message: broken.problem.clone(),
                hint: Some(broken.hint.clone()),
            }),
            exit_code: ExitStatus::Refused.code(),
        }
    }

    /// The verdict as indented JSON with a line end.
    ///
    /// # Errors
    /// None that a verdict can cause; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}

/// For people, with a line end.
impl fmt::Display for AuditVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for AuditPlace { file, line, message, .. } in &self.remarks {
            writeln!(f, "{file}:{line}: {message}")?;
        }
        if let Some(AuditPlace { file, line, message, hint }) = &self.broken {
            writeln!(f, "broken: {file}:{line}: {message}")?;
            return hint.iter().try_for_each(|hint| writeln!(f, "  hint: {hint}"));
        }
        let count = |count: Option<u64>, what: &str| match count {
            Some(1) => format!("1 {what}"),
            other => format!("{} {what}s", other.unwrap_or_default()),
        };
        let (lines, runs) = (count(self.lines, "line"), count(self.runs, "run"));
        let hash = self.hash.as_deref().unwrap_or_default();
        writeln!(f, "unbroken: {lines} of {runs}, the last one has hash {hash}")
    }
}

/// The JSON Schema of [`AuditVerdict`].
pub fn audit_verdict_schema() -> Schema {
    schemars::schema_for!(AuditVerdict)
}

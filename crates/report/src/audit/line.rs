//! [`AuditLine`]: one line of the audit log, a contract as the report's is; its schema lies in
//! `schema/audit.schema.json`, and fields and values may be added, never renamed or removed.
//!
//! The hash of a line is the SHA-256 of its bytes up to `,"hash":`, which is its last field. So it can
//! be checked without knowing any other field: with `sha256sum`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oci::Digest;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sync::{Act, ActKind, Evidence, Failure, Side};

use crate::{ErrorClass, ErrorSide, Origin};

/// The name of this contract, the first field of every line.
pub(super) const SCHEMA: &str = "image-syncer/audit/v1";

/// What the first line has as the hash of the line before.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The longest line of an act, in bytes with its end; what would be longer says less.
pub(super) const LINE_ROOM: usize = 16 * 1024;

/// The longest text in a line, in bytes. A change of a policy is the longest.
const TEXT_AT_MOST: usize = 2048;

/// The most texts in a list.
const TEXTS_AT_MOST: usize = 32;

/// One line of the audit log.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "image-syncer audit log line")]
pub struct AuditLine {
    /// The name of this contract.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The number of the line within its chain, from 1, over all files.
    pub sequence: u64,
    /// When the line was written.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub time: Timestamp,
    /// The run, by the id that its report and its logs have too.
    pub run: String,
    /// What was done.
    pub act: AuditAct,
    /// Who ran the program, in one text; `run-started` says how that is known.
    pub who: String,
    /// The program and its version.
    pub tool: String,
    /// The digest over the sync files of the run; left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Whether the cryptography was that of a FIPS module.
    pub fips: bool,
    /// Where content came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was changed or left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The digest that the target had before; left out where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The digest that it has now, or that was wanted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What had been decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// What the decision goes by, and what is known of the act.
    #[serde(default, skip_serializing_if = "AuditEvidence::is_empty")]
    pub evidence: AuditEvidence,
    /// Of `run-started`: what runs, and by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    /// Of `run-finished`: what became of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,
    /// The hash of the line before, 64 hex digits; zeros in the first line of all.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub previous: String,
    /// The SHA-256 of this line's bytes up to `,"hash":`, as 64 hex digits. Always the last field.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub hash: String,
}

/// What was done.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum AuditAct {
    /// A run began.
    RunStarted,
    /// The run ended.
    RunFinished,
    /// A tag was absent and points at an image now.
    TagPublished,
    /// A signature was made.
    SignatureMade,
    /// A statement about the mirroring was made and signed.
    AttestationMade,
    /// A referrer of the source was brought along.
    ReferrerBrought,
    /// A tag of cosign's was brought along.
    CompanionTagBrought,
    /// The list of referrers under a fallback tag was rewritten.
    ReferrerListRewritten,
    /// An ECR repository or registry was made or changed.
    RepositoryChanged,
    /// An act was begun, and whether it was done is not known.
    Unfinished,
    /// A policy forbade it.
    Refused,
    /// The target's tag holds other content; it was left alone.
    DriftLeftAlone,
    /// What was wanted could not be done.
    Failed,
}

/// What a decision goes by, and what is known of an act.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvidence {
    /// The place in a sync file that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The digest that was seen at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_digest: Option<String>,
    /// The digest that was seen at the target before the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_digest: Option<String>,
    /// What the target's tag pointed at when it was read back after the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<String>,
    /// The digest that the sync file pins the source to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// What a signature, an attestation or a referrer is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The key that signed, as it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// By whom the source is signed, of those that it had to be signed by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<String>,
    /// The rules that the source's signatures had to satisfy, by their places in sync files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What was changed of a repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Of an unfinished act: what it would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<AuditAct>,
    /// Why it failed or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<AuditFailure>,
    /// Whether something was left out here because the line would have been too long.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// Why something failed or was refused.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditFailure {
    /// The side of the copy that it happened on.
    pub side: ErrorSide,
    /// What kind of failure.
    pub class: ErrorClass,
    /// What happened, in one line.
    pub message: String,
}

/// What runs, and by whom.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The command.
    pub command: String,
    /// By whom.
    pub who: Who,
    /// The sync files of the run, each with the digest of its content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AuditFile>,
    /// What was left of a line that a killed run could not write to its end. It stands before this line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
}

/// A sync file of a run.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct AuditFile {
    /// As it was given.
    pub path: String,
    /// Of its content.
    pub digest: String,
}

/// Who runs the program, as far as that is known without asking anybody.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Who {
    /// In one text: the most telling of what is known.
    pub name: String,
    /// All that is known, each by where it is known from. None of it was proved to this program.
    pub claims: BTreeMap<String, String>,
}

/// What was left of a line.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Torn {
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256, as 64 hex digits.
    pub sha256: String,
}

/// What became of a run.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// How many items had each outcome, by the report's words.
    pub outcomes: BTreeMap<String, u64>,
    /// How many acts of each kind this run has recorded.
    pub acts: BTreeMap<AuditAct, u64>,
    /// The code that the process ended with.
    pub exit_code: u8,
    /// What kept the run from being recorded to its end, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The JSON Schema of [`AuditLine`].
pub fn audit_schema() -> Schema {
    schemars::schema_for!(AuditLine)
}

impl AuditLine {
    /// The line's bytes with their end, and its hash.
    pub(super) fn sealed(mut self, previous: &str) -> Result<(Vec<u8>, String), serde_json::Error> {
        self.previous = previous.to_owned();
        self.hash = String::new();
        let mut bytes = serde_json::to_vec(&self)?;
        if bytes.len() + 80 > LINE_ROOM && !self.evidence.is_empty() {
            self.evidence = AuditEvidence { cut: true, ..AuditEvidence::default() };
            bytes = serde_json::to_vec(&self)?;
        }
        // The closing brace comes after the hash.
        bytes.pop();
        let hash = Digest::sha256(&bytes).hex();
        bytes.extend_from_slice(HASH_FIELD);
        bytes.extend_from_slice(hash.as_bytes());
        bytes.extend_from_slice(b"\"}\n");
        Ok((bytes, hash))
    }

    /// Takes over what an act says.
    pub(super) fn about(self, act: Act) -> Self {
        Self {
            act: act.kind.into(),
            source: act.source.map(cut),
            target: Some(cut(act.target)),
            from: act.from.map(text),
            to: act.to.map(text),
            decision: Some(act.decision.to_owned()),
            evidence: act.evidence.into(),
            ..self
        }
    }
}

const HASH_FIELD: &[u8] = b",\"hash\":\"";

/// The hash that a line says it has, if it is what its bytes have.
pub(super) fn hash_of(line: &[u8]) -> Option<Digest> {
    // `,"hash":"`, 64 digits, `"}`
    let (body, end) = line.split_at_checked(line.len().checked_sub(HASH_FIELD.len() + 66)?)?;
    let hex = end.strip_prefix(HASH_FIELD)?.strip_suffix(b"\"}")?;
    let said: Digest = format!("sha256:{}", std::str::from_utf8(hex).ok()?).parse().ok()?;
    (Digest::sha256(body) == said).then_some(said)
}

impl From<ActKind> for AuditAct {
    fn from(kind: ActKind) -> Self {
        match kind {
            ActKind::TagPublished => Self::TagPublished,
            ActKind::SignatureMade => Self::SignatureMade,
            ActKind::AttestationMade => Self::AttestationMade,
            ActKind::ReferrerBrought => Self::ReferrerBrought,
            ActKind::CompanionTagBrought => Self::CompanionTagBrought,
            ActKind::ReferrerListRewritten => Self::ReferrerListRewritten,
            ActKind::RepositoryChanged => Self::RepositoryChanged,
            ActKind::Unfinished => Self::Unfinished,
            ActKind::Refused => Self::Refused,
            ActKind::DriftLeftAlone => Self::DriftLeftAlone,
            ActKind::Failed => Self::Failed,
        }
    }
}

impl AuditEvidence {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Evidence> for AuditEvidence {
    fn from(evidence: Evidence) -> Self {
        let list = |texts: Vec<String>| texts.into_iter().take(TEXTS_AT_MOST).map(cut).collect();
        let is_cut = [&evidence.verified, &evidence.rules, &evidence.changes]
            .into_iter()
            .any(|texts| texts.len() > TEXTS_AT_MOST || texts.iter().any(|text| is_long(text)));
        Self {
            cut: is_cut,
            origin: evidence.origin.map(|origin| Origin { file: origin.file, line: origin.line }),
            source_digest: evidence.source_digest.map(text),
            target_digest: evidence.target_digest.map(text),
            read_back: evidence.read_back.map(text),
            pin: evidence.pin.map(text),
            subject: evidence.subject.map(text),
            key: evidence.key.map(cut),
            verified: list(evidence.verified),
            rules: list(evidence.rules),
            changes: list(evidence.changes),
            begun: evidence.begun.map(AuditAct::from),
            failure: evidence.failure.map(AuditFailure::from),
        }
    }
}

impl From<Failure> for AuditFailure {
    fn from(failure: Failure) -> Self {
        Self {
            side: match failure.side {
                Side::Source => ErrorSide::Source,
                Side::Target => ErrorSide::Target,
            },
            class: failure.class.into(),
            message: cut(failure.message),
        }
    }
}

fn text(digest: Digest) -> String {
    digest.to_string()
}

fn is_long(text: &str) -> bool {
    text.len() > TEXT_AT_MOST
}

/// A text that is not too long for a line.
fn cut(mut text: String) -> String {
    if is_long(&text) {
        text.truncate(text.floor_char_boundary(TEXT_AT_MOST));
        text.push('…');
    }
    text
}

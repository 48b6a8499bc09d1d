//! What people and machines read of a run.
//!
//! `sync` says what happened, in [`sync::Event`]s while it runs and in a [`sync::RunReport`] at its
//! end. Here that becomes a [`Document`], which is written in every [`Format`], a table for people
//! ([`summary()`]), progress bars ([`Progress`]), log lines ([`Lines`]), times ([`Timeline`]) and one
//! [`ExitStatus`]. Nothing here prints: texts are returned, and bars draw where the caller says.

mod audit;
mod delivery;
mod diagnosis;
mod document;
mod exit_status;
mod foreseen;
mod format;
mod github;
mod hint;
mod html;
mod junit;
mod lines;
mod markdown;
mod merge;
mod metrics;
mod notices;
mod plan;
mod progress;
mod registries;
mod repositories;
#[cfg(test)]
mod sample;
mod sarif;
mod signature;
mod summary;
mod table;
mod tags;
mod timeline;
mod words;

pub use audit::{
    AuditAct, AuditError, AuditEvidence, AuditFailure, AuditFile, AuditLine, AuditLog, AuditPlace,
    AuditRun, AuditVerdict, Break, Ending, Expected, Finished, HEAD_TYPE, Head, Remark, Started,
    Torn, Verified, VerifyError, Who, audit_schema, audit_verdict_schema, verify,
};
pub use delivery::{Delivery, Patience, Undelivered, deliver};
pub use diagnosis::{Check, CheckStatus, Diagnosis, diagnosis_schema};
pub use document::{
    Blobs, Bytes, Document, Error, ErrorClass, ErrorSide, Item, Kind, LateArrivals, LateState,
    Mode, Origin, Outcome, Run, RunFacts, Severity, Signature, SignatureState, Summary, Timing,
    json_schema,
};
pub use exit_status::{ExitStatus, Rules, Signal, SourceLost};
pub use foreseen::ForeseenNumbers;
pub use format::{Format, FormatError};
pub use github::STEP_SUMMARY_LIMIT;
pub use hint::next_step;
pub use lines::Lines;
pub use merge::MergeError;
pub use metrics::{
    Distribution, Exposition, FamilyFigures, Figures, Labels, Metrics, Number, RegistryUses,
    RunMetrics, RunPlan, Sample, group, groups_of,
};
pub use notices::{
    Notice, NoticeKind, NoticeReport, Occasion, Template, TemplateError, WebhookSignature, causes,
    notice_schema, slack, teams,
};
pub use plan::{
    PlanBlob, PlanCompanion, PlanCost, PlanDocument, PlanError, PlanFacts, PlanFile, PlanItem,
    PlanManifest, PlanRepository, PlanRun, PlanSettings, PlanSignatures, PlanTotal, plan_schema,
};
pub use progress::Progress;
pub use registries::{Pulls, RegistryUse, planned_pulls};
pub use repositories::{RepositoryOutcome, RepositoryReport, ecr_summary, repositories};
pub use signature::{SignatureDocument, SignatureVerdict, signature_schema};
pub use summary::{View, summary};
pub use tags::{
    TagEntry, TagRule, TagRules, TagsDocument, TagsSummary, tags_json_schema, tags_table,
};
pub use timeline::Timeline;

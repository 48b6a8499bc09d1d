//! What people and machines read of a run.
//!
//! `sync` says what happened, in [`sync::Event`]s while it runs and in a [`sync::RunReport`] at its
//! end. Here that becomes a JSON [`Document`], a table for people ([`summary()`]), progress bars
//! ([`Progress`]), log lines ([`Lines`]) and one [`ExitStatus`]. Nothing here prints: texts are
//! returned, and bars draw where the caller says.

mod diagnosis;
mod document;
mod exit_status;
mod hint;
mod lines;
mod progress;
mod registries;
mod repositories;
#[cfg(test)]
mod sample;
mod signature;
mod summary;
mod table;
mod tags;
mod words;

pub use diagnosis::{Check, CheckStatus, Diagnosis, diagnosis_schema};
pub use document::{
    Bytes, Document, Error, ErrorClass, ErrorSide, Item, Kind, Mode, Origin, Outcome, Run,
    RunFacts, Summary, json_schema,
};
pub use exit_status::{ExitStatus, Rules, Signal, SourceLost};
pub use hint::next_step;
pub use lines::Lines;
pub use progress::Progress;
pub use registries::{Pulls, RegistryUse, planned_pulls};
pub use repositories::{RepositoryOutcome, RepositoryReport, ecr_summary, repositories};
pub use signature::{SignatureDocument, SignatureVerdict, signature_schema};
pub use summary::{View, summary};
pub use tags::{
    TagEntry, TagRule, TagRules, TagsDocument, TagsSummary, tags_json_schema, tags_table,
};

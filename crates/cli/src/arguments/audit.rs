//! The arguments of the audit log: where it is kept, and how one is verified.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OutputFormat;

/// The audit log of a run.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "The audit log")]
pub(crate) struct AuditArguments {
    /// Record each act that changes or refuses something in this file, before it is reported; what
    /// cannot be recorded is not done
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Sign the log's last hash with this key at the end of the run, into FILE.head and FILE.head.sig
    #[arg(long, value_name = "KEY")]
    pub(crate) audit_key: Option<String>,
    /// Push the run's lines and the signed hash to this repository, as an OCI artifact
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) audit_push: Option<String>,
}

/// Look at audit logs
#[derive(Args, Debug)]
pub(crate) struct AuditCommandArguments {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What is done with audit logs.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    Verify(AuditVerifyArguments),
}

/// Say whether an audit log is as it was written
///
/// Any line that was changed, removed, moved or added ends it with code 5 and is named. That whole runs
/// were removed at the end only shows by a hash that was kept elsewhere: --head, or --key.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer audit verify audit.jsonl
  image-syncer audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl
  image-syncer audit verify audit.jsonl --key cosign.pub")]
pub(crate) struct AuditVerifyArguments {
    /// The files of one log, the oldest first
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A line with this hash must be there; repeatable
    #[arg(long, value_name = "HASH")]
    pub(crate) head: Vec<String>,
    /// The hash of the line before the first one, where older files are gone
    #[arg(long, value_name = "HASH")]
    pub(crate) previous: Option<String>,
    /// The head that was signed at the end of a run must be signed by this key, and be there
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Where the signature is; what it signs has the same name without `.sig` [default: the name of
    /// the last FILE with `.head.sig`]
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// Print a line for people (`table`) or JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
}

//! What was typed, as it was typed. What it means together with variables and defaults is decided
//! in `settings`. The doc comments here are the help texts.

mod audit;
mod doctor;
mod metrics;
mod plan;
mod referrers;
mod repositories;
mod run;
mod serve;
mod signature;
mod signing;
mod tags;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use audit::{AuditArguments, AuditCommand, AuditCommandArguments, AuditVerifyArguments};
pub(crate) use doctor::DoctorArguments;
pub(crate) use metrics::MetricsArguments;
pub(crate) use plan::{ApplyArguments, LockArguments, LockFileArguments, PlanArguments};
pub(crate) use referrers::{ReferrersArguments, Switch, which};
pub(crate) use repositories::{EcrArguments, RepositoriesArguments};
pub(crate) use run::{
    CheckArguments, CopyArguments, CopyingArguments, ListArguments, LoginArguments, OutputFormat,
    PrefixArguments, RunArguments, RunOutput, Share, SourceLost, SyncArguments, VerifyArguments,
    positive, share, time,
};
pub(crate) use serve::ServeArguments;
pub(crate) use signature::{SignArguments, VerifySignatureArguments};
pub(crate) use signing::{KeyArguments, LogArguments, SignatureFormat, SigningArguments};
pub(crate) use tags::{RulesArguments, TagsArguments, part, pattern, range};
pub(crate) use watch::WatchArguments;

use crate::environment::boolean;

/// Keep verified, immutable copies of container images in registries you own.
///
/// A sync file says which images are wanted. `image-syncer` copies what the target does not have,
/// whole and exact to the byte, and reports what became of each image. A tag at the target never
/// moves: where it holds other content than the source, that is reported as drift and left alone.
///
/// Without a command, `sync` is meant: its flags work at the top level too.
#[derive(Debug, Parser)]
#[command(
    name = "image-syncer",
    version,
    subcommand_value_name = "COMMAND",
    after_help = "\
Examples:
  image-syncer -i images.yaml -r registry.example.com/mirror/
  image-syncer plan -i images.yaml -r oci:./mirror/
  image-syncer copy nginx:1.27 registry.example.com/mirror/nginx:1.27

Every flag can be given as the variable named beside it; the flag goes first, and an empty variable
counts as not set. `image-syncer COMMAND --help` says more about a command.

Variables without a flag: SYNCER_SOURCE_USERNAME and SYNCER_SOURCE_PASSWORD, or
SYNCER_SOURCE_PASSWORD_FILE, log in to every source, SYNCER_TARGET_… likewise to every target.
SYNCER_GITLAB_DEPENDENCY_PROXY=false keeps a job of GitLab's from reading Docker Hub through its group."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// The flags of `sync`, without the word.
    #[command(flatten)]
    pub(crate) sync: SyncArguments,
    /// How to log, with every command.
    #[command(flatten)]
    pub(crate) logging: LoggingArguments,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Sync(SyncArguments),
    Plan(PlanArguments),
    Apply(ApplyArguments),
    Lock(LockArguments),
    Verify(VerifyArguments),
    Check(CheckArguments),
    Copy(CopyArguments),
    Doctor(DoctorArguments),
    Tags(TagsArguments),
    Sign(SignArguments),
    VerifySignature(VerifySignatureArguments),
    Audit(AuditCommandArguments),
    Watch(WatchArguments),
    Serve(ServeArguments),
    Convert(ConvertArguments),
    Report(ReportArguments),
    Schema(SchemaArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
}

/// How to log, with every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LoggingArguments {
    /// Log what is asked and answered, without secrets
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) debug: Option<bool>,
    /// Log events of this level and above [default: info; warn while bars are drawn]
    #[arg(long, global = true, value_name = "LEVEL", ignore_case = true)]
    pub(crate) log_level: Option<LogLevel>,
    /// Log as text for people or as JSON, one object a line [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub(crate) enum LogLevel {
    /// What went wrong
    #[value(aliases = ["critical", "fatal"])]
    Error,
    /// What should be looked at
    #[value(alias = "warning")]
    Warn,
    /// What is done
    #[value(alias = "notice")]
    Info,
    /// What is asked and answered
    Debug,
    /// Everything
    Trace,
}

impl LogLevel {
    /// The level's name in a filter of `tracing-subscriber`.
    pub(crate) fn directive(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How events are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object a line
    Json,
}

/// Print a sync file made of another tool's file
///
/// What has no counterpart in a sync file is told on standard error; logins are not carried over.
#[derive(Args, Debug)]
pub(crate) struct ConvertArguments {
    /// Whose file it is
    #[arg(value_name = "TOOL")]
    pub(crate) format: Foreign,
    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// A tool whose files can be converted.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Foreign {
    /// The configuration of regsync
    Regsync,
    /// What `skopeo sync --src yaml` reads
    Skopeo,
}

/// Make one report of several
///
/// `report merge` joins the JSON reports of processes that shared a list (`--shard`).
#[derive(Args, Debug)]
pub(crate) struct ReportArguments {
    /// What to do with them
    #[arg(value_name = "WORK")]
    pub(crate) work: ReportWork,
    /// JSON reports, as `--report json=FILE` writes them
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// What can be done with reports.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ReportWork {
    /// Print one report of those of all shares
    Merge,
}

/// Print the JSON Schema of a format
///
/// Editors check and complete sync files by it; programs that read reports rely on the other.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer schema > images.schema.json
  image-syncer schema report")]
pub(crate) struct SchemaArguments {
    /// Which format
    #[arg(value_name = "FORMAT", default_value = "sync-file")]
    pub(crate) format: Format,
}

/// A format that has a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// The file that says which images are wanted
    SyncFile,
    /// What `--output json` and `--report json=FILE` write
    Report,
    /// What a webhook of `notices` gets
    Notice,
    /// What `doctor --output json` writes
    Doctor,
    /// What `tags --output json` writes
    Tags,
    /// What `plan --plan-file` writes
    Plan,
    /// What `sign --output json` and `verify-signature --output json` write
    Signature,
    /// A line of an audit log
    Audit,
    /// What `audit verify --output json` writes
    AuditVerdict,
}

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer completions bash > /etc/bash_completion.d/image-syncer
  image-syncer completions zsh > \"${fpath[1]}/_image-syncer\"")]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Print a manual page
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer man | man -l -
  image-syncer man sync > image-syncer-sync.1")]
pub(crate) struct ManArguments {
    /// The command to print the page of; the page of the program without one
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Option<String>,
}

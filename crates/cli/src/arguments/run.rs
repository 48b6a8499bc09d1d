//! The arguments of the commands that look at images: `sync`, `verify`, `check`, `copy`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use oci::Platform;
use secrecy::SecretString;

use super::{
    AuditArguments, EcrArguments, KeyArguments, LockFileArguments, MetricsArguments,
    ReferrersArguments, RepositoriesArguments, SigningArguments, Switch,
};
use crate::environment::boolean;

/// Copy what the target does not have
///
/// Every image of the sync files is looked at on both sides. What the target does not have is
/// copied: the whole image or index with all its platforms and attestations, exact to the byte, with
/// its referrers and signatures, its tag last. What the target has is left alone, also where it differs (drift).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer sync -i images.yaml -r registry.example.com/mirror/
  image-syncer sync -i lists/ -r oci:./mirror/ --report report.json --report report.html
  image-syncer sync -i images.yaml -r eu.example.com/mirror/ -r us.example.com/mirror/
  image-syncer sync -i images.yaml -t key.json --dry-run")]
pub(crate) struct SyncArguments {
    #[command(flatten)]
    pub(crate) list: ListArguments,
    /// Say what would be copied and write nothing; the same as `plan`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = None::<&str>)]
    pub(crate) dry_run: Option<bool>,
    #[command(flatten)]
    pub(crate) copying: CopyingArguments,
}

/// Check that the target is what the sync files say
///
/// For each image the target must have the tag, with the source's digest, and everything that it is
/// made of. Nothing is written. An image that the target lacks ends it with exit code 1.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer verify -i images.yaml -r registry.example.com/mirror/")]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    pub(crate) list: ListArguments,
    #[command(flatten)]
    pub(crate) signing: SigningArguments,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// Check that sync files are right; ask no registry
///
/// All mistakes of all files are shown in one go, each with its line and what would be right.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer check images.yaml
  image-syncer check lists/ -r registry.example.com/mirror/
  generate-list | image-syncer check -")]
pub(crate) struct CheckArguments {
    /// The sync files, or folders of them; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) prefixes: PrefixArguments,
    #[command(flatten)]
    pub(crate) repositories: RepositoriesArguments,
    #[command(flatten)]
    pub(crate) key: KeyArguments,
}

/// Copy one image
///
/// The same engine and the same promises as `sync`, for one image and without a file. SOURCE needs
/// a tag or a digest; where TARGET has no tag, it takes the tag of SOURCE.
#[derive(Args, Debug)]
#[command(after_help = "\
Places are `HOST/REPOSITORY:TAG`, `oci:FOLDER:TAG` (an OCI image layout) and `oci-archive:FILE.tar`.

Examples:
  image-syncer copy nginx:1.27 registry.example.com/mirror/nginx
  image-syncer copy quay.io/org/tool:2 oci:./tool
  image-syncer copy nginx:1.27 oci:./nginx --platform linux/amd64 --platform linux/arm64
  image-syncer copy oci-archive:build.tar:1.4 registry.example.com/team/app:1.4")]
pub(crate) struct CopyArguments {
    /// Where the image comes from
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The tag that is to hold it
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// Copy of an index only this platform, such as `linux/amd64`, as an index of its own;
    /// repeatable, or with commas between them
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub(crate) platform: Vec<Platform>,
    /// Say what would be copied and write nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) dry_run: Option<bool>,
    #[command(flatten)]
    pub(crate) copying: CopyingArguments,
}

/// How images are copied, what travels with them, as whom, and what is told of it: the same for every
/// command that copies or plans to.
#[derive(Args, Debug)]
pub(crate) struct CopyingArguments {
    #[command(flatten)]
    pub(crate) referrers: ReferrersArguments,
    #[command(flatten)]
    pub(crate) signing: SigningArguments,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// What is wanted.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Read wanted images from a sync file or a folder of them; `-` is standard input, repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) images_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) prefixes: PrefixArguments,
    /// The same as -i, by ecr-sync's name: a folder of ECR repositories, or any sync file
    #[arg(long, value_name = "DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Share the list with other processes: do only what share I of N writes, from 0; `N` alone takes I from
    /// JOB_COMPLETION_INDEX, as an Indexed Job of Kubernetes sets it
    #[arg(long, value_name = "I/N", value_parser = share)]
    pub(crate) shard: Option<Share>,
    #[command(flatten)]
    pub(crate) lock: LockFileArguments,
    #[command(flatten)]
    pub(crate) ecr: EcrArguments,
}

/// Where images without a destination of their own go.
#[derive(Args, Debug)]
pub(crate) struct PrefixArguments {
    /// Put this before target names, `HOST/PATH/` or `oci:FOLDER/`; repeatable, each image goes to
    /// all of them [default: `targetRepoPrefix` of the sync file]
    #[arg(short = 'r', long, value_name = "PREFIX")]
    pub(crate) target_repo_prefix: Vec<String>,
}

/// Who we are at the target. Without any of these, docker config and credential helpers are asked.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials of the target")]
pub(crate) struct LoginArguments {
    /// Log in with the JSON key of a Google service account
    #[arg(short = 't', long, value_name = "FILE")]
    pub(crate) target_repo_auth_key: Option<PathBuf>,
    /// Log in with this bearer token; others can see it here, the variable is safer
    #[arg(short, long, value_name = "TOKEN")]
    pub(crate) access_token: Option<SecretString>,
}

/// How a run goes about it, and what it tells.
#[derive(Args, Debug)]
#[command(next_help_heading = "The run and its report")]
pub(crate) struct RunArguments {
    /// Work on so many images at once, and make at most so many requests of a kind at once to each
    /// registry [default: look at 512, copy 64; requests as the registry takes them]
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(crate) concurrency: Option<usize>,
    /// Be done in so much time, such as `45m` or `1h30m`; what is not is put off, with exit code 75
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) deadline: Option<Duration>,
    /// Begin nothing new after the first image that did not end well
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) fail_fast: Option<bool>,
    /// Copy foreign layers too, which registries need not hold; `verify` looks for them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) foreign_layers: Option<bool>,
    /// What it counts as that the source has lost what the target still has [default: warn]
    #[arg(long, value_name = "HOW")]
    pub(crate) source_lost: Option<SourceLost>,
    /// Print the result as a table for people, as JSON or as Markdown [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<RunOutput>,
    /// Write the result into a file as well: json, junit, markdown, html or sarif; without a format
    /// the file's ending tells it, .json .xml .md .html .sarif; repeatable
    #[arg(long, value_name = "[FORMAT=]FILE")]
    pub(crate) report: Vec<String>,
    /// In a job of GitHub Actions, annotate the lines of sync files and write a summary of the step
    /// [default: on]
    #[arg(long, value_name = "SWITCH")]
    pub(crate) github: Option<Switch>,
    /// List every image, also where many are up to date
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) verbose: Option<bool>,
    /// Draw no progress bars; log lines instead
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) no_progress: Option<bool>,
    #[command(flatten)]
    pub(crate) metrics: MetricsArguments,
    #[command(flatten)]
    pub(crate) audit: AuditArguments,
}

/// What it counts as that the source has lost what the target still has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum SourceLost {
    /// Something to know
    Warn,
    /// A failure
    Fail,
}

/// How the result of a run is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum RunOutput {
    /// A table, then what must be looked at
    Table,
    /// The JSON report
    Json,
    /// The report in Markdown, as for a pull request
    Markdown,
}

/// How other results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people
    Table,
    /// JSON for programs
    Json,
}

/// A time above 0, such as `45m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| !time.is_zero())
        .ok_or_else(|| "it must be a time such as `45m` or `1h30m`".to_owned())
}

/// `I/N`, or `N` alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Share {
    pub(crate) index: Option<u32>,
    pub(crate) count: NonZeroU32,
}

pub(crate) fn share(text: &str) -> Result<Share, String> {
    let (index, count) = match text.split_once('/') {
        Some((index, count)) => (Some(index), count),
        None => (None, text),
    };
    let index = index.map(str::parse).transpose();
    match (index, count.parse::<NonZeroU32>()) {
        (Ok(index), Ok(count)) if index.is_none_or(|index| index < count.get()) => {
            Ok(Share { index, count })
        }
        _ => Err("it must be I/N with I from 0 and below N, such as `0/3`, or N".to_owned()),
    }
}

/// A number from 1.
pub(crate) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("it must be a whole number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

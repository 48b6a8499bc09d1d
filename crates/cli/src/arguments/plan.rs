//! The arguments of what is decided now and done later: `plan`, `apply`, `lock`.

use std::path::PathBuf;

use clap::Args;

use super::{CopyingArguments, ListArguments, LoginArguments, RunArguments};
use crate::environment::boolean;

/// Say what `sync` would do, and why
///
/// Both sides are looked at for real, and nothing is written. Drift and failures end it with the
/// same exit codes as `sync`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer plan -i images.yaml -r registry.example.com/mirror/
  image-syncer plan -i images.yaml --exit-code --output json
  image-syncer plan -i images.yaml -o plan.json")]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) list: ListArguments,
    /// Exit with 6 where something would be copied, signed, created or updated
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) exit_code: Option<bool>,
    /// Write the plan into a file as well, for `apply`; it pins everything by digest
    ///
    /// To find out what belongs to the images that would be copied, their manifests are read, as `sync`
    /// reads them. Docker Hub counts that as pulls.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) plan_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) copying: CopyingArguments,
}

/// Carry out a plan, exactly, or nothing of it
///
/// Everything is looked at once more, by digest, before anything is written. Where the world has moved so
/// that the plan cannot be carried out, all differences are told and nothing is written. What is wanted,
/// how it is signed and what travels with it is what the plan says; registries, logins and rules come from
/// the sync files, which must be what they were.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer apply plan.json
  image-syncer apply plan.json -i checkout/images.yaml --report json=report.json")]
pub(crate) struct ApplyArguments {
    /// What `plan --plan-file` wrote
    #[arg(value_name = "PLAN")]
    pub(crate) plan: PathBuf,
    /// Read the sync files here instead of where the plan was made; in the same order, repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) images_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// Write down what source tags point at
///
/// Each sync file gets a lock file beside it, `images.lock` for `images.yaml`: a line for each tag, with
/// its digest and when that was first seen. `sync`, `plan` and `verify` go by it where it is there. What is
/// missing is added, what nobody wants any more is removed, everything else stays.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer lock -i images.yaml
  image-syncer lock -i images.yaml --update
  image-syncer lock -i images.yaml --update '*/nginx:*'
  image-syncer lock -i images.yaml --check")]
pub(crate) struct LockArguments {
    #[command(flatten)]
    pub(crate) list: ListArguments,
    /// Follow tags that have moved; those that match this, `*` for all, such as `docker.io/*`
    #[arg(long, value_name = "PATTERN", num_args = 0..=1, default_missing_value = "*",
        help_heading = None::<&str>)]
    pub(crate) update: Option<String>,
    /// Write nothing; exit with 6 where something would be added or removed, and tell which tags moved
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean, help_heading = None::<&str>)]
    pub(crate) check: Option<bool>,
}

/// Where the lock is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LockFileArguments {
    /// The lock file of all sync files [default: one beside each, `images.lock` for `images.yaml`]
    #[arg(long, value_name = "FILE")]
    pub(crate) lock_file: Option<PathBuf>,
    /// Take tags as they are now, also where there is a lock file
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) no_lock: Option<bool>,
}

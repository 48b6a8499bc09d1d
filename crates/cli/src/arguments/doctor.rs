//! The arguments of `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{LoginArguments, OutputFormat};
use crate::environment::boolean;

/// Look at a registry and say what it is like
///
/// Shows what the registry was taken for and why, whether it can be reached and how far away it is,
/// who we are there and which place the credential comes from, and, of a repository, what it can do
/// and what is left of its limits. Each line says what should be known or done. Nothing is written;
/// of a repository one manifest is read, which Docker Hub counts as a pull.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer doctor registry.example.com
  image-syncer doctor docker.io/library/nginx
  image-syncer doctor registry.example.com/team/app --push
  image-syncer doctor registry.example.com -i images.yaml --output json")]
pub(crate) struct DoctorArguments {
    /// The registry, `HOST`, or one of its repositories, `HOST/REPOSITORY`
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,
    /// Begin an upload in the repository and give it up, to see whether pushing is allowed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) push: Option<bool>,
    /// Reach registries as the `registries` of this sync file say; repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) images_file: Vec<PathBuf>,
    /// Print the result as lines for people or as JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
}

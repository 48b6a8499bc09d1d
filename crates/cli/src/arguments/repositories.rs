//! The arguments about ECR repositories.

use std::path::PathBuf;

use clap::Args;

use crate::environment::boolean;

/// What holds for the ECR repositories of all files.
#[derive(Args, Debug)]
#[command(next_help_heading = "ECR repositories")]
pub(crate) struct RepositoriesArguments {
    /// The AWS account of repositories that name no `registry`, 12 digits
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) ecr_account_id: Option<String>,
    /// The region of repositories that name no `registry` [default: AWS_REGION, AWS_DEFAULT_REGION]
    #[arg(long, value_name = "REGION")]
    pub(crate) ecr_region: Option<String>,
    /// The lifecycle policy of repositories without one of their own, as JSON [default:
    /// ecr-lifecycle.json, if it is there]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) default_lifecycle_policy_file: Option<PathBuf>,
    /// The permission policy of repositories without one of their own, as JSON [default:
    /// ecr-permissions.json, if it is there]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) default_permission_policy_file: Option<PathBuf>,
    /// The tags of all repositories, as JSON; a repository's own go before them [default:
    /// default_resource_tags.json, if it is there]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(crate) default_resource_tags_file: Option<PathBuf>,
}

/// How ECR repositories become what they are to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "ECR repositories")]
pub(crate) struct EcrArguments {
    #[command(flatten)]
    pub(crate) repositories: RepositoriesArguments,
    /// Remove the lifecycle and permission policies that the sync files do not have; without it they
    /// are only told
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) prune_policies: Option<bool>,
}

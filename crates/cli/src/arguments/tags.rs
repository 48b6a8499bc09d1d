//! The arguments of `tags`.

use clap::Args;
use tagrules::{Part, Pattern, Range};

use super::{OutputFormat, positive};
use crate::environment::boolean;

/// Say which tags of a repository rules select, and why
///
/// The rules are those of `tags` in a sync file. Each tag is shown with the rule that kept or
/// dropped it, selected ones first. Nothing is written. A selection that would be an error in a
/// sync file, because it is empty or too large, ends it with exit code 1.
#[derive(Args, Debug)]
#[command(after_help = "\
Patterns are globs, or regexes between slashes, and match whole tags. With --semver or --latest,
a tag with a suffix (`1.27-alpine`, `2.0-rc.1`) is selected only where the range or an --include
names it.

Examples:
  image-syncer tags nginx --semver '>=1.26' --latest 1 --per minor
  image-syncer tags nginx --semver 1.27 --include '*-alpine'
  image-syncer tags ghcr.io/org/tool --include 'v*' --exclude '/.*-(rc|beta).*/'
  image-syncer tags oci:./mirror/library/nginx --output json")]
pub(crate) struct TagsArguments {
    /// The repository, without a tag; also `oci:FOLDER` or `oci-archive:FILE`
    #[arg(value_name = "REPOSITORY")]
    pub(crate) repository: String,
    /// Print a table for people or JSON [default: table]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    #[command(flatten)]
    pub(crate) rules: RulesArguments,
}

/// The rules, as in `tags` of a sync file.
#[derive(Args, Debug)]
#[command(next_help_heading = "Rules")]
pub(crate) struct RulesArguments {
    /// Only versions in this range, such as `>=2.0, <3`, `^1.2`, `~1.2` or `1.x || >=3`
    #[arg(long, value_name = "RANGE", value_parser = range)]
    pub(crate) semver: Option<Range>,
    /// Only tags that match; repeatable, one that matches is enough
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) include: Vec<Pattern>,
    /// No tags that match; repeatable
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) exclude: Vec<Pattern>,
    /// Of what is left, only so many of the highest versions
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(crate) latest: Option<usize>,
    /// With --latest: so many of each `major`, `minor` or `patch` version, not of all
    #[arg(long, value_name = "PART", value_parser = part)]
    pub(crate) per: Option<Part>,
    /// More selected tags than this are an error
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    pub(crate) max_tags: Option<usize>,
    /// That no tag is selected is no error
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) allow_empty: Option<bool>,
}

pub(crate) fn range(text: &str) -> Result<Range, String> {
    text.parse().map_err(|error: tagrules::InvalidRange| error.problem().to_owned())
}

pub(crate) fn pattern(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|error: tagrules::InvalidPattern| match error.hint() {
        Some(hint) => format!("{}; {hint}", error.problem()),
        None => error.problem().to_owned(),
    })
}

pub(crate) fn part(text: &str) -> Result<Part, String> {
    text.parse().map_err(|error: tagrules::InvalidPart| error.to_string())
}

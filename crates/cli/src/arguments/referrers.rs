//! The arguments that say which referrers and signatures travel with an image.

use clap::{Args, ValueEnum};
use sync::WhichReferrers;

use crate::environment::boolean;

/// What travels with an image besides itself.
#[derive(Args, Debug)]
#[command(next_help_heading = "Referrers and signatures")]
pub(crate) struct ReferrersArguments {
    /// Copy what belongs to an image too, such as signatures and SBOMs: `all`, `none`, or artifact
    /// types with commas between them [default: all]
    ///
    /// Artifacts belong to an image as its OCI referrers, or under the tags that cosign names after
    /// its digest (`sha256-….sig`, `.att`, `.sbom`; their types count as
    /// `application/vnd.dev.cosign.artifact.sig.v1+json` and alike).
    #[arg(long, value_name = "WHICH", value_parser = which)]
    pub(crate) referrers: Option<WhichReferrers>,
    /// Fail an image where not all of that can be found and copied, instead of a note on it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = boolean)]
    pub(crate) referrers_required: Option<bool>,
    /// Look at images that are up to date again, for what came later [default: on]
    #[arg(long, value_name = "SWITCH")]
    pub(crate) late_referrers: Option<Switch>,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Switch {
    /// Do it
    #[value(alias = "true")]
    On,
    /// Leave it
    #[value(alias = "false")]
    Off,
}

/// Reads `all`, `none`, or artifact types with commas between them.
pub(crate) fn which(text: &str) -> Result<WhichReferrers, String> {
    match text.trim() {
        "all" => Ok(WhichReferrers::All),
        "none" => Ok(WhichReferrers::None),
        types => {
            types.split(',').map(artifact_type).collect::<Result<_, _>>().map(WhichReferrers::Types)
        }
    }
}

fn artifact_type(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_media_type = text.split_once('/').is_some_and(|(kind, name)| {
        !kind.is_empty() && !name.is_empty() && !text.contains(char::is_whitespace)
    });
    match is_media_type {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{}` is no artifact type, such as `application/spdx+json`; it must be `all`, `none`, or \
             types with commas between them",
            text.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_none_or_types() {
        let types = |types: &[&str]| {
            Ok(WhichReferrers::Types(types.iter().map(|&one| one.to_owned()).collect()))
        };
        assert_eq!(which("all"), Ok(WhichReferrers::All));
        assert_eq!(which("none"), Ok(WhichReferrers::None));
        assert_eq!(which("a/b"), types(&["a/b"]));
        assert_eq!(which("a/b+json, c/d.v1"), types(&["a/b+json", "c/d.v1"]));
        for wrong in ["", "sbom", "All", "a/b,", "a/b,all", "/", "a/", "a/b c/d"] {
            assert!(which(wrong).is_err(), "{wrong}");
        }
    }
}

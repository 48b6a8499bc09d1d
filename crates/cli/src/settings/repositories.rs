//! What flags and variables say of ECR repositories.

use std::path::PathBuf;

use syncfile::EcrDefaults;

use super::flag;
use crate::arguments::{EcrArguments, RepositoriesArguments};
use crate::environment::{self, Environment, Variable};
use crate::error::CliError;

/// How ECR repositories become what they are to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EcrSettings {
    /// How many repositories are worked on at once.
    pub(crate) parallel: usize,
    /// Whether policies that the files do not have are removed.
    pub(crate) prune_policies: bool,
}

/// As many repositories at once as ecr-sync worked on.
const PARALLEL: usize = 5;

impl EcrSettings {
    /// `concurrency` is what was said for all that is done at once, if it was.
    pub(crate) fn new(
        typed: Option<&EcrArguments>,
        concurrency: Option<usize>,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let prune_policies = match typed {
            Some(typed) => flag(typed.prune_policies, environment, environment::PRUNE_POLICIES)?,
            None => false,
        };
        Ok(Self { parallel: concurrency.unwrap_or(PARALLEL), prune_policies })
    }
}

/// Whose the repositories are that do not say it, and the files with what holds for all of them.
/// Whether it is right is told with the list that needs it.
pub(crate) fn defaults(
    typed: &RepositoriesArguments,
    environment: &Environment,
) -> Result<EcrDefaults, CliError> {
    let text = |typed: &Option<String>, variable: Variable| match typed {
        Some(typed) => Ok(Some(typed.clone())),
        None => Ok(environment.text(variable)?.map(|found| found.value)),
    };
    let file = |typed: &Option<PathBuf>, variable: Variable| {
        let found = || environment.os_text(variable).map(|found| PathBuf::from(found.value));
        typed.clone().or_else(found)
    };
    let of_aws = environment::AWS_REGION.iter().find_map(|name| environment.get(name));
    let of_aws = of_aws.and_then(|region| region.clone().into_string().ok());
    Ok(EcrDefaults {
        account: text(&typed.ecr_account_id, environment::ECR_ACCOUNT_ID)?,
        region: text(&typed.ecr_region, environment::ECR_REGION)?.or(of_aws),
        lifecycle_policy_file: file(
            &typed.default_lifecycle_policy_file,
            environment::DEFAULT_LIFECYCLE_POLICY_FILE,
        ),
        permission_policy_file: file(
            &typed.default_permission_policy_file,
            environment::DEFAULT_PERMISSION_POLICY_FILE,
        ),
        resource_tags_file: file(
            &typed.default_resource_tags_file,
            environment::DEFAULT_RESOURCE_TAGS_FILE,
        ),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::Arguments;

    /// What a line and variables say.
    fn told(line: &str, variables: &[(&str, &str)]) -> (EcrDefaults, EcrSettings) {
        let words = ["image-syncer"].into_iter().chain(line.split_whitespace());
        let typed = Arguments::try_parse_from(words).unwrap().sync;
        let environment: Environment = variables.iter().copied().collect();
        let settings =
            EcrSettings::new(Some(&typed.list.ecr), typed.copying.run.concurrency, &environment);
        (defaults(&typed.list.ecr.repositories, &environment).unwrap(), settings.unwrap())
    }

    #[test]
    fn the_registry_is_that_of_flags_then_of_our_variables_then_of_aws() {
        let registry = |line: &str, variables: &[(&str, &str)]| {
            let (defaults, _) = told(line, variables);
            (defaults.account.unwrap_or_default(), defaults.region.unwrap_or_default())
        };
        let said = |account: &str, region: &str| (account.to_owned(), region.to_owned());
        let all = [
            ("AWS_DEFAULT_REGION", "d"),
            ("AWS_REGION", "r"),
            ("ECR_REGION", "e"),
            ("SYNCER_ECR_REGION", "s"),
            ("ECR_ACCOUNT_ID", "1"),
            ("SYNCER_ECR_ACCOUNT_ID", "2"),
        ];
        assert_eq!(registry("", &[]), said("", ""));
        assert_eq!(registry("", &all[..1]), said("", "d"));
        assert_eq!(registry("", &all[..2]), said("", "r"));
        assert_eq!(registry("", &all[..3]), said("", "e"));
        assert_eq!(registry("", &all[..5]), said("1", "s"));
        assert_eq!(registry("", &all), said("2", "s"));
        assert_eq!(registry("--ecr-account-id 3 --ecr-region f", &all), said("3", "f"));
    }

    #[test]
    fn ecr_syncs_variables_are_known() {
        let (defaults, settings) = told(
            "--default-resource-tags-file typed.json",
            &[
                ("DEFAULT_LIFECYCLE_POLICY_FILE", "l.json"),
                ("DEFAULT_PERMISSION_POLICY_FILE", "p.json"),
                ("DEFAULT_RESOURCE_TAGS_FILE", "t.json"),
                ("SYNCER_PRUNE_POLICIES", "true"),
            ],
        );
        assert_eq!(defaults.lifecycle_policy_file, Some("l.json".into()));
        assert_eq!(defaults.permission_policy_file, Some("p.json".into()));
        assert_eq!(defaults.resource_tags_file, Some("typed.json".into()));
        assert_eq!(settings, EcrSettings { parallel: 5, prune_policies: true });
        let variables = [("SYNCER_PRUNE_POLICIES", "true")];
        let (_, settings) = told("--prune-policies=false --concurrency 9", &variables);
        assert_eq!(settings, EcrSettings { parallel: 9, prune_policies: false });
    }
}

//! The registry of ECR repositories that name none: an account and a region, from flags or variables.

use oci::{EcrRegistry, InvalidName};

use crate::EcrDefaults;
use crate::diagnostic::{Code, Diagnostic, Place};

/// Why there is no registry for ECR repositories that name none.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NoRegistry {
    #[error("neither the AWS account of these ECR repositories is given, nor their region")]
    Nothing,
    #[error("the AWS account of these ECR repositories is not given")]
    NoAccount,
    #[error("the region of these ECR repositories is not given")]
    NoRegion,
    #[error(transparent)]
    Invalid(#[from] InvalidName),
}

/// The registry that flags and variables name.
pub(crate) fn given(defaults: &EcrDefaults) -> Result<EcrRegistry, NoRegistry> {
    match (&defaults.account, &defaults.region) {
        (Some(account), Some(region)) => Ok(EcrRegistry::new(account, region)?),
        (None, None) => Err(NoRegistry::Nothing),
        (None, Some(_)) => Err(NoRegistry::NoAccount),
        (Some(_), None) => Err(NoRegistry::NoRegion),
    }
}

/// The error at a list of repositories that needs it.
pub(crate) fn describe(problem: &NoRegistry, place: Option<Place>) -> Diagnostic {
    const ACCOUNT: &str = "`--ecr-account-id` or the variable ECR_ACCOUNT_ID";
    const REGION: &str = "`--ecr-region` or the variable ECR_REGION";
    let error = Diagnostic::error(Code::NoEcrRegistry, place, problem.to_string());
    let error = match problem {
        NoRegistry::Nothing => error.help(format!("give {ACCOUNT}, and {REGION}")),
        NoRegistry::NoAccount => error.help(format!("give {ACCOUNT}")),
        NoRegistry::NoRegion => error.help(format!("give {REGION}")),
        NoRegistry::Invalid(_) => error.help(format!("it comes from {ACCOUNT}, or {REGION}")),
    };
    error.help("or write `registry: 123456789012.dkr.ecr.us-east-1.amazonaws.com` into each entry")
}

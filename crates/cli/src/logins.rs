//! [`Logins`]: who we are by variables alone, whatever registry it is.
//!
//! A password has no place on a command line, so these variables have no flags.

use std::path::PathBuf;

use credentials::gitlab::DependencyProxy;
use credentials::{Login, Secret, Variables};
use secrecy::SecretString;

use crate::environment::{self, Environment, PairVariables, boolean};
use crate::error::CliError;

/// What variables say.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    /// Who we are at every source.
    pub(crate) source: Option<Login>,
    /// Who we are at every target.
    pub(crate) target: Option<Login>,
    /// GitLab's proxy for Docker Hub.
    pub(crate) proxy: Option<DependencyProxy>,
}

impl Logins {
    pub(crate) fn of(environment: &Environment) -> Result<Self, CliError> {
        Ok(Self {
            source: pair(&environment::SOURCE_PAIR, environment)?,
            target: pair(&environment::TARGET_PAIR, environment)?,
            proxy: proxy(environment)?,
        })
    }
}

/// The user and password of a side. A file is read whenever it is needed: mounted secrets rotate.
pub(crate) fn pair(
    names: &PairVariables,
    environment: &Environment,
) -> Result<Option<Login>, CliError> {
    let text = |name: &str| environment.get(name).map(|value| value.to_string_lossy().into_owned());
    let file = environment.get(names.password_file).map(PathBuf::from);
    let password = match (text(names.password), file) {
        (Some(_), Some(_)) => {
            return Err(CliError::usage(format!(
                "the variables {} and {} are both set",
                names.password, names.password_file
            ))
            .hint("a side has one password; leave one of them out"));
        }
        (Some(text), None) => Some(Secret::Text(SecretString::from(text))),
        (None, Some(file)) => Some(Secret::File(file)),
        (None, None) => None,
    };
    match (text(names.username), password) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => {
            let username = Secret::Text(SecretString::from(username));
            Ok(Some(Login::Basic { username, password }))
        }
        (Some(_), None) => Err(CliError::usage(format!(
            "the variable {} is set without a password",
            names.username
        ))
        .hint(format!("set {} or {}", names.password, names.password_file))),
        (None, Some(_)) => Err(CliError::usage(format!(
            "there is a password for a side, but {} is not set",
            names.username
        ))
        .hint(format!("set {}, or take the password away", names.username))),
    }
}

fn proxy(environment: &Environment) -> Result<Option<DependencyProxy>, CliError> {
    let name = environment::GITLAB_DEPENDENCY_PROXY;
    let switch = environment.get(name).map(|value| value.to_string_lossy().into_owned());
    let is_on = switch.map(|text| boolean(&text)).transpose().map_err(|problem| {
        CliError::usage(format!("the variable {name} cannot be read: {problem}"))
    })?;
    if is_on == Some(false) {
        return Ok(None);
    }
    let variables = environment.clone();
    let proxy =
        DependencyProxy::of(&Variables::from_lookup(move |name| variables.get(name).cloned()));
    proxy.map_err(|problem| {
        CliError::usage(problem).hint(format!("correct it, or set {name}=false"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(variables: &[(&str, &str)]) -> Result<Logins, String> {
        let environment: Environment = variables.iter().copied().collect();
        Logins::of(&environment).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_pair_is_whole_or_not_there() {
        let both = [("SYNCER_SOURCE_USERNAME", "u"), ("SYNCER_SOURCE_PASSWORD", "hunter2")];
        let found = logins(&both).unwrap();
        assert!(found.source.is_some() && found.target.is_none());
        assert!(!format!("{found:?}").contains("hunter2"));
        let file = [("SYNCER_TARGET_USERNAME", "u"), ("SYNCER_TARGET_PASSWORD_FILE", "/p")];
        assert!(matches!(
            logins(&file).unwrap().target,
            Some(Login::Basic { password: Secret::File(_), .. })
        ));
        for wrong in
            [&both[..1], &both[1..], &[both[0], both[1], ("SYNCER_SOURCE_PASSWORD_FILE", "/p")]]
        {
            let error = logins(wrong).unwrap_err();
            assert!(error.contains("SYNCER_SOURCE_") && !error.contains("hunter2"), "{error}");
        }
        assert!(logins(&[("SYNCER_SOURCE_USERNAME", "")]).unwrap().source.is_none());
    }

    #[test]
    fn the_proxy_can_be_turned_off() {
        let job = [
            ("CI_DEPENDENCY_PROXY_USER", "u"),
            ("CI_DEPENDENCY_PROXY_PASSWORD", "p"),
            ("CI_DEPENDENCY_PROXY_SERVER", "gitlab.example:443"),
            (
                "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX",
                "gitlab.example:443/g/dependency_proxy/containers",
            ),
        ];
        let with = |value: &'static str| {
            let switch = ("SYNCER_GITLAB_DEPENDENCY_PROXY", value);
            logins(&[&job[..], &[switch]].concat()).map(|found| found.proxy.is_some())
        };
        assert_eq!(with("").ok(), Some(true));
        assert_eq!(with("true").ok(), Some(true));
        assert_eq!(with("false").ok(), Some(false));
        assert!(with("maybe").unwrap_err().contains("SYNCER_GITLAB_DEPENDENCY_PROXY"));
    }
}

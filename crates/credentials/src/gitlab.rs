//! GitLab's jobs: their registry, and the proxy of their group for Docker Hub.

use oci::{Host, Repository};
use secrecy::SecretString;

use crate::Credential;
use crate::automatic::{basic, secret};
use crate::key::is_same;
use crate::variables::Variables;

/// Who a job is at the registry of its GitLab.
/// <https://docs.gitlab.com/user/packages/container_registry/authenticate_with_container_registry/>
///
/// The deploy token comes first: someone made it for this. The other two are the same token of the job,
/// the second for GitLab's own name of its user.
pub(crate) fn job(host: &Host, variables: &Variables) -> Option<(Credential, &'static str)> {
    if !is_same(host, &variables.text("CI_REGISTRY")?) {
        return None;
    }
    let pair = |user: &str, password: &str| {
        Some(basic(&variables.text(user)?, secret(variables, &[password])?))
    };
    let by_deploy_token = pair("CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD");
    let by_registry = pair("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD");
    let by_job = secret(variables, &["CI_JOB_TOKEN"]).map(|token| basic("gitlab-ci-token", token));
    [
        (by_deploy_token, "CI_DEPLOY_USER and CI_DEPLOY_PASSWORD"),
        (by_registry, "CI_REGISTRY_USER and CI_REGISTRY_PASSWORD"),
        (by_job, "CI_JOB_TOKEN"),
    ]
    .into_iter()
    .find_map(|(credential, place)| Some((credential?, place)))
}

/// The proxy of a group for Docker Hub, as a job is told of it.
/// <https://docs.gitlab.com/user/packages/dependency_proxy/#authenticate-within-cicd>
#[derive(Clone, Debug)]
pub struct DependencyProxy {
    /// Where it is asked, with its port.
    pub host: Host,
    /// What stands before the name that a repository has at Docker Hub.
    pub prefix: Repository,
    /// Whom the login is for, written as GitLab does; the same server, or another name of it.
    pub server: Host,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

const USER: &str = "CI_DEPENDENCY_PROXY_USER";
const PASSWORD: &str = "CI_DEPENDENCY_PROXY_PASSWORD";
const SERVER: &str = "CI_DEPENDENCY_PROXY_SERVER";
const PREFIX: &str = "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX";

impl DependencyProxy {
    /// The proxy, if all four variables of it are set.
    ///
    /// # Errors
    /// A variable that is no address of a registry, with its name.
    pub fn of(variables: &Variables) -> Result<Option<Self>, String> {
        let text = |name: &str| variables.text(name);
        let (Some(username), Some(password), Some(server), Some(address)) =
            (text(USER), secret(variables, &[PASSWORD]), text(SERVER), text(PREFIX))
        else {
            return Ok(None);
        };
        let invalid = |name: &str, error: &dyn std::fmt::Display| {
            format!("the variable {name} is no address of a dependency proxy: {error}")
        };
        let server = server.parse().map_err(|error| invalid(SERVER, &error))?;
        let (host, prefix) = address
            .trim_end_matches('/')
            .split_once('/')
            .ok_or_else(|| invalid(PREFIX, &"it has no path"))?;
        let host = host.parse().map_err(|error| invalid(PREFIX, &error))?;
        let prefix = prefix.parse().map_err(|error| invalid(PREFIX, &error))?;
        Ok(Some(Self { host, prefix, server, username, password }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::exposed;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Variables::from_lookup(move |name| {
            pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_job_is_known_at_its_own_registry() {
        let all = [
            ("CI_REGISTRY", "registry.gitlab.example:5050"),
            ("CI_JOB_TOKEN", "job"),
            ("CI_REGISTRY_USER", "gitlab-ci-token"),
            ("CI_REGISTRY_PASSWORD", "registry"),
            ("CI_DEPLOY_USER", "deployer"),
            ("CI_DEPLOY_PASSWORD", "deploy"),
        ];
        let table = [
            (6, "registry.gitlab.example:5050", "basic deployer:deploy"),
            (5, "registry.gitlab.example:5050", "basic gitlab-ci-token:registry"),
            (3, "registry.gitlab.example:5050", "basic gitlab-ci-token:job"),
            (1, "registry.gitlab.example:5050", "none"),
            (6, "registry.gitlab.example", "none"),
            (6, "registry.gitlab.com", "none"),
        ];
        for (set, host, expected) in table {
            let found = job(&host.parse().unwrap(), &variables(&all[..set]));
            let found = found.map_or("none".to_owned(), |(credential, _)| exposed(&credential));
            assert_eq!(found, expected, "{set} {host}");
        }
        let with_port = variables(&[("CI_REGISTRY", "r.example:443"), ("CI_JOB_TOKEN", "job")]);
        assert!(job(&"r.example".parse().unwrap(), &with_port).is_some());
    }

    #[test]
    fn the_proxy_needs_all_four_variables() {
        let all = [
            (USER, "gitlab-ci-token"),
            (PASSWORD, "hunter2\n"),
            (SERVER, "gitlab.example:443"),
            (PREFIX, "gitlab.example:443/group/dependency_proxy/containers"),
        ];
        let proxy = DependencyProxy::of(&variables(&all)).unwrap().unwrap();
        assert_eq!(proxy.host.to_string(), "gitlab.example:443");
        assert_eq!(proxy.prefix.to_string(), "group/dependency_proxy/containers");
        assert!(!format!("{proxy:?}").contains("hunter2"));
        for left_out in 0..4 {
            let mut some = all.to_vec();
            some.remove(left_out);
            assert!(DependencyProxy::of(&variables(&some)).unwrap().is_none());
        }
    }

    #[test]
    fn a_proxy_that_is_no_address_is_named() {
        for (name, value) in [(SERVER, "https://x"), (PREFIX, "gitlab.example"), (PREFIX, "x/A b")]
        {
            let mut all = vec![
                (USER, "u"),
                (PASSWORD, "p"),
                (SERVER, "gitlab.example:443"),
                (PREFIX, "gitlab.example:443/g/dependency_proxy/containers"),
            ];
            all.retain(|(known, _)| *known != name);
            all.push((name, value));
            let error = DependencyProxy::of(&variables(&all)).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}

//! [`Mirror`]: where the repositories of another registry are found as well.

use std::fmt;
use std::str::FromStr;

use crate::{Host, InvalidName, Repository};

/// A registry that has the repositories of another one, under the same names or below a path, as proxies
/// of Harbor, Artifactory, Nexus and GitLab do.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mirror {
    /// The registry.
    pub host: Host,
    /// What stands before a repository's name there.
    pub prefix: Option<Repository>,
}

impl Mirror {
    /// What a repository is called there.
    ///
    /// # Errors
    /// [`InvalidName`], where both together are too long.
    pub fn repository(&self, repository: &Repository) -> Result<Repository, InvalidName> {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{repository}").parse(),
            None => Ok(repository.clone()),
        }
    }
}

/// The same names at another host.
impl From<Host> for Mirror {
    fn from(host: Host) -> Self {
        Self { host, prefix: None }
    }
}

/// `HOST` or `HOST/PATH`.
impl FromStr for Mirror {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        if input.contains("://") {
            // The parser of hosts says so.
            return input.parse::<Host>().map(Self::from);
        }
        match input.split_once('/') {
            Some((host, path)) => {
                let prefix = Some(path.strip_suffix('/').unwrap_or(path).parse()?);
                Ok(Self { host: host.parse()?, prefix })
            }
            None => input.parse::<Host>().map(Self::from),
        }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.host),
            None => self.host.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_found_below_the_path() {
        let table = [
            ("mirror.example", "mirror.example", "library/nginx"),
            ("mirror.example/docker-hub/", "mirror.example/docker-hub", "docker-hub/library/nginx"),
            (
                "gitlab.example:443/group/dependency_proxy/containers",
                "gitlab.example:443/group/dependency_proxy/containers",
                "group/dependency_proxy/containers/library/nginx",
            ),
        ];
        for (input, written, repository) in table {
            let mirror: Mirror = input.parse().unwrap();
            assert_eq!(mirror.to_string(), written);
            let nginx = "library/nginx".parse().unwrap();
            assert_eq!(mirror.repository(&nginx).unwrap().as_str(), repository);
        }
        let long: Mirror = format!("mirror.example/{}", "a".repeat(250)).parse().unwrap();
        assert!(long.repository(&"library/nginx".parse().unwrap()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_the_same_and_nothing_panics(text in "[a-z0-9.:/A_-]{0,30}") {
            if let Ok(mirror) = text.parse::<Mirror>() {
                proptest::prop_assert_eq!(mirror.to_string().parse(), Ok(mirror));
            }
        }
    }

    #[test]
    fn what_is_no_mirror_is_refused() {
        for input in ["", "/a", "mirror.example//a", "mirror.example/A", "m.example:0", "https://m"]
        {
            assert!(input.parse::<Mirror>().is_err(), "{input}");
        }
    }
}

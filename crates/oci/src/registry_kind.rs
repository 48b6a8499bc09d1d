//! [`RegistryKind`]: what software or service a registry is, where that matters.

use std::fmt;
use std::str::FromStr;

use crate::InvalidName;

/// What a registry is. What follows from it is known to whoever speaks to registries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RegistryKind {
    /// Docker Hub.
    DockerHub,
    /// Amazon ECR, private registries.
    Ecr,
    /// Amazon ECR Public.
    EcrPublic,
    /// Google's: Artifact Registry and what was Container Registry.
    Google,
    /// GitHub's.
    Ghcr,
    /// GitLab's, hosted by anyone.
    Gitlab,
    /// Quay, hosted by anyone.
    Quay,
    /// Azure's.
    Acr,
    /// Harbor.
    Harbor,
    /// JFrog Artifactory.
    Artifactory,
    /// Sonatype Nexus.
    Nexus,
    /// The CNCF's distribution, up to version 2.
    Distribution2,
    /// The CNCF's distribution from version 3.
    Distribution3,
    /// zot.
    Zot,
    /// None of these, as far as is known.
    Generic,
}

impl RegistryKind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::DockerHub,
        Self::Ecr,
        Self::EcrPublic,
        Self::Google,
        Self::Ghcr,
        Self::Gitlab,
        Self::Quay,
        Self::Acr,
        Self::Harbor,
        Self::Artifactory,
        Self::Nexus,
        Self::Distribution2,
        Self::Distribution3,
        Self::Zot,
        Self::Generic,
    ];

    /// Its name, as settings and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerHub => "docker-hub",
            Self::Ecr => "ecr",
            Self::EcrPublic => "ecr-public",
            Self::Google => "google",
            Self::Ghcr => "ghcr",
            Self::Gitlab => "gitlab",
            Self::Quay => "quay",
            Self::Acr => "acr",
            Self::Harbor => "harbor",
            Self::Artifactory => "artifactory",
            Self::Nexus => "nexus",
            Self::Distribution2 => "distribution2",
            Self::Distribution3 => "distribution3",
            Self::Zot => "zot",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for RegistryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RegistryKind {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == input).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            InvalidName::new("kind of registry", input, format!("it must be one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in RegistryKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "Harbor".parse::<RegistryKind>().unwrap_err().to_string();
        assert!(error.contains("`Harbor`") && error.contains("docker-hub, ecr,"), "{error}");
    }
}

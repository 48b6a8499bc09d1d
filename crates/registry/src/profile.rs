//! [`Profile`]: what kinds of registries do differently, as data. No other file names a host.

use oci::Host;

/// What a kind of registry does differently.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The hosts of this kind; `*` stands for any text without a slash.
    hosts: &'static [&'static str],
    /// Where the API is, if not at the registry's own name.
    pub(crate) api_host: Option<&'static str>,
    /// Whether a blob may be uploaded in several requests.
    pub(crate) chunks: bool,
    /// What to do when the repository pushed to does not exist.
    pub(crate) missing_repository: Option<&'static str>,
    /// What to do when no more requests are allowed.
    pub(crate) rate_limited: Option<&'static str>,
}

const OTHER: Profile = Profile {
    hosts: &["*"],
    api_host: None,
    chunks: true,
    missing_repository: None,
    rate_limited: None,
};

const PROFILES: [Profile; 5] = [
    Profile {
        hosts: &["docker.io"],
        api_host: Some("registry-1.docker.io"),
        rate_limited: Some(
            "Docker Hub limits pulls per account, or per address without one: log in, use a mirror, \
             or run again later",
        ),
        ..OTHER
    },
    // ECR creates no repository on push unless a template says so, and what it answers to several
    // PATCHes cannot be relied on (aws/containers-roadmap#2831); it takes one PUT of any size.
    Profile {
        hosts: &["*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "*.dkr-ecr.*.on.aws"],
        chunks: false,
        missing_repository: Some(
            "ECR creates no repository on push: create it first, or set up a repository creation \
             template",
        ),
        ..OTHER
    },
    Profile {
        hosts: &["public.ecr.aws"],
        chunks: false,
        missing_repository: Some("create the repository in ECR Public first"),
        ..OTHER
    },
    // Google's registries have no chunked upload (dotnet/sdk-container-builds#287).
    Profile {
        hosts: &["*.pkg.dev"],
        chunks: false,
        missing_repository: Some("create the Artifact Registry repository first"),
        ..OTHER
    },
    Profile { hosts: &["gcr.io", "*.gcr.io"], chunks: false, ..OTHER },
];

impl Profile {
    /// The profile of a registry.
    pub(crate) fn of(host: &Host) -> &'static Self {
        let name = host.name();
        let is_this = |profile: &&Self| profile.hosts.iter().any(|hosts| matches(hosts, name));
        PROFILES.iter().find(is_this).unwrap_or(&OTHER)
    }
}

/// Whether a name is one of a pattern's; `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    (0..=name.len()).any(|cut| name.get(cut..).is_some_and(|name| matches(rest, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_find_their_profile() {
        let table = [
            ("docker.io", Some("docker.io")),
            ("registry-1.docker.io", Some("docker.io")),
            ("notdocker.io", None),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", Some("*.dkr.ecr.*.amazonaws.com")),
            ("1.dkr.ecr.x.amazonaws.com.evil.example", None),
            ("europe-docker.pkg.dev", Some("*.pkg.dev")),
            ("eu.gcr.io", Some("gcr.io")),
            ("gcr.io", Some("gcr.io")),
            ("registry.example.com:5000", None),
            ("[::1]:5000", None),
        ];
        for (host, first) in table {
            let profile = Profile::of(&host.parse().unwrap());
            assert_eq!(profile.hosts.first().copied(), first.or(Some("*")), "{host}");
        }
    }
}

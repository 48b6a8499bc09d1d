//! [`Profile`]: what kinds of registries do differently, as data. No other file names a host.
//!
//! A service is known by its host's name. Software that anyone may run is known by what it answers
//! to the first request ([`Sign`]), or by the `kind` of its settings. What it turns out to do goes
//! before what stands here; see `learned::Learned`.

use std::fmt;

use http::HeaderMap;
use oci::{EcrRegistry, Host, RegistryKind};

use crate::auth::Challenge;

/// What a kind of registry does differently.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) kind: RegistryKind,
    /// The hosts of this kind; `*` stands for any text without a slash. Those of ECR are known to
    /// [`EcrRegistry::of_host`].
    hosts: &'static [&'static str],
    /// What in an answer only this kind says; one of these is enough.
    signs: &'static [Sign],
    /// Where the API is, if not at the registry's own name.
    pub(crate) api_host: Option<&'static str>,
    /// Whether a blob may be uploaded in several requests, if one PUT is refused.
    pub(crate) chunks: bool,
    /// Whether a blob is mounted only from where a manifest names it.
    pub(crate) mounts_named_only: bool,
    /// Whether what an index names may be there later than the index.
    pub(crate) children_come_late: bool,
    /// Whether the registry lists referrers.
    pub(crate) referrers: ReferrersApi,
    /// Tags asked for at once, at most.
    pub(crate) tags_per_page: usize,
    /// Whether a list of tags tells what they point at.
    pub(crate) lists_digests: bool,
    /// How one gets a credential that it takes.
    pub(crate) login: Option<&'static str>,
    /// What to do when the repository pushed to does not exist.
    pub(crate) missing_repository: Option<&'static str>,
    /// The requests a second that it allows, where that is published.
    pub(crate) rate: Option<f64>,
    /// Whether it counts pulls: GETs of manifests, not HEADs.
    pub(crate) counts_pulls: bool,
    /// What to do when no more requests are allowed.
    pub(crate) rate_limited: Option<&'static str>,
}

/// What is known of a registry's referrers API before it is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferrersApi {
    /// It has one: an error is about what was asked for.
    Present,
    /// Not known; one request for each repository finds out.
    Unknown,
    /// It has none, and is not asked.
    Absent,
}

/// Something in an answer to `GET /v2/` that gives a kind of registry away.
#[derive(Debug)]
pub(crate) enum Sign {
    /// A header that only this kind sends.
    Header(&'static str),
    /// A header with this text in its value.
    HeaderHas(&'static str, &'static str),
    /// A token server whose URL ends so, and, where one is named, with this `service`.
    Realm(&'static str, Option<&'static str>),
}

const OTHER: Profile = Profile {
    kind: RegistryKind::Generic,
    hosts: &[],
    signs: &[],
    api_host: None,
    chunks: true,
    mounts_named_only: false,
    children_come_late: false,
    referrers: ReferrersApi::Unknown,
    tags_per_page: 1000,
    lists_digests: false,
    login: None,
    missing_repository: None,
    rate: None,
    counts_pulls: false,
    rate_limited: None,
};

const PROFILES: [Profile; 15] = [
    Profile {
        kind: RegistryKind::DockerHub,
        hosts: &["docker.io"],
        api_host: Some("registry-1.docker.io"),
        login: Some("the password is a personal access token (Account settings)"),
        counts_pulls: true,
        rate_limited: Some(
            "Docker Hub limits pulls per account, or per address without one: log in, use a mirror, \
             or run again later",
        ),
        ..OTHER
    },
    // ECR creates no repository on push unless a template says so; what it answers to several
    // PATCHes cannot be relied on (aws/containers-roadmap#2831), and it takes one PUT of any size;
    // mounts, where an account allows them, are of blobs that a manifest names
    // (aws/containers-roadmap#2860); referrers are listed, though some manifests are answered with
    // 405 (aws/containers-roadmap#2783); no page is longer than 1000
    // (google/go-containerregistry#1091). Where it pulls an index through, what that names comes
    // later (project-zot/zot#4378).
    Profile {
        kind: RegistryKind::Ecr,
        chunks: false,
        mounts_named_only: true,
        children_come_late: true,
        referrers: ReferrersApi::Present,
        login: Some(
            "credentials of AWS that may ecr:GetAuthorizationToken are enough; a password of \
             `aws ecr get-login-password` is good for 12 hours",
        ),
        missing_repository: Some(
            "ECR creates no repository on push: list it under `repositories`, say \
             `ecr: { create: true }` beside its image, or set up a repository creation template",
        ),
        rate_limited: Some(
            "ECR limits each API call per account and region: set `rate` for this registry, or ask \
             AWS for a higher quota",
        ),
        ..OTHER
    },
    Profile {
        kind: RegistryKind::EcrPublic,
        hosts: &["public.ecr.aws"],
        chunks: false,
        mounts_named_only: true,
        login: Some("passwords come from `aws ecr-public get-login-password --region us-east-1`"),
        missing_repository: Some("create the repository in ECR Public first"),
        rate_limited: Some("ECR Public allows one pull a second to those without a login: log in"),
        ..OTHER
    },
    // Google's registries have no chunked upload (dotnet/sdk-container-builds#287), and a quota of
    // requests for each project and user (kubernetes/k8s.io#6431).
    Profile {
        kind: RegistryKind::Google,
        hosts: &["*.pkg.dev", "gcr.io", "*.gcr.io"],
        chunks: false,
        lists_digests: true,
        login: Some(
            "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
        ),
        missing_repository: Some("create the Artifact Registry repository first"),
        rate_limited: Some(
            "Google limits requests per project and minute: set `rate` for this registry, or raise \
             the quota",
        ),
        ..OTHER
    },
    Profile {
        kind: RegistryKind::Ghcr,
        hosts: &["ghcr.io"],
        login: Some(
            "the password is a personal access token (classic) with `read:packages`, and \
             `write:packages` to push; in a workflow, `GITHUB_TOKEN` with `packages: write`",
        ),
        ..OTHER
    },
    // The version header comes once one is let in; before that the token server is the sign
    // (GitLab's registry, docs/spec/gitlab; deitch/docker_registry2#14).
    Profile {
        kind: RegistryKind::Gitlab,
        hosts: &["registry.gitlab.com"],
        signs: &[
            Sign::Header("gitlab-container-registry-version"),
            Sign::Realm("/jwt/auth", Some("container_registry")),
        ],
        login: Some(
            "the password is a token with `read_registry`, and `write_registry` to push; the path \
             must be that of a project",
        ),
        missing_repository: Some(
            "the first parts of the path must be a project of GitLab with its registry turned on",
        ),
        ..OTHER
    },
    Profile {
        kind: RegistryKind::Quay,
        hosts: &["quay.io"],
        signs: &[Sign::Realm("/v2/auth", None)],
        login: Some("use a robot account, `NAMESPACE+NAME`, that may read or write the repository"),
        ..OTHER
    },
    // Azure lists referrers (Azure/acr, OCI 1.1).
    Profile {
        kind: RegistryKind::Acr,
        hosts: &["*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"],
        referrers: ReferrersApi::Present,
        login: Some(
            "use a managed or a workload identity, a client secret, or a token of the registry",
        ),
        ..OTHER
    },
    // (goharbor/harbor#12192)
    Profile {
        kind: RegistryKind::Harbor,
        signs: &[Sign::Realm("/service/token", Some("harbor-registry"))],
        login: Some("use a robot account of the project, `robot$NAME`"),
        missing_repository: Some("the first part of the path must be a project of Harbor"),
        ..OTHER
    },
    // Its header is on every answer (renovatebot/renovate, lib/modules/datasource/util.ts), and it
    // takes pages as long as one likes.
    Profile {
        kind: RegistryKind::Artifactory,
        hosts: &["*.jfrog.io"],
        signs: &[Sign::Header("x-jfrog-version"), Sign::Header("x-artifactory-id")],
        tags_per_page: 10_000,
        login: Some("the password is an identity token or a password; SSO passwords do not work"),
        missing_repository: Some(
            "the first part of the path must be a docker repository of Artifactory that one may \
             deploy to: a local one, or a virtual one with a default for deployment",
        ),
        ..OTHER
    },
    // `Server: Nexus/3.87.1-01 (PRO)` is on every answer of Nexus 3.
    Profile {
        kind: RegistryKind::Nexus,
        signs: &[Sign::HeaderHas("server", "Nexus/")],
        login: Some(
            "where nobody may pull without a login, `Docker Bearer Token Realm` must be active or \
             basic authentication forced",
        ),
        missing_repository: Some(
            "pushes go to the port or subdomain of a hosted docker repository; a group takes none",
        ),
        ..OTHER
    },
    // The two versions answer alike, so these two are known by their settings only. Taking a newer
    // one for version 2 would lose referrers.
    Profile { kind: RegistryKind::Distribution2, referrers: ReferrersApi::Absent, ..OTHER },
    Profile { kind: RegistryKind::Distribution3, ..OTHER },
    // Its CORS headers allow one that only its own web page sends (zot, pkg/common/http_server.go).
    Profile {
        kind: RegistryKind::Zot,
        signs: &[
            Sign::HeaderHas("access-control-allow-headers", "X-ZOT-API-CLIENT"),
            Sign::Realm("/zot/auth/token", None),
        ],
        referrers: ReferrersApi::Present,
        ..OTHER
    },
    OTHER,
];

impl Profile {
    /// The profile of a registry, as far as its name tells.
    pub(crate) fn of(host: &Host) -> &'static Self {
        let name = host.name();
        if name.parse().is_ok_and(|name| EcrRegistry::of_host(&name).is_some()) {
            return Self::of_kind(RegistryKind::Ecr);
        }
        let is_this = |profile: &&Self| profile.hosts.iter().any(|hosts| matches(hosts, name));
        PROFILES.iter().find(is_this).unwrap_or(&OTHER)
    }

    /// The profile of a kind of registry.
    pub(crate) fn of_kind(kind: RegistryKind) -> &'static Self {
        PROFILES.iter().find(|profile| profile.kind == kind).unwrap_or(&OTHER)
    }

    /// The profile that an answer to `GET /v2/` tells, and what in it does.
    pub(crate) fn told_by(
        headers: &HeaderMap,
        challenge: Option<&Challenge>,
    ) -> Option<(&'static Self, &'static Sign)> {
        PROFILES.iter().find_map(|profile| {
            let sign = profile.signs.iter().find(|sign| sign.is_in(headers, challenge))?;
            Some((profile, sign))
        })
    }
}

impl Sign {
    fn is_in(&self, headers: &HeaderMap, challenge: Option<&Challenge>) -> bool {
        match self {
            Self::Header(name) => headers.contains_key(*name),
            Self::HeaderHas(name, part) => headers
                .get_all(*name)
                .iter()
                .any(|value| value.to_str().is_ok_and(|value| value.contains(part))),
            Self::Realm(end, wanted) => match challenge {
                Some(Challenge::Bearer { realm, service, .. }) => {
                    let path = realm.split(['?', '#']).next().unwrap_or_default();
                    path.ends_with(end) && (wanted.is_none() || service.as_deref() == *wanted)
                }
                _ => false,
            },
        }
    }
}

/// What was seen, for people.
impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "it sends `{name}`"),
            Self::HeaderHas(name, part) => write!(f, "its `{name}` has `{part}`"),
            Self::Realm(end, _) => write!(f, "its token server is at `{end}`"),
        }
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn hosts_find_their_profile() {
        use RegistryKind as K;
        let table = [
            ("docker.io", K::DockerHub),
            ("registry-1.docker.io", K::DockerHub),
            ("notdocker.io", K::Generic),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", K::Ecr),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", K::Ecr),
            ("123456789012.dkr-ecr.eu-central-1.on.aws", K::Ecr),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", K::Ecr),
            ("123456789012.dkr-ecr-fips.us-gov-east-1.on.aws", K::Ecr),
            ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", K::Ecr),
            ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", K::Ecr),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com:443", K::Ecr),
            ("123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", K::Generic),
            ("public.ecr.aws", K::EcrPublic),
            ("europe-docker.pkg.dev", K::Google),
            ("eu.gcr.io", K::Google),
            ("gcr.io", K::Google),
            ("ghcr.io", K::Ghcr),
            ("registry.gitlab.com", K::Gitlab),
            ("quay.io", K::Quay),
            ("team.azurecr.io", K::Acr),
            ("team.jfrog.io", K::Artifactory),
            ("registry.example.com:5000", K::Generic),
            ("[::1]:5000", K::Generic),
        ];
        for (host, kind) in table {
            assert_eq!(Profile::of(&host.parse().unwrap()).kind, kind, "{host}");
        }
    }

    #[test]
    fn every_kind_has_one_profile() {
        for kind in RegistryKind::ALL {
            assert_eq!(Profile::of_kind(kind).kind, kind);
            assert_eq!(PROFILES.iter().filter(|profile| profile.kind == kind).count(), 1, "{kind}");
        }
    }

    #[test]
    fn answers_tell_what_is_not_in_a_name() {
        use RegistryKind as K;
        let bearer = |realm: &str, service: &str| {
            ("www-authenticate", format!("Bearer realm=\"{realm}\",service=\"{service}\""))
        };
        let header = |name: &'static str, value: &str| (name, value.to_owned());
        let table = [
            (bearer("https://h.example/service/token", "harbor-registry"), Some(K::Harbor)),
            (bearer("https://h.example/service/token", "other"), None),
            (bearer("https://gitlab.example/jwt/auth", "container_registry"), Some(K::Gitlab)),
            // Gitea and Forgejo name the same service (go-gitea/gitea#36907).
            (bearer("https://gitea.example/v2/token", "container_registry"), None),
            (bearer("https://quay.example/v2/auth?x=1", "quay.example"), Some(K::Quay)),
            (bearer("https://zot.example/zot/auth/token", "zot"), Some(K::Zot)),
            (header("www-authenticate", "Basic realm=\"/service/token\""), None),
            (header("gitlab-container-registry-version", "4.5.0-gitlab"), Some(K::Gitlab)),
            (header("x-jfrog-version", "Artifactory/7.98.9 79809900"), Some(K::Artifactory)),
            (header("server", "Nexus/3.87.1-01 (PRO)"), Some(K::Nexus)),
            (header("server", "nginx"), None),
            (
                header(
                    "access-control-allow-headers",
                    "Authorization,content-type,X-ZOT-API-CLIENT",
                ),
                Some(K::Zot),
            ),
            (header("docker-distribution-api-version", "registry/2.0"), None),
        ];
        for ((name, value), kind) in table {
            let headers: HeaderMap =
                [(name.parse().unwrap(), HeaderValue::try_from(&value).unwrap())]
                    .into_iter()
                    .collect();
            let told = Profile::told_by(&headers, Challenge::of(&headers).as_ref());
            assert_eq!(told.map(|(profile, _)| profile.kind), kind, "{name}: {value}");
        }
    }
}

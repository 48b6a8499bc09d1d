//! [`Personality`]: what a kind of registry does differently, as data: its auth, faults that it
//! always has, and [`Rule`]s for what needs a memory. Each line names the thread it was seen in.

use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_RANGE;

use crate::auth::{Auth, Bearer, TokenField, User};
use crate::fault::{Fault, LocationForm, has_parameter, parameter};
use crate::pattern::path;
pub use crate::rule::Rule;

/// A kind of registry. The fields are open: a test may leave something out or add to it.
#[derive(Clone, Debug)]
pub struct Personality {
    /// Its name, for messages.
    pub name: &'static str,
    /// Its auth, used where the test says none of its own.
    pub auth: Auth,
    /// What it always does.
    pub faults: Vec<Fault>,
    /// What it does depending on what came before.
    pub rules: Vec<Rule>,
    /// Whether it has a second server, for blobs and foreign redirects.
    pub has_cdn: bool,
}

/// The user of every personality's own auth; ECR's is called `AWS`.
pub const USERNAME: &str = "robot";
/// The password of every personality's own auth.
pub const PASSWORD: &str = "secret";

impl Default for Personality {
    fn default() -> Self {
        Self {
            name: "plain",
            auth: Auth::Open,
            faults: Vec::new(),
            rules: Vec::new(),
            has_cdn: false,
        }
    }
}

impl Personality {
    /// Docker Hub: tokens also for anonymous pulls, 100 manifest GETs, blobs from a CDN.
    pub fn docker_hub() -> Self {
        Self {
            name: "docker hub",
            auth: with_user(Bearer {
                anonymous_pull: vec!["*".to_owned()],
                service: "registry.docker.io".to_owned(),
                ..Bearer::default()
            }),
            faults: vec![
                // The registry sends blobs to a CDN, which must not see the token.
                Fault::redirect_to_cdn(),
                // A mount from what it does not know as a repository is an error, not a 202
                // (google/go-containerregistry#1741).
                Fault::error(400, "NAME_INVALID", "invalid repository name")
                    .on("POST", path::UPLOADS)
                    .when(|request| has_parameter(request, "origin")),
            ],
            // Manifest GETs count, HEADs do not; no Retry-After comes with the 429
            // (podman-container-tools/skopeo#1801, docker/hub-feedback#2464).
            rules: vec![Rule::PullLimit(100)],
            has_cdn: true,
        }
    }

    /// Amazon ECR with immutable tags. Repositories have to be made first, with
    /// [`crate::Registry::create_repository`] or by adding an image.
    pub fn ecr() -> Self {
        Self::ecr_with(
            // Mounting is off unless the account turns it on (aws/containers-roadmap#531).
            vec![Fault::refuse_mount()],
            Vec::new(),
        )
    }

    /// [`Personality::ecr`] in an account that has mounting turned on: of blobs that a manifest
    /// names, others are a 202 (aws/containers-roadmap#2860).
    pub fn ecr_with_mounts() -> Self {
        Self::ecr_with(Vec::new(), vec![Rule::MountOnlyReferenced])
    }

    fn ecr_with(faults: Vec<Fault>, rules: Vec<Rule>) -> Self {
        let own_faults = vec![
            // PATCH is 201 (openai/tart#273, dotnet/sdk-container-builds#279).
            Fault::other_status(201).on("PATCH", path::UPLOADS),
            // A manifest PUT has no Location (a comment in oras-project/rust-oci-client).
            Fault::no_location().on("PUT", path::MANIFESTS),
            // More than 1000 tags at once is an error (google/go-containerregistry#1091).
            Fault::error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results")
                .on("GET", path::TAGS)
                .when(|request| page_size(request).is_some_and(|size| size > 1000)),
        ];
        let own_rules = vec![
            // (regclient/regclient#435)
            Rule::RepositoryMustExist,
            // Also for equal content (aws/containers-roadmap#2380, moby/buildkit#3776); the
            // wording is in osscontainertools/kaniko#204.
            Rule::ImmutableTags { status: StatusCode::BAD_REQUEST, code: "TAG_INVALID" },
            // (aws/containers-roadmap#2831, the comment of 2026-06-24)
            Rule::StaleUploadRange,
            // (dotnet/sdk-container-builds#424, normj in #279)
            Rule::MinimumPart(5 << 20),
        ];
        Self {
            name: "ecr",
            // A password is a token for 12 hours, and then a 403 (kcl-lang/kpm#698).
            auth: Auth::basic("AWS", PASSWORD),
            faults: own_faults.into_iter().chain(faults).collect(),
            rules: own_rules.into_iter().chain(rules).collect(),
            has_cdn: false,
        }
    }

    /// GitHub's registry: opaque tokens, no referrers API but a redirect to a web page.
    pub fn ghcr() -> Self {
        Self {
            name: "ghcr",
            auth: with_user(Bearer {
                anonymous_pull: vec!["*".to_owned()],
                field: TokenField::Token,
                tells_lifetime: false,
                post: false,
                service: "ghcr.io".to_owned(),
                ..Bearer::default()
            }),
            faults: vec![Fault::no_subject()],
            // (project-zot/zot#4060, artifacthub/hub#4785)
            rules: vec![Rule::ReferrersElsewhere],
            has_cdn: true,
        }
    }

    /// Quay: mounts need `from`, and an index may not mix OCI and Docker.
    pub fn quay() -> Self {
        Self {
            name: "quay",
            auth: with_user(Bearer {
                anonymous_pull: vec!["*".to_owned()],
                path: "/v2/auth".to_owned(),
                post: false,
                service: "quay.io".to_owned(),
                ..Bearer::default()
            }),
            faults: vec![
                // "Quay will fail if we specify a ?mount= without a ?from=" (go-containerregistry,
                // pkg/v1/remote/write.go).
                Fault::error(400, "UNSUPPORTED", "mount without from")
                    .on("POST", path::UPLOADS)
                    .when(|request| {
                        has_parameter(request, "mount") && !has_parameter(request, "from")
                    }),
                // Referrers can be written and are not listed (tektoncd/chains#1691).
                Fault::empty_referrers(),
            ],
            // (openshift/oc-mirror#253)
            rules: vec![Rule::OneFamilyPerIndex],
            has_cdn: false,
        }
    }

    /// GitLab's registry: tokens for five minutes, no referrers API, and a referrers tag that is
    /// read as the digest in it.
    pub fn gitlab() -> Self {
        Self {
            name: "gitlab",
            // Tokens live 5 minutes (moby/moby#33558); a mount needs both scopes, which all token
            // auth here asks for (estesp/manifest-tool#53).
            auth: with_user(Bearer {
                path: "/jwt/auth".to_owned(),
                service: "container_registry".to_owned(),
                lifetime: Duration::from_secs(300),
                ..Bearer::default()
            }),
            faults: vec![Fault::no_referrers(), Fault::no_subject()],
            rules: vec![
                // `sha256-<hex>` answers with the subject itself (oras-project/oras-go#1396).
                Rule::ReferrersTagIsDigest,
                // An index with an attestation left out is refused (zarf-dev/zarf#5272).
                Rule::ChildrenMustExist,
            ],
            has_cdn: false,
        }
    }

    /// Harbor with an immutability rule for all tags.
    pub fn harbor() -> Self {
        Self {
            name: "harbor",
            auth: with_user(Bearer {
                path: "/service/token".to_owned(),
                service: "harbor-registry".to_owned(),
                anonymous_pull: vec!["*".to_owned()],
                ..Bearer::default()
            }),
            faults: Vec::new(),
            // (goharbor/harbor#17332)
            rules: vec![
                Rule::ImmutableTags {
                    status: StatusCode::PRECONDITION_FAILED,
                    code: "PRECONDITION",
                },
                Rule::ChildrenMustExist,
            ],
            has_cdn: false,
        }
    }

    /// An older Artifactory: no PUT without a PATCH before it, mounts are not done.
    pub fn artifactory() -> Self {
        Self {
            name: "artifactory",
            auth: Auth::basic(USERNAME, PASSWORD),
            faults: vec![
                // (containerd/containerd#3533)
                Fault::refuse_mount(),
                // (renovatebot/renovate, lib/modules/datasource/util.ts)
                Fault::answer_header("x-jfrog-version", "Artifactory/6.9.0 60900900").before_auth(),
            ],
            // (docker/buildx#196, moby/moby#22531)
            rules: vec![Rule::PatchBeforePut],
            has_cdn: false,
        }
    }

    /// Google Artifact Registry: no chunked uploads, no referrers API, tag lists that tell digests.
    pub fn gar() -> Self {
        Self {
            name: "gar",
            auth: with_user(Bearer {
                path: "/v2/token".to_owned(),
                post: false,
                ..Bearer::default()
            }),
            faults: vec![
                // "does not support Docker chunked uploads" (dotnet/sdk-container-builds#287);
                // one PATCH with everything is taken, as docker sends it.
                Fault::error(405, "UNSUPPORTED", "chunked uploads are not supported")
                    .on("PATCH", path::UPLOADS)
                    .when(|request| request.headers.contains_key(CONTENT_RANGE)),
                // (actions/attest-build-provenance#80)
                Fault::no_referrers(),
                Fault::no_subject(),
            ],
            rules: vec![Rule::TagsTellDigests],
            has_cdn: false,
        }
    }

    /// Azure's registry: tokens from its own `/oauth2/token`.
    pub fn acr() -> Self {
        Self {
            name: "acr",
            auth: with_user(Bearer {
                path: "/oauth2/token".to_owned(),
                service: "registry.azurecr.io".to_owned(),
                ..Bearer::default()
            }),
            ..Self::default()
        }
    }

    /// Nexus: an index with a child left out is refused, and every answer says who it is.
    pub fn nexus() -> Self {
        Self {
            name: "nexus",
            auth: Auth::basic(USERNAME, PASSWORD),
            faults: vec![Fault::answer_header("server", "Nexus/3.87.1-01 (PRO)").before_auth()],
            // (regclient/regclient#836)
            rules: vec![Rule::ChildrenMustExist],
            has_cdn: false,
        }
    }

    /// zot, as anyone may use it; its answers allow a header that its own web page sends.
    pub fn zot() -> Self {
        let headers = "Authorization,content-type,X-ZOT-API-CLIENT";
        Self {
            name: "zot",
            faults: vec![
                Fault::answer_header("access-control-allow-headers", headers).before_auth(),
            ],
            ..Self::default()
        }
    }

    /// The CNCF's registry, version 3: as version 2 in what it does not do.
    pub fn distribution3() -> Self {
        Self { name: "distribution 3", ..Self::distribution2() }
    }

    /// The CNCF's registry, version 2: no referrers API, absolute Locations whose query is the
    /// session's state.
    pub fn distribution2() -> Self {
        Self {
            name: "distribution 2",
            auth: Auth::Open,
            faults: vec![
                Fault::no_referrers(),
                Fault::no_subject(),
                Fault::location(LocationForm::Absolute),
            ],
            rules: vec![Rule::UploadState, Rule::ChildrenMustExist],
            has_cdn: false,
        }
    }

    /// All of them.
    pub fn all() -> Vec<Self> {
        vec![
            Self::docker_hub(),
            Self::ecr(),
            Self::ecr_with_mounts(),
            Self::ghcr(),
            Self::quay(),
            Self::gitlab(),
            Self::harbor(),
            Self::artifactory(),
            Self::gar(),
            Self::acr(),
            Self::nexus(),
            Self::zot(),
            Self::distribution2(),
            Self::distribution3(),
        ]
    }
}

fn with_user(bearer: Bearer) -> Auth {
    Auth::Bearer(Bearer { users: vec![User::new(USERNAME, PASSWORD)], ..bearer })
}

fn page_size(request: &http::request::Parts) -> Option<u64> {
    parameter(request, "n")?.parse().ok()
}

//! What registries send when something is pushed, each in its own words: [`parse`] reads them,
//! [`authentication`] says whether they are believed.

pub(crate) mod authentication;
mod distribution;
mod docker_hub;
mod ecr;
mod github;
mod harbor;
mod quay;

use oci::{Host, Reference};

use crate::Moved;

/// Whose words they are, by the last part of the path `/hooks/KIND`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// CNCF distribution, and what keeps to its envelope: Azure Container Registry, Zot.
    Distribution,
    /// Harbor, in its own form and as CloudEvents.
    Harbor,
    /// Docker Hub.
    DockerHub,
    /// GitHub's container registry.
    GitHub,
    /// Amazon ECR, through EventBridge.
    Ecr,
    /// Quay, quay.io or one's own.
    Quay,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Distribution, Self::Harbor, Self::DockerHub, Self::GitHub, Self::Ecr, Self::Quay];

    /// Its name in the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::Harbor => "harbor",
            Self::DockerHub => "dockerhub",
            Self::GitHub => "github",
            Self::Ecr => "ecr",
            Self::Quay => "quay",
        }
    }

    /// The kind with this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Why a message is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not what this kind of registry sends.
    #[error("the body is no event of this kind of registry")]
    Json(#[from] serde_json::Error),
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] oci::InvalidName),
    /// It does not say where something was pushed.
    #[error("the event does not say {0}")]
    Missing(&'static str),
}

/// What a message says was pushed; nothing where it tells of something else.
///
/// `host` is the name of the registry in sync files, where that is not the one in the message: a
/// registry tells the name that whoever pushed had for it.
///
/// # Errors
/// [`Unreadable`] where the message is not one of this kind.
pub fn parse(kind: Kind, body: &[u8], host: Option<&Host>) -> Result<Vec<Moved>, Unreadable> {
    let mut moved = match kind {
        Kind::Distribution => distribution::parse(body, host)?,
        Kind::Harbor => harbor::parse(body)?,
        Kind::DockerHub => docker_hub::parse(body)?,
        Kind::GitHub => github::parse(body)?,
        Kind::Ecr => ecr::parse(body)?,
        Kind::Quay => quay::parse(body)?,
    };
    if let Some(host) = host {
        moved.iter_mut().for_each(|one| one.host = host.clone());
    }
    Ok(moved)
}

/// `HOST/REPOSITORY[:TAG][@DIGEST]`.
fn reference(text: &str) -> Result<Moved, Unreadable> {
    let Reference { location, tag, digest } = text.parse()?;
    match location {
        oci::Location::Registry { host, repository } => Ok(Moved { host, repository, tag, digest }),
        oci::Location::Layout(_) | oci::Location::Archive(_) | oci::Location::Chart(_) => {
            Err(Unreadable::Missing("which registry"))
        }
    }
}

/// Nothing for a text that is not there or empty.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(kind: Kind, body: &[u8], host: Option<&str>) -> Vec<String> {
        let host = host.map(|host| host.parse().unwrap());
        let show = |one: Moved| {
            let tag = one.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            let digest = one.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
            format!("{}/{}{tag}{}", one.host, one.repository, digest.get(..15).unwrap_or_default())
        };
        parse(kind, body, host.as_ref()).unwrap().into_iter().map(show).collect()
    }

    /// The vendors' own samples, as their documents have them; see the head of each parser.
    #[test]
    fn every_vendors_sample_says_what_was_pushed() {
        let table: [(Kind, &[u8], &str); 10] = [
            (
                Kind::Distribution,
                include_bytes!("../tests/data/distribution.json"),
                "127.0.0.1:5000/ci/hello-world:latest@sha256:6c6e1b7",
            ),
            (
                Kind::Distribution,
                include_bytes!("../tests/data/azure.json"),
                "xyz.azurecr.io/hello-world:v1@sha256:80f0d5c",
            ),
            (
                Kind::Harbor,
                include_bytes!("../tests/data/harbor.json"),
                "hub.harbor.com/test-webhook/debian:latest@sha256:8a9e986",
            ),
            (
                Kind::Harbor,
                include_bytes!("../tests/data/harbor-by-digest.json"),
                "localhost/harbor/alpine@sha256:954b378",
            ),
            (
                Kind::Harbor,
                include_bytes!("../tests/data/harbor-cloudevents.json"),
                "harbor.dev/library/busybox:v1.0@sha256:954b378",
            ),
            (
                Kind::DockerHub,
                include_bytes!("../tests/data/docker-hub.json"),
                "docker.io/svendowideit/testhook:latest",
            ),
            (
                Kind::GitHub,
                include_bytes!("../tests/data/github.json"),
                "ghcr.io/octo-org/hello-world:1.4.0@sha256:b8a6a4f",
            ),
            (
                Kind::Ecr,
                include_bytes!("../tests/data/ecr.json"),
                "123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:latest",
            ),
            (Kind::Quay, include_bytes!("../tests/data/quay.json"), "quay.io/dgangaia/test:latest"),
            (
                Kind::Quay,
                include_bytes!("../tests/data/quay-old.json"),
                "quay.io/devtable/ubuntu:latest",
            ),
        ];
        for (kind, body, expected) in table {
            assert_eq!(told(kind, body, None), [expected], "{kind:?}");
        }
    }

    #[test]
    fn the_name_of_the_registry_can_be_said_beside_the_message() {
        let body = include_bytes!("../tests/data/distribution.json");
        let told = told(Kind::Distribution, body, Some("registry.example.com"));
        assert_eq!(told, ["registry.example.com/ci/hello-world:latest@sha256:6c6e1b7"]);
    }

    #[test]
    fn what_is_no_push_moves_nothing() {
        let table = [
            (Kind::Harbor, r#"{"type": "PULL_ARTIFACT", "event_data": {"resources": []}}"#),
            (Kind::Harbor, r#"{"type": "SCANNING_COMPLETED"}"#),
            (Kind::GitHub, r#"{"zen": "Keep it logically awesome.", "hook_id": 1}"#),
            (
                Kind::GitHub,
                r#"{"action": "published", "package": {"package_type": "npm", "name": "a"}}"#,
            ),
            (Kind::Ecr, r#"{"detail-type": "ECR Image Scan", "detail": {}}"#),
            (
                Kind::Ecr,
                r#"{"detail-type": "ECR Image Action", "account": "123456789012", "region": "us-east-1",
                    "detail": {"action-type": "DELETE", "result": "SUCCESS", "repository-name": "a"}}"#,
            ),
            (
                Kind::Distribution,
                r#"{"events": [
                    {"action": "pull", "target": {"repository": "a", "tag": "1"}, "request": {"host": "a.io"}},
                    {"action": "push", "target": {"repository": "a", "digest": "",
                     "mediaType": "application/octet-stream"}, "request": {"host": "a.io"}}]}"#,
            ),
            (Kind::Distribution, r#"{"action": "ping"}"#),
        ];
        for (kind, body) in table {
            assert_eq!(told(kind, body.as_bytes(), None), [""; 0], "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for kind in Kind::ALL {
            assert!(parse(kind, b"", None).is_err(), "{kind:?}");
            assert!(parse(kind, b"[]", None).is_err(), "{kind:?}");
            assert_eq!(Kind::of(kind.as_str()), Some(kind));
        }
        let bad = br#"{"repository": {"repo_name": "../../etc"}, "push_data": {"tag": "x"}}"#;
        assert!(matches!(parse(Kind::DockerHub, bad, None), Err(Unreadable::Name(_))));
        assert_eq!(Kind::of("gitlab"), None);
    }

    /// JSON with the keys that the parsers know, and anything as their values.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,20}".prop_map(Into::into),
            prop::sample::select(vec![
                "push",
                "PUSH",
                "PUSH_ARTIFACT",
                "SUCCESS",
                "ECR Image Action",
                "container",
                "a.io/b:1",
                "a/b",
                "latest",
                "123456789012",
                "us-east-1",
            ])
            .prop_map(Into::into),
        ];
        let keys = vec![
            "events",
            "action",
            "target",
            "repository",
            "tag",
            "digest",
            "request",
            "host",
            "url",
            "mediaType",
            "type",
            "event_data",
            "data",
            "resources",
            "resource_url",
            "push_data",
            "repo_name",
            "package",
            "registry_package",
            "package_type",
            "package_version",
            "name",
            "namespace",
            "container_metadata",
            "package_url",
            "detail",
            "detail-type",
            "account",
            "region",
            "action-type",
            "repository-name",
            "image-tag",
            "result",
            "updated_tags",
            "docker_url",
        ];
        leaf.prop_recursive(5, 64, 8, move |inner| {
            let keys = prop::sample::select(keys.clone()).prop_map(str::to_owned);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(keys, inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_message_is_a_panic(value in json(), bytes: Vec<u8>) {
            for kind in Kind::ALL {
                let _ = parse(kind, value.to_string().as_bytes(), None);
                let _ = parse(kind, &bytes, None);
            }
        }
    }
}

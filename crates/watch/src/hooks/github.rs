//! Events of GitHub's container registry, `registry_package` and `package`:
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#registry_package>.
//!
//! Both tell of a package version; that of an image has `container_metadata`. `updated` is sent where
//! a version got another tag.

use serde::Deserialize;

use super::{Unreadable, filled, reference};
use crate::Moved;

#[derive(Deserialize)]
struct Event {
    /// None for GitHub's `ping`, which is sent when a webhook is made.
    action: Option<String>,
    #[serde(alias = "registry_package")]
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    namespace: Option<String>,
    package_type: Option<String>,
    package_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: Option<String>,
    package_url: Option<String>,
    container_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    tag: Option<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: Option<String>,
    digest: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Moved>, Unreadable> {
    // A list would be read as the fields in their order.
    let event: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)?;
    let event: Event = serde_json::from_value(event.into())?;
    let is_push =
        event.action.is_some_and(|action| ["published", "updated"].contains(&action.as_str()));
    let Some(package) = event.package.filter(|_| is_push) else { return Ok(Vec::new()) };
    let is_image = package.package_type.is_some_and(|kind| kind.eq_ignore_ascii_case("container"));
    let Some(version) = package.package_version.filter(|_| is_image) else { return Ok(Vec::new()) };

    let tag = version.container_metadata.and_then(|metadata| metadata.tag);
    let (tag, digest) = tag.map(|tag| (filled(tag.name), filled(tag.digest))).unwrap_or_default();
    // The URL of an untagged version ends with its colon.
    let url = filled(version.package_url).map(|url| url.trim_end_matches(':').to_owned());
    let place = match (url, filled(package.namespace), filled(package.name)) {
        (Some(url), ..) => url,
        (None, Some(namespace), Some(name)) => format!("ghcr.io/{namespace}/{name}"),
        (None, ..) => return Err(Unreadable::Missing("which package")),
    };
    // Owners may have capitals, repositories may not.
    let moved = reference(&lower_name(&place))?;
    let digest = digest.or_else(|| version.version.filter(|version| version.starts_with("sha")));
    Ok(vec![Moved {
        tag: tag.map(|tag| tag.parse()).transpose()?.or(moved.tag),
        digest: digest.map(|digest| digest.parse()).transpose()?.or(moved.digest),
        ..moved
    }])
}

/// The same with its name in lower case; its tag stays.
fn lower_name(reference: &str) -> String {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => format!("{}:{tag}", name.to_lowercase()),
        _ => reference.to_lowercase(),
    }
}

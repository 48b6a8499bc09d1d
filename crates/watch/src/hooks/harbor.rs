//! Events of Harbor, in its own form and as CloudEvents; a project's webhook policy says which:
//! <https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/>.

use serde::Deserialize;

use super::{Unreadable, filled, reference};
use crate::Moved;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    /// As CloudEvents have it, `data`.
    #[serde(alias = "data", default)]
    event_data: Data,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    resource_url: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Moved>, Unreadable> {
    let event: Event = serde_json::from_slice(body)?;
    if !["PUSH_ARTIFACT", "harbor.artifact.pushed"].contains(&event.kind.as_str()) {
        return Ok(Vec::new());
    }
    event.event_data.resources.into_iter().map(moved).collect()
}

fn moved(resource: Resource) -> Result<Moved, Unreadable> {
    let url = filled(resource.resource_url).ok_or(Unreadable::Missing("which repository"))?;
    let moved = reference(&url)?;
    // For a push by digest, `tag` is the digest.
    let tag = filled(resource.tag).filter(|tag| !tag.contains(':'));
    let digest = filled(resource.digest).map(|digest| digest.parse()).transpose()?;
    Ok(Moved {
        tag: tag.map(|tag| tag.parse()).transpose()?.or(moved.tag),
        digest: digest.or(moved.digest),
        ..moved
    })
}

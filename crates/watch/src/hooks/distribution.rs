//! Events of CNCF distribution, an envelope of many:
//! <https://distribution.github.io/distribution/about/notifications/>. Azure Container Registry sends
//! single ones without the envelope:
//! <https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference>.

use oci::Host;
use serde::Deserialize;

use super::{Unreadable, filled};
use crate::Moved;

#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Envelope { events: Vec<Event> },
    Single(Event),
}

#[derive(Deserialize)]
struct Event {
    action: String,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    request: Request,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    media_type: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    host: Option<String>,
}

pub(super) fn parse(body: &[u8], known: Option<&Host>) -> Result<Vec<Moved>, Unreadable> {
    let events = match serde_json::from_slice(body)? {
        Message::Envelope { events } => events,
        Message::Single(event) => vec![event],
    };
    let pushes =
        events.into_iter().filter(|event| event.action == "push" && is_manifest(&event.target));
    pushes.map(|event| moved(event, known)).collect()
}

/// Blobs are pushed as well, and have no tag. The manifest's media type is told, whichever it is.
fn is_manifest(target: &Target) -> bool {
    let names_one = |kind: &String| kind.contains("manifest") || kind.contains("index");
    target.tag.as_ref().is_some_and(|tag| !tag.is_empty())
        || target.media_type.as_ref().is_some_and(names_one)
}

fn moved(event: Event, known: Option<&Host>) -> Result<Moved, Unreadable> {
    let host = match (known, filled(event.request.host)) {
        (Some(host), _) => host.clone(),
        (None, Some(host)) => host.parse()?,
        (None, None) => return Err(Unreadable::Missing("which registry; add `?registry=HOST`")),
    };
    let repository =
        filled(event.target.repository).ok_or(Unreadable::Missing("which repository"))?;
    Ok(Moved {
        host,
        repository: repository.parse()?,
        tag: filled(event.target.tag).map(|tag| tag.parse()).transpose()?,
        digest: filled(event.target.digest).map(|digest| digest.parse()).transpose()?,
    })
}

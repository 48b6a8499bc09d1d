//! Events of Docker Hub, a push each: <https://docs.docker.com/docker-hub/repos/manage/webhooks/>.
//!
//! Docker Hub signs nothing and sends no header of one's own, so the path has the secret. The
//! `callback_url` is not asked: it is where a stranger's message would send us.

use oci::Host;
use serde::Deserialize;

use super::{Unreadable, filled};
use crate::Moved;

#[derive(Deserialize)]
struct Event {
    push_data: PushData,
    repository: Repository,
}

#[derive(Deserialize)]
struct PushData {
    tag: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    repo_name: String,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Moved>, Unreadable> {
    let event: Event = serde_json::from_slice(body)?;
    let name = event.repository.repo_name;
    // An official image may be named without its namespace.
    let name = if name.contains('/') { name } else { format!("library/{name}") };
    Ok(vec![Moved {
        host: Host::docker_hub(),
        repository: name.parse()?,
        tag: filled(event.push_data.tag).map(|tag| tag.parse()).transpose()?,
        digest: None,
    }])
}

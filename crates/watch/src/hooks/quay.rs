//! Events of Quay, `repo_push`:
//! <https://docs.redhat.com/en/documentation/red_hat_quay/3.12/html/use_red_hat_quay/repository-events>.
//! The tags are a list; older ones sent a mapping of tags to images.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Unreadable, reference};
use crate::Moved;

#[derive(Deserialize)]
struct Event {
    docker_url: String,
    #[serde(default)]
    updated_tags: Tags,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tags {
    List(Vec<String>),
    Mapping(BTreeMap<String, Value>),
}

impl Default for Tags {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Moved>, Unreadable> {
    let event: Event = serde_json::from_slice(body)?;
    let moved = reference(&event.docker_url)?;
    let tags = match event.updated_tags {
        Tags::List(tags) => tags,
        Tags::Mapping(tags) => tags.into_keys().collect(),
    };
    // Other events of Quay have no tags, and move nothing.
    tags.into_iter().map(|tag| Ok(Moved { tag: Some(tag.parse()?), ..moved.clone() })).collect()
}

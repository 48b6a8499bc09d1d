//! Events of Amazon ECR as EventBridge sends them to an API destination:
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html>.

use oci::EcrRegistry;
use serde::Deserialize;

use super::{Unreadable, filled};
use crate::Moved;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Event {
    detail_type: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    detail: Detail,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Detail {
    result: String,
    action_type: String,
    repository_name: String,
    image_tag: Option<String>,
    image_digest: Option<String>,
}

pub(super) fn parse(body: &[u8]) -> Result<Vec<Moved>, Unreadable> {
    let event: Event = serde_json::from_slice(body)?;
    let detail = event.detail;
    let is_push = event.detail_type == "ECR Image Action"
        && detail.action_type == "PUSH"
        && detail.result == "SUCCESS";
    if !is_push {
        return Ok(Vec::new());
    }
    Ok(vec![Moved {
        host: EcrRegistry::new(&event.account, &event.region)?.host(),
        repository: detail.repository_name.parse()?,
        tag: filled(detail.image_tag).map(|tag| tag.parse()).transpose()?,
        // The digests of AWS's samples are too short to be any; what moved is told by the tag.
        digest: filled(detail.image_digest).and_then(|digest| digest.parse().ok()),
    }])
}

//! `/v2/<name>/referrers/<digest>`: the manifests that refer to one, as an index.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, LINK};
use layout::Layout;
use oci::{Descriptor, Digest, MANIFEST_SIZE_LIMIT, MediaType, Repository};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::answer::{Answer, OCI_FILTERS_APPLIED};
use crate::errors::Refusal;
use crate::router::Query;

pub(crate) async fn list(
    layout: &Layout,
    repository: &Repository,
    subject: &Digest,
    query: &Query,
) -> Result<Response, Refusal> {
    let artifact_type = query.first("artifactType").filter(|wanted| !wanted.is_empty());
    let mut referrers = layout.referrers(subject).await?;
    if artifact_type.is_some() {
        referrers.retain(|referrer| referrer.artifact_type.as_deref() == artifact_type);
    }
    let (page, more) = page(&referrers, query.first("last"), MANIFEST_SIZE_LIMIT / 2);
    let body = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": page,
    });
    let mut answer = Answer::new(StatusCode::OK).header(CONTENT_TYPE, MediaType::OCI_INDEX);
    if artifact_type.is_some() {
        answer = answer.header(OCI_FILTERS_APPLIED, "artifactType");
    }
    if let Some(last) = more {
        let mut next = Serializer::new(String::new());
        if let Some(artifact_type) = artifact_type {
            next.append_pair("artifactType", artifact_type);
        }
        let next = next.append_pair("last", &last.to_string()).finish();
        let path = format!("/v2/{repository}/referrers/{subject}");
        answer = answer.header(LINK, format!("<{path}?{next}>; rel=\"next\""));
    }
    Ok(answer.body(Body::from(body.to_string())))
}

/// The referrers that follow `last`, as many as `limit` bytes of JSON hold but at least one; and
/// the last of them where more follow. Clients read an index up to the size of a manifest.
fn page(referrers: &[Descriptor], last: Option<&str>, limit: u64) -> (Vec<Value>, Option<Digest>) {
    let start = last
        .and_then(|last| last.parse::<Digest>().ok())
        .and_then(|last| referrers.iter().position(|referrer| referrer.digest == last))
        .map_or(0, |position| position + 1);
    let mut page = Vec::new();
    let mut size = 0;
    let mut last = None;
    for referrer in referrers.iter().skip(start) {
        let json = json!(referrer);
        size += json.to_string().len() as u64;
        if size > limit && !page.is_empty() {
            return (page, last);
        }
        page.push(json);
        last = Some(referrer.digest);
    }
    (page, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_comes_in_pages_and_none_is_lost() {
        let referrers: Vec<_> = (0..5u8)
            .map(|n| Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(&[n]), 1))
            .collect();
        let limit = 2 * json!(referrers[0]).to_string().len() as u64;
        let (mut seen, mut last, mut pages) = (Vec::new(), None::<Digest>, 0);
        loop {
            let text = last.map(|last| last.to_string());
            let (page, more) = page(&referrers, text.as_deref(), limit);
            seen.extend(page);
            pages += 1;
            match more {
                Some(_) => last = more,
                None => break,
            }
        }
        assert_eq!(seen, referrers.iter().map(|referrer| json!(referrer)).collect::<Vec<_>>());
        assert_eq!(pages, 3);
        assert_eq!(page(&referrers, None, 1).0.len(), 1);
    }
}

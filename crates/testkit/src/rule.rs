//! [`Rule`]: what a registry does depending on what came before, and the layer that does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, LOCATION, RANGE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oci::{Algorithm, Digest, Manifest};
use tower::ServiceExt;
use url::Url;

use crate::answer;
use crate::cdn::WEB;
use crate::fault::layer::change_query;
use crate::fault::{has_parameter, parameter};
use crate::pattern::{glob, path, repository_of};

/// What a registry does depending on what came before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rule {
    /// What has no repository yet is refused: 404 NAME_UNKNOWN.
    RepositoryMustExist,
    /// A tag that exists is not put again, not even with equal content.
    ImmutableTags {
        /// The status of the refusal.
        status: StatusCode,
        /// The spec's error code of the refusal.
        code: &'static str,
    },
    /// So many GETs of manifests, then 429 without Retry-After; the answers tell what is left.
    PullLimit(u32),
    /// An upload needs a PATCH before its PUT: else 404 BLOB_UNKNOWN.
    PatchBeforePut,
    /// The Range of the answer to a PATCH stays that of the session's first.
    StaleUploadRange,
    /// What is followed by another PATCH of its session must have been at least so long, in bytes: else
    /// 400 BLOB_UPLOAD_INVALID.
    MinimumPart(u64),
    /// The session's state is in the query of its Location; without it, 404 BLOB_UPLOAD_UNKNOWN.
    UploadState,
    /// `manifests/sha256-<hex>` is read as `manifests/sha256:<hex>`.
    ReferrersTagIsDigest,
    /// The referrers API answers 303 to another server, with a shortened digest; there is a web
    /// page that says 404.
    ReferrersElsewhere,
    /// A blob is mounted only if a manifest of the other repository names it; else an upload
    /// session is opened (202).
    MountOnlyReferenced,
    /// An index with a child that is not there is refused: 400 MANIFEST_BLOB_UNKNOWN.
    ChildrenMustExist,
    /// Tag lists tell digests, in Google's form.
    TagsTellDigests,
    /// An index whose children are of the other family (Docker in OCI) is refused: 400
    /// MANIFEST_INVALID.
    OneFamilyPerIndex,
}

/// The rules of one server and what they remember. A clone is the same.
#[derive(Clone)]
pub(crate) struct Rules {
    shared: Arc<Shared>,
}

struct Shared {
    rules: Vec<Rule>,
    /// The registry without any of this, to ask what it has.
    content: Router,
    folder: PathBuf,
    own: String,
    cdn: Option<String>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    repositories: BTreeSet<String>,
    pulls: u32,
    /// The first Range that was answered to a PATCH, by path of the session.
    patched: BTreeMap<String, Option<HeaderValue>>,
    /// How long the last PATCH was, in bytes, by path of the session.
    parts: BTreeMap<String, u64>,
}

const STATE: &str = "_state";
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

impl Rules {
    pub(crate) fn new(
        rules: Vec<Rule>,
        content: Router,
        folder: PathBuf,
        own: String,
        cdn: Option<String>,
    ) -> Self {
        let memory = Mutex::default();
        Self { shared: Arc::new(Shared { rules, content, folder, own, cdn, memory }) }
    }

    pub(crate) fn create_repository(&self, name: &str) {
        self.memory().repositories.insert(name.to_owned());
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status of the answer to HEAD of this path.
    async fn head(&self, path: &str) -> StatusCode {
        self.ask(Method::HEAD, path).await.status()
    }

    /// What the registry answers without any of this.
    async fn ask(&self, method: Method, path: &str) -> Response {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = method;
        let Ok(uri) = path.parse() else { return answer::empty(StatusCode::BAD_REQUEST) };
        *request.uri_mut() = uri;
        let Ok(response) = self.shared.content.clone().oneshot(request).await;
        response
    }

    /// A list of tags with what each points at.
    async fn tags_with_digests(&self, parts: &Parts) -> Option<Response> {
        let path = parts.uri.path_and_query()?.as_str();
        let (mut head, body) = self.ask(Method::GET, path).await.into_parts();
        let content = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        let mut list: serde_json::Value = serde_json::from_slice(&content).ok()?;
        let mut manifests = BTreeMap::<String, Vec<String>>::new();
        for tag in list.get("tags")?.as_array()?.iter().filter_map(|tag| tag.as_str()) {
            let manifest = format!("/v2/{}/manifests/{tag}", repository_of(path)?);
            let found = self.ask(Method::HEAD, &manifest).await;
            let digest = found.headers().get("docker-content-digest")?.to_str().ok()?;
            manifests.entry(digest.to_owned()).or_default().push(tag.to_owned());
        }
        list["manifest"] = manifests
            .into_iter()
            .map(|(digest, tags)| (digest, serde_json::json!({ "tag": tags })))
            .collect::<serde_json::Map<_, _>>()
            .into();
        head.headers.remove(CONTENT_LENGTH);
        Some(Response::from_parts(head, Body::from(list.to_string())))
    }

    /// What the rule does to the request: changes it, or answers it.
    async fn before(&self, rule: &Rule, parts: &mut Parts, body: &mut Body) -> Option<Response> {
        let target = parts.uri.path().to_owned();
        let is = |method: Method, pattern| parts.method == method && glob(pattern, &target);
        let is_end_of_upload = is(Method::PUT, path::UPLOADS);
        match rule {
            Rule::RepositoryMustExist => self.repository_missing(&target),
            Rule::ImmutableTags { status, code } => {
                let tag = target.rsplit('/').next().unwrap_or_default();
                let puts_tag = is(Method::PUT, path::MANIFESTS) && !tag.contains(':');
                if !puts_tag || self.head(&target).await != StatusCode::OK {
                    return None;
                }
                let message = format!(
                    "The image tag '{tag}' already exists in the '{}' repository and cannot be \
                     overwritten because the tag is immutable.",
                    repository_of(&target).unwrap_or_default()
                );
                Some(answer::error(*status, code, &message))
            }
            Rule::PullLimit(limit) => {
                if !is(Method::GET, path::MANIFESTS) {
                    return None;
                }
                let mut memory = self.memory();
                if memory.pulls < *limit {
                    memory.pulls += 1;
                    return None;
                }
                let message = "You have reached your unauthenticated pull rate limit. \
                               https://www.docker.com/increase-rate-limit";
                let status = StatusCode::TOO_MANY_REQUESTS;
                let mut response = answer::error(status, "TOOMANYREQUESTS", message);
                tell_limit(response.headers_mut(), *limit, 0);
                Some(response)
            }
            Rule::PatchBeforePut => {
                let is_patched = self.memory().patched.contains_key(&target);
                (is_end_of_upload && !is_patched).then(|| {
                    answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry")
                })
            }
            Rule::MinimumPart(minimum) => {
                if !is(Method::PATCH, path::UPLOADS) {
                    return None;
                }
                let length = parts.headers.get(CONTENT_LENGTH).and_then(|text| text.to_str().ok());
                // What does not tell its length is sent as one part.
                let length = length.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
                let before = self.memory().parts.insert(target, length);
                before.is_some_and(|before| before < *minimum).then(|| {
                    let message = "All layer parts except the last part should be at least 5MB";
                    answer::error(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", message)
                })
            }
            Rule::UploadState => {
                let is_continued = is_end_of_upload || is(Method::PATCH, path::UPLOADS);
                (is_continued && !has_parameter(parts, STATE)).then(|| {
                    let message = "blob upload unknown to registry";
                    answer::error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", message)
                })
            }
            Rule::ReferrersTagIsDigest => {
                let is_read = is(Method::GET, path::MANIFESTS) || is(Method::HEAD, path::MANIFESTS);
                if is_read && let Some((name, hex)) = target.rsplit_once("/sha256-") {
                    let digest = format!("sha256:{hex}").parse::<Digest>().ok()?;
                    parts.uri = format!("{name}/{digest}").parse().ok()?;
                }
                None
            }
            Rule::ReferrersElsewhere => {
                if !is(Method::GET, path::REFERRERS) {
                    return None;
                }
                let end = target.len().saturating_sub(40);
                let shortened = target.get(1..end).unwrap_or_default();
                let cdn = self.shared.cdn.as_deref().unwrap_or_default();
                let mut response = answer::empty(StatusCode::SEE_OTHER);
                let location = HeaderValue::try_from(format!("{cdn}{WEB}{shortened}")).ok()?;
                response.headers_mut().insert(LOCATION, location);
                Some(response)
            }
            Rule::ChildrenMustExist | Rule::OneFamilyPerIndex => {
                if !is(Method::PUT, path::MANIFESTS) {
                    return None;
                }
                self.check_index(rule, &target, body).await
            }
            Rule::MountOnlyReferenced => {
                let (mount, from) = (parameter(parts, "mount")?, parameter(parts, "from")?);
                let blobs = self.shared.folder.join(from).join("blobs");
                let digest = mount.parse().ok()?;
                let is_named = tokio::task::spawn_blocking(move || is_named(&blobs, digest));
                if !is_named.await.unwrap_or_default() {
                    change_query(parts, &["mount", "from"], None);
                }
                None
            }
            Rule::TagsTellDigests if is(Method::GET, path::TAGS) => {
                self.tags_with_digests(parts).await
            }
            Rule::TagsTellDigests | Rule::StaleUploadRange => None,
        }
    }

    fn repository_missing(&self, path: &str) -> Option<Response> {
        let repository = repository_of(path)?;
        let is_there = self.memory().repositories.contains(repository)
            || self.shared.folder.join(repository).join("oci-layout").exists();
        let message = format!(
            "The repository with name '{repository}' does not exist in the registry with id \
             '123456789012'"
        );
        (!is_there).then(|| answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &message))
    }

    async fn check_index(&self, rule: &Rule, path: &str, body: &mut Body) -> Option<Response> {
        let limit = usize::try_from(oci::MANIFEST_SIZE_LIMIT).unwrap_or(usize::MAX);
        let bytes = axum::body::to_bytes(std::mem::take(body), limit).await.ok()?;
        *body = Body::from(bytes.clone());
        // What is no manifest, the registry itself refuses.
        let manifest = Manifest::parse(bytes, None, Algorithm::Sha256).ok()?;
        let repository = repository_of(path)?;
        for child in manifest.manifests() {
            if *rule == Rule::OneFamilyPerIndex {
                let is_docker = |text: &str| text.starts_with("application/vnd.docker.");
                if is_docker(manifest.media_type().as_str()) != is_docker(child.media_type.as_str())
                {
                    let message = "manifest invalid";
                    return Some(answer::error(
                        StatusCode::BAD_REQUEST,
                        "MANIFEST_INVALID",
                        message,
                    ));
                }
                continue;
            }
            let child = format!("/v2/{repository}/manifests/{}", child.digest);
            if self.head(&child).await != StatusCode::OK {
                let message = format!("blob unknown to registry: {child}");
                let status = StatusCode::BAD_REQUEST;
                return Some(answer::error(status, "MANIFEST_BLOB_UNKNOWN", &message));
            }
        }
        None
    }

    /// What the rule does to the answer.
    fn after(&self, rule: &Rule, method: &Method, target: &str, response: &mut Response) {
        let is_upload = glob(path::UPLOADS, target);
        match rule {
            Rule::PullLimit(limit) if glob(path::MANIFESTS, target) => {
                let left = limit.saturating_sub(self.memory().pulls);
                tell_limit(response.headers_mut(), *limit, left);
            }
            Rule::PatchBeforePut | Rule::StaleUploadRange
                if is_upload && *method == Method::PATCH && response.status().is_success() =>
            {
                let range = response.headers().get(RANGE).cloned();
                let mut memory = self.memory();
                let first = memory.patched.entry(target.to_owned()).or_insert(range);
                if let (Rule::StaleUploadRange, Some(first)) = (rule, first) {
                    response.headers_mut().insert(RANGE, first.clone());
                }
            }
            Rule::UploadState
                if is_upload
                    && matches!(
                        response.status(),
                        StatusCode::ACCEPTED | StatusCode::NO_CONTENT
                    ) =>
            {
                let location = response.headers().get(LOCATION).and_then(|value| {
                    let mut url =
                        Url::parse(&self.shared.own).ok()?.join(value.to_str().ok()?).ok()?;
                    url.query_pairs_mut().append_pair(STATE, "opaque==");
                    HeaderValue::try_from(url.as_str()).ok()
                });
                if let Some(location) = location {
                    response.headers_mut().insert(LOCATION, location);
                }
            }
            _ => {}
        }
    }
}

/// Whether a manifest below the folder `blobs` of a layout names this blob. All small files are
/// tried, because a child of an index need not be listed anywhere else.
fn is_named(blobs: &Path, digest: Digest) -> bool {
    let folder = blobs.join(digest.algorithm().as_str());
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let small = files.filter(|file| {
        file.metadata().is_ok_and(|metadata| metadata.len() <= oci::MANIFEST_SIZE_LIMIT)
    });
    let contents = small.filter_map(|file| std::fs::read(file.path()).ok());
    contents
        .filter_map(|content| Manifest::parse(content.into(), None, Algorithm::Sha256).ok())
        .any(|manifest| manifest.blobs().any(|blob| blob.digest == digest))
}

fn tell_limit(headers: &mut HeaderMap, limit: u32, left: u32) {
    for (name, number) in [(LIMIT, limit), (REMAINING, left)] {
        if let Ok(value) = HeaderValue::try_from(format!("{number};w=21600")) {
            headers.insert(name, value);
        }
    }
}

/// The layer that does what the rules say.
pub(crate) async fn apply(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    let (mut parts, mut body) = request.into_parts();
    let (method, target) = (parts.method.clone(), parts.uri.path().to_owned());
    for rule in &rules.shared.rules {
        if let Some(response) = rules.before(rule, &mut parts, &mut body).await {
            answer::drain(body).await;
            return response;
        }
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    for rule in &rules.shared.rules {
        rules.after(rule, &method, &target, &mut response);
    }
    response
}

//! Manifests: resolved, read, pushed and deleted.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oci::{
    Algorithm, Descriptor, Digest, MANIFEST_SIZE_LIMIT, Manifest, ManifestError, MediaType,
    Selector, Tag,
};

use crate::answer::{Answer, check_digest, content_digest, content_length, text};
use crate::auth::Scopes;
use crate::error::{Error, ErrorKind, Failure};
use crate::repository::RepositoryClient;
use crate::request::Request;
use crate::retry::pauses;

/// What a registry said to a manifest that it took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ManifestReceipt {
    /// Whether the registry keeps the list of the subject's referrers itself (it answered
    /// `OCI-Subject`). Where it does not, whoever pushes a referrer keeps the fallback tag.
    pub subject_accepted: bool,
}

/// So often a manifest is asked for again that may still be on its way into a registry.
const LATE_CHILD_ATTEMPTS: usize = 3;

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

impl RepositoryClient {
    /// Finds out where the registry is and what it asks for, so that the first request need not
    /// wait for that. What is wrong, the first request says.
    pub async fn introduce(&self) {
        let _ = self.endpoint.base().await;
    }

    /// The descriptor of a manifest, without reading the manifest where the registry says enough;
    /// none if the repository has no such manifest.
    ///
    /// # Errors
    /// [`Error`], also where the registry would not say: "not allowed" is never "not there".
    pub async fn resolve(&self, selector: &Selector) -> Result<Option<Descriptor>, Error> {
        self.first(|at| at.resolve_here(selector)).await.map_err(|failure| {
            Error::new(format!("resolving `{}`", self.name_of(selector)), failure)
        })
    }

    /// A manifest, checked against its digest and against what the registry says of it; none if the
    /// repository has no such manifest.
    ///
    /// # Errors
    /// [`Error`]; of kind [`ErrorKind::Content`] where the bytes are not what they should be, and
    /// [`ErrorKind::Unsupported`] for Docker's manifest schema 1.
    pub async fn manifest(&self, selector: &Selector) -> Result<Option<Manifest>, Error> {
        self.first(|at| at.manifest_in_time(selector)).await.map_err(|failure| {
            Error::new(format!("reading the manifest `{}`", self.name_of(selector)), failure)
        })
    }

    /// Pushes a manifest's bytes under a tag or its digest. A tag that exists is moved, where the
    /// registry lets tags be moved; one that already points at this manifest is no error.
    ///
    /// # Errors
    /// [`Error`]; its code is `MANIFEST_BLOB_UNKNOWN` or alike where something that the manifest
    /// refers to is not there yet.
    pub async fn put_manifest(
        &self,
        selector: &Selector,
        manifest: &Manifest,
    ) -> Result<ManifestReceipt, Error> {
        self.put_manifest_here(selector, manifest).await.map_err(|failure| {
            Error::new(format!("pushing the manifest `{}`", self.name_of(selector)), failure)
        })
    }

    /// Deletes a manifest, or a tag; one that is not there is no error.
    ///
    /// # Errors
    /// [`Error`]; of kind [`ErrorKind::Unsupported`] where the registry deletes nothing.
    pub async fn delete_manifest(&self, selector: &Selector) -> Result<(), Error> {
        let delete = async {
            let url = self.url(&format!("manifests/{selector}")).await?;
            let access = self.access(Scopes::delete(&self.repository));
            let request = Request::new(Method::DELETE, url, access);
            match self.endpoint.call(&request, MANIFEST_SIZE_LIMIT).await {
                Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(()),
                result => result.map(drop),
            }
        };
        delete.await.map_err(|failure| {
            Error::new(format!("deleting `{}`", self.name_of(selector)), failure)
        })
    }

    async fn resolve_here(&self, selector: &Selector) -> Result<Option<Descriptor>, Failure> {
        match self.ask_for_manifest(Method::HEAD, selector).await {
            Ok(answer) => {
                if let Some(descriptor) = described(selector, &answer.headers)? {
                    return Ok(Some(descriptor));
                }
            }
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            // An answer to HEAD has no words. Others than these would not change with GET.
            Err(failure)
                if !matches!(
                    failure.kind(),
                    ErrorKind::Denied | ErrorKind::Rejected | ErrorKind::Unsupported
                ) =>
            {
                return Err(failure);
            }
            Err(_) => {}
        }
        Ok(self.manifest_here(selector).await?.map(|manifest| manifest.descriptor()))
    }

    /// A manifest, waited for where what an index names may come later than the index.
    async fn manifest_in_time(&self, selector: &Selector) -> Result<Option<Manifest>, Failure> {
        let mut pauses = pauses(&self.endpoint.retry).take(LATE_CHILD_ATTEMPTS);
        loop {
            let found = self.manifest_here(selector).await?;
            let may_come = self.endpoint.profile().children_come_late
                && matches!(selector, Selector::Digest(_));
            let pause = pauses.next().filter(|_| found.is_none() && may_come);
            let Some(pause) = pause else { return Ok(found) };
            tokio::time::sleep(pause).await;
        }
    }

    pub(crate) async fn manifest_here(
        &self,
        selector: &Selector,
    ) -> Result<Option<Manifest>, Failure> {
        let answer = match self.ask_for_manifest(Method::GET, selector).await {
            Err(failure) if failure.is(StatusCode::NOT_FOUND) => return Ok(None),
            result => result?,
        };
        received(selector, answer).map(Some)
    }

    pub(crate) async fn ask_for_manifest(
        &self,
        method: Method,
        selector: &Selector,
    ) -> Result<Answer, Failure> {
        let url = self.url(&format!("manifests/{selector}")).await?;
        let request = Request::new(method, url, self.pull())
            .header(ACCEPT, accepted())
            .following()
            .pulling()
            .once_if(self.is_mirror);
        self.endpoint.call(&request, MANIFEST_SIZE_LIMIT).await
    }

    async fn put_manifest_here(
        &self,
        selector: &Selector,
        manifest: &Manifest,
    ) -> Result<ManifestReceipt, Failure> {
        if let Selector::Tag(tag) = selector
            && manifest.digest().algorithm() != Algorithm::Sha256
            && let Some(receipt) = self.put_with_tag(tag, manifest).await?
        {
            return Ok(receipt);
        }
        let failure = match self.send_manifest(&format!("manifests/{selector}"), manifest).await {
            Ok(answer) => {
                let digest = match selector {
                    Selector::Digest(digest) => *digest,
                    Selector::Tag(_) => manifest.digest(),
                };
                check_digest(&answer.headers, &digest)?;
                return Ok(receipt(&answer));
            }
            Err(failure)
                if failure.kind() == ErrorKind::Rejected
                    && matches!(selector, Selector::Digest(Digest::Sha512(_))) =>
            {
                failure.hint("the registry may not take manifests that are addressed by SHA-512")
            }
            Err(failure) => explain_mixture(self.explain_push(failure), manifest),
        };
        // A registry with immutable tags refuses even the same content again: that of someone who
        // was faster, or of our own attempt whose answer was lost (aws/containers-roadmap#2380).
        if let (Selector::Tag(_), ErrorKind::Rejected) = (selector, failure.kind())
            && let Ok(Some(there)) = self.resolve_here(selector).await
            && manifest.has_digest(&there.digest)
        {
            return Ok(ManifestReceipt { subject_accepted: false });
        }
        Err(failure)
    }

    /// Pushes a manifest by its digest, with the tag in the query (distribution spec, "Pushing
    /// Manifests With Tags"): by the tag alone it would be addressed by SHA-256. A registry that does
    /// so repeats the tag in `OCI-Tag`; none where it does not.
    async fn put_with_tag(
        &self,
        tag: &Tag,
        manifest: &Manifest,
    ) -> Result<Option<ManifestReceipt>, Failure> {
        let path = format!("manifests/{}?tag={tag}", manifest.digest());
        match self.send_manifest(&path, manifest).await {
            Ok(answer) if answer.headers.contains_key(TAG) => Ok(Some(receipt(&answer))),
            Ok(_) => Ok(None),
            Err(failure)
                if matches!(failure.kind(), ErrorKind::Rejected | ErrorKind::Unsupported) =>
            {
                Ok(None)
            }
            Err(failure) => Err(self.explain_push(failure)),
        }
    }

    async fn send_manifest(&self, path: &str, manifest: &Manifest) -> Result<Answer, Failure> {
        let url = self.url(path).await?;
        let media_type = HeaderValue::from_str(manifest.media_type().as_str()).map_err(|_| {
            Failure::new(ErrorKind::Unsupported, "its media type cannot stand in a header")
        })?;
        let request = Request::new(Method::PUT, url, self.push())
            .header(CONTENT_TYPE, media_type)
            .body(manifest.bytes().clone());
        self.endpoint.call(&request, MANIFEST_SIZE_LIMIT).await
    }

    /// What a failed push to this repository means.
    pub(crate) fn explain_push(&self, failure: Failure) -> Failure {
        match self.endpoint.profile().missing_repository {
            Some(hint) if failure.is(StatusCode::NOT_FOUND) && !failure.has_hint() => {
                failure.hint(hint)
            }
            _ => failure,
        }
    }
}

/// Says what is unusual about an index that was refused: Quay takes none that mixes the media types
/// of Docker and of OCI (openshift/oc-mirror#253).
fn explain_mixture(failure: Failure, manifest: &Manifest) -> Failure {
    let is_docker = |media_type: &MediaType| media_type.as_str().contains("vnd.docker.");
    let own = is_docker(manifest.media_type());
    let is_mixed = manifest.manifests().any(|child| is_docker(&child.media_type) != own);
    if is_mixed && failure.kind() == ErrorKind::Rejected && !failure.has_hint() {
        return failure.hint(
            "the index mixes manifests of Docker and of OCI, which some registries refuse: have it \
             built with one kind of media types",
        );
    }
    failure
}

fn receipt(answer: &Answer) -> ManifestReceipt {
    ManifestReceipt { subject_accepted: answer.headers.contains_key(SUBJECT) }
}

/// The `Accept` header: every kind of manifest that can be copied.
fn accepted() -> HeaderValue {
    let types = MediaType::MANIFESTS.map(|media_type| media_type.to_string()).join(", ");
    HeaderValue::from_str(&types).unwrap_or(HeaderValue::from_static("*/*"))
}

/// What the head of an answer says of a manifest; none where it does not say enough.
fn described(selector: &Selector, headers: &HeaderMap) -> Result<Option<Descriptor>, Failure> {
    let Some(media_type) = text(headers, CONTENT_TYPE).map(MediaType::new) else { return Ok(None) };
    if media_type.is_schema1() {
        return Err(unreadable(&ManifestError::Schema1));
    }
    let size = content_length(headers).filter(|size| *size > 0);
    let digest = match selector {
        Selector::Digest(digest) => {
            check_digest(headers, digest)?;
            Some(*digest)
        }
        Selector::Tag(_) => content_digest(headers),
    };
    Ok(match (media_type.is_manifest(), digest, size) {
        (true, Some(digest), Some(size)) => Some(Descriptor::new(media_type, digest, size)),
        _ => None,
    })
}

/// Reads a manifest that came, and checks it against what was asked for and what is said of it.
fn received(selector: &Selector, answer: Answer) -> Result<Manifest, Failure> {
    let Answer { headers, content, .. } = answer;
    let said = content_digest(&headers);
    let asked = match selector {
        Selector::Digest(digest) => Some(*digest),
        Selector::Tag(_) => None,
    };
    for expected in asked.into_iter().chain(said) {
        let actual = oci::Digest::of(expected.algorithm(), &content);
        if actual != expected {
            let message = format!("the bytes have digest {actual}, not {expected}");
            return Err(Failure::new(ErrorKind::Content, message)
                .hint("the registry, or a proxy before it, changes or damages what it holds"));
        }
    }
    let algorithm = asked.or(said).map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let media_type = text(&headers, CONTENT_TYPE).map(MediaType::new);
    Manifest::parse(content, media_type.as_ref(), algorithm).map_err(|error| unreadable(&error))
}

fn unreadable(error: &ManifestError) -> Failure {
    match error {
        ManifestError::Schema1 => Failure::new(ErrorKind::Unsupported, error.to_string())
            .hint("have the image built again by a current tool"),
        error => Failure::new(ErrorKind::Content, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const CONTENT: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

    fn headers(fields: &[(&'static str, String)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn tag() -> Selector {
        Selector::Tag("latest".parse().unwrap())
    }

    #[test]
    fn a_head_is_enough_where_it_says_all() {
        let sha256 = Digest::sha256(CONTENT.as_bytes());
        let sha512 = Digest::of(Algorithm::Sha512, CONTENT.as_bytes());
        let (by256, by512) = (Selector::Digest(sha256), Selector::Digest(sha512));
        let full = |digest: &str| {
            headers(&[
                ("content-type", MediaType::OCI_MANIFEST.to_string()),
                ("content-length", CONTENT.len().to_string()),
                ("docker-content-digest", digest.into()),
            ])
        };
        let without = |name: &str, mut headers: HeaderMap| {
            headers.remove(name);
            headers
        };
        let other = Digest::sha256(b"").to_string();
        let said = full(&sha256.to_string());
        let text_plain = {
            let mut headers = said.clone();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            headers
        };
        // What was asked, what the head says, and the digest it resolves to; none: read it; Err: no.
        let table = [
            (tag(), said.clone(), Ok(Some(sha256))),
            (tag(), full(&sha512.to_string()), Ok(Some(sha512))),
            (by256.clone(), said.clone(), Ok(Some(sha256))),
            (by512.clone(), said.clone(), Ok(Some(sha512))),
            (by256.clone(), without("docker-content-digest", said.clone()), Ok(Some(sha256))),
            (tag(), without("docker-content-digest", said.clone()), Ok(None)),
            (tag(), without("content-length", said.clone()), Ok(None)),
            (tag(), without("content-type", said.clone()), Ok(None)),
            (tag(), text_plain, Ok(None)),
            (tag(), full("blake3:abc"), Ok(None)),
            (tag(), full("nonsense"), Ok(None)),
            (by256.clone(), full("nonsense"), Ok(Some(sha256))),
            (by256, full(&other), Err(())),
        ];
        for (selector, headers, expected) in table {
            let result = described(&selector, &headers);
            let digest = result.map(|found| found.map(|found| found.digest)).map_err(drop);
            assert_eq!(digest, expected, "{selector} {headers:?}");
        }
    }

    #[test]
    fn what_came_is_checked_against_what_was_asked_and_said() {
        let sha256 = Digest::sha256(CONTENT.as_bytes());
        let sha512 = Digest::of(Algorithm::Sha512, CONTENT.as_bytes());
        let other = Digest::sha256(b"");
        let table = [
            (tag(), None, Ok(sha256)),
            (tag(), Some(sha256), Ok(sha256)),
            (tag(), Some(sha512), Ok(sha512)),
            (tag(), Some(other), Err(())),
            (sha256.into(), None, Ok(sha256)),
            (sha512.into(), Some(sha256), Ok(sha512)),
            (sha256.into(), Some(other), Err(())),
            (sha256.into(), Some(sha512), Ok(sha256)),
            (other.into(), None, Err(())),
            (other.into(), Some(other), Err(())),
            (other.into(), Some(sha256), Err(())),
        ];
        for (selector, said, expected) in table {
            let digest = said.map(|digest| ("docker-content-digest", digest.to_string()));
            let answer = Answer {
                status: StatusCode::OK,
                headers: headers(&digest.into_iter().collect::<Vec<_>>()),
                url: "https://r/".parse().unwrap(),
                content: Bytes::from_static(CONTENT.as_bytes()),
            };
            let result = received(&selector, answer).map(|manifest| manifest.digest());
            assert_eq!(result.map_err(drop), expected, "{selector} {said:?}");
        }
    }

    #[test]
    fn schema_1_is_refused_in_clear_words() {
        let head = headers(&[("content-type", MediaType::DOCKER_SCHEMA1_SIGNED.to_string())]);
        let failure = described(&tag(), &head).unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Unsupported);
        assert!(failure.message().contains("schema 1"), "{}", failure.message());
    }
}

//! The referrers of a manifest: from the registry's API, or from the fallback tag.

use std::collections::HashSet;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use oci::{Algorithm, Content, Descriptor, Digest, Manifest, MediaType, Tag};

use crate::answer::{Answer, text};
use crate::auth::lock;
use crate::error::{Error, ErrorKind, Failure};
use crate::link;
use crate::profile::ReferrersApi;
use crate::redirect;
use crate::repository::RepositoryClient;
use crate::request::Request;
use crate::tags::{MOST_PAGES, PAGE_LIMIT};

/// The manifests that refer to a subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Referrers {
    /// Their descriptors, each once, as the registry lists them. Read them before you believe
    /// them: what is listed need not refer to the subject.
    pub manifests: Vec<Descriptor>,
    /// Who keeps the list.
    pub source: ReferrersSource,
}

/// Who keeps the list of a subject's referrers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferrersSource {
    /// The registry, which has the referrers API.
    Api,
    /// Whoever pushes referrers, in an index under [`Tag::of_referrers`]; also where there is none yet.
    Tag,
}

impl RepositoryClient {
    /// The manifests that refer to `subject`, whether or not it exists. Mirrors are not asked.
    ///
    /// # Errors
    /// [`Error`], also where the registry would not say: "not allowed" is never "none".
    pub async fn referrers(&self, subject: &Digest) -> Result<Referrers, Error> {
        let listed = self.all_referrers(subject).await;
        self.referrers_told(subject, listed)
    }

    /// The same, from the registry's API alone; none where it has no such API. At most one request
    /// of a repository without it is spent on finding that out.
    ///
    /// # Errors
    /// As [`RepositoryClient::referrers`].
    pub async fn referrers_by_api(
        &self,
        subject: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let listed = self.listed_by_api(subject).await;
        self.referrers_told(subject, listed.map(|list| list.map(each_once)))
    }

    /// The same, from the fallback tag alone.
    ///
    /// # Errors
    /// As [`RepositoryClient::referrers`].
    pub async fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>, Error> {
        let listed = self.listed_by_tag(subject).await;
        self.referrers_told(subject, listed.map(each_once))
    }

    fn referrers_told<T>(&self, subject: &Digest, told: Result<T, Failure>) -> Result<T, Error> {
        told.map_err(|failure| {
            Error::new(format!("listing the referrers of `{}@{subject}`", self.name()), failure)
        })
    }

    async fn all_referrers(&self, subject: &Digest) -> Result<Referrers, Failure> {
        let (manifests, source) = match self.listed_by_api(subject).await? {
            Some(manifests) => (manifests, ReferrersSource::Api),
            None => (self.listed_by_tag(subject).await?, ReferrersSource::Tag),
        };
        Ok(Referrers { manifests: each_once(manifests), source })
    }

    /// What the API says; none where the registry has none. All wait for what the first one learns.
    async fn listed_by_api(&self, subject: &Digest) -> Result<Option<Vec<Descriptor>>, Failure> {
        self.endpoint.base().await?;
        if self.endpoint.profile().referrers == ReferrersApi::Absent {
            return Ok(None);
        }
        let mut own = None;
        let learned = &self.endpoint.learned;
        let may_have = learned.referrers_api.get_or_try_init(|| async {
            let (listed, may_have) = match self.ask_api(subject).await {
                Ok(listed) => (Ok(Some(listed)), true),
                Err(NoApi::Anywhere) => (Ok(None), false),
                Err(NoApi::Here) => (Ok(None), true),
                Err(NoApi::Unknown(failure)) => return Err(failure),
            };
            own = Some(listed);
            Ok(may_have)
        });
        if !*may_have.await? {
            return Ok(None);
        }
        if let Some(listed) = own {
            return listed;
        }
        if lock(&learned.no_referrers_api).contains(&self.repository) {
            return Ok(None);
        }
        match self.ask_api(subject).await {
            Ok(listed) => Ok(Some(listed)),
            Err(NoApi::Anywhere | NoApi::Here) => Ok(None),
            Err(NoApi::Unknown(failure)) => Err(failure),
        }
    }

    async fn ask_api(&self, subject: &Digest) -> Result<Vec<Descriptor>, NoApi> {
        let base = self.endpoint.base().await?;
        let is_sure = self.endpoint.profile().referrers == ReferrersApi::Present;
        let mut next = Some(self.url(&format!("referrers/{subject}")).await?);
        let mut asked = HashSet::new();
        let mut manifests = Vec::new();
        while let Some(url) = next {
            if asked.len() >= MOST_PAGES || !asked.insert(url.clone()) {
                let message = "the list of referrers has no end";
                return Err(Failure::new(ErrorKind::Protocol, message).into());
            }
            let index = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");
            let request = Request::new(Method::GET, url, self.pull()).header(ACCEPT, index);
            let answer = match self.endpoint.call(&request, PAGE_LIMIT).await {
                Err(failure) if asked.len() == 1 && means_no_api(&failure) => {
                    // What is said of a repository that does not exist holds for this time only,
                    // and where there is the API for this subject only.
                    if failure.code() != Some("NAME_UNKNOWN") && !is_sure {
                        lock(&self.endpoint.learned.no_referrers_api)
                            .insert(self.repository.clone());
                    }
                    // Who knows the path answers 404 with a code of the spec; distribution's web
                    // server answers what it does not know itself.
                    let is_unknown_path =
                        failure.is(StatusCode::NOT_FOUND) && failure.code().is_none();
                    return Err(if is_unknown_path && !is_sure {
                        NoApi::Anywhere
                    } else {
                        NoApi::Here
                    });
                }
                result => result?,
            };
            match listed(&answer) {
                Some(page) => manifests.extend(page),
                None if asked.len() == 1 => return Err(NoApi::Here),
                None => {
                    let message = "a page of the list of referrers is no index";
                    return Err(Failure::new(ErrorKind::Protocol, message).into());
                }
            }
            next = match link::next(&answer.headers) {
                Some(target) => Some(redirect::next(base, &answer.url, &target)?),
                None => None,
            };
        }
        Ok(manifests)
    }

    async fn listed_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>, Failure> {
        let manifest = self.manifest_here(&Tag::of_referrers(subject).into()).await?;
        Ok(manifest.map(|manifest| referrers_in(subject, &manifest)).unwrap_or_default())
    }
}

/// Why the API gave no list.
enum NoApi {
    /// No repository of the registry has it.
    Anywhere,
    /// The repository does not have it, now.
    Here,
    /// It could not be told.
    Unknown(Failure),
}

impl From<Failure> for NoApi {
    fn from(failure: Failure) -> Self {
        Self::Unknown(failure)
    }
}

fn each_once(manifests: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut seen = HashSet::new();
    manifests.into_iter().filter(|manifest| seen.insert(manifest.digest)).collect()
}

/// Whether a failure says that there is no referrers API. 404 is what the spec says; the rest is
/// met in the field. GHCR redirects to a web site, which is not followed (zot#4060).
fn means_no_api(failure: &Failure) -> bool {
    failure.status().is_some_and(|status| {
        status.is_redirection() || [400, 404, 405, 406, 501].contains(&status.as_u16())
    })
}

/// The descriptors of a page; none where it is no index, but for example a web page.
fn listed(answer: &Answer) -> Option<Vec<Descriptor>> {
    if answer.status != StatusCode::OK {
        return None;
    }
    let media_type = text(&answer.headers, CONTENT_TYPE).map(MediaType::new);
    if media_type.is_some_and(|media_type| media_type.as_str() == "text/html") {
        return None;
    }
    let index = MediaType::OCI_INDEX;
    let index = Manifest::parse(answer.content.clone(), Some(&index), Algorithm::Sha256).ok()?;
    match index.content() {
        Content::Index(index) => Some(index.manifests.clone()),
        Content::Image(_) => None,
    }
}

/// The referrers that the manifest under a fallback tag lists. GitLab takes the tag for the digest
/// and gives the subject itself (oras-go#1396), and older cosigns tag images so: neither is a list.
fn referrers_in(subject: &Digest, manifest: &Manifest) -> Vec<Descriptor> {
    let same = Digest::of(subject.algorithm(), manifest.bytes()) == *subject;
    match manifest.content() {
        Content::Index(index) if !same => index.manifests.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_subject_itself_is_no_list() {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":1}}]}}"#,
            MediaType::OCI_MANIFEST,
            Digest::sha256(b"x")
        );
        let index = Manifest::parse(Bytes::from(text), None, Algorithm::Sha256).unwrap();
        assert_eq!(referrers_in(&Digest::sha256(b"subject"), &index).len(), 1);
        assert_eq!(referrers_in(&index.digest(), &index).len(), 0);
    }
}

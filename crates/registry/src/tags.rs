//! The tags of a repository, and, where the registry tells, what they point at.

use std::collections::{BTreeMap, HashSet};

use http::{Method, StatusCode};
use oci::{Digest, Tag};
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Failure};
use crate::link;
use crate::redirect;
use crate::repository::RepositoryClient;
use crate::request::Request;

/// No more pages than this are read.
pub(crate) const MOST_PAGES: usize = 10_000;

/// No more bytes of one page than this are read.
pub(crate) const PAGE_LIMIT: u64 = 4 * 1024 * 1024;

/// The same, of a page of tags, which may have an entry for each manifest of a repository.
const TAGS_LIMIT: u64 = 32 * 1024 * 1024;

/// The tags of a repository.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagList {
    /// All tags, sorted.
    pub tags: Vec<Tag>,
    /// What tags point at, as far as the list tells. Google's do, and so one request answers for a
    /// whole repository; most others name tags only.
    pub digests: BTreeMap<Tag, Digest>,
}

#[derive(Deserialize)]
struct Page {
    /// Registries written in Go say `null` for none.
    tags: Option<Vec<String>>,
    /// By digest: what Google's registries add (goharbor/harbor, its adapter for them).
    #[serde(default)]
    manifest: BTreeMap<String, Manifest>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    tag: Vec<String>,
}

impl TagList {
    fn add(&mut self, page: Page) {
        self.tags.extend(page.tags.unwrap_or_default().iter().filter_map(|text| known(text)));
        for (digest, manifest) in page.manifest {
            let Some(digest) = known::<Digest>(&digest) else { continue };
            let tags = manifest.tag.iter().filter_map(|text| known(text));
            self.digests.extend(tags.map(|tag: Tag| (tag, digest)));
        }
    }

    /// Each tag once, and no digest of what is not listed.
    fn finish(mut self) -> Self {
        self.tags.sort();
        self.tags.dedup();
        self.digests.retain(|tag, _| self.tags.binary_search(tag).is_ok());
        self
    }
}

/// A name, unless it is none that can be asked for.
fn known<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Option<T> {
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            tracing::debug!(target: "registry", %error, "left out");
            None
        }
    }
}

impl RepositoryClient {
    /// Whether this kind of registry tells in its lists of tags what they point at.
    pub fn lists_digests(&self) -> bool {
        self.endpoint.profile().lists_digests
    }

    /// All tags; none if there is no such repository. Mirrors are not asked: they may not know the
    /// newest.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn tags(&self) -> Result<Option<TagList>, Error> {
        self.all_tags().await.map_err(|failure| {
            Error::new(format!("listing the tags of `{}`", self.name()), failure)
        })
    }

    async fn all_tags(&self) -> Result<Option<TagList>, Failure> {
        let base = self.endpoint.base().await?;
        let page = self.endpoint.profile().tags_per_page;
        let mut next = Some(self.url(&format!("tags/list?n={page}")).await?);
        let mut asked = HashSet::new();
        let mut list = TagList::default();
        while let Some(url) = next {
            if asked.len() >= MOST_PAGES || !asked.insert(url.clone()) {
                return Err(Failure::new(ErrorKind::Protocol, "the list of tags has no end"));
            }
            let request = Request::new(Method::GET, url, self.pull());
            let answer = match self.endpoint.call(&request, TAGS_LIMIT).await {
                Err(failure) if failure.is(StatusCode::NOT_FOUND) && asked.len() == 1 => {
                    return Ok(None);
                }
                result => result?,
            };
            let page: Page = serde_json::from_slice(&answer.content).map_err(|error| {
                let message = format!("the list of tags cannot be read: {error}");
                Failure::new(ErrorKind::Protocol, message)
            })?;
            list.add(page);
            next = match link::next(&answer.headers) {
                Some(target) => Some(redirect::next(base, &answer.url, &target)?),
                None => None,
            };
        }
        Ok(Some(list.finish()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_lists_tell_digests() {
        let digest = Digest::sha256(b"x");
        // As it comes, with an untagged manifest, a tag that is not listed and what is no name.
        let text = format!(
            r#"{{"child":[],"name":"p/r/app","tags":["2","1"],"manifest":{{
                "{digest}":{{"imageSizeBytes":"7","layerId":"","mediaType":"x","tag":["1","gone"],
                    "timeCreatedMs":"1595895577054","timeUploadedMs":"1597767277119"}},
                "{}":{{"imageSizeBytes":"7","tag":[]}},
                "md5:0":{{"tag":["2"]}}}}}}"#,
            Digest::sha256(b"y")
        );
        let mut list = TagList::default();
        list.add(serde_json::from_str(&text).unwrap());
        list.add(serde_json::from_str(r#"{"tags":null}"#).unwrap());
        let list = list.finish();
        let tag = |text: &str| text.parse::<Tag>().unwrap();
        assert_eq!(list.tags, [tag("1"), tag("2")]);
        assert_eq!(list.digests, [(tag("1"), digest)].into());
    }
}

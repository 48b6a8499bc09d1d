//! The tags of a repository.

use std::collections::HashSet;

use http::{Method, StatusCode};
use oci::Tag;
use serde::Deserialize;

use crate::endpoint::Request;
use crate::error::{Error, ErrorKind, Failure};
use crate::link;
use crate::redirect;
use crate::repository::RepositoryClient;

/// Tags asked for at once; ECR takes no larger number (google/go-containerregistry#1091).
const PAGE: usize = 1000;

/// No more pages than this are read.
pub(crate) const MOST_PAGES: usize = 10_000;

/// No more bytes of one page than this are read.
pub(crate) const PAGE_LIMIT: u64 = 4 * 1024 * 1024;

#[derive(Deserialize)]
struct Page {
    /// Registries written in Go say `null` for none.
    tags: Option<Vec<String>>,
}

impl RepositoryClient {
    /// All tags, sorted; none if there is no such repository. Mirrors are not asked: they may not
    /// know the newest.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn tags(&self) -> Result<Option<Vec<Tag>>, Error> {
        self.all_tags().await.map_err(|failure| {
            Error::new(format!("listing the tags of `{}`", self.name()), failure)
        })
    }

    async fn all_tags(&self) -> Result<Option<Vec<Tag>>, Failure> {
        let base = self.endpoint.base().await?;
        let mut next = Some(self.url(&format!("tags/list?n={PAGE}")).await?);
        let mut asked = HashSet::new();
        let mut tags = Vec::new();
        while let Some(url) = next {
            if asked.len() >= MOST_PAGES || !asked.insert(url.clone()) {
                return Err(Failure::new(ErrorKind::Protocol, "the list of tags has no end"));
            }
            let request = Request::new(Method::GET, url, self.pull());
            let answer = match self.endpoint.call(&request, PAGE_LIMIT).await {
                Err(failure) if failure.is(StatusCode::NOT_FOUND) && asked.len() == 1 => {
                    return Ok(None);
                }
                result => result?,
            };
            let page: Page = serde_json::from_slice(&answer.content).map_err(|error| {
                let message = format!("the list of tags cannot be read: {error}");
                Failure::new(ErrorKind::Protocol, message)
            })?;
            for text in page.tags.unwrap_or_default() {
                match text.parse() {
                    Ok(tag) => tags.push(tag),
                    Err(error) => tracing::debug!(target: "registry", %error, "left out"),
                }
            }
            next = match link::next(&answer.headers) {
                Some(target) => Some(redirect::next(base, &answer.url, &target)?),
                None => None,
            };
        }
        tags.sort();
        tags.dedup();
        Ok(Some(tags))
    }
}

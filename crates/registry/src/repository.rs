//! [`RepositoryClient`]: one repository. What it can be asked is in the files beside this one.

use std::future::Future;
use std::sync::Arc;

use oci::{Repository, Selector};
use url::Url;

use crate::auth::{Access, Scopes};
use crate::endpoint::Endpoint;
use crate::error::Failure;

/// One repository of one registry. Cheap to clone.
#[derive(Clone)]
pub struct RepositoryClient {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) repository: Repository,
    /// The same repository elsewhere, for reading.
    mirrors: Arc<[RepositoryClient]>,
    /// Whether this is such a mirror itself.
    pub(crate) is_mirror: bool,
}

impl RepositoryClient {
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        repository: Repository,
        mirrors: Arc<[RepositoryClient]>,
    ) -> Self {
        Self { endpoint, repository, mirrors, is_mirror: false }
    }

    pub(crate) fn mirror(endpoint: Arc<Endpoint>, repository: Repository) -> Self {
        Self { is_mirror: true, ..Self::new(endpoint, repository, [].into()) }
    }

    /// The repository's name as people write it, with a tag or digest.
    pub(crate) fn name_of(&self, selector: &Selector) -> String {
        let joint = match selector {
            Selector::Tag(_) => ':',
            Selector::Digest(_) => '@',
        };
        format!("{}{joint}{selector}", self.name())
    }

    /// The repository's name as people write it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.endpoint.host, self.repository)
    }

    /// The URL of something in this repository, such as `manifests/latest`.
    pub(crate) async fn url(&self, path: &str) -> Result<Url, Failure> {
        self.endpoint.url(&format!("v2/{}/{path}", self.repository)).await
    }

    pub(crate) fn access(&self, scopes: Scopes) -> Access {
        Access { repository: Some(self.repository.clone()), scopes, once: self.is_mirror }
    }

    pub(crate) fn pull(&self) -> Access {
        if self.endpoint.pushes && !self.is_mirror {
            return self.push();
        }
        self.access(Scopes::pull(&self.repository))
    }

    pub(crate) fn push(&self) -> Access {
        self.access(Scopes::push(&self.repository))
    }

    /// The first answer of the mirrors and then of the registry itself. Only the registry itself
    /// can say that something is not there, or fail.
    pub(crate) async fn first<'a, T, A, F>(&'a self, ask: A) -> Result<Option<T>, Failure>
    where
        A: Fn(&'a Self) -> F,
        F: Future<Output = Result<Option<T>, Failure>> + 'a,
    {
        for mirror in self.mirrors.iter() {
            match ask(mirror).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(failure) => {
                    let (mirror, cause) = (mirror.name(), failure.message());
                    tracing::debug!(target: "registry", mirror, cause, "mirror passed over");
                }
            }
        }
        ask(self).await
    }
}

impl std::fmt::Debug for RepositoryClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RepositoryClient").field(&self.name()).finish()
    }
}

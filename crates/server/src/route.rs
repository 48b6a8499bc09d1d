//! Which endpoint a path means.
//!
//! A repository's name may have any number of components, so a path is read from its end.

use oci::{Digest, Repository, Selector};

use crate::errors::{Code, Refusal};

/// An endpoint of the distribution spec, its names parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// `/v2/`
    Support,
    /// `/v2/_catalog`; not in the spec, but most registries have it.
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(Repository),
    /// `/v2/<name>/manifests/<tag-or-digest>`
    Manifest(Repository, Selector),
    /// `/v2/<name>/blobs/<digest>`
    Blob(Repository, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(Repository),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(Repository, String),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(Repository, Digest),
}

impl Route {
    /// Reads a path, whose percent encoding is undone already.
    pub(crate) fn parse(path: &str) -> Result<Self, Refusal> {
        let nowhere = || {
            Refusal::new(Code::Unsupported, "there is no such endpoint")
                .with_status(http::StatusCode::NOT_FOUND)
        };
        let rest = match path.strip_prefix("/v2") {
            Some("" | "/") => return Ok(Self::Support),
            Some("/_catalog") => return Ok(Self::Catalog),
            Some(rest) => rest.strip_prefix('/').ok_or_else(nowhere)?,
            None => return Err(nowhere()),
        };
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        let uploads = rest.strip_suffix("/blobs/uploads/");
        if let Some(name) = uploads.or_else(|| rest.strip_suffix("/blobs/uploads")) {
            return Ok(Self::Uploads(repository(name)?));
        }
        let (rest, last) = rest.rsplit_once('/').ok_or_else(nowhere)?;
        if let Some(name) = rest.strip_suffix("/blobs/uploads") {
            return Ok(Self::Upload(repository(name)?, last.to_owned()));
        }
        let (name, kind) = rest.rsplit_once('/').ok_or_else(nowhere)?;
        match kind {
            "manifests" => Ok(Self::Manifest(repository(name)?, selector(last)?)),
            "blobs" => Ok(Self::Blob(repository(name)?, digest(last)?)),
            "referrers" => Ok(Self::Referrers(repository(name)?, digest(last)?)),
            _ => Err(nowhere()),
        }
    }
}

/// A tag has no colon and a digest has one.
fn selector(text: &str) -> Result<Selector, Refusal> {
    if text.contains(':') {
        return Ok(Selector::Digest(digest(text)?));
    }
    let invalid = |error: oci::InvalidName| Refusal::new(Code::ManifestInvalid, error.to_string());
    text.parse().map(Selector::Tag).map_err(invalid)
}

pub(crate) fn repository(text: &str) -> Result<Repository, Refusal> {
    text.parse()
        .map_err(|error: oci::InvalidName| Refusal::new(Code::NameInvalid, error.to_string()))
}

pub(crate) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse()
        .map_err(|error: oci::InvalidName| Refusal::new(Code::DigestInvalid, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_endpoint_from_the_end_of_the_path() {
        let digest = Digest::sha256(b"");
        let name = |text: &str| text.parse::<Repository>().unwrap();
        let table = [
            ("/v2".to_owned(), Route::Support),
            ("/v2/".to_owned(), Route::Support),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/tags/list".to_owned(), Route::Tags(name("a"))),
            (
                "/v2/a/b/manifests/1.0".to_owned(),
                Route::Manifest(name("a/b"), Selector::Tag("1.0".parse().unwrap())),
            ),
            (
                format!("/v2/manifests/blobs/manifests/{digest}"),
                Route::Manifest(name("manifests/blobs"), Selector::Digest(digest)),
            ),
            (format!("/v2/a/blobs/{digest}"), Route::Blob(name("a"), digest)),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/b/blobs/uploads/x".to_owned(), Route::Upload(name("a/b"), "x".to_owned())),
            (format!("/v2/a/referrers/{digest}"), Route::Referrers(name("a"), digest)),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(&path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for path in [
            "/",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/manifests/1",
            "/v2/A/tags/list",
            "/v2/../manifests/x",
            "/v2/a/manifests/.x",
            "/v2/a/manifests/sha256:x",
            "/v2/a/blobs/x",
            "/v2/a/referrers/x",
            "/v2/a/elsewhere/x",
        ] {
            assert!(Route::parse(path).is_err(), "{path}");
        }
    }
}

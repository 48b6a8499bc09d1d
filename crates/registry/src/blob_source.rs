//! [`BlobSource`]: how the content of one blob is asked for, whole or in parts.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::header::{ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oci::Digest;
use url::Url;

use crate::answer::{Opened, text};
use crate::auth::lock;
use crate::content_range::{ContentRange, whole_size};
use crate::error::{ErrorKind, Failure};
use crate::gate::Permit;
use crate::repository::RepositoryClient;
use crate::request::Request;

/// A blob to be read.
pub(crate) struct BlobSource {
    pub(crate) repository: RepositoryClient,
    pub(crate) digest: Digest,
    /// Its size, where it is known.
    pub(crate) size: Option<u64>,
    /// Bytes of it that came.
    pub(crate) arrived: AtomicU64,
    /// It cannot be read in ranges, or not any more.
    pub(crate) no_ranges: AtomicBool,
    /// The version that the first range is of, where the server says it.
    version: Option<HeaderValue>,
    /// Where the registry sent us for it, for as long as that lasts.
    storage: Mutex<Option<Url>>,
}

/// How a range is to be had.
pub(crate) enum Turn {
    /// With as many attempts and as much waiting as any request.
    Needed,
    /// With this permit, or not.
    Extra(Permit),
}

impl BlobSource {
    /// A blob whose content `opened` brings, all or the first range of it.
    ///
    /// Fails where the sizes that are known of it differ.
    pub(crate) fn new(
        repository: &RepositoryClient,
        digest: &Digest,
        size: Option<u64>,
        opened: &Opened,
    ) -> Result<Self, Failure> {
        let (status, headers) = (opened.response.status(), opened.response.headers());
        let size = match (size, whole_size(status, headers)) {
            (Some(size), Some(said)) if size != said => {
                let message = format!("the registry has {said} bytes of it, not {size}");
                return Err(Failure::new(ErrorKind::Content, message));
            }
            (size, said) => size.or(said),
        };
        Ok(Self {
            repository: repository.clone(),
            digest: *digest,
            size,
            arrived: AtomicU64::new(0),
            no_ranges: AtomicBool::new(false),
            version: version(headers),
            storage: Mutex::new(opened.redirected.then(|| opened.url.clone())),
        })
    }

    /// Asks for all from `offset` on; says how many bytes before that come first.
    pub(crate) async fn open_rest(&self, offset: u64) -> Result<(Opened, u64), Failure> {
        self.repository.open_blob_from(&self.digest, self.size, offset).await
    }

    /// Asks for a range; none where the server gives no ranges after all, which is remembered.
    pub(crate) async fn open_range(
        &self,
        range: &Range<u64>,
        turn: Turn,
    ) -> Result<Option<Opened>, Failure> {
        let opened = self.ask(range, turn).await?;
        let (status, headers) = (opened.response.status(), opened.response.headers());
        let is_part = status == StatusCode::PARTIAL_CONTENT
            && ContentRange::of(headers).is_some_and(|part| part.continues(range.start, self.size));
        let is_version = version(headers).is_none_or(|version| Some(version) == self.version);
        if is_part && is_version {
            return Ok(Some(opened));
        }
        tracing::debug!(target: "registry", digest = %self.digest, is_part, is_version, "no ranges");
        self.no_ranges.store(true, Ordering::Relaxed);
        if is_version {
            self.repository.endpoint.learned.no_ranges.store(true, Ordering::Relaxed);
        }
        Ok(None)
    }

    async fn ask(&self, range: &Range<u64>, turn: Turn) -> Result<Opened, Failure> {
        let endpoint = &self.repository.endpoint;
        let storage = lock(&self.storage).clone();
        let mut permit = match turn {
            Turn::Needed => None,
            Turn::Extra(permit) => Some(permit),
        };
        let is_extra = permit.is_some();
        if let Some(url) = storage {
            let request = self.request(url.clone(), range)?.once();
            let answered = match permit.take() {
                Some(permit) => endpoint.open_with(&request, permit).await,
                None => endpoint.open(&request).await,
            };
            match answered {
                Ok(opened) => return Ok(opened),
                // The signature in the URL has expired, most likely: the registry makes a new one.
                Err(failure) if !is_extra || failure.status().is_some_and(is_refused) => {
                    let mut storage = lock(&self.storage);
                    if storage.as_ref() == Some(&url) {
                        *storage = None;
                    }
                }
                Err(failure) => return Err(failure),
            }
            if is_extra {
                permit = endpoint.permit_for_more();
                if permit.is_none() {
                    return Err(Failure::new(ErrorKind::Server, "no permit for another request"));
                }
            }
        }
        let url = self.repository.blob_url(&self.digest).await?;
        let request = self.request(url, range)?;
        let opened = match permit {
            Some(permit) => endpoint.open_with(&request, permit).await?,
            None => endpoint.open(&request).await?,
        };
        *lock(&self.storage) = opened.redirected.then(|| opened.url.clone());
        Ok(opened)
    }

    fn request(&self, url: Url, range: &Range<u64>) -> Result<Request, Failure> {
        let request = self.repository.get_blob(url).header(RANGE, value(&bytes(range))?).going_on();
        Ok(match &self.version {
            Some(version) => request.header(IF_RANGE, version.clone()),
            None => request,
        })
    }
}

impl RepositoryClient {
    /// Asks for all of a blob.
    pub(crate) async fn open_blob(&self, digest: &Digest) -> Result<Opened, Failure> {
        self.endpoint.open(&self.get_blob(self.blob_url(digest).await?)).await
    }

    /// Asks for a range of a blob, not knowing whether the server gives any: it may be all of it
    /// that comes.
    pub(crate) async fn open_blob_range(
        &self,
        digest: &Digest,
        size: Option<u64>,
        range: &Range<u64>,
    ) -> Result<(Opened, u64), Failure> {
        self.open_blob_part(digest, size, range.start, &bytes(range)).await
    }

    /// Asks for all of a blob from `offset` on; says how many bytes before that come first.
    pub(crate) async fn open_blob_from(
        &self,
        digest: &Digest,
        size: Option<u64>,
        offset: u64,
    ) -> Result<(Opened, u64), Failure> {
        if offset == 0 {
            return Ok((self.open_blob(digest).await?, 0));
        }
        self.open_blob_part(digest, size, offset, &format!("bytes={offset}-")).await
    }

    async fn open_blob_part(
        &self,
        digest: &Digest,
        size: Option<u64>,
        offset: u64,
        range: &str,
    ) -> Result<(Opened, u64), Failure> {
        let request = self.get_blob(self.blob_url(digest).await?).header(RANGE, value(range)?);
        let request = if offset > 0 { request.going_on() } else { request };
        let opened = match self.endpoint.open(&request).await {
            // A server that knows no ranges, or not this one: from the beginning, then.
            Err(failure)
                if matches!(failure.kind(), ErrorKind::Rejected | ErrorKind::Unsupported) =>
            {
                return Ok((self.open_blob(digest).await?, offset));
            }
            result => result?,
        };
        if opened.response.status() != StatusCode::PARTIAL_CONTENT {
            return Ok((opened, offset));
        }
        match ContentRange::of(opened.response.headers()) {
            Some(part) if part.continues(offset, size) => Ok((opened, 0)),
            // Another part than was asked for (openai/tart#1255).
            _ => {
                drop(opened);
                self.endpoint.learned.no_ranges.store(true, Ordering::Relaxed);
                Ok((self.open_blob(digest).await?, offset))
            }
        }
    }

    async fn blob_url(&self, digest: &Digest) -> Result<Url, Failure> {
        self.url(&format!("blobs/{digest}")).await
    }

    fn get_blob(&self, url: Url) -> Request {
        Request::new(Method::GET, url, self.pull()).following().bulk().once_if(self.is_mirror)
    }
}

/// Whether a storage says so to a URL that it does not take, or not any more.
fn is_refused(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 403 | 404 | 410)
}

/// What tells versions of the content apart, byte for byte (RFC 9110, section 8.8.3).
fn version(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = text(headers, ETAG)?;
    if tag.starts_with('"') { headers.get(ETAG).cloned() } else { None }
}

fn bytes(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

fn value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text)
        .map_err(|error| Failure::new(ErrorKind::Protocol, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_validators_tell_versions_apart() {
        let table =
            [(Some("\"a\""), true), (Some("W/\"a\""), false), (Some("a"), false), (None, false)];
        for (tag, is_version) in table {
            let mut headers = HeaderMap::new();
            headers.extend(tag.map(|tag| (ETAG, HeaderValue::from_static(tag))));
            assert_eq!(version(&headers).is_some(), is_version, "{tag:?}");
        }
        assert_eq!(bytes(&(5..10)), "bytes=5-9");
    }
}

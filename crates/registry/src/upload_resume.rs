//! An upload that broke, taken up again: what the registry has of it, and the rest.
//!
//! Not every registry keeps what came before a break, and some of those that do refuse the session
//! all the same; then the upload begins again. Whoever has refused a few in a row is not asked any
//! more.

use std::error::Error as StdError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::Stream;
use http::header::RANGE;
use http::{HeaderMap, Method};

use crate::answer::text;
use crate::blob_upload::{UploadSession, Way, uploading};
use crate::error::{Error, Failure};
use crate::refusal::BODY_LIMIT;
use crate::request::Request;

/// After so many sessions in a row that could not be taken up again, none is tried any more.
const FAILED_RESUMES: u32 = 3;

/// A registry may still be at work on what came before the break (distribution 3): it is asked
/// until it says the same twice, at most so often.
const MOST_LOOKS: u32 = 10;

impl UploadSession {
    /// How many bytes the registry has of the content, after [`UploadSession::put`] or
    /// [`UploadSession::put_rest`] broke: never more than were to be sent. None where there is
    /// nothing to go on from: the session is gone, has nothing, or cannot be taken up again.
    ///
    /// # Errors
    /// [`Error`], where the registry cannot be asked.
    pub async fn received(&mut self) -> Result<Option<u64>, Error> {
        let endpoint = self.endpoint();
        let failed = &endpoint.learned.failed_resumes;
        if !endpoint.profile().chunks || failed.load(Ordering::Relaxed) >= FAILED_RESUMES {
            return Ok(None);
        }
        let pause = endpoint.retry.first_delay;
        let asked = async {
            let mut before = None;
            for _ in 0..MOST_LOOKS {
                let now = self.look().await?;
                if now.is_none() || now == before {
                    return Ok(now);
                }
                before = now;
                tokio::time::sleep(pause).await;
            }
            Ok(None)
        };
        let received = asked.await;
        received.map_err(|failure| Error::new(uploading(&self.repository, &self.digest), failure))
    }

    async fn look(&mut self) -> Result<Option<u64>, Failure> {
        let request = Request::new(Method::GET, self.url.clone(), self.access());
        match self.endpoint().call(&request, BODY_LIMIT).await {
            Ok(answer) => {
                self.moved(&answer).await?;
                Ok(received(&answer.headers).filter(|received| *received <= self.size))
            }
            Err(failure) if failure.status().is_some() && !failure.is_temporary() => {
                let cause = failure.message();
                tracing::debug!(target: "registry", cause, "upload not taken up again");
                self.endpoint().learned.failed_resumes.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Sends the rest of the content, the bytes from `offset` (as [`UploadSession::received`] said)
    /// up to `size`, and makes the whole the blob.
    ///
    /// # Errors
    /// As [`UploadSession::put`]; a registry that refuses the rest is a temporary failure, because
    /// it may take the whole.
    pub async fn put_rest<S, E>(&mut self, offset: u64, size: u64, content: S) -> Result<(), Error>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let sent = match Way::of(self.endpoint()) {
            _ if offset >= size => self.put_nothing(content).await,
            // A PUT that continues is no part of the spec.
            Way::Put | Way::Patch => self.patch_whole(offset, size, content).await,
            Way::Chunks => self.patch_chunks(offset, size, content).await,
        };
        let failed = &self.endpoint().learned.failed_resumes;
        let Err(failure) = sent else {
            failed.store(0, Ordering::Relaxed);
            return Ok(());
        };
        let failure = if failure.status().is_some() && !failure.is_temporary() {
            failed.fetch_add(1, Ordering::Relaxed);
            failure.temporary()
        } else {
            failure
        };
        Err(Error::new(uploading(&self.repository, &self.digest), failure))
    }
}

/// `0-N`: the bytes up to N have come. `0-0` says one byte or, far more often, none.
fn received(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, RANGE)?.trim();
    let range = range.strip_prefix("bytes").unwrap_or(range).trim_start_matches(['=', ' ']);
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    (last > 0).then(|| last.checked_add(1)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_say_they_have() {
        let table = [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("bytes 0-9", Some(10)),
            (" 0-9 ", Some(10)),
            ("0-0", None),
            // go-containerregistry's registry, of nothing
            ("0--1", None),
            ("5-9", None),
            ("0-18446744073709551615", None),
            ("", None),
            ("all", None),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, value.parse().unwrap());
            assert_eq!(received(&headers), expected, "{value}");
        }
        assert_eq!(received(&HeaderMap::new()), None);
    }
}

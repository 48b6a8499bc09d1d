//! What comes back: [`Answer`], read whole and up to a limit, and [`Opened`], still to be read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, StatusCode};
use oci::Digest;
use url::Url;

use crate::error::{ErrorKind, Failure};
use crate::gate::Permit;
use crate::transport::body_failure;

/// A successful answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What was asked in the end, after redirects.
    pub(crate) url: Url,
    pub(crate) content: Bytes,
}

/// A successful answer whose body is still to be read. It holds its permit meanwhile.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) response: reqwest::Response,
    pub(crate) url: Url,
    /// Whether that is not what was asked first.
    pub(crate) redirected: bool,
    /// Who answered.
    pub(crate) server: String,
    pub(crate) idle: Duration,
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) permit: Permit,
}

impl Opened {
    /// Reads the whole body.
    pub(crate) async fn read(mut self, limit: u64) -> Result<Answer, Failure> {
        let too_large = || {
            let message = format!("the answer of `{}` is larger than {limit} bytes", self.server);
            Err(Failure::new(ErrorKind::Content, message))
        };
        // The length of an answer to HEAD is that of what GET would bring.
        let body = read_capped(&mut self.response, limit, self.idle, &self.server).await?;
        if body.truncated {
            return too_large();
        }
        Ok(Answer {
            status: self.response.status(),
            headers: std::mem::take(self.response.headers_mut()),
            url: self.url,
            content: body.content,
        })
    }

    /// Reads the next piece; none at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        piece(&mut self.response, self.idle, &self.server).await
    }
}

/// The part of a body that was read.
pub(crate) struct Body {
    pub(crate) content: Bytes,
    /// There was more.
    pub(crate) truncated: bool,
}

/// Reads a body, but no more than `limit` bytes of it.
pub(crate) async fn read_capped(
    response: &mut reqwest::Response,
    limit: u64,
    idle: Duration,
    server: &str,
) -> Result<Body, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut content = BytesMut::new();
    while let Some(piece) = piece(response, idle, server).await? {
        let room = limit - content.len();
        if piece.len() > room {
            content.extend_from_slice(piece.get(..room).unwrap_or_default());
            return Ok(Body { content: content.freeze(), truncated: true });
        }
        content.extend_from_slice(&piece);
    }
    Ok(Body { content: content.freeze(), truncated: false })
}

async fn piece(
    response: &mut reqwest::Response,
    idle: Duration,
    server: &str,
) -> Result<Option<Bytes>, Failure> {
    match tokio::time::timeout(idle, response.chunk()).await {
        Ok(Ok(piece)) => Ok(piece),
        Ok(Err(error)) => Err(body_failure(&error.without_url(), server)),
        Err(_) => {
            let message = format!("`{server}` fell silent in the middle of its answer");
            Err(Failure::new(ErrorKind::Network, message).temporary())
        }
    }
}

/// A header's text.
pub(crate) fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The `Content-Length`, also of an answer to HEAD.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.trim().parse().ok()
}

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The digest that the registry says the content has; none where it says nothing, or names an
/// algorithm that is not known here.
pub(crate) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    text(headers, DIGEST)?.trim().parse().ok()
}

/// Fails where the registry says of content that it has another digest than `expected`. A digest
/// of another algorithm says nothing.
pub(crate) fn check_digest(headers: &HeaderMap, expected: &Digest) -> Result<(), Failure> {
    match content_digest(headers) {
        Some(said) if said.algorithm() == expected.algorithm() && said != *expected => {
            let message = format!("the registry says that it is {said}, not {expected}");
            Err(Failure::new(ErrorKind::Content, message))
        }
        _ => Ok(()),
    }
}

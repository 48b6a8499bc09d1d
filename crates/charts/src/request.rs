//! One GET: where it may lead, whom credentials are shown, and what went wrong.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use oci::{Astray, shown_url};
use reqwest::Response;
use secrecy::ExposeSecret;
use url::Url;

use crate::error::{ErrorKind, Failure};
use crate::repository::Login;

/// At most so many redirects are followed for one request.
const MOST_REDIRECTS: usize = 5;

/// Who asks, and where they belong.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    pub(crate) client: reqwest::Client,
    /// The repository, which alone is shown the login.
    pub(crate) repository: Url,
    pub(crate) login: Option<Login>,
    /// How long a server may be silent.
    pub(crate) silence: Duration,
}

impl Requests {
    /// The answer to a GET, if it is a good one. Redirects are followed; what a server answers is not
    /// unpacked, so that an archive is what its digest says.
    pub(crate) async fn get(&self, url: &Url, encoding: &'static str) -> Result<Response, Failure> {
        let (mut from, mut url) = (self.repository.clone(), url.clone());
        for _ in 0..=MOST_REDIRECTS {
            guard(&self.repository, &from, &url)?;
            let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, encoding);
            if self.repository.origin() == url.origin() {
                request = match &self.login {
                    None => request,
                    Some(Login::Basic { username, password }) => {
                        request.basic_auth(username, Some(password.expose_secret()))
                    }
                    Some(Login::Bearer(token)) => request.bearer_auth(token.expose_secret()),
                };
            }
            let answer = tokio::time::timeout(self.silence, request.send()).await;
            let response =
                answer.map_err(|_| silent(&url))?.map_err(|error| broken(&error, &url))?;
            let status = response.status();
            tracing::debug!(target: "charts", url = shown_url(&url), status = status.as_u16(), "answered");
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            match location {
                Some(location) if is_redirect(status) => {
                    let next = url.join(location).map_err(|_| {
                        Failure::new(ErrorKind::Refused, "the server sends us to what is no URL")
                    })?;
                    from = std::mem::replace(&mut url, next);
                }
                _ if status == StatusCode::OK => return Ok(response),
                _ => return Err(refusal(status, response.headers(), &url)),
            }
        }
        let message = format!("the server sends us on more than {MOST_REDIRECTS} times");
        Err(Failure::new(ErrorKind::Refused, message))
    }

    /// The whole of a body, if it has no more bytes than that.
    pub(crate) async fn body(&self, mut response: Response, most: u64) -> Result<Bytes, Failure> {
        let too_large = || Failure::invalid(format!("it has more than {} MiB", most >> 20));
        let length = response.content_length().unwrap_or(0);
        if length > most {
            return Err(too_large());
        }
        let mut body = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        while let Some(piece) = self.piece(&mut response).await? {
            if (body.len() + piece.len()) as u64 > most {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// The next piece of a body; none at its end.
    pub(crate) async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(self.silence, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(broken(&error, response.url())),
            Err(_) => Err(silent(response.url())),
        }
    }
}

/// Whether a URL that the index of a repository, or a server on the way (`from`), named may be asked
/// at all.
fn guard(repository: &Url, from: &Url, url: &Url) -> Result<(), Failure> {
    let was_secure = [repository, from].into_iter().any(|url| url.scheme() == "https");
    let Some(astray) = Astray::find(repository, url, was_secure) else { return Ok(()) };
    let shown = shown_url(url);
    let what = match astray {
        Astray::Scheme => format!("a `{}:` URL is not read here", url.scheme()),
        Astray::Login => format!("the URL `{shown}` has a user name in it"),
        Astray::Plain => format!("`{shown}` is not encrypted, and what leads there is"),
        Astray::Inside => format!("`{shown}` is an address inside a network, without a name"),
    };
    Err(Failure::new(ErrorKind::Refused, what))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn refusal(status: StatusCode, headers: &HeaderMap, url: &Url) -> Failure {
    let said = format!("`{}` answers {status}", shown_url(url));
    match status.as_u16() {
        404 | 410 => Failure::new(ErrorKind::NotFound, said),
        401 => Failure::new(ErrorKind::Denied, said)
            .hint("the repository wants credentials, or other ones; see `registries.*.auth`"),
        403 => Failure::new(ErrorKind::Denied, said)
            .hint("the credentials may not read this; some storages say so of what is not there"),
        407 => Failure::new(ErrorKind::Denied, said).hint("the proxy wants credentials"),
        429 => Failure::new(ErrorKind::RateLimited, said).temporary().wait(retry_after(headers)),
        408 | 425 | 500.. => {
            Failure::new(ErrorKind::Unreachable, said).temporary().wait(retry_after(headers))
        }
        _ => Failure::new(ErrorKind::Unreachable, said),
    }
}

/// How long a server asks to wait, in seconds or until a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(&value.replace("GMT", "+0000")).ok()?.timestamp();
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO))
}

fn silent(url: &Url) -> Failure {
    let message = format!("`{}` does not answer in time", server_of(url));
    Failure::new(ErrorKind::Unreachable, message).temporary()
}

fn broken(error: &reqwest::Error, url: &Url) -> Failure {
    let cause = std::iter::successors(error.source(), |&error| error.source()).last();
    let cause = cause.map_or_else(|| "it broke".to_owned(), ToString::to_string);
    let server = server_of(url);
    let failure = if error.is_connect() {
        Failure::new(ErrorKind::Unreachable, format!("no connection to `{server}`: {cause}"))
    } else {
        Failure::new(ErrorKind::Unreachable, format!("the connection to `{server}` broke: {cause}"))
    };
    if cause.contains("certificate") {
        return failure.hint("where its authority is a private one, name it: `registries.*.ca`");
    }
    failure.temporary()
}

fn server_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_sends_us_only_outwards() {
        let table = [
            ("https://charts.example.com", "https://files.example.com/x", true),
            ("http://charts.example.com", "http://10.0.0.1/x", false),
            ("http://charts.example.com", "http://charts.example.com/x", true),
            ("http://10.0.0.1", "http://127.0.0.1/x", false),
            ("http://127.0.0.1", "http://localhost/x", true),
            ("http://127.0.0.1", "http://169.254.169.254/x", false),
            ("http://charts.example.com", "http://[::ffff:169.254.169.254]/x", false),
            ("http://charts.example.com", "http://[fd00:ec2::254]/x", false),
            ("http://charts.example.com", "http://[fe80::1]/x", false),
            ("http://charts.example.com", "http://0.0.0.0/x", false),
            ("http://charts.example.com", "http://a.localhost./x", false),
            ("https://charts.example.com", "http://charts.example.com/x", false),
            ("http://charts.example.com", "https://charts.example.com/x", true),
            ("https://charts.example.com", "ftp://charts.example.com/x", false),
            ("https://charts.example.com", "https://user@charts.example.com/x", false),
        ];
        for (repository, url, allowed) in table {
            let (repository, to) = (repository.parse().unwrap(), url.parse().unwrap());
            assert_eq!(guard(&repository, &repository, &to).is_ok(), allowed, "{url}");
        }
        // Nor does it get worse on the way.
        let url = |text: &str| text.parse::<Url>().unwrap();
        let repository = url("http://charts.example.com");
        let (secure, plain) = (url("https://files.example.com"), url("http://files.example.com"));
        assert!(guard(&repository, &repository, &secure).is_ok());
        assert!(guard(&repository, &secure, &plain).is_err());
    }

    #[test]
    fn a_server_says_how_long_to_wait() {
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}

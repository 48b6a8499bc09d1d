//! [`Http`]: requests to a service of a cloud, or to who gives tokens for one: whom we trust, how long we
//! wait, what is tried again, and what the answers mean.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, StatusCode, Url};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CloudError, CloudErrorKind, trust};

/// The connections to one service.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// What the service is called in messages.
    service: &'static str,
    /// Whether it is tried again where there was no answer at all.
    is_patient: bool,
}

/// How a service is reached.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// As everything is: by the system's proxy, trusting the system's authorities and this one.
    Outside(Option<&'a Path>),
    /// Without a proxy, and soon or not at all: the metadata services of clouds.
    Here,
}

/// A whole answer of a service.
#[derive(Debug)]
pub struct Answer {
    service: &'static str,
    /// What it means.
    pub status: StatusCode,
    body: Vec<u8>,
    /// How long the service wants to be left alone.
    retry_after: Option<Duration>,
}

const MOST_ATTEMPTS: usize = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Far above every answer of such a service.
const LARGEST_ANSWER: usize = 1 << 20;

impl Http {
    /// Connections to a service, which is called so in messages.
    ///
    /// # Errors
    /// A file of certificates cannot be used.
    pub fn new(service: &'static str, reach: Reach<'_>) -> Result<Self, CloudError> {
        let (authority, connect, whole) = match reach {
            Reach::Outside(authority) => (authority, 10, 30),
            Reach::Here => (None, 2, 10),
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("image-syncer/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(service, authority)?)
            // A token must not be taken elsewhere.
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(Duration::from_secs(connect))
            .timeout(Duration::from_secs(whole));
        if matches!(reach, Reach::Here) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            let cause = causes(&error);
            invalid(format!("no HTTP client for {service}: {cause}"))
        })?;
        Ok(Self { client, service, is_patient: matches!(reach, Reach::Outside(_)) })
    }

    /// A request to be completed and sent.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// A request to be completed and sent.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    /// Sends a request, again where that may help, and returns the answer, whatever it is.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, CloudError> {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(MOST_ATTEMPTS - 1)
            .with_jitter();
        let attempt = || async {
            let request = request.try_clone().ok_or_else(|| {
                Failed::Broken(invalid("a request cannot be sent twice".to_owned()))
            })?;
            let answer = self.send_once(request).await.map_err(Failed::Broken)?;
            if answer.is_of_the_moment() { Err(Failed::Answer(answer)) } else { Ok(answer) }
        };
        let result = attempt
            .retry(backoff)
            .when(|failed| failed.may_pass(self.is_patient))
            .adjust(|failed, planned| match failed {
                // Who wants to be left alone for longer is not asked again in this call.
                Failed::Answer(Answer { retry_after: Some(wait), .. }) if *wait > LONGEST_WAIT => {
                    None
                }
                Failed::Answer(Answer { retry_after: Some(wait), .. }) => {
                    planned.map(|planned| planned.max(*wait))
                }
                _ => planned,
            })
            .await;
        match result {
            Ok(answer) | Err(Failed::Answer(answer)) => Ok(answer),
            Err(Failed::Broken(error)) => Err(error),
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Answer, CloudError> {
        let mut response = request.send().await.map_err(|error| self.broken(error))?;
        let retry_after = retry_after(response.headers());
        let status = response.status();
        tracing::debug!(target: "credentials", service = self.service, %status, "answered");
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(invalid(format!("{} sent an answer without end", self.service)));
            }
        }
        Ok(Answer { service: self.service, status, body, retry_after })
    }

    fn broken(&self, error: reqwest::Error) -> CloudError {
        let at = error.url().and_then(place).map(|at| format!(" at `{at}`")).unwrap_or_default();
        let error = error.without_url();
        let problem = if error.is_timeout() {
            "did not answer in time".to_owned()
        } else {
            format!("cannot be reached: {}", causes(&error))
        };
        CloudError::new(CloudErrorKind::Unreachable, format!("{}{at} {problem}", self.service))
    }
}

/// A URL's host, and the port where one is given.
fn place(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// What an attempt came to that was no success.
enum Failed {
    Answer(Answer),
    Broken(CloudError),
}

impl Failed {
    fn may_pass(&self, is_patient: bool) -> bool {
        match self {
            Self::Answer(_) => true,
            Self::Broken(error) => is_patient && error.kind() == CloudErrorKind::Unreachable,
        }
    }
}

impl Answer {
    /// What the answer says, if it is a success; `what` was asked for, as in `when asked for a token`.
    ///
    /// # Errors
    /// It is no success, or cannot be read.
    pub fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, CloudError> {
        if !self.status.is_success() {
            return Err(self.refusal(what));
        }
        // serde's errors quote what they read, which may be a token.
        serde_json::from_slice(&self.body).map_err(|_| {
            invalid(format!("{} gave an answer that cannot be read, {what}", self.service))
        })
    }

    /// The answer as it is, if it is a success.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self, what: &str) -> Result<String, CloudError> {
        if self.status.is_success() {
            Ok(String::from_utf8_lossy(&self.body).into_owned())
        } else {
            Err(self.refusal(what))
        }
    }

    /// Why an answer is no success.
    pub fn refusal(&self, what: &str) -> CloudError {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CloudErrorKind::Denied,
            StatusCode::NOT_FOUND => CloudErrorKind::NotFound,
            _ if self.is_of_the_moment() => CloudErrorKind::Unreachable,
            _ => CloudErrorKind::Invalid,
        };
        let said = said(&self.body).map(|said| format!(": {said}")).unwrap_or_default();
        let (service, status) = (self.service, self.status.as_u16());
        CloudError::new(kind, format!("{service} answered {status} {what}{said}"))
    }

    fn is_of_the_moment(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
            || self.status.is_server_error()
    }
}

/// What a service says about its refusal: `{"error": {"message"}}` (Google, Azure), `{"errors": []}`
/// (Vault), `{"error", "error_description"}` (OAuth, RFC 6749 section 5.2), `{"message"}` (Rekor).
fn said(body: &[u8]) -> Option<String> {
    const LONGEST: usize = 500;
    let answer: Value = serde_json::from_slice(body).ok()?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let error = answer.get("error");
    let said = text(error.and_then(|error| error.get("message")))
        .or_else(|| text(answer.get("error_description")))
        .or_else(|| text(error))
        .or_else(|| text(answer.get("message")))
        .or_else(|| {
            let errors = answer.get("errors")?.as_array()?;
            let errors: Vec<_> = errors.iter().filter_map(Value::as_str).collect();
            Some(errors.join("; "))
        })?;
    let words: Vec<_> = said.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    Some(line).filter(|line| !line.is_empty())
}

/// The seconds of `Retry-After`. Dates are rare there, and the usual wait is soon enough for them.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whom we trust: everyone we trust anyway, and who is in the file.
fn tls(service: &str, authority: Option<&Path>) -> Result<ClientConfig, CloudError> {
    let mut roots = trust::authorities();
    if let Some(file) = authority {
        let unusable = |problem: String| {
            let file = file.display();
            invalid(format!("{file} is no file of certificates for {service}: {problem}"))
        };
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error's causes, without the first, which only names the request.
fn causes(error: &dyn StdError) -> String {
    let mut text = String::new();
    let mut next = Some(error.source().unwrap_or(error));
    while let Some(error) = next {
        let separator = if text.is_empty() { "" } else { ": " };
        let _ = write!(text, "{separator}{error}");
        next = error.source();
    }
    text
}

fn invalid(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_service_says_about_a_refusal() {
        let denied = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        let table = [
            (r#"{"error":{"code":403,"message":"no\n access","status":"X"}}"#, Some("no access")),
            (r#"{"error":{"code":"Forbidden","message":"no"}}"#, Some("no")),
            (denied, Some("1 error occurred: * permission denied")),
            (r#"{"error":"invalid_client","error_description":"AADSTS7"}"#, Some("AADSTS7")),
            (r#"{"error":"invalid_grant"}"#, Some("invalid_grant")),
            (r#"{"errors":[]}"#, None),
            ("[]", None),
            ("<html>", None),
        ];
        for (body, expected) in table {
            assert_eq!(said(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_named_with_its_port() {
        let nobody = testkit::ClosedPort::bind();
        let at = nobody.address();
        let http = Http::new("Vault", Reach::Here).unwrap();
        let request = http.get(Url::parse(&format!("http://{at}/v1/x?secret")).unwrap());
        let error = http.send(request).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("Vault at `{at}` cannot be reached: ")), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let named = |url: &str| place(&Url::parse(url).unwrap());
        assert_eq!(named("https://vault.example/v1").as_deref(), Some("vault.example"));
        assert_eq!(named("https://[::1]:8200/").as_deref(), Some("[::1]:8200"));
    }

    #[test]
    fn a_status_has_a_kind() {
        use CloudErrorKind as Kind;
        let table = [
            (400, Kind::Invalid),
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::NotFound),
            (408, Kind::Unreachable),
            (429, Kind::Unreachable),
            (503, Kind::Unreachable),
        ];
        for (status, kind) in table {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { service: "x", status, body: Vec::new(), retry_after: None };
            assert_eq!(answer.refusal("when asked").kind(), kind, "{status}");
        }
    }
}

//! Every kind of [`Fault`] by its name, with the requests that it is usually for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use oci::Digest;
use tokio::time::Instant;

use super::body::Change;
use super::gate::{Gate, Release};
use super::header::LocationForm;
use super::rate::RateLimit;
use super::{Effect, Fault, has_parameter};
use crate::answer;
use crate::pattern::path;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// When a rate limit ends, as it is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RetryAfter {
    /// Not told.
    Unsaid,
    /// `Retry-After: SECONDS`.
    Seconds(u64),
    /// `Retry-After: DATE`, that long from the moment the fault is made.
    DateIn(Duration),
}

/// How the Content-Length of a shortened body is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContentLength {
    /// That of what is really sent: the answer is complete and wrong.
    Sent,
    /// That of the whole: the connection ends early, as with [`Fault::cut_response`].
    Whole,
    /// None: chunked transfer encoding, cleanly ended.
    Unsaid,
}

/// What the registry answers, instead of doing what was asked.
impl Fault {
    /// Answers with a status; [`Fault::header`] and [`Fault::body`] add the rest.
    ///
    /// # Panics
    /// If the number is no status.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status from 100 to 999");
        Self::new(Effect::Answer(status, HeaderMap::new(), String::new()))
    }

    /// Answers with a status and the spec's error document.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(answer::error_body(code, message))
    }

    /// 429 in the shape of the distribution spec.
    pub fn too_many_requests(retry_after: RetryAfter) -> Self {
        let fault = Self::error(429, "TOOMANYREQUESTS", "too many requests");
        match retry_after {
            RetryAfter::Unsaid => fault,
            RetryAfter::Seconds(seconds) => fault.header(RETRY_AFTER.as_str(), seconds.to_string()),
            RetryAfter::DateIn(time) => fault.header(RETRY_AFTER.as_str(), http_date(time)),
        }
    }

    /// 429 to every request beyond a rate; each fault has a count of its own.
    pub fn beyond(limit: RateLimit, retry_after: RetryAfter) -> Self {
        let count = Arc::new(Mutex::new(limit.begin(Instant::now())));
        Self::too_many_requests(retry_after).when(move |_| {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            !count.grants(limit, Instant::now())
        })
    }

    /// Rate limiting as ECR says it now and then: 400 with the API's exception
    /// (awsdocs/amazon-ecr-user-guide#11, concourse/docker-image-resource#115).
    pub fn throttling_exception() -> Self {
        Self::error(400, "ThrottlingException", "Rate exceeded")
    }

    /// HEAD is 405.
    pub fn head_unsupported() -> Self {
        Self::status(405).on("HEAD", path::ANY)
    }

    /// The referrers API is not there.
    pub fn no_referrers() -> Self {
        Self::status(404)
            .header("content-type", "text/plain; charset=utf-8")
            .body("404 page not found\n")
            .on("GET|HEAD", path::REFERRERS)
    }

    /// A manifest that refers to another is taken without a word about its subject (OCI-Subject),
    /// as by every registry that has no referrers API.
    pub fn no_subject() -> Self {
        Self::new(Effect::RemoveHeader(HeaderName::from_static("oci-subject")))
            .on("PUT", path::MANIFESTS)
    }

    /// The referrers API is refused: 403.
    pub fn deny_referrers() -> Self {
        Self::error(403, "DENIED", "requested access to the resource is denied")
            .on("GET|HEAD", path::REFERRERS)
    }

    /// The referrers API redirects elsewhere.
    pub fn redirect_referrers(status: u16, location: &str) -> Self {
        Self::status(status).header("location", location).on("GET|HEAD", path::REFERRERS)
    }

    /// The referrers API answers, and knows of none (Quay in 2026, tektoncd/chains#1691).
    pub fn empty_referrers() -> Self {
        let index = oci::MediaType::OCI_INDEX;
        let body = format!(r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[]}}"#);
        Self::status(200)
            .header("content-type", index.as_str())
            .body(body)
            .on("GET", path::REFERRERS)
    }

    /// A mount is an error.
    pub fn mount_error(status: u16) -> Self {
        Self::error(status, "UNSUPPORTED", "mounting is not supported")
            .on("POST", path::UPLOADS)
            .when(|request| has_parameter(request, "mount"))
    }

    /// A mount is not done; an upload session is opened instead (202), as the spec allows.
    pub fn refuse_mount() -> Self {
        Self::new(Effect::ForgetQuery(&["mount", "from"]))
            .on("POST", path::UPLOADS)
            .when(|request| has_parameter(request, "mount"))
    }

    /// A blob is redirected (307) to the registry's other server, see [`crate::Registry::cdn`].
    pub fn redirect_to_cdn() -> Self {
        Self::new(Effect::RedirectToCdn(StatusCode::TEMPORARY_REDIRECT)).on("GET|HEAD", path::BLOBS)
    }
}

/// What happens to the connection.
impl Fault {
    /// The connection closes before the registry has seen the request.
    pub fn drop_connection() -> Self {
        Self::new(Effect::Drop)
    }

    /// The registry does what is asked, and the connection closes instead of the answer.
    pub fn drop_answer() -> Self {
        Self::new(Effect::DropAnswer)
    }

    /// The connection closes when `bytes` of the request's body were read; the registry sees
    /// nothing of it. A request whose body has less than that is spared.
    pub fn cut_request(bytes: u64) -> Self {
        Self::new(Effect::CutRequest(bytes))
            .on("PUT|PATCH|POST", path::ANY)
            .when(has_at_least(bytes))
    }

    /// The connection closes when `bytes` of the request's body were read; the registry has them. A
    /// request whose body has less than that is spared.
    pub fn break_request(bytes: u64) -> Self {
        Self::new(Effect::BreakRequest(bytes))
            .on("PUT|PATCH|POST", path::ANY)
            .when(has_at_least(bytes))
    }

    /// The connection closes when the answer's header and `bytes` of its body were sent; exactly
    /// so many over HTTP/1.1, at most so many over HTTP/2.
    pub fn cut_response(bytes: u64) -> Self {
        Self::new(Effect::Body(Change::Cut(bytes))).on("GET", path::BLOBS)
    }

    /// The registry does not see the request until the test releases it.
    pub fn stall() -> (Self, Release) {
        let (gate, release) = Gate::new();
        (Self::new(Effect::Hold(gate)), release)
    }

    /// The answer's body stops after `bytes` until the test releases it.
    pub fn stall_response(bytes: u64) -> (Self, Release) {
        let (gate, release) = Gate::new();
        let fault = Self::new(Effect::Body(Change::Hold(bytes, gate)));
        (fault.on("GET", path::BLOBS), release)
    }

    /// Something of the test's own runs before the registry sees the request.
    pub fn hook<F>(hook: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::new(Effect::Hook(Arc::new(move || Box::pin(hook()))))
    }
}

/// What is wrong with an answer.
impl Fault {
    /// One byte of a blob, the one at `offset`, is another.
    pub fn flip_byte(offset: u64) -> Self {
        Self::new(Effect::Body(Change::Flip(offset))).on("GET", path::BLOBS)
    }

    /// Only the first `bytes` of a blob are sent.
    pub fn shorten(bytes: u64, length: ContentLength) -> Self {
        let change = match length {
            ContentLength::Sent => Change::Shorten(bytes, true),
            ContentLength::Whole => Change::Cut(bytes),
            ContentLength::Unsaid => Change::Shorten(bytes, false),
        };
        Self::new(Effect::Body(change)).on("GET", path::BLOBS)
    }

    /// A blob has `bytes` more than it should; the Content-Length says so, too.
    pub fn lengthen(bytes: u64) -> Self {
        Self::new(Effect::Body(Change::Lengthen(bytes))).on("GET", path::BLOBS)
    }

    /// A blob is sent chunked, without a Content-Length.
    pub fn no_content_length() -> Self {
        Self::shorten(u64::MAX, ContentLength::Unsaid)
    }

    /// Location has another form.
    pub fn location(form: LocationForm) -> Self {
        Self::new(Effect::Location(form))
    }

    /// Location is missing.
    pub fn no_location() -> Self {
        Self::new(Effect::RemoveHeader(http::header::LOCATION))
    }

    /// Docker-Content-Digest is missing.
    pub fn no_content_digest() -> Self {
        Self::new(Effect::RemoveHeader(CONTENT_DIGEST)).on("GET|HEAD", path::MANIFESTS)
    }

    /// Docker-Content-Digest is that of other content.
    pub fn wrong_content_digest() -> Self {
        let wrong = Digest::sha256(b"other content").to_string();
        let value = HeaderValue::try_from(wrong).expect("a digest is header text");
        Self::new(Effect::SetHeader(CONTENT_DIGEST, value)).on("GET|HEAD", path::MANIFESTS)
    }

    /// Content-Type is missing, or this one.
    ///
    /// # Panics
    /// If the text cannot stand in a header.
    pub fn content_type(media_type: Option<&str>) -> Self {
        let effect = match media_type {
            None => Effect::RemoveHeader(CONTENT_TYPE),
            Some(text) => Effect::SetHeader(CONTENT_TYPE, text.parse().expect("header text")),
        };
        Self::new(effect).on("GET|HEAD", path::MANIFESTS)
    }

    /// A Range is not looked at: 200 with the whole blob.
    pub fn ignore_range() -> Self {
        Self::new(Effect::ForgetHeader(RANGE)).on("GET", path::BLOBS)
    }

    /// The 206 says another range than was asked for (openai/tart#1255); its bytes are those that
    /// were asked for.
    pub fn wrong_content_range() -> Self {
        Self::new(Effect::WrongContentRange).on("GET", path::BLOBS)
    }

    /// A 206 without Content-Range.
    pub fn no_content_range() -> Self {
        Self::new(Effect::RemoveHeader(CONTENT_RANGE)).on("GET", path::BLOBS)
    }

    /// Tag lists come in pages of so many tags, joined by Link.
    pub fn tag_pages(size: usize) -> Self {
        Self::new(Effect::SetQuery("n", size.to_string())).on("GET", path::TAGS)
    }

    /// The registry does what is asked, and says another status; what it refuses stays refused.
    ///
    /// # Panics
    /// If the number is no status.
    pub fn other_status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status from 100 to 999");
        Self::new(Effect::Status(status))
    }

    /// The answer has a header with this value.
    ///
    /// # Panics
    /// If either text cannot stand in a header.
    pub fn answer_header(name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        Self::new(Effect::SetHeader(name, HeaderValue::try_from(value).expect("header text")))
    }
}

/// The moment that lies `time` ahead, as HTTP writes dates (RFC 9110, section 5.6.7).
fn http_date(time: Duration) -> String {
    let moment = jiff::Timestamp::now() + time;
    moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether a request's body may have so many bytes.
fn has_at_least(bytes: u64) -> impl Fn(&Parts) -> bool {
    move |request| {
        let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        length.and_then(|length| length.parse().ok()).is_none_or(|length: u64| length >= bytes)
    }
}

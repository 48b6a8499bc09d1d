//! What an answer that is no success means: its status, and the registry's own words in its body.

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{ErrorKind, Failure};
use crate::retry::retry_after;

/// No more of an error's body than this is read, in bytes.
pub(crate) const BODY_LIMIT: u64 = 64 * 1024;

/// No more characters of a registry's own words than these are shown.
const MOST_SHOWN: usize = 300;

/// The failure that an answer means. `server` is who answered.
pub(crate) fn failure(
    server: &str,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Failure {
    let said = Said::read(body);
    let (kind, temporary) = class(status, &said);
    let mut message = format!("`{server}` answered {}", shown(status));
    for words in [&said.code, &said.message].into_iter().flatten() {
        message.push_str(": ");
        message.push_str(words);
    }
    let failure = Failure::new(kind, message).answered(status, said.code);
    if temporary {
        failure.temporary().retry_after(retry_after(headers, Timestamp::now()))
    } else {
        failure
    }
}

/// Whether a refusal says that what we showed has expired: ECR answers 403, not 401, to that.
pub(crate) fn says_expired(failure: &Failure) -> bool {
    failure.is(StatusCode::FORBIDDEN) && failure.message().to_ascii_lowercase().contains("expired")
}

fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn class(status: StatusCode, said: &Said) -> (ErrorKind, bool) {
    if said.is_throttling() {
        return (ErrorKind::RateLimited, true);
    }
    match status.as_u16() {
        401 => (ErrorKind::Unauthorized, false),
        403 => (ErrorKind::Denied, false),
        404 => (ErrorKind::NotFound, false),
        405 | 501 => (ErrorKind::Unsupported, false),
        429 => (ErrorKind::RateLimited, true),
        // 499 and 522 come from proxies in front of registries.
        408 | 499 | 500 | 502 | 503 | 504 | 522 => (ErrorKind::Server, true),
        500..=599 => (ErrorKind::Server, false),
        400..=499 => (ErrorKind::Rejected, false),
        _ => (ErrorKind::Protocol, false),
    }
}

/// What the body of an error says.
#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    code: Option<String>,
    message: Option<String>,
}

/// The bodies in the field: the distribution spec's, OAuth2's, AWS's, and what token servers made up.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errors: Option<Vec<Entry>>,
    error: Option<Value>,
    error_description: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
    details: Option<Value>,
    #[serde(alias = "__type")]
    code: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    code: Option<Value>,
    message: Option<String>,
    detail: Option<Value>,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        match serde_json::from_slice::<Body>(body) {
            Ok(body) => Self::of(body),
            Err(_) => Self { code: None, message: plain_text(body) },
        }
    }

    fn of(body: Body) -> Self {
        let word = |value: Option<Value>| value.and_then(|value| text_of(&value));
        if let Some(first) = body.errors.and_then(|errors| errors.into_iter().next()) {
            let message = first.message.as_deref().and_then(clean);
            let detail = word(first.detail).filter(|detail| {
                message.as_ref().is_none_or(|message| !message.contains(detail.as_str()))
            });
            let message = match (message, detail) {
                (Some(message), Some(detail)) => clean(&format!("{message} ({detail})")),
                (message, detail) => message.or(detail),
            };
            return Self { code: word(first.code), message };
        }
        let message = body.error_description.or(body.message).as_deref().and_then(clean);
        Self {
            code: word(body.code).or_else(|| body.error.as_ref().and_then(text_of)),
            message: message.or_else(|| word(body.details)),
        }
    }

    /// AWS throttles with status 400 (awsdocs/amazon-ecr-user-guide#11), some with 403.
    fn is_throttling(&self) -> bool {
        [&self.code, &self.message].into_iter().flatten().any(|words| {
            let words = words.to_ascii_lowercase();
            ["toomanyrequests", "throttlingexception", "rate exceeded"]
                .iter()
                .any(|sign| words.contains(sign))
        })
    }
}

/// A JSON value as a few words, where it can be.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => clean(text),
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(fields) if fields.is_empty() => None,
        other => clean(&other.to_string()),
    }
}

/// The first line of a body that is no JSON, unless it is a web page.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    if text.starts_with('<') {
        return None;
    }
    text.lines().next().and_then(clean)
}

/// Text that comes from outside, fit to be shown on one line of a terminal.
pub(crate) fn clean(text: &str) -> Option<String> {
    // Beside control characters: those that turn the direction of text around.
    let harmful =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().map(|c| if harmful(c) { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => Some(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::RETRY_AFTER;
    use proptest::prelude::*;

    use super::*;

    fn of(status: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        failure("r.example", status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn says_what_the_registry_says() {
        let table = [
            (
                404,
                r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known","detail":{"name":"a"}}]}"#,
                "404 Not Found: NAME_UNKNOWN: repository name not known ({\"name\":\"a\"})",
            ),
            (
                401,
                r#"{"details":"incorrect username or password"}"#,
                "401 Unauthorized: incorrect username or password",
            ),
            (
                401,
                r#"{"error":"invalid_grant","error_description":"no"}"#,
                "401 Unauthorized: invalid_grant: no",
            ),
            (400, r#"{"__type":"X","message":"m"}"#, "400 Bad Request: X: m"),
            (500, "<html><body>oops</body></html>", "500 Internal Server Error"),
            (502, "upstream\u{1b}[31m gone\nsecond", "502 Bad Gateway: upstream [31m gone"),
            (418, "", "418 I'm a teapot"),
            (522, "", "522"),
            (403, r#"{"errors":[]}"#, "403 Forbidden"),
            (403, r#"{"errors":null}"#, "403 Forbidden"),
        ];
        for (status, body, expected) in table {
            assert_eq!(of(status, body).message(), format!("`r.example` answered {expected}"));
        }
    }

    #[test]
    fn knows_the_class_of_a_failure() {
        use ErrorKind as K;
        let throttled =
            r#"{"errors":[{"code":"x","message":"ThrottlingException: Rate exceeded"}]}"#;
        let busy = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        let table = [
            (401, "", K::Unauthorized, false),
            (403, "", K::Denied, false),
            (404, "", K::NotFound, false),
            (405, "", K::Unsupported, false),
            (408, "", K::Server, true),
            (429, "", K::RateLimited, true),
            (400, throttled, K::RateLimited, true),
            (403, busy, K::RateLimited, true),
            (400, "", K::Rejected, false),
            (412, "", K::Rejected, false),
            (413, "", K::Rejected, false),
            (499, "", K::Server, true),
            (500, "", K::Server, true),
            (501, "", K::Unsupported, false),
            (503, "", K::Server, true),
            (505, "", K::Server, false),
            (522, "", K::Server, true),
            (302, "", K::Protocol, false),
        ];
        for (status, body, kind, temporary) in table {
            let failure = of(status, body);
            assert_eq!((failure.kind(), failure.is_temporary()), (kind, temporary), "{status}");
        }
    }

    #[test]
    fn keeps_code_status_and_the_wish_to_wait() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#;
        let failure = failure("r", StatusCode::TOO_MANY_REQUESTS, &headers, body);
        assert_eq!(failure.code(), Some("TOOMANYREQUESTS"));
        assert_eq!(failure.delay(), Some(Duration::from_secs(3)));
        assert!(failure.is(StatusCode::TOO_MANY_REQUESTS));
    }

    #[test]
    fn an_expired_token_is_not_a_denial() {
        let expired = r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#;
        assert!(says_expired(&of(403, expired)));
        assert!(!says_expired(&of(403, "")));
        assert!(!says_expired(&of(404, expired)));
    }

    proptest! {
        #[test]
        fn any_body_gives_one_clean_line(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let failure = failure("r", StatusCode::BAD_REQUEST, &HeaderMap::new(), &body);
            prop_assert!(!failure.message().chars().any(char::is_control));
            prop_assert!(failure.message().chars().count() < 3 * MOST_SHOWN);
        }
    }
}

//! The token server's side: one request for one token.
//!
//! With a password, the answer to `GET realm?service=…&scope=…`; with an identity token, to an
//! OAuth2 `POST`, and where a server knows no POST, to the same GET with the token as a password.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::cache::{Issuer, Token};
use super::scope::Scopes;
use crate::answer::read_capped;
use crate::credential::Credential;
use crate::error::{ErrorKind, Failure};
use crate::refusal;
use crate::transport::{Message, Peer, Pool, Transport, server_of};

/// No more of a token server's answer than this is read, in bytes.
const BODY_LIMIT: u64 = 1024 * 1024;

/// The name of this client in OAuth2 requests.
const CLIENT_ID: &str = "image-syncer";

/// The user name that stands for "the password is an identity token" in docker's files.
const TOKEN_USER: &str = "<token>";

/// Asks for a token, once.
pub(crate) struct TokenRequest<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) peer: Peer,
    pub(crate) realm: &'a Url,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) idle: Duration,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
    issued_at: Option<String>,
}

impl TokenRequest<'_> {
    pub(crate) async fn send(&self, credential: &Credential) -> Result<Token, Failure> {
        match credential {
            Credential::Anonymous | Credential::Bearer(_) => self.get(None).await,
            Credential::Basic { username, password } => {
                self.get(Some(basic(username, password))).await
            }
            Credential::IdentityToken(token) => match self.post(token).await {
                Err(failure) if knows_no_post(&failure) => {
                    // Where both fail, the first says more about what is wrong with the token.
                    let again = self.get(Some(basic(TOKEN_USER, token))).await;
                    again.map_err(|second| if second.is_temporary() { second } else { failure })
                }
                result => result,
            },
        }
    }

    async fn get(&self, authorization: Option<HeaderValue>) -> Result<Token, Failure> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = self.service {
                query.append_pair("service", service);
            }
            for scope in self.scopes.texts() {
                query.append_pair("scope", &scope);
            }
        }
        let mut headers = HeaderMap::new();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        self.exchange(Message { method: Method::GET, url, headers, body: Bytes::new().into() })
            .await
    }

    async fn post(&self, identity: &SecretString) -> Result<Token, Failure> {
        let service = self.service.map(|service| ("service", service));
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &self.scopes.to_string())
            .append_pair("refresh_token", identity.expose_secret())
            .extend_pairs(service)
            .finish();
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        let (url, body) = (self.realm.clone(), form.into());
        self.exchange(Message { method: Method::POST, url, headers, body }).await
    }

    async fn exchange(&self, mut message: Message) -> Result<Token, Failure> {
        message.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let server = server_of(self.realm);
        let asked_at = Instant::now();
        let sent = self.transport.send(self.peer, Pool::Small, message, None).await;
        let mut response = sent.map_err(|broken| broken.failure)?;
        let status = response.status();
        if !status.is_success() {
            let limit = refusal::BODY_LIMIT;
            let body = read_capped(&mut response, limit, self.idle, &server).await?;
            return Err(refusal::failure(&server, status, response.headers(), &body.content));
        }
        let body = read_capped(&mut response, BODY_LIMIT, self.idle, &server).await?;
        if body.truncated {
            return Err(no_token(&server, "its answer is larger than any token"));
        }
        // What the parser says may quote the answer, and with it the token.
        let answer: Answer = serde_json::from_slice(&body.content)
            .map_err(|_| no_token(&server, "its answer is not the JSON of a token"))?;
        let lifetime = lifetime(&answer, Timestamp::now());
        let given = answer.token.into_iter().chain(answer.access_token);
        let secret = given
            .filter(|token| !token.is_empty())
            .map(SecretString::from)
            .find(|secret| bearer(secret).is_some())
            .ok_or_else(|| no_token(&server, "its answer has no token"))?;
        Ok(Token {
            secret,
            issuer: Issuer {
                realm: self.realm.to_string(),
                service: self.service.map(str::to_owned),
            },
            scopes: self.scopes.clone(),
            renew_at: Token::renewal(asked_at, lifetime),
        })
    }
}

fn no_token(server: &str, problem: &str) -> Failure {
    Failure::new(ErrorKind::Protocol, format!("`{server}` gives no token: {problem}"))
}

/// What servers without an OAuth2 endpoint answer to a POST.
fn knows_no_post(failure: &Failure) -> bool {
    [400, 401, 404, 405, 415, 501]
        .into_iter()
        .any(|status| failure.status().map(|answered| answered.as_u16()) == Some(status))
}

/// How long a token lives: what `expires_in` says, or 60 s as distribution's token specification
/// says. A token out of the server's cache was issued earlier; a date that cannot be (clocks
/// differ) is not believed.
fn lifetime(answer: &Answer, now: Timestamp) -> Duration {
    let given = answer.expires_in.filter(|seconds| *seconds > 0.0);
    let whole = given.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let whole = whole.unwrap_or(Duration::from_secs(60));
    let issued = answer.issued_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let age = issued.and_then(|issued| Duration::try_from(now.duration_since(issued)).ok());
    match age {
        Some(age) if age < whole => whole - age,
        _ => whole,
    }
}

/// The value of a Basic `Authorization` header.
pub(crate) fn basic(username: &str, password: &SecretString) -> HeaderValue {
    let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
    secret_header(&format!("Basic {pair}")).unwrap_or(HeaderValue::from_static("Basic"))
}

/// The value of a Bearer `Authorization` header; none if the token cannot stand in a header.
pub(crate) fn bearer(token: &SecretString) -> Option<HeaderValue> {
    secret_header(&format!("Bearer {}", token.expose_secret().trim()))
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a token server's refusal means that it does not take the credential. OAuth2 answers 400
/// to a bad one (RFC 6749 §5.2).
pub(crate) fn is_refusal(failure: &Failure) -> bool {
    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::BAD_REQUEST];
    refused.iter().any(|status| failure.is(*status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let table = [
            (r#"{"token":"t"}"#, 60),
            (r#"{"token":"t","expires_in":300}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-11-21T07:58:20Z"}"#, 200),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-11-21T07:00:00Z"}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"2026-11-21T09:00:00Z"}"#, 300),
            (r#"{"token":"t","expires_in":300,"issued_at":"yesterday"}"#, 300),
            (r#"{"token":"t","expires_in":0}"#, 60),
            (r#"{"token":"t","expires_in":-5}"#, 60),
            (r#"{"token":"t","expires_in":1e300}"#, 60),
        ];
        for (text, seconds) in table {
            let answer: Answer = serde_json::from_str(text).unwrap();
            assert_eq!(lifetime(&answer, now).as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn headers_hide_their_secret() {
        let header = basic("me", &"hunter2".into());
        assert_eq!(header.to_str().unwrap(), "Basic bWU6aHVudGVyMg==");
        assert!(!format!("{header:?}").contains("bWU6"));
        assert_eq!(bearer(&" t\n".into()).unwrap().to_str().unwrap(), "Bearer t");
        assert!(bearer(&"a\nb".into()).is_none());
    }
}

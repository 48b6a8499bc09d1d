//! The token endpoint: the GET flow with Basic credentials or none, and the OAuth2 POST flow with
//! a password or a refresh (identity) token.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::json;

use super::authority::{Authority, basic};
use super::scope::Scope;
use super::{Bearer, TokenField, User};
use crate::answer;

/// Where Azure's registries exchange a token of Azure's for one of their own.
pub(super) const EXCHANGE: &str = "/oauth2/exchange";

/// The longest form that is read, in bytes.
const FORM_LIMIT: usize = 64 * 1024;

/// The token endpoint of this authority; nothing where it issues no tokens.
pub(crate) fn router(authority: &Authority) -> Router {
    match authority.bearer() {
        Some(bearer) => Router::new()
            .route(&bearer.path, get(token).post(token))
            .route(EXCHANGE, post(exchange))
            .with_state(authority.clone()),
        None => Router::new(),
    }
}

async fn token(State(authority): State<Authority>, request: Request) -> Response {
    let Some(bearer) = authority.bearer() else { return answer::empty(StatusCode::NOT_FOUND) };
    let (parts, body) = request.into_parts();
    if parts.method == Method::POST {
        if !bearer.post {
            return answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let form = axum::body::to_bytes(body, FORM_LIMIT).await.unwrap_or_default();
        oauth2(&authority, bearer, &fields(&form))
    } else {
        simple(&authority, bearer, &parts)
    }
}

/// Azure's exchange of one of its tokens for one of the registry's.
/// <https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>
async fn exchange(State(authority): State<Authority>, form: axum::body::Bytes) -> Response {
    let fields = fields(&form);
    let known = authority.bearer().and_then(|bearer| {
        let asked = field(&fields, "access_token").filter(|token| {
            field(&fields, "grant_type") == Some("access_token")
                && field(&fields, "service").is_some()
                && bearer.exchanged.as_deref() == Some(*token)
        });
        asked.and(bearer.users.first()?.identity_token.clone())
    });
    match known {
        Some(token) => answer::json(StatusCode::OK, json!({ "refresh_token": token }).to_string()),
        None => refusal(),
    }
}

type Fields = Vec<(String, String)>;

fn fields(text: &[u8]) -> Fields {
    url::form_urlencoded::parse(text).into_owned().collect()
}

fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A client may repeat `scope`, or join scopes by spaces; both are met.
fn scopes(fields: &Fields, bearer: &Bearer) -> Vec<Scope> {
    let all = fields.iter().filter(|(key, _)| key == "scope");
    let scopes = all.flat_map(|(_, value)| value.split(' ')).filter_map(|one| one.parse().ok());
    scopes.take(if bearer.first_scope_only { 1 } else { usize::MAX }).collect()
}

fn simple(authority: &Authority, bearer: &Bearer, request: &Parts) -> Response {
    let fields = fields(request.uri.query().unwrap_or_default().as_bytes());
    let scopes = scopes(&fields, bearer);
    let has_credential = request.headers.contains_key(http::header::AUTHORIZATION);
    let user = basic(request).and_then(|(name, password)| authority.user(&name, &password));
    if user.is_none() && (has_credential || bearer.anonymous_pull.is_empty()) {
        return refusal();
    }
    let refresh = field(&fields, "offline_token") == Some("true");
    granted(authority, bearer, user, &scopes, refresh)
}

fn oauth2(authority: &Authority, bearer: &Bearer, fields: &Fields) -> Response {
    let scopes = scopes(fields, bearer);
    let value = |name| field(fields, name).unwrap_or_default();
    let user = match value("grant_type") {
        "password" => authority.user(value("username"), value("password")),
        "refresh_token" => bearer
            .users
            .iter()
            .find(|user| user.identity_token.as_deref() == Some(value("refresh_token"))),
        _ => return answer::json(StatusCode::BAD_REQUEST, oauth2_error("unsupported_grant_type")),
    };
    match user {
        Some(user) => {
            let refresh = value("access_type") == "offline" || value("grant_type") != "password";
            granted(authority, bearer, Some(user), &scopes, refresh)
        }
        None => answer::json(StatusCode::UNAUTHORIZED, oauth2_error("invalid_grant")),
    }
}

fn oauth2_error(code: &str) -> String {
    json!({ "error": code }).to_string()
}

/// What Docker Hub's token server says.
fn refusal() -> Response {
    let body = json!({ "details": "incorrect username or password" });
    answer::json(StatusCode::UNAUTHORIZED, body.to_string())
}

fn granted(
    authority: &Authority,
    bearer: &Bearer,
    user: Option<&User>,
    scopes: &[Scope],
    refresh: bool,
) -> Response {
    let token = authority.issue(user, scopes, bearer);
    let mut document = serde_json::Map::new();
    if bearer.field != TokenField::AccessToken {
        document.insert("token".into(), token.clone().into());
    }
    if bearer.field != TokenField::Token {
        document.insert("access_token".into(), token.into());
    }
    if bearer.tells_lifetime {
        document.insert("expires_in".into(), bearer.lifetime.as_secs().into());
        document.insert("issued_at".into(), jiff::Timestamp::now().to_string().into());
    }
    if let Some(identity) = user.and_then(|user| user.identity_token.clone()).filter(|_| refresh) {
        document.insert("refresh_token".into(), identity.into());
    }
    answer::json(StatusCode::OK, serde_json::Value::Object(document).to_string())
}

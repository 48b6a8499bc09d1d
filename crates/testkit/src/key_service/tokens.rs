//! Who gives tokens: the clouds' token services and what their machines have at hand.

use std::sync::Arc;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::extract::Path;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::{KeyService, Pair, pairs};
use crate::answer;

/// What Azure's tokens are for: vaults, and registries (Azure SDK for Go, `azcontainerregistry`).
const AUDIENCES: [&str; 2] = ["https://vault.azure.net", "https://containerregistry.azure.net"];
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

pub(super) fn google(account: Option<Arc<Pair>>) -> Router {
    Router::new()
        .route("/token", post(move |body| google_token(account.clone(), body)))
        .route(
            "/v1/projects/-/serviceAccounts/robot@p.iam.gserviceaccount.com:generateAccessToken",
            post(impersonate),
        )
        .route("/impersonate", post(impersonate))
        .route("/subject", get(subject))
        .route("/computeMetadata/v1/instance/service-accounts/default/token", get(google_machine))
}

pub(super) fn azure() -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(azure_token))
        .route("/metadata/identity/oauth2/token", get(azure_machine))
        .route("/msi/token", get(app_service))
}

/// Whether a token is one that a service account signed itself (AIP-4111), for all of Google's cloud.
pub(super) fn is_signed_by(token: &str, account: &Pair) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let claims = message.split_once('.').map(|(_, claims)| decoded(claims)).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.public_der());
    claims["scope"] == SCOPE && key.verify(message.as_bytes(), &decoded(signature)).is_ok()
}

/// A refresh token (RFC 6749, section 6), a workload's token (RFC 8693), or what a service account has
/// signed (<https://developers.google.com/identity/protocols/oauth2/service-account#httprest>).
async fn google_token(account: Option<Arc<Pair>>, body: Bytes) -> Response {
    let form = pairs(&body);
    let assertion = form.get("assertion").map(String::as_str).unwrap_or_default();
    let signed = form.get("grant_type").map(String::as_str)
        == Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
        && account.is_some_and(|account| is_signed_by(assertion, &account));
    let is = |name: &str, value: &str| form.get(name).is_some_and(|found| found == value);
    let refreshed = is("grant_type", "refresh_token")
        && is("refresh_token", KeyService::SECRET)
        && is("client_id", "id")
        && is("client_secret", "secret");
    let exchanged = is("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        && is("subject_token", KeyService::SECRET)
        && is("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
        && is("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
        && is("audience", "//iam.googleapis.com/pool")
        && is("scope", SCOPE);
    token(refreshed || exchanged || signed, &json!(3600))
}

/// <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>
async fn impersonate(headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let own = format!("Bearer {}", KeyService::TOKEN);
    if headers.get("authorization").is_some_and(|value| *value == own) && body["scope"][0] == SCOPE
    {
        let answer =
            json!({ "accessToken": KeyService::TOKEN, "expireTime": "2100-01-01T00:00:00Z" });
        answer::json(StatusCode::OK, answer.to_string())
    } else {
        let error = json!({ "error": { "code": 403, "message": "getAccessToken denied" } });
        answer::json(StatusCode::FORBIDDEN, error.to_string())
    }
}

async fn subject(headers: HeaderMap) -> Response {
    let is_asked_right = headers.get("x-workload").is_some_and(|value| value == "yes");
    let status = if is_asked_right { StatusCode::OK } else { StatusCode::FORBIDDEN };
    answer::json(status, json!({ "value": KeyService::SECRET }).to_string())
}

/// <https://cloud.google.com/compute/docs/access/authenticate-workloads>
async fn google_machine(headers: HeaderMap) -> Response {
    token(headers.get("metadata-flavor").is_some_and(|value| value == "Google"), &json!(3600))
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
async fn azure_token(Path(tenant): Path<String>, body: Bytes) -> Response {
    let form = pairs(&body);
    let is = |name: &str, value: &str| form.get(name).is_some_and(|found| found == value);
    let assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let is_client = is("client_secret", KeyService::SECRET)
        || (is("client_assertion_type", assertion) && is("client_assertion", KeyService::SECRET));
    let is_right = tenant == "tenant"
        && is("grant_type", "client_credentials")
        && is("client_id", "id")
        && AUDIENCES.iter().any(|audience| is("scope", &format!("{audience}/.default")));
    token(is_client && is_right, &json!(3600))
}

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
async fn azure_machine(uri: Uri, headers: HeaderMap) -> Response {
    let is_asked_right = headers.get("metadata").is_some_and(|value| value == "true");
    // The metadata service says numbers in texts.
    token(is_asked_right && is_asked_for(&uri, "2018-02-01"), &json!("3600"))
}

/// <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
async fn app_service(uri: Uri, headers: HeaderMap) -> Response {
    let is_asked_right =
        headers.get("x-identity-header").is_some_and(|value| *value == KeyService::SECRET);
    token(is_asked_right && is_asked_for(&uri, "2019-08-01"), &json!("3600"))
}

fn is_asked_for(uri: &Uri, version: &str) -> bool {
    let query = pairs(uri.query().unwrap_or_default().as_bytes());
    let is = |name: &str, value: &str| query.get(name).is_some_and(|found| found == value);
    AUDIENCES.iter().any(|audience| is("resource", audience)) && is("api-version", version)
}

fn token(is_granted: bool, expires_in: &Value) -> Response {
    if is_granted {
        let token = KeyService::TOKEN;
        let answer =
            json!({ "access_token": token, "expires_in": expires_in, "token_type": "Bearer" });
        answer::json(StatusCode::OK, answer.to_string())
    } else {
        let error = json!({ "error": "invalid_client", "error_description": "who is this?" });
        answer::json(StatusCode::BAD_REQUEST, error.to_string())
    }
}

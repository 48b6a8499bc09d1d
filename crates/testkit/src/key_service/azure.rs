//! Azure Key Vault over REST (<https://learn.microsoft.com/rest/api/keyvault/keys>): keys, signatures,
//! and the challenge that its SDKs wait for before they show a token.

use aws_lc_rs::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::{Access, KeyService, KeyType, Version, pairs};
use crate::answer;

pub(super) fn router(service: KeyService) -> Router {
    Router::new()
        .route("/keys/{name}", get(newest))
        // The Python SDK asks for the newest version with a slash behind the name.
        .route("/keys/{name}/", get(newest))
        .route("/keys/{name}/{version}", get(read))
        .route("/keys/{name}/{version}/sign", post(sign))
        .with_state(service)
}

type Refusal = (StatusCode, &'static str, String);

async fn newest(
    State(service): State<KeyService>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let newest = service.keys.get(&name).map_or(0, Vec::len);
    respond(key(&service, &name, &version_name(newest), &uri, &headers))
}

async fn read(
    State(service): State<KeyService>,
    Path((name, version)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    respond(key(&service, &name, &version, &uri, &headers))
}

async fn sign(
    State(service): State<KeyService>,
    Path((name, version)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(signature(&service, &name, &version, &uri, &headers, &body))
}

fn key(
    service: &KeyService,
    name: &str,
    version: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Value, Refusal> {
    let found = find(service, name, version, uri, headers)?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let mut key = json!({
        "kid": key_id(name, version, headers),
        "key_ops": ["sign", "verify"],
    });
    if let Some(point) = found.pair.point() {
        let (x, y) = point[1..].split_at(point.len() / 2);
        let curve = match found.key_type {
            KeyType::P256 => "P-256",
            KeyType::P384 => "P-384",
            _ => "P-521",
        };
        key["kty"] = "EC".into();
        key["crv"] = curve.into();
        key["x"] = encode(x).into();
        key["y"] = encode(y).into();
    } else {
        let (n, e) = found.pair.numbers().expect("Azure has EC and RSA");
        key["kty"] = "RSA-HSM".into();
        key["n"] = encode(&n).into();
        key["e"] = encode(&e).into();
    }
    Ok(json!({ "key": key, "attributes": { "enabled": found.enabled } }))
}

fn signature(
    service: &KeyService,
    name: &str,
    version: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Refusal> {
    let found = find(service, name, version, uri, headers)?;
    if !found.enabled {
        let message = "Operation sign is not allowed on a disabled key.".to_owned();
        return Err((StatusCode::FORBIDDEN, "Forbidden", message));
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| bad_request("no JSON"))?;
    let digest = body["value"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let digest = digest.ok_or_else(|| bad_request("no value in base64url"))?;
    let algorithm = body["alg"].as_str().unwrap_or_default();
    let signature = match (algorithm, found.key_type) {
        ("ES256", KeyType::P256) | ("ES384", KeyType::P384) | ("ES512", KeyType::P521) => {
            found.pair.ecdsa(&digest)
        }
        (name, _) => padding(name).and_then(|padding| found.pair.rsa(padding, &digest)),
    };
    let signature =
        signature.ok_or_else(|| bad_request("Key and signing algorithm are incompatible."))?;
    let value = URL_SAFE_NO_PAD.encode(signature);
    Ok(json!({ "kid": key_id(name, version, headers), "value": value }))
}

fn find<'a>(
    service: &'a KeyService,
    name: &str,
    version: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<&'a Version, Refusal> {
    match service.access(headers) {
        Access::Granted => {}
        Access::Denied => {
            let message = "Caller is not authorized to perform action on resource.".to_owned();
            return Err((StatusCode::FORBIDDEN, "Forbidden", message));
        }
        Access::Nobody => {
            let message = "AKV10000: Request is missing a Bearer or PoP token.".to_owned();
            return Err((StatusCode::UNAUTHORIZED, "Unauthorized", message));
        }
    }
    if !pairs(uri.query().unwrap_or_default().as_bytes()).contains_key("api-version") {
        return Err(bad_request("api-version was not specified"));
    }
    let number = usize::from_str_radix(version, 16).ok();
    let found = number.and_then(|number| service.find(name, number));
    let message = || format!("A key with (name/id) {name} was not found in this key vault.");
    found.ok_or_else(|| (StatusCode::NOT_FOUND, "KeyNotFound", message()))
}

fn padding(name: &str) -> Option<&'static dyn RsaEncoding> {
    Some(match name {
        "RS256" => &RSA_PKCS1_SHA256,
        "RS384" => &RSA_PKCS1_SHA384,
        "RS512" => &RSA_PKCS1_SHA512,
        "PS256" => &RSA_PSS_SHA256,
        "PS384" => &RSA_PSS_SHA384,
        "PS512" => &RSA_PSS_SHA512,
        _ => return None,
    })
}

fn version_name(number: usize) -> String {
    format!("{number:032x}")
}

fn key_id(name: &str, version: &str, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("https://{host}/keys/{name}/{version}")
}

fn bad_request(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, "BadParameter", message.to_owned())
}

fn respond(result: Result<Value, Refusal>) -> Response {
    let (status, code, message) = match result {
        Ok(value) => return answer::json(StatusCode::OK, value.to_string()),
        Err(refusal) => refusal,
    };
    let body = json!({ "error": { "code": code, "message": message } });
    let mut response = answer::json(status, body.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = "Bearer authorization=\"https://login.microsoftonline.com/tenant\", \
                         resource=\"https://vault.azure.net\"";
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

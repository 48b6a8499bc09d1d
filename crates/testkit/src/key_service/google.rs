//! Google Cloud KMS over REST
//! (<https://cloudkms.googleapis.com/$discovery/rest?version=v1>): versions, public keys, signatures.

use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

use super::key::asn1;
use super::{Access, KeyService, KeyType, Version, pairs};
use crate::answer;

pub(super) fn router(service: KeyService) -> Router {
    Router::new().route("/v1/{*path}", get(read).post(sign)).with_state(service)
}

type Refusal = (StatusCode, &'static str, String);

async fn read(
    State(service): State<KeyService>,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    respond(service.admit(&headers).and_then(|()| {
        let path = in_ring(&path)?;
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["cryptoKeys", key, "cryptoKeyVersions"] => versions(&service, key, &uri),
            ["cryptoKeys", key, "cryptoKeyVersions", number] => {
                let version = find(&service, key, number)?;
                Ok(described(key, number, version))
            }
            ["cryptoKeys", key, "cryptoKeyVersions", number, "publicKey"] => {
                let version = usable(&service, key, number)?;
                let pem = version.pair.public_pem();
                Ok(json!({
                    "name": name(key, number),
                    "pem": pem,
                    "pemCrc32c": crc32c(pem.as_bytes()),
                    "algorithm": algorithm(version.key_type),
                    "protectionLevel": "SOFTWARE",
                }))
            }
            _ => Err(not_found(path)),
        }
    }))
}

async fn sign(
    State(service): State<KeyService>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(service.admit(&headers).and_then(|()| {
        let path = in_ring(&path)?;
        let path = path.strip_suffix(":asymmetricSign").ok_or_else(|| not_found(path))?;
        let parts: Vec<_> = path.split('/').collect();
        let ["cryptoKeys", key, "cryptoKeyVersions", number] = parts.as_slice() else {
            return Err(not_found(path));
        };
        let version = usable(&service, key, number)?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| bad_request("the body is no JSON"))?;
        let (field, content) = match version.key_type {
            KeyType::Ed25519 => ("data", &body["data"]),
            KeyType::P384 => ("digest", &body["digest"]["sha384"]),
            _ => ("digest", &body["digest"]["sha256"]),
        };
        let content = content.as_str().and_then(|text| STANDARD.decode(text).ok());
        let content = content.ok_or_else(|| bad_request("the digest is not of the key's hash"))?;
        // A number, or one in a text: proto3's JSON takes both.
        let crc = body[format!("{field}Crc32c")].to_string();
        let crc = crc.trim_matches('"');
        if crc != "null" && crc != crc32c(&content) {
            return Err(bad_request("the checksum sent does not match"));
        }
        let signature = match version.key_type {
            KeyType::RsaPkcs1 => version.pair.rsa(&RSA_PKCS1_SHA256, &content),
            KeyType::RsaPss => version.pair.rsa(&RSA_PSS_SHA256, &content),
            KeyType::Ed25519 => version.pair.ed25519(&content),
            _ => version.pair.ecdsa(&content).map(|fixed| asn1(&fixed)),
        };
        let signature = signature.ok_or_else(|| bad_request("the digest has a wrong length"))?;
        let is_data = field == "data";
        Ok(json!({
            "name": name(key, number),
            "signature": STANDARD.encode(&signature),
            "signatureCrc32c": crc32c(&signature),
            "verifiedDigestCrc32c": crc != "null" && !is_data,
            "verifiedDataCrc32c": crc != "null" && is_data,
            "protectionLevel": "SOFTWARE",
        }))
    }))
}

impl KeyService {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self.access(headers) {
            Access::Granted => Ok(()),
            Access::Denied => {
                let message = "Permission denied on resource (or it may not exist).".to_owned();
                Err((StatusCode::FORBIDDEN, "PERMISSION_DENIED", message))
            }
            Access::Nobody => {
                let message = "Request had invalid authentication credentials.".to_owned();
                Err((StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message))
            }
        }
    }
}

/// One version a page, so that whoever lists them has to turn pages.
fn versions(service: &KeyService, key: &str, uri: &Uri) -> Result<Value, Refusal> {
    let query = pairs(uri.query().unwrap_or_default().as_bytes());
    let versions = service.keys.get(key).ok_or_else(|| not_found(key))?;
    let only_enabled = match query.get("filter").map(String::as_str) {
        None | Some("") => false,
        Some("state=ENABLED") => true,
        Some(_) => return Err(bad_request("this filter is not known here")),
    };
    let page: usize = query.get("pageToken").and_then(|page| page.parse().ok()).unwrap_or(0);
    let numbered = versions.iter().enumerate().filter(|(_, it)| it.enabled || !only_enabled);
    let listed: Vec<_> =
        numbered.map(|(index, it)| described(key, &(index + 1).to_string(), it)).collect();
    let next = if page + 1 < listed.len() { (page + 1).to_string() } else { String::new() };
    Ok(json!({
        "cryptoKeyVersions": listed.get(page).into_iter().collect::<Vec<_>>(),
        "nextPageToken": next,
        "totalSize": listed.len(),
    }))
}

fn described(key: &str, number: &str, version: &Version) -> Value {
    json!({
        "name": name(key, number),
        "state": if version.enabled { "ENABLED" } else { "DISABLED" },
        "algorithm": algorithm(version.key_type),
        "protectionLevel": "SOFTWARE",
    })
}

fn find<'a>(service: &'a KeyService, key: &str, number: &str) -> Result<&'a Version, Refusal> {
    let found = number.parse().ok().and_then(|number| service.find(key, number));
    found.ok_or_else(|| not_found(&name(key, number)))
}

fn usable<'a>(service: &'a KeyService, key: &str, number: &str) -> Result<&'a Version, Refusal> {
    let version = find(service, key, number)?;
    let message = || format!("{} is not enabled, current state is: DISABLED.", name(key, number));
    let refusal = || (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION", message());
    version.enabled.then_some(version).ok_or_else(refusal)
}

fn in_ring(path: &str) -> Result<&str, Refusal> {
    let rest = path.strip_prefix(KeyService::KEY_RING).and_then(|rest| rest.strip_prefix('/'));
    rest.ok_or_else(|| not_found(path))
}

fn name(key: &str, number: &str) -> String {
    format!("{}/cryptoKeys/{key}/cryptoKeyVersions/{number}", KeyService::KEY_RING)
}

fn algorithm(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::P256 => "EC_SIGN_P256_SHA256",
        KeyType::P384 => "EC_SIGN_P384_SHA384",
        KeyType::P521 => panic!("Google has no keys on P-521"),
        KeyType::RsaPkcs1 => "RSA_SIGN_PKCS1_2048_SHA256",
        KeyType::RsaPss => "RSA_SIGN_PSS_2048_SHA256",
        KeyType::Ed25519 => "EC_SIGN_ED25519",
    }
}

fn crc32c(bytes: &[u8]) -> String {
    Crc::<u32>::new(&CRC_32_ISCSI).checksum(bytes).to_string()
}

fn not_found(what: &str) -> Refusal {
    (StatusCode::NOT_FOUND, "NOT_FOUND", format!("{what} not found."))
}

fn bad_request(message: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message.to_owned())
}

fn respond(result: Result<Value, Refusal>) -> Response {
    match result {
        Ok(value) => answer::json(StatusCode::OK, value.to_string()),
        Err((status, name, message)) => {
            let error = json!({ "code": status.as_u16(), "message": message, "status": name });
            answer::json(status, json!({ "error": error }).to_string())
        }
    }
}

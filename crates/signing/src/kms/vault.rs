//! [`Vault`]: a key of the transit engine of HashiCorp Vault or `OpenBao`.
//!
//! <https://developer.hashicorp.com/vault/api-docs/secret/transit>, and as sigstore uses it
//! (sigstore/sigstore `pkg/signature/kms/hashivault/client.go`): the same variables, the newest
//! version of the key, PKCS#1 v1.5 for RSA. The answer that has its public key has those of the
//! versions before it as well, down to `min_decryption_version`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credentials::Variables;
use credentials::cloud::{Http, Reach};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{Hash, ServiceKey};
use crate::{Algorithm, KeyKind, PublicKey, SigningError, SigningErrorKind};

const SERVICE: &str = "Vault";

/// A key of a transit engine.
#[derive(Debug)]
pub(crate) struct Vault {
    http: Http,
    server: Url,
    engine: String,
    key: String,
    headers: HeaderMap,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct KeyAnswer {
    latest_version: u64,
    #[serde(rename = "type")]
    key_type: String,
    #[serde(default)]
    keys: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct SignAnswer {
    signature: String,
}

impl Vault {
    pub(crate) fn new(key: &str, environment: &Variables) -> Result<Self, SigningError> {
        let address = environment.first(&["VAULT_ADDR", "BAO_ADDR"]).ok_or_else(|| {
            invalid("it is not known where Vault is")
                .with_hint("set VAULT_ADDR, as in VAULT_ADDR=https://vault.example.com:8200")
        })?;
        let server = Url::parse(&address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                invalid("VAULT_ADDR is no URL")
                    .with_hint("write VAULT_ADDR=https://vault.example.com:8200")
            })?;
        let authority = environment.path("VAULT_CACERT");
        let engine = environment.text("TRANSIT_SECRET_ENGINE_PATH");
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(authority.as_deref()))?,
            server,
            engine: engine.unwrap_or_else(|| "transit".to_owned()),
            key: key.to_owned(),
            headers: headers(environment)?,
        })
    }

    pub(crate) async fn key(&self) -> Result<ServiceKey, SigningError> {
        let request = self.http.get(self.url(&["keys", &self.key])?);
        let what = format!("when asked for the key `{}`", self.key);
        let answer: Answer<KeyAnswer> =
            self.send(request, &what).await.map_err(|error| self.hinted(error, "read", "keys"))?;
        let KeyAnswer { latest_version, key_type, keys } = answer.data;
        let public = keys
            .get(&latest_version.to_string())
            .and_then(|version| version.get("public_key")?.as_str());
        let public = public.filter(|public| !public.is_empty()).ok_or_else(|| {
            unsupported(format!(
                "Vault's key `{}` is of type {key_type}, which cannot sign",
                self.key
            ))
            .with_hint("make one: `vault write transit/keys/NAME type=ecdsa-p256`")
        })?;
        let public = public_key(public)?;
        let is_earlier = |version: &str| version.parse::<u64>().is_ok_and(|it| it < latest_version);
        let earlier = keys.iter().filter(|(version, _)| is_earlier(version));
        let earlier = earlier.filter_map(|(_, version)| version.get("public_key")?.as_str());
        Ok(ServiceKey {
            algorithms: public.algorithms().to_vec(),
            earlier: earlier.filter_map(|text| public_key(text).ok()).collect(),
            public,
            version: latest_version.to_string(),
        })
    }

    pub(crate) async fn sign(
        &self,
        key: &ServiceKey,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        let hash = Hash::of(algorithm);
        let input = hash.map_or_else(|| message.to_vec(), |hash| hash.digest(message));
        let mut body = json!({
            "input": STANDARD.encode(input),
            "prehashed": hash.is_some(),
            "key_version": key.version.parse::<u64>().unwrap_or_default(),
            "marshaling_algorithm": "asn1",
        });
        if key.public.kind() == KeyKind::Rsa {
            body["signature_algorithm"] = rsa_padding(algorithm).into();
            // Vault's own default is the longest that fits; every other service takes the hash's length.
            body["salt_length"] = "hash".into();
        }
        let mut path = vec!["sign", self.key.as_str()];
        path.extend(hash.map(hash_name));
        let request = self.http.post(self.url(&path)?).json(&body);
        let what = format!("when asked to sign with the key `{}`", self.key);
        let answer: Answer<SignAnswer> = self
            .send(request, &what)
            .await
            .map_err(|error| self.hinted(error, "update", "sign"))?;
        signature(&answer.data.signature).ok_or_else(|| invalid("Vault's signature cannot be read"))
    }

    /// `VAULT_ADDR/v1/ENGINE/PATH…`; the engine's path may have slashes.
    fn url(&self, path: &[&str]) -> Result<Url, SigningError> {
        let mut url = self.server.clone();
        url.path_segments_mut()
            .map_err(|()| invalid("VAULT_ADDR is no URL"))?
            .pop_if_empty()
            .push("v1")
            .extend(self.engine.split('/').filter(|part| !part.is_empty()))
            .extend(path);
        Ok(url)
    }

    async fn send<T: serde::de::DeserializeOwned>(
        &self,
        request: RequestBuilder,
        what: &str,
    ) -> Result<T, SigningError> {
        self.http.send(request.headers(self.headers.clone())).await?.json(what).map_err(Into::into)
    }

    fn hinted(&self, error: SigningError, capability: &str, below: &str) -> SigningError {
        let path = format!("{}/{below}/{}", self.engine, self.key);
        match error.kind() {
            SigningErrorKind::Denied => error.with_hint(format!(
                "is the token good, and does a policy of it allow `{capability}` on `{path}`?"
            )),
            SigningErrorKind::NotFound => error.with_hint(format!(
                "is there `{path}`? TRANSIT_SECRET_ENGINE_PATH and VAULT_NAMESPACE say where the \
                 engine is"
            )),
            SigningErrorKind::Unreachable => error.with_hint("check VAULT_ADDR"),
            _ => error,
        }
    }
}

fn headers(environment: &Variables) -> Result<HeaderMap, SigningError> {
    let token = match environment.secret("VAULT_TOKEN").or_else(|| environment.secret("BAO_TOKEN"))
    {
        Some(token) => token,
        None => token_of_user(environment).ok_or_else(|| {
            SigningError::new(SigningErrorKind::Denied, "there is no token for Vault")
                .with_hint("set VAULT_TOKEN, or run `vault login`, which writes ~/.vault-token")
        })?,
    };
    let mut headers = HeaderMap::new();
    let mut token = HeaderValue::try_from(token.expose_secret().trim())
        .map_err(|_| invalid("Vault's token has characters that no token has"))?;
    token.set_sensitive(true);
    headers.insert(HeaderName::from_static("x-vault-token"), token);
    // Vault refuses requests without it where it has to listen to agents only.
    headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
    if let Some(namespace) = environment.first(&["VAULT_NAMESPACE", "BAO_NAMESPACE"]) {
        let namespace = HeaderValue::try_from(namespace)
            .map_err(|_| invalid("VAULT_NAMESPACE is no namespace's name"))?;
        headers.insert(HeaderName::from_static("x-vault-namespace"), namespace);
    }
    Ok(headers)
}

/// What `vault login` left.
fn token_of_user(environment: &Variables) -> Option<SecretString> {
    let text = std::fs::read_to_string(environment.in_home(".vault-token")?).ok()?;
    Some(SecretString::from(text)).filter(|token| !token.expose_secret().trim().is_empty())
}

/// PEM, but for Ed25519, whose 32 bytes come in base64.
fn public_key(text: &str) -> Result<PublicKey, SigningError> {
    match STANDARD.decode(text) {
        Ok(bytes) => PublicKey::from_raw(&bytes),
        Err(_) => PublicKey::from_pem(text),
    }
}

fn hash_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "sha2-256",
        Hash::Sha384 => "sha2-384",
        Hash::Sha512 => "sha2-512",
    }
}

fn rsa_padding(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RsaPssSha256 | Algorithm::RsaPssSha384 | Algorithm::RsaPssSha512 => "pss",
        _ => "pkcs1v15",
    }
}

/// `vault:vVERSION:BASE64`.
fn signature(text: &str) -> Option<Vec<u8>> {
    let (version, encoded) = text.strip_prefix("vault:v")?.split_once(':')?;
    let is_version = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit());
    is_version.then(|| STANDARD.decode(encoded).ok())?
}

fn invalid(message: &str) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn unsupported(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_behind_the_version_that_made_it() {
        let table = [
            ("vault:v1:AQI=", Some(vec![1, 2])),
            ("vault:v12:AQI=", Some(vec![1, 2])),
            ("AQI=", None),
            ("vault:v:AQI=", None),
            ("vault:vx:AQI=", None),
            ("vault:v1:***", None),
        ];
        for (text, expected) in table {
            assert_eq!(signature(text), expected, "{text}");
        }
    }

    #[test]
    fn the_variables_say_where_it_is_and_who_we_are() {
        let vault = |variables: &'static [(&str, &str)]| {
            let environment = Variables::from_lookup(move |name| {
                let found = variables.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| value.into())
            });
            Vault::new("key", &environment)
        };
        let message = |variables| vault(variables).unwrap_err().to_string();
        assert_eq!(message(&[]), "it is not known where Vault is");
        assert_eq!(message(&[("VAULT_ADDR", "vault:8200")]), "VAULT_ADDR is no URL");
        assert_eq!(message(&[("VAULT_ADDR", "http://v")]), "there is no token for Vault");

        let plain = vault(&[("VAULT_ADDR", "https://v:1"), ("VAULT_TOKEN", "hunter2\n")]).unwrap();
        assert_eq!(
            plain.url(&["keys", "key"]).unwrap().as_str(),
            "https://v:1/v1/transit/keys/key"
        );
        assert!(!format!("{plain:?}").contains("hunter2"));
        let other = vault(&[
            ("BAO_ADDR", "https://v/proxy/"),
            ("BAO_TOKEN", "t"),
            ("TRANSIT_SECRET_ENGINE_PATH", "team/transit"),
            ("VAULT_NAMESPACE", "ns1"),
        ]);
        let other = other.unwrap();
        let url = other.url(&["sign", "key", "sha2-256"]).unwrap();
        assert_eq!(url.as_str(), "https://v/proxy/v1/team/transit/sign/key/sha2-256");
        assert_eq!(other.headers["x-vault-namespace"], "ns1");
    }
}

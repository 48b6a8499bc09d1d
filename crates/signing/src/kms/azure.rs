//! [`Azure`]: a key of Azure Key Vault or of a managed HSM, by its REST interface.
//!
//! <https://learn.microsoft.com/rest/api/keyvault/keys/get-key> and `…/sign`. A vault's domain says which
//! cloud it is in; a token is sent to nobody else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credentials::Variables;
use credentials::azure::{AzureCloud, AzureCredentials, AzureSettings};
use credentials::cloud::{Http, Reach, Tokens};
use reqwest::{RequestBuilder, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::der::sequence_of_two;
use super::{Hash, ServiceKey};
use crate::{Algorithm, PublicKey, SigningError, SigningErrorKind};

const SERVICE: &str = "Azure Key Vault";
/// <https://learn.microsoft.com/rest/api/keyvault/keys/operation-groups>
const API_VERSION: &str = "7.4";

/// A key of a vault.
#[derive(Debug)]
pub(crate) struct Azure {
    http: Http,
    vault: Url,
    key: String,
    version: Option<String>,
    credentials: AzureCredentials,
    tokens: Tokens,
}

/// One of Azure's clouds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Cloud {
    /// Where its tokens are had.
    cloud: AzureCloud,
    /// What they are for, for a vault.
    vaults: &'static str,
    /// What they are for, for a managed HSM.
    modules: &'static str,
}

/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>
const PUBLIC: Cloud =
    Cloud { cloud: AzureCloud::Public, vaults: "vault.azure.net", modules: "managedhsm.azure.net" };
const GOVERNMENT: Cloud = Cloud {
    cloud: AzureCloud::Government,
    vaults: "vault.usgovcloudapi.net",
    modules: "managedhsm.usgovcloudapi.net",
};
const CHINA: Cloud =
    Cloud { cloud: AzureCloud::China, vaults: "vault.azure.cn", modules: "managedhsm.azure.cn" };

#[derive(Deserialize)]
struct KeyAnswer {
    key: WebKey,
}

/// A public key as JSON (RFC 7517); its parts are in base64url (RFC 7518, section 6).
#[derive(Debug, Deserialize)]
struct WebKey {
    kid: String,
    kty: String,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct SignAnswer {
    kid: String,
    value: String,
}

impl Azure {
    pub(crate) fn new(
        vault: &str,
        key: &str,
        version: Option<&str>,
        environment: &Variables,
    ) -> Result<Self, SigningError> {
        let (vault, cloud, audience) =
            place(vault, environment.text("AZURE_ENVIRONMENT").as_deref()).ok_or_else(|| {
                let message = format!("`{vault}` is no host of an Azure Key Vault");
                SigningError::new(SigningErrorKind::Unsupported, message).with_hint(
                    "write the vault's name, or its host as in NAME.vault.azure.net: a token for \
                     Azure is sent to no one else",
                )
            })?;
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(None))?,
            vault,
            key: key.to_owned(),
            version: version.map(str::to_owned),
            credentials: AzureCredentials::new(
                cloud.cloud,
                audience,
                &AzureSettings::default(),
                environment,
            )?,
            tokens: Tokens::default(),
        })
    }

    pub(crate) async fn key(&self) -> Result<ServiceKey, SigningError> {
        let request = self.http.get(self.url(self.version.as_deref(), None)?);
        let what = format!("when asked for the key `{}`", self.key);
        let answer: KeyAnswer =
            self.send(request, &what).await.map_err(|error| self.hinted(error, "Get"))?;
        let version = answer.key.kid.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let is_version = version.chars().all(|c| c.is_ascii_alphanumeric());
        if version.is_empty() || !is_version || self.version.as_ref().is_some_and(|v| v != version)
        {
            return Err(invalid("Azure Key Vault gave another key than was asked for"));
        }
        let (public, algorithms) = public_key(&answer.key)?;
        Ok(ServiceKey { public, algorithms, version: version.to_owned(), earlier: Vec::new() })
    }

    pub(crate) async fn sign(
        &self,
        key: &ServiceKey,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        let (Some(name), Some(hash)) = (name(algorithm), Hash::of(algorithm)) else {
            let message = format!("{SERVICE} does not sign with {algorithm}");
            return Err(SigningError::new(SigningErrorKind::Unsupported, message));
        };
        let digest = URL_SAFE_NO_PAD.encode(hash.digest(message));
        let request = self.http.post(self.url(Some(&key.version), Some("sign"))?);
        let what = format!("when asked to sign with the key `{}`", self.key);
        let answer: SignAnswer = self
            .send(request.json(&json!({ "alg": name, "value": digest })), &what)
            .await
            .map_err(|error| self.hinted(error, "Sign"))?;
        if answer.kid.trim_end_matches('/').rsplit('/').next() != Some(key.version.as_str()) {
            return Err(invalid("Azure Key Vault signed with another version of the key"));
        }
        let signature = decode(&answer.value)
            .ok_or_else(|| invalid("Azure Key Vault gave a signature that cannot be read"))?;
        if !name.starts_with("ES") {
            return Ok(signature);
        }
        // r and s, one after the other (RFC 7518, section 3.4).
        let (r, s) = signature.split_at(signature.len() / 2);
        Ok(sequence_of_two(r, s))
    }

    fn url(&self, version: Option<&str>, operation: Option<&str>) -> Result<Url, SigningError> {
        let mut url = self.vault.clone();
        url.path_segments_mut()
            .map_err(|()| invalid("the vault's host is none"))?
            .pop_if_empty()
            .extend(["keys", &self.key])
            .extend(version)
            .extend(operation);
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
        Ok(url)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        what: &str,
    ) -> Result<T, SigningError> {
        let token = self.tokens.get(self.credentials.token()).await?;
        self.http
            .send(request.bearer_auth(token.expose_secret()))
            .await?
            .json(what)
            .map_err(Into::into)
    }

    fn hinted(&self, error: SigningError, permission: &str) -> SigningError {
        match error.kind() {
            // Credentials that could not be had already say what to do.
            _ if error.hint().is_some() => error,
            SigningErrorKind::Denied => error.with_hint(format!(
                "grant the role `Key Vault Crypto User`, or `{permission}` for keys in the vault's \
                 access policy; the vault's firewall may refuse as well"
            )),
            SigningErrorKind::NotFound => {
                error.with_hint(format!("is there a key `{}` in {}?", self.key, self.vault))
            }
            SigningErrorKind::Unreachable => {
                error.with_hint("check the vault's name, and whether its firewall lets us in")
            }
            _ => error,
        }
    }
}

/// Where a vault is, its cloud, and what a token for it is for. A server on this machine, by its
/// address and with a port, is asked over plain http, as registries are.
fn place(vault: &str, environment: Option<&str>) -> Option<(Url, Cloud, String)> {
    let audience = |domain: &str| format!("https://{domain}");
    if let Ok(address) = vault.parse::<std::net::SocketAddr>() {
        let url = Url::parse(&format!("http://{address}/")).ok()?;
        return address.ip().is_loopback().then(|| (url, PUBLIC, audience(PUBLIC.vaults)));
    }
    let (vault, cloud) = if vault.contains('.') {
        (vault.to_ascii_lowercase(), None)
    } else {
        // The names that sigstore knows (`azure/client.go`, `getAzClientOpts`).
        let cloud = match environment.map(str::to_ascii_uppercase).as_deref() {
            Some("AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD") => GOVERNMENT,
            Some("AZURECHINACLOUD") => CHINA,
            _ => PUBLIC,
        };
        (format!("{vault}.{}", cloud.vaults), Some(cloud))
    };
    let (host, port) = vault.split_once(':').unwrap_or((&vault, "443"));
    let clouds = cloud.map_or_else(|| vec![PUBLIC, GOVERNMENT, CHINA], |cloud| vec![cloud]);
    let (cloud, domain) = clouds
        .into_iter()
        .flat_map(|cloud| [(cloud, cloud.vaults), (cloud, cloud.modules)])
        .find(|(_, domain)| {
            host.strip_suffix(domain).is_some_and(|name| name.len() > 1 && name.ends_with('.'))
        })?;
    let url = Url::parse(&format!("https://{host}:{port}/")).ok()?;
    Some((url, cloud, audience(domain)))
}

/// A key and what it signs with: one hash for each curve, all of them for RSA.
fn public_key(key: &WebKey) -> Result<(PublicKey, Vec<Algorithm>), SigningError> {
    let part = |part: &Option<String>| part.as_deref().and_then(decode);
    let unreadable = || invalid("Azure Key Vault gave a key that cannot be read");
    match (key.kty.as_str(), key.crv.as_deref()) {
        ("EC" | "EC-HSM", Some(curve)) => {
            let (size, algorithm) = match curve {
                "P-256" => (32, Algorithm::EcdsaSha256),
                "P-384" => (48, Algorithm::EcdsaSha384),
                "P-521" => (66, Algorithm::EcdsaSha512),
                other => return Err(unsupported(&format!("EC on {other}"))),
            };
            let coordinate = |text| part(text).and_then(|bytes| padded(&bytes, size));
            let (x, y) = coordinate(&key.x).zip(coordinate(&key.y)).ok_or_else(unreadable)?;
            // An uncompressed point (SEC 1, section 2.3.3).
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            Ok((PublicKey::from_raw(&point)?, vec![algorithm]))
        }
        ("RSA" | "RSA-HSM", _) => {
            let (n, e) = part(&key.n).zip(part(&key.e)).ok_or_else(unreadable)?;
            let public = PublicKey::from_raw(&sequence_of_two(&n, &e))?;
            let algorithms = public.algorithms().to_vec();
            Ok((public, algorithms))
        }
        (other, _) => Err(unsupported(other)),
    }
}

/// A number in exactly so many bytes: leading zeros may have been left out, or be too many.
fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let zeros = size.checked_sub(digits.len())?;
    Some([vec![0; zeros], digits].concat())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// <https://learn.microsoft.com/azure/key-vault/keys/about-keys-details#signverify>
fn name(algorithm: Algorithm) -> Option<&'static str> {
    use Algorithm as A;
    Some(match algorithm {
        A::EcdsaSha256 => "ES256",
        A::EcdsaSha384 => "ES384",
        A::EcdsaSha512 => "ES512",
        A::RsaPkcs1Sha256 => "RS256",
        A::RsaPkcs1Sha384 => "RS384",
        A::RsaPkcs1Sha512 => "RS512",
        A::RsaPssSha256 => "PS256",
        A::RsaPssSha384 => "PS384",
        A::RsaPssSha512 => "PS512",
        A::Ed25519 => return None,
    })
}

fn invalid(message: &str) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn unsupported(kind: &str) -> SigningError {
    let message = format!("Azure's key is of the type {kind}, which is not supported");
    SigningError::new(SigningErrorKind::Unsupported, message)
        .with_hint("take a key of the type EC (P-256, P-384, P-521) or RSA")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_goes_to_vaults_only() {
        let table = [
            ("team", None, Some(("https://team.vault.azure.net/", PUBLIC, "vault.azure.net"))),
            (
                "team",
                Some("AZUREUSGOVERNMENT"),
                Some((
                    "https://team.vault.usgovcloudapi.net/",
                    GOVERNMENT,
                    "vault.usgovcloudapi.net",
                )),
            ),
            (
                "Team.Vault.Azure.cn",
                None,
                Some(("https://team.vault.azure.cn/", CHINA, "vault.azure.cn")),
            ),
            (
                "team.managedhsm.azure.net:8443",
                None,
                Some(("https://team.managedhsm.azure.net:8443/", PUBLIC, "managedhsm.azure.net")),
            ),
            ("127.0.0.1:80", None, Some(("http://127.0.0.1/", PUBLIC, "vault.azure.net"))),
            ("192.0.2.1:80", None, None),
            ("vault.azure.net", None, None),
            (".vault.azure.net", None, None),
            ("evilvault.azure.net", None, None),
            ("team.vault.azure.net.example.com", None, None),
        ];
        for (vault, environment, expected) in table {
            let found = place(vault, environment);
            let expected = expected.map(|(url, cloud, domain)| {
                (Url::parse(url).unwrap(), cloud, format!("https://{domain}"))
            });
            assert_eq!(found, expected, "{vault}");
        }
    }

    #[test]
    fn a_coordinate_has_the_size_of_its_curve() {
        assert_eq!(padded(&[1], 2), Some(vec![0, 1]));
        assert_eq!(padded(&[0, 0, 1, 2], 2), Some(vec![1, 2]));
        assert_eq!(padded(&[1, 2, 3], 2), None);
    }

    proptest! {
        #[test]
        fn a_key_of_any_parts_never_panics(
            kty in "EC|RSA|EC-HSM|oct",
            crv in proptest::option::of("P-256|P-384|P-521|P-256K"),
            parts in proptest::collection::vec(proptest::option::of("[A-Za-z0-9_-]{0,90}"), 4),
        ) {
            let [x, y, n, e] = [0, 1, 2, 3].map(|part: usize| parts[part].clone());
            let _ = public_key(&WebKey { kid: String::new(), kty, crv, x, y, n, e });
        }
    }
}

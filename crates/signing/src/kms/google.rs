//! [`Google`]: a key of Google Cloud KMS, by its REST interface.
//!
//! <https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions>.
//! What is sent and what comes back carries a CRC32C, and both are checked, as Google asks
//! (<https://cloud.google.com/kms/docs/data-integrity-guidelines>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, Crc};
use credentials::Variables;
use credentials::cloud::{Http, Reach, Tokens};
use credentials::google::{GoogleCredentials, GoogleSettings};
use reqwest::{RequestBuilder, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Hash, ServiceKey};
use crate::{Algorithm, PublicKey, SigningError, SigningErrorKind};

const SERVICE: &str = "Google Cloud KMS";
const SERVER: &str = "https://cloudkms.googleapis.com/";
/// Where the service is instead: `gcloud`'s own variable for it.
const SERVER_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";

/// A key of Google Cloud KMS.
#[derive(Debug)]
pub(crate) struct Google {
    http: Http,
    server: Url,
    key: String,
    version: Option<String>,
    credentials: GoogleCredentials,
    tokens: Tokens,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    #[serde(default)]
    crypto_key_versions: Vec<Version>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyAnswer {
    pem: String,
    algorithm: String,
    pem_crc32c: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignAnswer {
    signature: String,
    signature_crc32c: Option<String>,
    #[serde(default)]
    verified_digest_crc32c: bool,
    #[serde(default)]
    verified_data_crc32c: bool,
    #[serde(default)]
    name: String,
}

impl Google {
    pub(crate) fn new(
        key: &str,
        version: Option<&str>,
        environment: &Variables,
    ) -> Result<Self, SigningError> {
        let server = environment.text(SERVER_VARIABLE).unwrap_or_else(|| SERVER.to_owned());
        let server = Url::parse(&server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| invalid(format!("{SERVER_VARIABLE} is no URL")))?;
        Ok(Self {
            http: Http::new(SERVICE, Reach::Outside(None))?,
            server,
            key: key.to_owned(),
            version: version.map(str::to_owned),
            credentials: GoogleCredentials::new(&GoogleSettings::default(), environment)?,
            tokens: Tokens::default(),
        })
    }

    pub(crate) async fn key(&self) -> Result<ServiceKey, SigningError> {
        let version = match &self.version {
            Some(version) => format!("{}/cryptoKeyVersions/{version}", self.key),
            None => self.newest_version().await?,
        };
        let (public, algorithm) = self.public_key(&version).await?;
        Ok(ServiceKey { public, algorithms: vec![algorithm], version, earlier: Vec::new() })
    }

    /// The public keys of the enabled versions before that one. A version that was disabled has none that
    /// Google gives, and who may not list them knows of none.
    pub(crate) async fn earlier(&self, key: &ServiceKey) -> Result<Vec<PublicKey>, SigningError> {
        let passed = |error: SigningError| match error.kind() {
            SigningErrorKind::Unreachable => Err(error),
            kind => {
                tracing::debug!(target: "signing", key = %self.key, ?kind, "no earlier version: {error}");
                Ok(())
            }
        };
        let versions = match self.enabled_versions().await {
            Ok(versions) => versions,
            Err(error) => return passed(error).map(|()| Vec::new()),
        };
        let today = number(&key.version);
        let mut earlier = Vec::new();
        for (_, version) in versions.iter().filter(|(number, _)| Some(*number) < today) {
            match self.public_key(version).await {
                Ok((public, _)) => earlier.push(public),
                Err(error) => passed(error)?,
            }
        }
        Ok(earlier)
    }

    /// What a version verifies with.
    async fn public_key(&self, version: &str) -> Result<(PublicKey, Algorithm), SigningError> {
        let request = self.http.get(self.url(&format!("{version}/publicKey"))?);
        let what = format!("when asked for the public key of `{version}`");
        let answer: KeyAnswer = self.send(request, &what).await.map_err(|error| {
            hinted(
                error,
                "cloudkms.cryptoKeyVersions.viewPublicKey",
                "roles/cloudkms.publicKeyViewer",
            )
        })?;
        if answer.pem_crc32c.is_some_and(|expected| expected != crc32c(answer.pem.as_bytes())) {
            return Err(damaged("the public key"));
        }
        let algorithm = algorithm(&answer.algorithm).ok_or_else(|| {
            let algorithm = &answer.algorithm;
            unsupported(format!("Google's key `{version}` is for {algorithm}"))
                .with_hint("take a key for EC_SIGN_P256_SHA256, or another that cosign verifies")
        })?;
        Ok((PublicKey::from_pem(&answer.pem)?, algorithm))
    }

    pub(crate) async fn sign(
        &self,
        key: &ServiceKey,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        let hash = Hash::of(algorithm);
        let body = match hash {
            Some(hash) => {
                let digest = hash.digest(message);
                let crc = crc32c(&digest);
                let digest = json!({ hash_name(hash): STANDARD.encode(&digest) });
                json!({ "digest": digest, "digestCrc32c": crc })
            }
            None => json!({ "data": STANDARD.encode(message), "dataCrc32c": crc32c(message) }),
        };
        let version = &key.version;
        let request = self.http.post(self.url(&format!("{version}:asymmetricSign"))?).json(&body);
        let what = format!("when asked to sign with `{version}`");
        let answer: SignAnswer = self.send(request, &what).await.map_err(|error| {
            hinted(error, "cloudkms.cryptoKeyVersions.useToSign", "roles/cloudkms.signer")
        })?;
        let arrived = match hash {
            Some(_) => answer.verified_digest_crc32c,
            None => answer.verified_data_crc32c,
        };
        if !arrived {
            return Err(damaged("what was to be signed"));
        }
        if answer.name != *version {
            return Err(invalid(format!(
                "{SERVICE} signed with `{}`, not `{version}`",
                answer.name
            )));
        }
        let signature = STANDARD
            .decode(&answer.signature)
            .map_err(|_| invalid(format!("{SERVICE} gave a signature that cannot be read")))?;
        match answer.signature_crc32c {
            Some(expected) if expected == crc32c(&signature) => Ok(signature),
            _ => Err(damaged("the signature")),
        }
    }

    /// The enabled version with the greatest number, as cosign takes it.
    async fn newest_version(&self) -> Result<String, SigningError> {
        let newest = self.enabled_versions().await?.into_iter().max();
        newest.map(|(_, name)| name).ok_or_else(|| {
            let message = format!("Google's key `{}` has no version that is enabled", self.key);
            SigningError::new(SigningErrorKind::NotFound, message)
        })
    }

    /// The versions that are enabled, by their numbers and names.
    async fn enabled_versions(&self) -> Result<Vec<(u64, String)>, SigningError> {
        const MOST_PAGES: usize = 100;
        let what = format!("when asked for the versions of `{}`", self.key);
        let mut versions = Vec::new();
        let mut page = String::new();
        for _ in 0..MOST_PAGES {
            let mut url = self.url(&format!("{}/cryptoKeyVersions", self.key))?;
            url.query_pairs_mut().append_pair("filter", "state=ENABLED");
            if !page.is_empty() {
                url.query_pairs_mut().append_pair("pageToken", &page);
            }
            let answer: Versions = self.send(self.http.get(url), &what).await.map_err(|error| {
                hinted(error, "cloudkms.cryptoKeyVersions.list", "roles/cloudkms.viewer")
            })?;
            let enabled = answer.crypto_key_versions.into_iter().filter(Version::is_enabled);
            versions
                .extend(enabled.filter_map(|version| Some((number(&version.name)?, version.name))));
            page = answer.next_page_token;
            if page.is_empty() {
                break;
            }
        }
        Ok(versions)
    }

    fn url(&self, path: &str) -> Result<Url, SigningError> {
        let base = self.server.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/v1/{path}"))
            .map_err(|_| invalid(format!("`{path}` is no name of a key")))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        what: &str,
    ) -> Result<T, SigningError> {
        let token = self.tokens.get(self.credentials.token()).await?;
        let mut request = request.bearer_auth(token.expose_secret());
        if let Some(project) = self.credentials.quota_project() {
            request = request.header("x-goog-user-project", project);
        }
        self.http.send(request).await?.json(what).map_err(Into::into)
    }
}

impl Version {
    fn is_enabled(&self) -> bool {
        self.state == "ENABLED"
    }
}

/// The number at the end of a version's name.
fn number(version: &str) -> Option<u64> {
    version.rsplit('/').next()?.parse().ok()
}

/// <https://cloud.google.com/kms/docs/reference/rest/v1/CryptoKeyVersionAlgorithm>
fn algorithm(name: &str) -> Option<Algorithm> {
    use Algorithm as A;
    if name == "EC_SIGN_ED25519" {
        return Some(A::Ed25519);
    }
    let (key, hash) = name.rsplit_once('_')?;
    Some(match (key, hash) {
        ("EC_SIGN_P256", "SHA256") => A::EcdsaSha256,
        ("EC_SIGN_P384", "SHA384") => A::EcdsaSha384,
        (key, hash) if key.starts_with("RSA_SIGN_PKCS1_") => match hash {
            "SHA256" => A::RsaPkcs1Sha256,
            "SHA512" => A::RsaPkcs1Sha512,
            _ => return None,
        },
        (key, hash) if key.starts_with("RSA_SIGN_PSS_") => match hash {
            "SHA256" => A::RsaPssSha256,
            "SHA512" => A::RsaPssSha512,
            _ => return None,
        },
        _ => return None,
    })
}

fn hash_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "sha256",
        Hash::Sha384 => "sha384",
        Hash::Sha512 => "sha512",
    }
}

/// In decimal in a string: proto3's JSON has no 64 bit numbers.
fn crc32c(bytes: &[u8]) -> String {
    Crc::<u32>::new(&CRC_32_ISCSI).checksum(bytes).to_string()
}

fn hinted(error: SigningError, permission: &str, role: &str) -> SigningError {
    match error.kind() {
        // Credentials that could not be had already say what to do.
        _ if error.hint().is_some() => error,
        SigningErrorKind::Denied => {
            error.with_hint(format!("grant {permission} on the key, as {role} does"))
        }
        SigningErrorKind::NotFound => error
            .with_hint("check the project, the location, the key ring, the key and its version"),
        _ => error,
    }
}

fn damaged(what: &str) -> SigningError {
    let message = format!("{what} was damaged on its way: its checksum does not match");
    SigningError::new(SigningErrorKind::Unreachable, message)
}

fn invalid(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Invalid, message)
}

fn unsupported(message: String) -> SigningError {
    SigningError::new(SigningErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithms_that_google_has() {
        let table = [
            ("EC_SIGN_P256_SHA256", Some(Algorithm::EcdsaSha256)),
            ("EC_SIGN_P384_SHA384", Some(Algorithm::EcdsaSha384)),
            ("EC_SIGN_ED25519", Some(Algorithm::Ed25519)),
            ("EC_SIGN_SECP256K1_SHA256", None),
            ("RSA_SIGN_PKCS1_2048_SHA256", Some(Algorithm::RsaPkcs1Sha256)),
            ("RSA_SIGN_PKCS1_4096_SHA512", Some(Algorithm::RsaPkcs1Sha512)),
            ("RSA_SIGN_PSS_3072_SHA256", Some(Algorithm::RsaPssSha256)),
            ("RSA_SIGN_PSS_4096_SHA512", Some(Algorithm::RsaPssSha512)),
            ("RSA_SIGN_RAW_PKCS1_2048", None),
            ("RSA_DECRYPT_OAEP_2048_SHA256", None),
            ("GOOGLE_SYMMETRIC_ENCRYPTION", None),
            ("PQ_SIGN_ML_DSA_65", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(algorithm(name), expected, "{name}");
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_rfc_3720() {
        // RFC 3720, section B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa_u32.to_string());
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43_u32.to_string());
    }
}

//! [`Aws`]: a key of AWS KMS, by AWS's SDK.
//!
//! Credentials, the region, FIPS endpoints (`AWS_USE_FIPS_ENDPOINT`) and endpoints elsewhere
//! (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_KMS`) are the SDK's business, and so is trying again.

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyUsageType, MessageType, SigningAlgorithmSpec};
use credentials::aws::{Identity, failure};
use tokio::sync::OnceCell;

use super::{Hash, ServiceKey};
use crate::{Algorithm, PublicKey, SigningError, SigningErrorKind};

const SERVICE: &str = "AWS KMS";

/// A key of AWS KMS.
#[derive(Debug)]
pub(crate) struct Aws {
    endpoint: Option<String>,
    key: String,
    client: OnceCell<Client>,
}

impl Aws {
    pub(crate) fn new(endpoint: Option<&str>, key: &str) -> Self {
        Self { endpoint: endpoint.map(url_of), key: key.to_owned(), client: OnceCell::new() }
    }

    pub(crate) async fn key(&self) -> Result<ServiceKey, SigningError> {
        let client = self.client().await?;
        let what = format!("when asked for the public key of `{}`", self.key);
        let answer = client.get_public_key().key_id(&self.key).send().await;
        let answer = answer.map_err(|error| failure(SERVICE, &error, &what, "kms:GetPublicKey"))?;
        if answer.key_usage().is_some_and(|usage| *usage != KeyUsageType::SignVerify) {
            let message = format!("AWS's key `{}` is not for signing", self.key);
            return Err(SigningError::new(SigningErrorKind::Unsupported, message)
                .with_hint("make one with the key usage SIGN_VERIFY"));
        }
        let der = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        let algorithms = answer.signing_algorithms().iter().filter_map(algorithm).collect();
        let public = PublicKey::from_der(der)?;
        Ok(ServiceKey { public, algorithms, version: String::new(), earlier: Vec::new() })
    }

    pub(crate) async fn sign(
        &self,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SigningError> {
        // A digest keeps the message here, and below the 4,096 bytes that KMS takes.
        let (message_type, message) = match Hash::of(algorithm) {
            Some(hash) => (MessageType::Digest, hash.digest(message)),
            None => (MessageType::Raw, message.to_vec()),
        };
        let request = self
            .client()
            .await?
            .sign()
            .key_id(&self.key)
            .message_type(message_type)
            .message(Blob::new(message))
            .signing_algorithm(specification(algorithm));
        let what = format!("when asked to sign with `{}`", self.key);
        let answer =
            request.send().await.map_err(|error| failure(SERVICE, &error, &what, "kms:Sign"))?;
        Ok(answer.signature.map(Blob::into_inner).unwrap_or_default())
    }

    async fn client(&self) -> Result<&Client, SigningError> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, SigningError> {
        let shared = Identity::default().config(region_of(&self.key), false).await?;
        if shared.region().is_none() {
            let message = "it is not known in which region of AWS the key is";
            return Err(SigningError::new(SigningErrorKind::Invalid, message)
                .with_hint("set AWS_REGION, or write the key's ARN"));
        }
        let mut config = aws_sdk_kms::config::Builder::from(&shared);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Client::from_conf(config.build()))
    }
}

/// Over TLS, as cosign does it (sigstore `aws/client.go`, `setupClient`), but not on this machine: an
/// address of it with a port is asked over plain http, as registries are.
fn url_of(endpoint: &str) -> String {
    let host = endpoint.rsplit_once(':').map(|(host, _)| host);
    let is_here = matches!(host, Some("localhost" | "[::1]"))
        || endpoint.parse().is_ok_and(|address: std::net::SocketAddr| address.ip().is_loopback());
    format!("{}://{endpoint}", if is_here { "http" } else { "https" })
}

/// The region in an ARN: a key is nowhere else.
fn region_of(key: &str) -> Option<&str> {
    key.strip_prefix("arn:")?.split(':').nth(2)
}

fn algorithm(specification: &SigningAlgorithmSpec) -> Option<Algorithm> {
    use Algorithm as A;
    use SigningAlgorithmSpec as S;
    Some(match specification {
        S::EcdsaSha256 => A::EcdsaSha256,
        S::EcdsaSha384 => A::EcdsaSha384,
        S::EcdsaSha512 => A::EcdsaSha512,
        S::RsassaPkcs1V15Sha256 => A::RsaPkcs1Sha256,
        S::RsassaPkcs1V15Sha384 => A::RsaPkcs1Sha384,
        S::RsassaPkcs1V15Sha512 => A::RsaPkcs1Sha512,
        S::RsassaPssSha256 => A::RsaPssSha256,
        S::RsassaPssSha384 => A::RsaPssSha384,
        S::RsassaPssSha512 => A::RsaPssSha512,
        S::Ed25519Sha512 => A::Ed25519,
        _ => return None,
    })
}

fn specification(algorithm: Algorithm) -> SigningAlgorithmSpec {
    use Algorithm as A;
    use SigningAlgorithmSpec as S;
    match algorithm {
        A::EcdsaSha256 => S::EcdsaSha256,
        A::EcdsaSha384 => S::EcdsaSha384,
        A::EcdsaSha512 => S::EcdsaSha512,
        A::RsaPkcs1Sha256 => S::RsassaPkcs1V15Sha256,
        A::RsaPkcs1Sha384 => S::RsassaPkcs1V15Sha384,
        A::RsaPkcs1Sha512 => S::RsassaPkcs1V15Sha512,
        A::RsaPssSha256 => S::RsassaPssSha256,
        A::RsaPssSha384 => S::RsassaPssSha384,
        A::RsaPssSha512 => S::RsassaPssSha512,
        A::Ed25519 => S::Ed25519Sha512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_over_plain_http() {
        let table = [
            ("kms.eu-west-1.amazonaws.com", "https://kms.eu-west-1.amazonaws.com"),
            ("vpce-1.kms.amazonaws.com:8443", "https://vpce-1.kms.amazonaws.com:8443"),
            ("localhost:4566", "http://localhost:4566"),
            ("127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("[::1]:4566", "http://[::1]:4566"),
            ("192.0.2.1:4566", "https://192.0.2.1:4566"),
            ("localhost", "https://localhost"),
        ];
        for (endpoint, url) in table {
            assert_eq!(url_of(endpoint), url);
        }
    }

    #[test]
    fn an_arn_says_the_region() {
        let arn = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/x";
        assert_eq!(region_of(arn), Some("us-gov-west-1"));
        assert_eq!(region_of("alias/x"), None);
    }

    #[test]
    fn every_algorithm_has_its_name() {
        for name in SigningAlgorithmSpec::values() {
            let specification_of = SigningAlgorithmSpec::from(*name);
            if let Some(algorithm) = algorithm(&specification_of) {
                assert_eq!(specification(algorithm), specification_of);
            } else {
                let others = ["ED25519_PH_SHA_512", "SM2DSA", "ML_DSA_SHAKE_256"];
                assert!(others.contains(name), "{name}");
            }
        }
    }
}

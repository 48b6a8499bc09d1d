//! [`Aws`]: a key of AWS KMS, by AWS's SDK.
//!
//! Credentials, the region, FIPS endpoints (`AWS_USE_FIPS_ENDPOINT`) and endpoints elsewhere
//! (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_KMS`) are the SDK's business, and so is trying again.

use std::error::Error as StdError;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::config::{Region, SharedHttpClient};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use tokio::sync::OnceCell;

use super::{Hash, ServiceKey, trust};
use crate::{Algorithm, PublicKey, SigningError, SigningErrorKind};

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
        let answer = answer.map_err(|error| failure(&error, &what, "kms:GetPublicKey"))?;
        if answer.key_usage().is_some_and(|usage| *usage != KeyUsageType::SignVerify) {
            let message = format!("AWS's key `{}` is not for signing", self.key);
            return Err(SigningError::new(SigningErrorKind::Unsupported, message)
                .with_hint("make one with the key usage SIGN_VERIFY"));
        }
        let der = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        let algorithms = answer.signing_algorithms().iter().filter_map(algorithm).collect();
        Ok(ServiceKey { public: PublicKey::from_der(der)?, algorithms, version: String::new() })
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
        let answer = request.send().await.map_err(|error| failure(&error, &what, "kms:Sign"))?;
        Ok(answer.signature.map(Blob::into_inner).unwrap_or_default())
    }

    async fn client(&self) -> Result<&Client, SigningError> {
        self.client.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Client, SigningError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(10))
            .operation_attempt_timeout(Duration::from_secs(30))
            .build();
        let mut shared = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        if let Some(authorities) = trust::instead_of_system() {
            shared = shared.http_client(client_that_trusts(authorities)?);
        }
        let shared = shared.load().await;
        let mut config = aws_sdk_kms::config::Builder::from(&shared);
        if let Some(region) = region_of(&self.key) {
            config = config.region(Region::new(region.to_owned()));
        } else if shared.region().is_none() {
            let message = "it is not known in which region of AWS the key is";
            return Err(SigningError::new(SigningErrorKind::Invalid, message)
                .with_hint("set AWS_REGION, or write the key's ARN"));
        }
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

/// The SDK's own client trusts the system's authorities only.
fn client_that_trusts(authorities: Vec<String>) -> Result<SharedHttpClient, SigningError> {
    let store = authorities.into_iter().fold(TrustStore::empty(), TrustStore::with_pem_certificate);
    let context = TlsContext::builder().with_trust_store(store).build().map_err(|error| {
        SigningError::new(SigningErrorKind::Invalid, format!("no HTTP client for AWS: {error}"))
    })?;
    let provider = Provider::Rustls(CryptoMode::AwsLc);
    Ok(Builder::new().tls_provider(provider).tls_context(context).build_https())
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

fn failure<E>(error: &SdkError<E, HttpResponse>, what: &str, permission: &str) -> SigningError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Some(refusal) = error.as_service_error() else {
        return no_answer(error, what);
    };
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let (kind, code) = match refusal.code() {
        Some(code) => (kind_of(code), code.to_owned()),
        // Who stands between us and KMS does not name its errors.
        None => (kind_of_status(status), status.to_string()),
    };
    let said = refusal.message().map(|message| format!(": {message}")).unwrap_or_default();
    let failure = SigningError::new(kind, format!("AWS KMS answered {code} {what}{said}"));
    match kind {
        SigningErrorKind::Denied => failure.with_hint(format!(
            "are these the right credentials, and does the key's policy, or one of IAM, allow \
             {permission}?"
        )),
        SigningErrorKind::NotFound => {
            failure.with_hint("check the region (AWS_REGION), the account and the key")
        }
        _ => failure,
    }
}

/// An attempt that AWS did not answer: we could not say who we are, or it was not reached.
fn no_answer<E: StdError + 'static>(error: &SdkError<E, HttpResponse>, what: &str) -> SigningError {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    let causes = causes.join(": ");
    if causes.contains("credential") {
        let message = format!("there are no credentials for AWS: {causes}");
        return SigningError::new(SigningErrorKind::Denied, message).with_hint(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a role is \
             attached",
        );
    }
    let message = format!("AWS KMS cannot be reached {what}: {causes}");
    SigningError::new(SigningErrorKind::Unreachable, message)
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html#API_Sign_Errors> and
/// <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>
fn kind_of(code: &str) -> SigningErrorKind {
    match code {
        "AccessDeniedException"
        | "AccessDenied"
        | "NotAuthorized"
        | "OptInRequired"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidGrantTokenException" => SigningErrorKind::Denied,
        "NotFoundException" | "InvalidArnException" => SigningErrorKind::NotFound,
        "InvalidKeyUsageException" | "UnsupportedOperationException" => {
            SigningErrorKind::Unsupported
        }
        "ThrottlingException"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "KMSInternalException"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "LimitExceededException"
        | "RequestExpired" => SigningErrorKind::Unreachable,
        _ => SigningErrorKind::Invalid,
    }
}

fn kind_of_status(status: u16) -> SigningErrorKind {
    match status {
        401 | 403 | 407 => SigningErrorKind::Denied,
        404 => SigningErrorKind::NotFound,
        429 | 500.. => SigningErrorKind::Unreachable,
        _ => SigningErrorKind::Invalid,
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

    #[test]
    fn what_a_refusal_means() {
        let table = [
            ("AccessDeniedException", SigningErrorKind::Denied),
            ("UnrecognizedClientException", SigningErrorKind::Denied),
            ("NotFoundException", SigningErrorKind::NotFound),
            ("ThrottlingException", SigningErrorKind::Unreachable),
            ("InvalidKeyUsageException", SigningErrorKind::Unsupported),
            ("DisabledException", SigningErrorKind::Invalid),
        ];
        for (code, kind) in table {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}

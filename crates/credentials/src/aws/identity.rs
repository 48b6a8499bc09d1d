//! [`Identity`]: who we are to AWS, as its SDK finds it out.
//!
//! The SDK's default chain: variables, the profile, SSO, a web identity (IRSA, GitHub), EKS Pod Identity,
//! ECS, EC2. Endpoints elsewhere (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_ECR` …) and FIPS endpoints
//! (`AWS_USE_FIPS_ENDPOINT`) are the SDK's business too, and so is trying again.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use crate::cloud::{CloudError, CloudErrorKind, trust};

/// What differs from the default chain.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct IdentitySettings {
    /// A profile of AWS's configuration files.
    pub profile: Option<String>,
    /// An access key, instead of what the chain would find.
    pub access_key: Option<AccessKey>,
    /// The role that is taken on with what the chain has found.
    pub assume_role: Option<AssumedRole>,
}

/// An access key of AWS. Two are equal where their secrets are.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl PartialEq for AccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

impl Eq for AccessKey {}

impl Hash for AccessKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// A role that is taken on (STS `AssumeRole`).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AssumedRole {
    /// Its ARN.
    pub arn: String,
    /// What the role's owner wants to be told.
    pub external_id: Option<String>,
    /// What the session is called in the owner's logs; `image-syncer` where nothing is said.
    pub session_name: Option<String>,
}

/// Who we are to AWS. What the chain finds is kept, and renewed by the SDK.
#[derive(Debug, Default)]
pub struct Identity {
    settings: IdentitySettings,
    /// For who says the region.
    somewhere: OnceCell<SdkConfig>,
    /// With the region of the environment; where that says none, the machine is asked.
    here: OnceCell<SdkConfig>,
}

impl Identity {
    /// An identity that is looked for when it is first needed.
    pub fn new(settings: IdentitySettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The configuration for a client of a service in a region; without one, in the region of the
    /// environment, if that says one. With `fips`, of an endpoint whose cryptography is validated to FIPS
    /// 140, whatever the environment says.
    ///
    /// # Errors
    /// No HTTP client can be made. That nobody knows who we are is found out by the first request.
    pub async fn config(&self, region: Option<&str>, fips: bool) -> Result<SdkConfig, CloudError> {
        let kept = if region.is_some() { &self.somewhere } else { &self.here };
        let chain = kept.get_or_try_init(|| chain(&self.settings, region)).await?;
        let mut config = chain.to_builder();
        if let Some(region) = region {
            config = config.region(Region::new(region.to_owned()));
        }
        if fips {
            config = config.use_fips(true);
        }
        let config = config.build();
        let Some(role) = &self.settings.assume_role else { return Ok(config) };
        let name = role.session_name.as_deref().unwrap_or("image-syncer");
        let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(name);
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id);
        }
        let provider = provider.configure(&config).build().await;
        let provider = SharedCredentialsProvider::new(provider);
        Ok(config.into_builder().credentials_provider(provider).build())
    }
}

async fn chain(settings: &IdentitySettings, region: Option<&str>) -> Result<SdkConfig, CloudError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(AccessKey { id, secret }) = &settings.access_key {
        let key = Credentials::new(id, secret.expose_secret(), None, None, "the sync file");
        loader = loader.credentials_provider(key);
    }
    if let Some(authorities) = trust::instead_of_system() {
        loader = loader.http_client(client_that_trusts(authorities)?);
    }
    Ok(loader.load().await)
}

/// The SDK's own client trusts the system's authorities only.
fn client_that_trusts(authorities: Vec<String>) -> Result<SharedHttpClient, CloudError> {
    let store = authorities.into_iter().fold(TrustStore::empty(), TrustStore::with_pem_certificate);
    let context = TlsContext::builder().with_trust_store(store).build().map_err(|error| {
        CloudError::new(CloudErrorKind::Invalid, format!("no HTTP client for AWS: {error}"))
    })?;
    let provider = Provider::Rustls(CryptoMode::AwsLc);
    Ok(Builder::new().tls_provider(provider).tls_context(context).build_https())
}

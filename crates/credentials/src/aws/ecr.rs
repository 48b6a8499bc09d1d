//! Tokens for private registries of Amazon ECR, each of an account in a region.

use std::time::{Duration, SystemTime};

use aws_sdk_ecr::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oci::EcrRegistry;
use secrecy::SecretString;

use super::{Identity, failure};
use crate::Credential;
use crate::cloud::{CloudError, CloudErrorKind, Timed};

const SERVICE: &str = "Amazon ECR";

/// How long a token is good whose end is not said, or lies in the past: clocks differ, and what emulators
/// say of it is made up.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The name and password of the registry, good for up to 12 hours.
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>
pub(crate) async fn authorization(
    identity: &Identity,
    registry: &EcrRegistry,
) -> Result<Timed<Credential>, CloudError> {
    let config = identity.config(Some(registry.region()), registry.is_fips()).await?;
    let (account, region) = (registry.account(), registry.region());
    let what = format!("when asked for the token of account {account} in {region}");
    // It may be used at all registries of the region that we are let into; none is named.
    let answer = Client::new(&config).get_authorization_token().send().await;
    let answer =
        answer.map_err(|error| failure(SERVICE, &error, &what, "ecr:GetAuthorizationToken"))?;
    let given = answer.authorization_data.unwrap_or_default().into_iter().next();
    let end = given.as_ref().and_then(|given| given.expires_at);
    let credential =
        given.and_then(|given| pair(&given.authorization_token?)).ok_or_else(|| {
            let message = format!("{SERVICE} gave no token {what}");
            CloudError::new(CloudErrorKind::Invalid, message)
        })?;
    let lifetime = end
        .and_then(|end| SystemTime::try_from(end).ok())
        .and_then(|end| end.duration_since(SystemTime::now()).ok())
        .filter(|lifetime| !lifetime.is_zero());
    Ok(Timed::new(credential, lifetime.unwrap_or(LIFETIME)))
}

/// Reads the base64 form of `user:password`.
fn pair(token: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    let password = SecretString::from(password);
    Some(Credential::Basic { username: username.to_owned(), password })
}

//! Google: who we are there, for its APIs and its registries.

mod credential_file;
mod credentials;
mod machine;

use oci::Host;

use crate::Credential;
use crate::cloud::{CloudError, CloudErrorKind, Timed};

pub(crate) use credentials::are_meant;
pub use credentials::{GoogleCredentials, GoogleSettings};
pub(crate) use machine::is_here;

/// Whether a host is one of Google's registries.
/// <https://cloud.google.com/artifact-registry/docs/repositories/repo-locations>
pub(crate) fn is_registry(host: &Host) -> bool {
    let host = host.as_str();
    host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with(".pkg.dev")
}

/// What is shown to a registry: a token as the password of a name that stands for it.
/// <https://cloud.google.com/artifact-registry/docs/docker/authentication#token>
pub(crate) async fn authorization(
    credentials: &GoogleCredentials,
) -> Result<Timed<Credential>, CloudError> {
    let token = credentials.access_token().await?;
    let username = "oauth2accesstoken".to_owned();
    Ok(token.map(|password| Credential::Basic { username, password }))
}

fn invalid(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Invalid, message)
}

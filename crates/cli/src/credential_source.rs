//! Joins `credentials`, which knows who we are, to `registry`, which wants to know.

use credentials::{Credential, Credentials};
use futures::future::{BoxFuture, FutureExt};
use oci::{Host, Repository};
use registry::{CredentialError, CredentialSource};

/// Answers a registry client from the places where credentials lie.
#[derive(Debug)]
pub(crate) struct Places(pub(crate) Credentials);

impl CredentialSource for Places {
    fn credential<'a>(
        &'a self,
        host: &'a Host,
        repository: Option<&'a Repository>,
    ) -> BoxFuture<'a, Result<registry::Credential, CredentialError>> {
        async move {
            let credential = self.0.credential(host, repository).await.map_err(|error| {
                let hint = error.hint();
                CredentialError::new(format!("{}; {hint}", crate::error::with_causes(&error)))
            })?;
            Ok(match credential {
                Credential::Anonymous => registry::Credential::Anonymous,
                Credential::Basic { username, password } => {
                    registry::Credential::Basic { username, password }
                }
                Credential::IdentityToken(token) => registry::Credential::IdentityToken(token),
                Credential::Bearer(token) => registry::Credential::Bearer(token),
            })
        }
        .boxed()
    }

    fn refused<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, ()> {
        self.0.refused(host).boxed()
    }
}

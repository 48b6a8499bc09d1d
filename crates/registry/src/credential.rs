//! Where the client gets to know who it is: [`CredentialSource`], asked only when a registry wants
//! to know.

use std::error::Error as StdError;
use std::fmt;

use futures::future::BoxFuture;
use oci::{Host, Repository};
use secrecy::{ExposeSecret, SecretString};

/// Answers who we are at a registry. It is asked when a registry first demands it, again every few
/// minutes, so that what it gives is renewed before its end, and once more when what it answered was
/// refused (credentials rotate).
pub trait CredentialSource: Send + Sync {
    /// The credential for a repository of a registry.
    ///
    /// # Errors
    /// [`CredentialError`] if there should be one but it cannot be had; no credential at all is
    /// [`Credential::Anonymous`].
    fn credential<'a>(
        &'a self,
        host: &'a Host,
        repository: Option<&'a Repository>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>>;

    /// Is told, before it is asked again, that the registry has refused what it answered: what it keeps may
    /// have been taken back.
    fn refused<'a>(&'a self, host: &'a Host) -> BoxFuture<'a, ()> {
        let _ = host;
        Box::pin(async {})
    }
}

/// Who we are.
#[derive(Clone, Debug, Default)]
pub enum Credential {
    /// Nobody.
    #[default]
    Anonymous,
    /// A user name and a password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A refresh token for the registry's token server (docker's `identitytoken`).
    IdentityToken(SecretString),
    /// A token for the registry itself; sent as it is, not exchanged.
    Bearer(SecretString),
}

impl Credential {
    /// Whether both are the same, secrets included.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (
                Self::Basic { username, password },
                Self::Basic { username: other_name, password: other_password },
            ) => {
                username == other_name && password.expose_secret() == other_password.expose_secret()
            }
            (Self::IdentityToken(token), Self::IdentityToken(other))
            | (Self::Bearer(token), Self::Bearer(other)) => {
                token.expose_secret() == other.expose_secret()
            }
            _ => false,
        }
    }
}

/// A credential that should be there but cannot be had. What it says is shown to people, so it
/// must not hold a secret.
#[derive(Debug)]
pub struct CredentialError(Box<dyn StdError + Send + Sync>);

impl CredentialError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for CredentialError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Nobody, everywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnonymousEverywhere;

impl CredentialSource for AnonymousEverywhere {
    fn credential<'a>(
        &'a self,
        _: &'a Host,
        _: Option<&'a Repository>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        Box::pin(async { Ok(Credential::Anonymous) })
    }
}

//! [`Credential`]: what is shown to a registry.

use secrecy::SecretString;

/// What a registry, or its token server, is shown. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nothing.
    Anonymous,
    /// A name and a password, or whatever the registry takes as one.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A refresh token, which the registry's token server exchanges for bearer tokens
    /// (distribution's "oauth" endpoint; Azure).
    IdentityToken(SecretString),
    /// A bearer token, sent as it is, without an exchange.
    Bearer(SecretString),
}

impl Credential {
    /// What kind of credential this is, for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Basic { .. } => "basic",
            Self::IdentityToken(_) => "identity token",
            Self::Bearer(_) => "bearer token",
        }
    }
}

/// How tests compare credentials: with their secrets laid open.
#[cfg(test)]
pub(crate) fn exposed(credential: &Credential) -> String {
    use secrecy::ExposeSecret;
    match credential {
        Credential::Anonymous => "anonymous".to_owned(),
        Credential::Basic { username, password } => {
            format!("basic {username}:{}", password.expose_secret())
        }
        Credential::IdentityToken(token) => format!("identity {}", token.expose_secret()),
        Credential::Bearer(token) => format!("bearer {}", token.expose_secret()),
    }
}

//! [`Auth`]: whom a registry lets in, as real registries do it: Basic, or Bearer tokens from a
//! token endpoint (distribution's "Token Authentication Specification").

mod authority;
mod endpoint;
mod scope;

use std::time::Duration;

pub(crate) use authority::{Authority, guard};
pub(crate) use endpoint::router;

use crate::pattern::glob;

/// Whom a registry lets in.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Everybody.
    Open,
    /// One user by name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// Who has a token.
    Bearer(Bearer),
}

impl Auth {
    /// [`Auth::Basic`].
    pub fn basic(username: &str, password: &str) -> Self {
        Self::Basic { username: username.to_owned(), password: password.to_owned() }
    }

    /// [`Auth::Bearer`] with one user who may do everything, and nobody else.
    pub fn bearer(username: &str, password: &str) -> Self {
        let users = vec![User::new(username, password)];
        Self::Bearer(Bearer { users, ..Bearer::default() })
    }
}

/// A token endpoint and who gets what there.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Who gets tokens.
    pub users: Vec<User>,
    /// Repositories, `*` being any run of characters, that may be pulled with a token that was
    /// asked for without credentials. Where there are none, such a request is refused.
    pub anonymous_pull: Vec<String>,
    /// How long a token is good, told as `expires_in`.
    pub lifetime: Duration,
    /// Whether `expires_in` is told at all; a client then has to assume 60 seconds.
    pub tells_lifetime: bool,
    /// For how many requests a token is good: expiry without a clock.
    pub uses: Option<u32>,
    /// How a token that is no longer good is refused.
    pub expired: Expired,
    /// In which field the token comes.
    pub field: TokenField,
    /// The path of the token endpoint.
    pub path: String,
    /// Where the token endpoint is.
    pub realm: Realm,
    /// Whether the endpoint takes OAuth2 POST requests as well as GET.
    pub post: bool,
    /// Whether only the first scope of a token request is looked at ("some registries only look at
    /// the first scope", go-containerregistry's bearer.go).
    pub first_scope_only: bool,
    /// The `service` of the challenge.
    pub service: String,
    /// The `scope` of every challenge, where it is not what the refused request needs.
    pub scope: Option<String>,
    /// Tokens that are good for everything without having been issued: what a user was given out
    /// of band.
    pub preissued: Vec<String>,
    /// A token of Azure's that is exchanged for the first user's identity token at `/oauth2/exchange`
    /// (<https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>).
    pub exchanged: Option<String>,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            anonymous_pull: Vec::new(),
            lifetime: Duration::from_secs(300),
            tells_lifetime: true,
            uses: None,
            expired: Expired::Unauthorized,
            field: TokenField::Both,
            path: "/token".to_owned(),
            realm: Realm::Own,
            post: true,
            first_scope_only: false,
            service: "testkit".to_owned(),
            scope: None,
            preissued: Vec::new(),
            exchanged: None,
        }
    }
}

/// Somebody with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// The identity token: an OAuth2 refresh token, good for the POST flow.
    pub identity_token: Option<String>,
    /// What is allowed, as repository patterns with actions; all that match count.
    pub grants: Vec<(String, Vec<String>)>,
}

impl User {
    /// A user who may do everything.
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            identity_token: None,
            grants: vec![("*".to_owned(), vec!["*".to_owned()])],
        }
    }

    /// Gives the user an identity token.
    #[must_use]
    pub fn identity_token(mut self, token: &str) -> Self {
        self.identity_token = Some(token.to_owned());
        self
    }

    /// Allows these actions (`pull`, `push`, `delete`) on repositories like this, and no longer
    /// everything.
    #[must_use]
    pub fn may(mut self, actions: &[&str], repositories: &str) -> Self {
        self.grants.retain(|(pattern, actions)| pattern != "*" || actions != &["*"]);
        let actions = actions.iter().map(|&action| action.to_owned()).collect();
        self.grants.push((repositories.to_owned(), actions));
        self
    }

    fn is_granted(&self, repository: &str, action: &str) -> bool {
        self.grants.iter().any(|(pattern, actions)| {
            glob(pattern, repository) && actions.iter().any(|one| one == action || one == "*")
        })
    }
}

/// How a credential that was good once is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expired {
    /// 401 with a new challenge.
    Unauthorized,
    /// 403, "Your authorization token has expired" (ECR, kcl-lang/kpm#698).
    Forbidden,
}

/// The field of the token endpoint's answer that has the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenField {
    /// `token`.
    Token,
    /// `access_token`, as OAuth2 has it.
    AccessToken,
    /// Both.
    Both,
}

/// Where the token endpoint is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Realm {
    /// At the registry itself.
    Own,
    /// At a server of its own, see [`crate::Registry::token_log`].
    OtherPort,
    /// At this URL, which the challenge names as it stands; nothing serves it.
    Exactly(String),
}

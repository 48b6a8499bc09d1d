//! Who we are to a registry.
//!
//! [`Credentials`] answers one question, which credential belongs to a repository, from these
//! places; the first that has one wins:
//!
//! 1. what was given for the host ([`Login`]: the sync file, the command line);
//! 2. the text of `DOCKER_AUTH_CONFIG`;
//! 3. the file that `REGISTRY_AUTH_FILE` names;
//! 4. Docker's `config.json`, in `DOCKER_CONFIG` or `~/.docker`;
//! 5. `containers/auth.json`, in `XDG_RUNTIME_DIR`, then in `XDG_CONFIG_HOME` or `~/.config`;
//! 6. nobody: [`Credential::Anonymous`].
//!
//! Files are read whenever they are asked, so a secret that is rotated while we run is picked up.
//! The protocol that spends a credential lives in the crate `registry`, which does not know this
//! one; the caller joins the two.

mod auth_file;
mod credential;
mod credential_helper;
mod credentials;
mod environment;
mod error;
mod key;
mod login;

pub use credential::Credential;
pub use credentials::Credentials;
pub use environment::Environment;
pub use error::Error;
pub use login::{Login, Secret};

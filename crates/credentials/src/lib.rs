//! Who we are to a registry.
//!
//! [`Credentials`] answers one question, which credential belongs to a repository, from these
//! places; the first that has one wins:
//!
//! 1. what was given for the host ([`Login`]: the sync file, the command line);
//! 2. what was given for every host of a side ([`Credentials::for_all`]);
//! 3. the text of `DOCKER_AUTH_CONFIG`;
//! 4. the file that `REGISTRY_AUTH_FILE` names;
//! 5. Docker's `config.json`, in `DOCKER_CONFIG` or `~/.docker`;
//! 6. `containers/auth.json`, in `XDG_RUNTIME_DIR`, then in `XDG_CONFIG_HOME` or `~/.config`;
//! 7. for its own registries, the cloud whose identity the environment shows ([`aws`], [`google`],
//!    [`azure`]), and the variables of GitHub's, GitLab's and IBM's;
//! 8. nobody: [`Credential::Anonymous`].
//!
//! What was said to this program goes before what lies on the machine, and what was stored for a registry
//! before what a machine may do anyway. Files are read whenever they are asked, so a secret that is rotated
//! while we run is picked up.
//! The protocol that spends a credential lives in the crate `registry`, which does not know this
//! one; the caller joins the two.

mod auth_file;
mod automatic;
pub mod aws;
pub mod azure;
pub mod cloud;
mod credential;
mod credential_helper;
mod credentials;
mod doors;
mod environment;
mod error;
pub mod gitlab;
pub mod google;
mod key;
mod kubernetes;
mod login;
mod variables;

pub use credential::Credential;
pub use credentials::Credentials;
pub use environment::Environment;
pub use error::Error;
pub use login::{Login, Secret};
pub use variables::Variables;

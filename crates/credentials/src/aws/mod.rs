//! AWS: who we are there ([`Identity`]), tokens for ECR, and secrets of Secrets Manager.

mod ecr;
mod failure;
mod identity;
mod secret;

pub(crate) use ecr::authorization;
pub use failure::failure;
pub use identity::{AccessKey, AssumedRole, Identity, IdentitySettings};
pub use secret::SecretReference;

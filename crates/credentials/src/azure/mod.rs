//! Azure: who we are there, for its services and its registries.

mod credentials;
mod machine;
mod registry;

pub(crate) use credentials::are_meant;
pub use credentials::{AzureCloud, AzureCredentials, AzureSettings};
pub(crate) use machine::is_here;
pub(crate) use registry::AzureRegistry;

//! One entry of `repositories`: an ECR repository that is to be, and what it holds.

use oci::{EcrRegistry, Repository};

use crate::repository_settings::RepositorySettings;
use crate::sync_file::Origin;

/// An ECR repository that is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcrRepository {
    /// The registry it is in.
    pub registry: EcrRegistry,
    /// Its name there.
    pub name: Repository,
    /// How it is to be.
    pub settings: RepositorySettings,
    /// Whether one that exists is left as it is: asked for by `ecr: { create: true }` of an image.
    pub creation_only: bool,
    /// Where it is asked for.
    pub origin: Origin,
}

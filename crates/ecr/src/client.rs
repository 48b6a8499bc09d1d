//! [`Client`]: a registry of ECR that is looked at. What changes it is a [`Writer`].

use std::sync::Arc;

use aws_config::SdkConfig;
use oci::{EcrRegistry, Repository};

use crate::Writer;
use crate::actions::{Connection, Reading, Writing};

/// How a registry is worked on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Calls of ECR that are under way at once, at most; at least one is.
    pub parallel: usize,
    /// Whether policies are removed that a file does not have.
    pub prune_policies: bool,
}

impl Default for Options {
    /// Five at once, as ecr-sync has it; nothing is removed.
    fn default() -> Self {
        Self { parallel: 5, prune_policies: false }
    }
}

/// A private registry of ECR, of which one may only read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: EcrRegistry,
    options: Options,
    connection: Connection,
    reading: Reading,
}

impl Client {
    /// A client for a registry.
    ///
    /// From the configuration come credentials, HTTP client, timeouts and endpoints elsewhere
    /// (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_ECR`); the region is the registry's. The FIPS endpoint is
    /// asked where the configuration or the registry's name says so.
    pub fn new(config: &SdkConfig, registry: EcrRegistry, options: Options) -> Self {
        let connection = Connection::new(config, &registry, options.parallel);
        let reading = Reading::new(&connection);
        Self(Arc::new(Inner { registry, options, connection, reading }))
    }

    /// The same registry, with the right to change it. Nothing is sent.
    pub fn writer(&self) -> Writer {
        Writer::new(self.clone(), Writing::new(&self.0.connection))
    }

    /// The registry.
    pub fn registry(&self) -> &EcrRegistry {
        &self.0.registry
    }

    /// How it is worked on.
    pub fn options(&self) -> Options {
        self.0.options
    }

    pub(crate) fn reading(&self) -> &Reading {
        &self.0.reading
    }

    /// The ARN of a repository, as AWS makes it.
    pub(crate) fn arn(&self, repository: &Repository) -> String {
        let registry = &self.0.registry;
        let (partition, region, account) =
            (registry.partition(), registry.region(), registry.account());
        format!("arn:{partition}:ecr:{region}:{account}:repository/{repository}")
    }
}

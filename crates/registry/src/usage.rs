//! [`RegistryUsage`]: what a client asked of a registry, and what the registry made of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http::StatusCode;
use oci::Host;

use crate::auth::lock;
use crate::budget::PullBudget;

/// What one client has asked of one registry so far.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistryUsage {
    /// The registry.
    pub registry: Host,
    /// How many requests it answered with which status. Requests to token servers and to storages
    /// that it names are not counted.
    pub answers: BTreeMap<u16, u64>,
    /// How many it refused as too many, whatever the status.
    pub throttled: u64,
    /// The rate that its refusals taught, in requests a second.
    pub slowed_to: Option<f64>,
    /// Whether it counts pulls, that is GETs of manifests.
    pub counts_pulls: bool,
    /// What it has left of them, where it says so.
    pub budget: Option<PullBudget>,
}

/// Counts the answers of one registry.
#[derive(Debug, Default)]
pub(crate) struct Count(Mutex<(BTreeMap<u16, u64>, u64)>);

impl Count {
    pub(crate) fn answer(&self, status: StatusCode) {
        *lock(&self.0).0.entry(status.as_u16()).or_default() += 1;
    }

    pub(crate) fn throttled(&self) {
        lock(&self.0).1 += 1;
    }

    /// The answers by status, and how many were refusals.
    pub(crate) fn read(&self) -> (BTreeMap<u16, u64>, u64) {
        lock(&self.0).clone()
    }
}

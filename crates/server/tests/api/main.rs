//! What the distribution spec and its conformance suite ask of a registry, endpoint by endpoint.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test's helper fails")]

mod access;
mod connections;
mod deletes;
mod made;
mod pull;
mod push_blobs;
mod push_manifests;
mod referrers;
mod served;
mod support;
mod tags;

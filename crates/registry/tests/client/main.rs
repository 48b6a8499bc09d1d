//! The client against real servers on loopback, asserting what they were asked.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod auth;
mod blobs;
mod connections;
mod manifests;
mod pacing;
mod personalities;
mod quirks;
mod ranges;
mod resume;
mod uploads;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use oci::{Host, Repository, Selector, Tag};
use registry::{
    BlobReader, Client, Credential, CredentialError, CredentialSource, RegistrySettings,
    RepositoryClient, RetryPolicy, Settings, Timeouts,
};
use testkit::Registry;

/// Settings with pauses that no test has to wait for.
fn settings() -> Settings {
    let millisecond = Duration::from_millis(1);
    Settings {
        retry: RetryPolicy {
            first_delay: millisecond,
            longest_delay: 5 * millisecond,
            longest_retry_after: Duration::from_secs(5),
        },
        timeouts: Timeouts {
            response: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            ..Timeouts::default()
        },
        ..Settings::default()
    }
}

/// Settings for one registry.
fn settings_for(registry: &Registry, settings_of_it: RegistrySettings) -> Settings {
    Settings { registries: [(registry.host(), settings_of_it)].into(), ..settings() }
}

/// Answers with one credential after the other, then always with the last; counts.
struct Known {
    credentials: Mutex<VecDeque<Credential>>,
    asked: Mutex<usize>,
}

impl Known {
    fn new(credentials: impl IntoIterator<Item = Credential>) -> Arc<Self> {
        let credentials = Mutex::new(credentials.into_iter().collect());
        Arc::new(Self { credentials, asked: Mutex::default() })
    }

    fn nobody() -> Arc<Self> {
        Self::new([Credential::Anonymous])
    }

    fn user(password: &str) -> Arc<Self> {
        Self::new([basic("robot", password)])
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl CredentialSource for Known {
    fn credential<'a>(
        &'a self,
        _: &'a Host,
        _: Option<&'a Repository>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        *self.asked.lock().unwrap() += 1;
        let mut credentials = self.credentials.lock().unwrap();
        let next = if credentials.len() > 1 {
            credentials.pop_front()
        } else {
            credentials.front().cloned()
        };
        Box::pin(async move { next.ok_or_else(|| CredentialError::new("no helper")) })
    }
}

fn basic(username: &str, password: &str) -> Credential {
    Credential::Basic { username: username.into(), password: password.into() }
}

fn client(settings: Settings, source: Arc<Known>) -> Client {
    Client::new(settings, source).unwrap()
}

/// A repository of a registry, for nobody in particular.
fn open(registry: &Registry, name: &str) -> RepositoryClient {
    client(settings(), Known::nobody()).repository(&registry.host(), &repository(name))
}

fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn by_tag(name: &str) -> Selector {
    tag(name).into()
}

async fn content(reader: Option<BlobReader>) -> Result<Bytes, registry::Error> {
    let pieces: Vec<Bytes> = reader.expect("a blob").try_collect().await?;
    Ok(pieces.concat().into())
}

/// The paths of what a registry was asked, in order.
fn asked(registry: &Registry) -> Vec<String> {
    let requests = registry.log().requests();
    requests.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// A file of this test's own.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

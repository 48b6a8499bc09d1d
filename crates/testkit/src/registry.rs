//! [`Registry`]: a real registry on a real port, and what a test can ask and do while it runs. How
//! it is put together is in `builder`.

mod builder;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layout::Layout;
use oci::{Digest, Host, Manifest, Repository, Selector, Tag};
use tempfile::TempDir;

pub use builder::Builder;

use crate::auth::Authority;
use crate::certificate::{self, ClientIdentity};
use crate::fault::layer::Faults;
use crate::fault::{Fault, Injected};
use crate::image::{BigImage, MadeImage};
use crate::listener::Listener;
use crate::log::RequestLog;
use crate::rule::Rules;

/// A registry of a test's own. Dropped, it dies like a killed server and leaves nothing behind;
/// [`Registry::stop`] lets it finish first.
pub struct Registry {
    server: Server,
    cdn: Option<Server>,
    tokens: Option<Server>,
    authority: Authority,
    rules: Rules,
    certificates: Option<certificate::Authority>,
    token_path: String,
    folder: Arc<TempDir>,
}

/// One port with what serves it.
struct Server {
    address: SocketAddr,
    log: RequestLog,
    faults: Faults,
    listener: Listener,
}

impl Registry {
    /// A registry as the spec has it, without auth, over plain HTTP.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A registry that is different.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Its name: `127.0.0.1:PORT`.
    ///
    /// # Panics
    /// Never: an address is a host.
    pub fn host(&self) -> Host {
        self.server.address.to_string().parse().expect("an address is a host")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Its origin, `http://127.0.0.1:PORT` or `https://…`.
    pub fn url(&self) -> String {
        origin(self.server.address, self.certificates.is_some())
    }

    /// The folder with its layouts, one for each repository.
    pub fn folder(&self) -> PathBuf {
        layouts(self.folder.path())
    }

    /// What it was asked. The CDN and a token server elsewhere have logs of their own.
    pub fn log(&self) -> &RequestLog {
        &self.server.log
    }

    /// How often a token was asked for, wherever the token endpoint is.
    pub fn token_requests(&self) -> usize {
        self.token_log().count("*", &self.token_path)
    }

    /// The log of the server with the token endpoint: the registry's own, unless
    /// [`crate::Realm::OtherPort`].
    pub fn token_log(&self) -> &RequestLog {
        self.tokens.as_ref().map_or(&self.server.log, |tokens| &tokens.log)
    }

    /// Goes wrong from now on.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.faults.inject(fault)
    }

    /// Goes wrong no more; a personality loses its faults as well, but not its rules.
    pub fn clear_faults(&self) {
        self.server.faults.clear();
        self.cdn.iter().for_each(|cdn| cdn.faults.clear());
        self.tokens.iter().for_each(|tokens| tokens.faults.clear());
    }

    /// Its other server, where [`Builder::cdn`] or the personality asks for one.
    pub fn cdn(&self) -> Option<Cdn<'_>> {
        self.cdn.as_ref().map(|server| Cdn { server })
    }

    /// Makes all tokens and passwords expired that were good until now.
    pub fn revoke_tokens(&self) {
        self.authority.revoke();
    }

    /// Gives a user another password; the old one is expired.
    pub fn set_password(&self, username: &str, password: &str) {
        self.authority.set_password(username, password);
    }

    /// Makes a repository where one must exist before it is pushed to (ECR).
    pub fn create_repository(&self, repository: &Repository) {
        self.rules.create_repository(repository.as_str());
    }

    /// The certificate of its authority in PEM, with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.certificates.as_ref().map(certificate::Authority::pem)
    }

    /// A file with [`Registry::ca_pem`], with TLS.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(|_| ca_file(self.folder.path()))
    }

    /// A certificate that [`Builder::demand_client_certificate`] accepts, with TLS.
    ///
    /// # Panics
    /// If the name cannot stand in a certificate.
    pub fn client_identity(&self, name: &str) -> Option<ClientIdentity> {
        let identity = |ca: &certificate::Authority| ca.client_identity(name).expect("a name");
        self.certificates.as_ref().map(identity)
    }

    /// Takes no more requests, waits for those that are open, and is gone.
    pub async fn stop(self) {
        self.server.listener.stop().await;
        for server in self.cdn.iter().chain(&self.tokens) {
            server.listener.stop().await;
        }
    }
}

/// What it has. These write and read its layouts directly, so nothing of it is in the log.
///
/// # Panics
/// All of these, if the layout cannot be written or read.
impl Registry {
    /// The layout of a repository.
    pub fn layout(&self, repository: &Repository) -> Layout {
        Layout::at(self.folder().join(repository.as_str()))
    }

    /// Adds an image under a tag; what the tag was before is not asked.
    pub async fn add(&self, repository: &Repository, tag: &Tag, image: &MadeImage) {
        self.add_untagged(repository, image).await;
        self.layout(repository).retag(tag, &image.root).await.expect("tagging in a layout");
    }

    /// Adds an image that is found by digest only, as referrers are.
    pub async fn add_untagged(&self, repository: &Repository, image: &MadeImage) {
        let layout = self.layout(repository);
        image.write_to(&layout).await;
    }

    /// Adds a big image under a tag.
    pub async fn add_big(&self, repository: &Repository, tag: &Tag, image: &BigImage) {
        let layout = self.layout(repository);
        image.write_to(&layout).await;
        layout.retag(tag, &image.manifest.descriptor()).await.expect("tagging in a layout");
    }

    /// What a tag points at.
    pub async fn resolve(&self, repository: &Repository, tag: &Tag) -> Option<Digest> {
        let selector = Selector::from(tag.clone());
        let found = self.layout(repository).resolve(&selector).await.expect("reading a layout");
        found.map(|descriptor| descriptor.digest)
    }

    /// What of an image the repository lacks: empty if it has all of it. Manifests are read and
    /// checked, blobs are looked for.
    pub async fn missing(&self, repository: &Repository, image: &MadeImage) -> Vec<Digest> {
        let layout = self.layout(repository);
        let mut missing = Vec::new();
        for (blob, _) in &image.blobs {
            let size = layout.blob_size(&blob.digest).await.expect("reading a layout");
            if size != Some(blob.size) {
                missing.push(blob.digest);
            }
        }
        for digest in image.manifests.iter().map(Manifest::digest) {
            let found = layout.manifest(&Selector::from(digest)).await.expect("reading a layout");
            if found.is_none() {
                missing.push(digest);
            }
        }
        missing
    }
}

/// The registry's other server: see [`Registry::cdn`].
pub struct Cdn<'a> {
    server: &'a Server,
}

impl Cdn<'_> {
    /// Its name: `127.0.0.1:PORT`.
    ///
    /// # Panics
    /// Never: an address is a host.
    pub fn host(&self) -> Host {
        self.server.address.to_string().parse().expect("an address is a host")
    }

    /// What it was asked.
    pub fn log(&self) -> &RequestLog {
        &self.server.log
    }

    /// Goes wrong from now on.
    pub fn inject(&self, fault: Fault) -> Injected {
        self.server.faults.inject(fault)
    }
}

fn origin(address: SocketAddr, is_tls: bool) -> String {
    format!("{}://{address}", if is_tls { "https" } else { "http" })
}

fn layouts(folder: &Path) -> PathBuf {
    folder.join("registry")
}

fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

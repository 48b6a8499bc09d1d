//! [`Settings`]: what a [`Client`](crate::Client) is told, for all registries and for each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oci::{Host, Mirror, RegistryKind};
use tokio::time::Instant;
use url::Url;

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// What differs for single registries; Docker Hub's entry is `docker.io`.
    pub registries: BTreeMap<Host, RegistrySettings>,
    /// Whether this client is going to push. Then it asks for leave to push whenever it looks at a
    /// repository: one token serves all, and a repository that is still to be made by the first
    /// push is "not there" instead of "not allowed" (Docker Hub, GHCR).
    pub pushes: bool,
    /// At most so many requests of a kind at once at each registry: so many that look at something,
    /// so many blobs being read, and so many uploads. How many there really are follows from how
    /// the registry takes them. None: 128 that look, 64 of each other kind.
    pub concurrency: Option<usize>,
    /// How often a request is made in all before a temporary failure is returned. A request that
    /// is refused as one too many does not count.
    pub attempts: u32,
    /// When all must be done: no registry is waited for beyond it, but up to it every one that asks
    /// to be left alone for a while.
    pub deadline: Option<Instant>,
    /// Certificates (PEM) trusted for every registry, beside the system's.
    pub default_ca_file: Option<PathBuf>,
    /// The pauses between attempts.
    pub retry: RetryPolicy,
    /// When a silent peer is given up.
    pub timeouts: Timeouts,
    /// How large blobs are read.
    pub ranges: RangePolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_agent: concat!("image-syncer/", env!("CARGO_PKG_VERSION")).to_owned(),
            registries: BTreeMap::new(),
            pushes: false,
            concurrency: None,
            attempts: 5,
            deadline: None,
            default_ca_file: None,
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            ranges: RangePolicy::default(),
        }
    }
}

/// Settings of one registry.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    /// What it is, where neither its name nor its answers tell, or tell it wrong.
    pub kind: Option<RegistryKind>,
    /// Certificates (PEM) trusted for this registry, its token server and its storage, beside the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// What this client shows of itself in the TLS handshake with the registry.
    pub client_certificate: Option<ClientCertificate>,
    /// Plain http (`Some(true)`), TLS only (`Some(false)`), or (`None`) TLS only except on
    /// loopback, where http is used if the server does not speak TLS.
    pub plain_http: Option<bool>,
    /// Registries with the same repositories, asked first and in this order for manifests and
    /// blobs; what they have not, or fail to give, comes from the registry itself.
    pub mirrors: Vec<Mirror>,
    /// Connect to this scheme, host and port instead, without a proxy. The name stays: it is what
    /// is asked for (`Host`), what the certificate must be for (SNI), and whose credentials are
    /// used. So a registry is reached through a private endpoint that answers as the registry;
    /// another registry with the same content is a mirror instead.
    pub endpoint: Option<Url>,
    /// Instead of [`Settings::concurrency`].
    pub concurrency: Option<usize>,
    /// At most so many requests a second.
    pub rate: Option<f64>,
    /// Where the registry counts pulls (Docker Hub): so many are left to others. A GET of a manifest
    /// that would touch them is not made, and fails with [`ErrorKind::RateLimited`].
    ///
    /// [`ErrorKind::RateLimited`]: crate::ErrorKind::RateLimited
    pub reserve: u64,
}

/// A client certificate for mutual TLS.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate and its chain (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
}

/// The pauses between attempts: the first, doubled each time up to the longest, with jitter.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first pause.
    pub first_delay: Duration,
    /// No pause of our own choice is longer than this.
    pub longest_delay: Duration,
    /// Without a deadline, a registry that asks (`Retry-After`) for more than this is not waited
    /// for. Neither is one that refuses for longer than this without saying how long.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(60),
        }
    }
}

/// When a silent peer is given up. There is no limit on a whole transfer.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To a connection, TLS included.
    pub connect: Duration,
    /// From a request to the head of its answer.
    pub response: Duration,
    /// Between two pieces of a body, in either direction.
    pub idle: Duration,
    /// From the last byte of an upload to its answer; registries on object storage take minutes.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            commit: Duration::from_secs(600),
        }
    }
}

/// How large blobs are read: in ranges, and in several at once where that is faster and the
/// registry has permits to spare; see [`Settings::concurrency`].
#[derive(Clone, Copy, Debug)]
pub struct RangePolicy {
    /// Blobs of this size and above, in bytes.
    pub threshold: u64,
    /// At most so many requests at once for one blob; with 1 every blob is one stream.
    pub connections: usize,
    /// Memory for what is read ahead of who takes it, in bytes, for all blobs of a client together.
    pub memory: usize,
}

impl Default for RangePolicy {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self { threshold: 64 * MIB as u64, connections: 8, memory: 16 * MIB }
    }
}

/// Settings that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file could not be read.
    #[error("cannot read {what} `{}`", file.display())]
    Read {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` is not {what}: {problem}", file.display())]
    Pem {
        /// What the file should hold, in PEM.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// An endpoint that is not `http(s)://host[:port]`.
    #[error("`{endpoint}` is not an endpoint for `{registry}`: it must be `https://HOST[:PORT]`")]
    Endpoint {
        /// The registry.
        registry: Host,
        /// The endpoint.
        endpoint: String,
    },
    /// A rate that is not a positive number.
    #[error("the rate {rate} of `{registry}` is not a positive number of requests a second")]
    Rate {
        /// The registry.
        registry: Host,
        /// The rate.
        rate: f64,
    },
    /// The HTTP client could not be built.
    #[error("cannot set up the HTTP client: {0}")]
    Http(String),
}

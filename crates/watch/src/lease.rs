//! Of several replicas one makes the runs of schedules: the one that has the lease.
//!
//! A lease is an object of Kubernetes ([`Lease::Kubernetes`]) or a lock on a file that all replicas see
//! ([`Lease::File`]). To lose it is safe at any time, because a run never overwrites anything: two
//! replicas would do the same work twice, and nothing wrong.

mod election;
mod file;
mod kubernetes;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use kubernetes::{ApiError, Cluster};

/// How long a lease is good for after its holder was last heard of. The lease is renewed each third of
/// it, and given up when that has not worked for two thirds.
pub const DURATION: Duration = Duration::from_secs(15);

/// Which lease.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lease {
    /// `NAMESPACE/NAME`: a Lease of `coordination.k8s.io/v1`.
    Kubernetes {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// `file:PATH`: a file that is locked.
    File(PathBuf),
}

/// A text that names no lease.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be `NAMESPACE/NAME` of a Lease of Kubernetes, or `file:PATH`")]
pub struct InvalidLease;

impl FromStr for Lease {
    type Err = InvalidLease;

    fn from_str(text: &str) -> Result<Self, InvalidLease> {
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() { Err(InvalidLease) } else { Ok(Self::File(path.into())) };
        }
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_subdomain(name) => {
                Ok(Self::Kubernetes { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidLease),
        }
    }
}

/// RFC 1123 label, what a namespace's name must be:
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Keeps a lease, as long as it lives.
pub struct Keeper {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins to ask for a file's lock, again and again until it is had.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub fn of_file(path: PathBuf, identity: &str) -> std::io::Result<Self> {
        let lock = file::Lock::open(path, identity)?;
        Ok(Self::begin(|leads, stop| file::keep(lock, leads, stop)))
    }

    /// Begins to ask a cluster for a lease, under a name that no other replica has. It is good for
    /// `duration` at a time, of which whole seconds count: [`DURATION`].
    pub fn of_cluster(
        cluster: Cluster,
        namespace: &str,
        name: &str,
        identity: &str,
        duration: Duration,
    ) -> Self {
        let place = kubernetes::Place::new(cluster, namespace, name);
        let election = election::Election::new(identity.to_owned(), duration);
        Self::begin(|leads, stop| kubernetes::keep(place, election, leads, stop))
    }

    fn begin<K>(keep: impl FnOnce(watch::Sender<bool>, CancellationToken) -> K) -> Self
    where
        K: Future<Output = ()> + Send + 'static,
    {
        let (sender, leads) = watch::channel(false);
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(sender, stop.clone()));
        Self { leads, stop, task }
    }

    /// Whether we have it.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// Gives it back, so that another replica need not wait for it to run out.
    pub async fn release(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            tracing::warn!("the lease was not given back; it runs out by itself");
        }
    }
}

/// Says that we lead, or not, and tells people where that is news.
fn tell(leads: &watch::Sender<bool>, now: bool) {
    leads.send_if_modified(|before| {
        if *before == now {
            return false;
        }
        match now {
            true => tracing::info!("this replica has the lease"),
            false => tracing::warn!("this replica no longer has the lease"),
        }
        *before = now;
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_an_object_or_a_file() {
        for text in ["mirror/image-syncer", "a/b.c-1", "file:/shared/lock", "file:lock"] {
            assert_eq!(text.parse::<Lease>().unwrap().to_string(), text);
        }
        for text in
            ["", "a", "a/", "/b", "A/b", "a/b/c", "a/../b", "a/b?x", "file:", "a-/b", "a/b_"]
        {
            assert_eq!(text.parse::<Lease>(), Err(InvalidLease), "{text}");
        }
    }
}

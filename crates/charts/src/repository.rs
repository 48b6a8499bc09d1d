//! [`ChartRepository`]: a classic chart repository, a folder of a web server with an `index.yaml`.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, Read};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Buf, Bytes};
use flate2::read::MultiGzDecoder;
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use oci::{Digest, shown_url};
use secrecy::SecretString;
use tokio::sync::mpsc;
use url::Url;

use crate::archive;
use crate::chart::{Chart, is_provenance};
use crate::error::{Error, ErrorKind, Failure};
use crate::index::{self, Entry, Index};
use crate::name::ChartName;
use crate::request::Requests;

/// A classic chart repository. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChartRepository {
    requests: Requests,
    patience: Patience,
}

/// What a repository is shown. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Login {
    /// A name and a password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A bearer token.
    Bearer(SecretString),
}

/// How long and how often a repository is tried that does not answer as it should.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often something is asked for.
    pub attempts: usize,
    /// The first pause; the others grow.
    pub first_pause: Duration,
    /// The longest that a server may ask to wait (`Retry-After`).
    pub longest_wait: Duration,
    /// The longest that a server may be silent.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }
}

/// The largest provenance file that is read, in bytes: `Chart.yaml`, digests and a signature.
const MOST_PROVENANCE: u64 = 1024 * 1024;

impl ChartRepository {
    /// The repository at this URL, which is the folder of its `index.yaml`. A query is sent with the
    /// index and with what it names relatively, as Helm does it.
    ///
    /// The client has the authorities to trust and the proxy. It should follow no redirects
    /// (`redirect::Policy::none()`) and unpack nothing: both are done here. The login is shown to the
    /// repository's own scheme, host and port only, as Helm does it without `--pass-credentials`.
    ///
    /// # Errors
    /// An [`Error`] of the kind `Unsupported` where the URL is no http, or has credentials in it.
    pub fn new(url: &Url, client: reqwest::Client, login: Option<Login>) -> Result<Self, Error> {
        let unsupported = |message: &str| {
            Failure::new(ErrorKind::Unsupported, message)
                .of(format!("chart repository {}", shown_url(url)))
        };
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return Err(unsupported("its URL must begin with `https://` or `http://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unsupported("credentials have no place in a URL; see `registries.*.auth`"));
        }
        let mut repository = url.clone();
        repository.set_fragment(None);
        if !repository.path().ends_with('/') {
            repository.set_path(&format!("{}/", url.path()));
        }
        let patience = Patience::default();
        let silence = patience.silence;
        Ok(Self { requests: Requests { client, repository, login, silence }, patience })
    }

    /// The same with other patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.requests.silence = patience.silence;
        self.patience = patience;
        self
    }

    /// Reads what the repository has of these charts: one request, whatever their number, and in
    /// memory never more than what is had of them.
    ///
    /// # Errors
    /// [`Error`]; a chart that is not there is none.
    pub async fn versions(&self, charts: &BTreeSet<ChartName>) -> Result<Index, Error> {
        let name = shown_url(&self.requests.repository).trim_end_matches('/').to_owned();
        let result = match self.resolve("index.yaml") {
            Ok(url) => self.retried(|| self.read_index(&url, charts, &name)).await,
            Err(failure) => Err(failure),
        };
        result.map_err(|failure| {
            let failure = match failure.kind() {
                ErrorKind::NotFound => failure
                    .hint("the URL must be the one that `helm repo add` takes: the folder of `index.yaml`"),
                _ => failure,
            };
            failure.of(format!("index of chart repository {name}"))
        })
    }

    /// Fetches a version of a chart: the archive, checked against the index's digest, name and
    /// version, and the provenance file beside it (`URL.prov`), if there is one.
    ///
    /// # Errors
    /// [`Error`]; of the kind `Unsupported` where the index names a registry (`oci://`) instead.
    pub async fn fetch(&self, entry: &Entry) -> Result<Chart, Error> {
        let repository = shown_url(&self.requests.repository);
        self.fetch_any(entry).await.map_err(|failure| {
            let (chart, version) = (entry.chart(), entry.version());
            failure.of(format!("chart `{chart}` {version} of {}", repository.trim_end_matches('/')))
        })
    }

    /// Whether there is a provenance file for a version, the archive of which is not read.
    ///
    /// # Errors
    /// [`Error`], where that cannot be told.
    pub async fn has_provenance(&self, entry: &Entry) -> Result<bool, Error> {
        let Some(url) = entry.urls().iter().find(|url| !url.starts_with("oci://")) else {
            return Ok(false);
        };
        let found = match self.resolve(url) {
            Ok(url) => self.read_provenance(&url).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok(content) => Ok(is_provenance(&content)),
            Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(false),
            Err(failure) => {
                Err(failure.of(format!("provenance file of chart `{}`", entry.chart())))
            }
        }
    }

    /// From the first URL that has it.
    async fn fetch_any(&self, entry: &Entry) -> Result<Chart, Failure> {
        let mut first = None;
        for url in entry.urls().iter().filter(|url| !url.starts_with("oci://")) {
            let result = match self.resolve(url) {
                Ok(url) => {
                    let result = self.fetch_from(entry, &url).await;
                    result.map_err(|failure| failure.within(&shown_url(&url)))
                }
                Err(failure) => Err(failure),
            };
            match result {
                Ok(chart) => return Ok(chart),
                Err(failure) => first = first.or(Some(failure)),
            }
        }
        Err(first.unwrap_or_else(|| match entry.registry_url() {
            Some(url) => {
                let (source, _) = url.rsplit_once(':').unwrap_or((url, ""));
                Failure::new(ErrorKind::Unsupported, format!("it lies in a registry, at `{url}`"))
                    .hint(format!("name that as the chart's source: `{source}`"))
            }
            None => Failure::invalid("the index does not say where it is to be had"),
        }))
    }

    async fn fetch_from(&self, entry: &Entry, url: &Url) -> Result<Chart, Failure> {
        let read = || self.read_file(url, archive::MOST_BYTES);
        let archive = self.retried(read).await?;
        if let Some(expected) = entry.digest() {
            let actual = Digest::of(expected.algorithm(), &archive);
            if actual != expected {
                let message =
                    format!("the archive has the digest {actual}, its index says {expected}");
                return Err(Failure::invalid(message).hint(
                    "the archive was changed after it was published, or a cache has an old index",
                ));
            }
        }
        let found = self.read_provenance(url).await;
        let mut denied = false;
        let provenance = match found {
            Ok(provenance) => Some(provenance),
            Err(failure) if failure.kind() == ErrorKind::NotFound => None,
            Err(failure) if failure.kind() == ErrorKind::Denied => {
                // A storage bucket that nobody may list says so of what is not there.
                denied = true;
                None
            }
            Err(failure) => return Err(failure.within("its provenance file")),
        };
        // Unpacking takes up to a second.
        let reading = tokio::task::spawn_blocking(move || Chart::read(archive, provenance));
        let mut chart = reading.await.map_err(|_| Failure::invalid("it cannot be read"))??;
        let named = (entry.chart().as_str(), entry.version());
        if (chart.name(), chart.version()) != named {
            return Err(Failure::invalid(format!(
                "the archive is chart `{}` {}, not what its index says",
                chart.name().escape_debug(),
                chart.version().escape_debug()
            )));
        }
        if denied {
            chart.warn("whether it has a provenance file is not known: we may not read one");
        }
        Ok(chart)
    }

    /// What lies beside an archive (`URL.prov`).
    async fn read_provenance(&self, archive: &Url) -> Result<Bytes, Failure> {
        let mut url = archive.clone();
        url.set_path(&format!("{}.prov", archive.path()));
        self.retried(|| self.read_file(&url, MOST_PROVENANCE)).await
    }

    async fn read_file(&self, url: &Url, most: u64) -> Result<Bytes, Failure> {
        let response = self.requests.get(url, "identity").await?;
        self.requests.body(response, most).await
    }

    /// Reads the index as it comes: what comes goes to a thread that parses it, and no faster than
    /// that.
    async fn read_index(
        &self,
        url: &Url,
        charts: &BTreeSet<ChartName>,
        name: &str,
    ) -> Result<Index, Failure> {
        let mut response = self.requests.get(url, "gzip").await?;
        let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let is_packed = matches!(encoding, Some(b"gzip" | b"x-gzip"));
        let (sender, receiver) = mpsc::channel(4);
        let (wanted, name) = (charts.clone(), name.to_owned());
        let parsing = tokio::task::spawn_blocking(move || {
            let pieces = Pieces { receiver, piece: Bytes::new() };
            match is_packed {
                true => index::read(MultiGzDecoder::new(pieces), &wanted, name),
                false => index::read(pieces, &wanted, name),
            }
        });
        loop {
            let piece = self.requests.piece(&mut response).await.transpose();
            let Some(piece) = piece else { break };
            let is_last = piece.is_err();
            // Whoever parses stops listening when it has what it wants.
            if sender.send(piece).await.is_err() || is_last {
                break;
            }
        }
        drop(sender);
        parsing.await.map_err(|_| Failure::invalid("it cannot be read"))?
    }

    async fn retried<T, F, R>(&self, attempt: F) -> Result<T, Failure>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let Patience { attempts, first_pause, longest_wait, .. } = self.patience;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(first_pause)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter();
        attempt
            .retry(pauses)
            .when(Failure::is_temporary)
            .adjust(|failure, pause| match failure.retry_after() {
                // None ends it.
                Some(asked) => pause.filter(|_| asked <= longest_wait).map(|_| asked),
                None => pause,
            })
            .notify(|failure, pause| {
                let (cause, pause) = (failure.message(), pause.as_millis());
                tracing::debug!(target: "charts", cause, pause, "trying again");
            })
            .await
    }

    /// A URL of the index: absolute, or below the repository, whose query it then gets.
    fn resolve(&self, reference: &str) -> Result<Url, Failure> {
        let invalid = || Failure::invalid("what the index says of where it is to be had is no URL");
        match Url::parse(reference) {
            Ok(url) => Ok(url),
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                let base = &self.requests.repository;
                let mut url = base.join(reference).map_err(|_| invalid())?;
                if base.query().is_some() && base.origin() == url.origin() {
                    url.set_query(base.query());
                }
                Ok(url)
            }
            Err(_) => Err(invalid()),
        }
    }
}

/// The pieces of a body, for whoever reads them elsewhere.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, Failure>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(failure)) => return Err(io::Error::other(failure)),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}

//! [`Transport`]: the connections to one registry and to where it sends us.
//!
//! It makes one request and says what went wrong on the way; it knows nothing of authentication,
//! retries or redirects, and follows none.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use rustls::{ClientConfig, RootCertStore};
use tracing::Instrument;
use url::Url;

use crate::error::{ErrorKind, Failure, chain_of};
use crate::gate::MOST_AT_ONCE;
use crate::settings::{ClientCertificate, Settings, SettingsError};
use crate::{spans, tls};

/// Which connections a request uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pool {
    /// HTTP/2 where the server has it: many small answers over one connection.
    Small,
    /// HTTP/1.1: a connection for each body, because the windows of one HTTP/2 connection hold
    /// bulk transfers back.
    Bulk,
}

/// Whom a request goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// The registry.
    Registry,
    /// Someone it names: a token server, a storage.
    Other,
}

/// The connections to one registry and to where it sends us. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    registry: Pools,
    others: Pools,
    /// Whether the registry's name is kept and another server connected to.
    redirected: bool,
    /// Whether the registry is reached without a proxy.
    direct: bool,
    timeout: Duration,
}

#[derive(Clone)]
struct Pools {
    small: reqwest::Client,
    bulk: reqwest::Client,
}

/// What a [`Transport`] is built from.
pub(crate) struct Profile<'a> {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) client_certificate: Option<&'a ClientCertificate>,
    pub(crate) endpoint: Option<&'a Url>,
    /// Whether the registry is reached without a proxy.
    pub(crate) direct: bool,
}

/// One request, to be sent once.
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: reqwest::Body,
}

/// Why there is no answer.
pub(crate) struct Broken {
    pub(crate) failure: Failure,
    /// The server answered the TLS handshake with something else.
    pub(crate) no_tls: bool,
}

impl Transport {
    pub(crate) fn new(settings: &Settings, profile: Profile<'_>) -> Result<Self, SettingsError> {
        let plain = tls::configuration(profile.roots.clone(), None)?;
        // The client certificate is shown to the registry only.
        let own = match profile.client_certificate {
            Some(_) => tls::configuration(profile.roots, profile.client_certificate)?,
            None => plain.clone(),
        };
        let others = Pools::new(settings, &plain, profile.direct, None)?;
        let registry = if profile.client_certificate.is_none() && profile.endpoint.is_none() {
            others.clone()
        } else {
            Pools::new(settings, &own, profile.direct, profile.endpoint)?
        };
        let redirected = profile.endpoint.is_some();
        let direct = profile.direct || redirected;
        Ok(Self { registry, others, redirected, direct, timeout: settings.timeouts.response })
    }

    /// The proxy that requests for a URL of the registry go to, as `host[:port]`: what the HTTP
    /// client finds by the same rules.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<String> {
        if self.direct {
            return None;
        }
        let proxy = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
        let uri = proxy.uri();
        let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", uri.host()?))
    }

    /// Sends a request and waits for the head of the answer, at most for `timeout`, or as long as
    /// answers may take in general.
    pub(crate) async fn send(
        &self,
        peer: Peer,
        pool: Pool,
        message: Message,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, Broken> {
        let pools = if peer == Peer::Registry { &self.registry } else { &self.others };
        let client = if pool == Pool::Small { &pools.small } else { &pools.bulk };
        let Message { method, mut url, mut headers, body } = message;
        let (shown, server) = (oci::shown_url(&url), server_of(&url));
        let span = spans::request(&method, &url);
        if self.redirected && peer == Peer::Registry && url.port().is_some() {
            // A port in the URL would win over the endpoint's; see `Endpoint`.
            if let Ok(host) = HeaderValue::from_str(&server) {
                headers.insert(HOST, host);
            }
            let _ = url.set_port(None);
        }
        let request = client.request(method.clone(), url).headers(headers).body(body).send();
        let request = request.instrument(span.clone());
        let started = Instant::now();
        let result = tokio::time::timeout(timeout.unwrap_or(self.timeout), request).await;
        let ms = started.elapsed().as_millis();
        match result {
            Ok(Ok(response)) => {
                spans::answered(&span, response.status());
                let status = response.status().as_u16();
                tracing::debug!(target: "registry", %method, url = shown, status, ms, "answered");
                Ok(response)
            }
            Ok(Err(error)) => {
                spans::not_answered(&span, "network");
                let broken = broken(&error, &server);
                let cause = broken.failure.message();
                tracing::debug!(target: "registry", %method, url = shown, ms, cause, "not answered");
                Err(broken)
            }
            Err(_) => {
                spans::not_answered(&span, "timeout");
                tracing::debug!(target: "registry", %method, url = shown, ms, "not answered in time");
                let message = format!("`{server}` did not answer in time");
                Err(Broken {
                    failure: Failure::new(ErrorKind::Network, message).temporary(),
                    no_tls: false,
                })
            }
        }
    }
}

impl Pools {
    fn new(
        settings: &Settings,
        tls: &ClientConfig,
        direct: bool,
        endpoint: Option<&Url>,
    ) -> Result<Self, SettingsError> {
        let build = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            let mut builder = reqwest::Client::builder()
                .user_agent(&settings.user_agent)
                .tls_backend_preconfigured(tls)
                .redirect(Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .connect_timeout(settings.timeouts.connect)
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(most_at_once(settings))
                .tcp_keepalive(Duration::from_secs(30));
            if protocols.len() == 1 {
                builder = builder.http1_only();
            }
            if direct || endpoint.is_some() {
                builder = builder.no_proxy();
            }
            if let Some(url) = endpoint {
                builder = builder.dns_resolver(Arc::new(Endpoint::of(url)));
            }
            builder.build().map_err(|error| SettingsError::Http(chain(&error.without_url())))
        };
        let bulk = build(&[b"http/1.1"])?;
        // HTTP/2 has no `Host` beside the URL's, which an endpoint may need.
        let small = if endpoint.is_some() { bulk.clone() } else { build(&[b"h2", b"http/1.1"])? };
        Ok(Self { small, bulk })
    }
}

/// The most requests at once that there can be at one registry: what was opened for them is worth
/// keeping.
fn most_at_once(settings: &Settings) -> usize {
    let registries = settings.registries.values().filter_map(|registry| registry.concurrency);
    let general = settings.concurrency.unwrap_or(MOST_AT_ONCE);
    registries.fold(general, usize::max)
}

/// Resolves every name to one server: the registry's name stays in the URL, and with it in `Host`
/// and in TLS, as with curl's `--connect-to`.
struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { host, port: url.port_or_known_default().unwrap_or(443) }
    }
}

impl Resolve for Endpoint {
    fn resolve(&self, _: Name) -> Resolving {
        let (host, port) = (self.host.clone(), self.port);
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, port)).await?;
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// `host[:port]` of a URL.
pub(crate) fn server_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a request without an answer failed of.
fn broken(error: &reqwest::Error, server: &str) -> Broken {
    if let Some(tls) = tls::error_in(error) {
        return Broken { failure: tls::failure(tls, server), no_tls: tls::is_no_tls(tls) };
    }
    let io = io_error_in(error);
    let cause = innermost(error);
    if let Some(failure) = tls::late_alert(&cause, server) {
        return Broken { failure, no_tls: false };
    }
    // A plain http server may as well hang up on a handshake.
    let hung_up = io.is_some_and(|io| {
        matches!(io.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
    });
    let no_tls = error.is_connect() && hung_up;
    let network = |message: String| Failure::new(ErrorKind::Network, message);
    let failure = if error.is_dns() || is_lookup(error) {
        let failure = network(format!("the name `{server}` cannot be resolved"))
            .hint("check the spelling of the registry's name, and this machine's DNS");
        // What getaddrinfo says of a name that does not exist; other failures may pass.
        let unknown = ["not known", "No such host", "nodename nor servname"];
        let text = chain(error);
        if unknown.iter().any(|words| text.contains(words)) { failure } else { failure.temporary() }
    } else if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
        network(format!("`{server}` refused the connection")).temporary()
    } else if error.is_timeout() {
        network(format!("no connection to `{server}` in time")).temporary()
    } else if error.is_connect() {
        network(format!("no connection to `{server}`: {cause}")).temporary()
    } else {
        network(format!("the connection to `{server}` broke: {cause}")).temporary()
    };
    Broken { failure, no_tls }
}

/// What reading a body failed of.
pub(crate) fn body_failure(error: &reqwest::Error, server: &str) -> Failure {
    let message = format!("the answer of `{server}` was cut off: {}", innermost(error));
    Failure::new(ErrorKind::Network, message).temporary()
}

/// A name that was not found, where the resolver is ours.
fn is_lookup(error: &(dyn StdError + 'static)) -> bool {
    chain(error).contains("failed to lookup address")
}

fn io_error_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    chain_of(error).filter_map(|error| error.downcast_ref::<io::Error>()).last()
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain_of(error).last().map(ToString::to_string).unwrap_or_default()
}

/// All messages of a chain of errors, outermost first.
fn chain(error: &(dyn StdError + 'static)) -> String {
    chain_of(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

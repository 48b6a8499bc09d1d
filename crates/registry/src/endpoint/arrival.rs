//! Where a registry is: the first request to it finds out, whether it speaks TLS and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, StatusCode};
use oci::Host;
use tokio::time::Instant;
use url::Url;

use super::Endpoint;
use crate::auth::{Challenge, lock};
use crate::error::{ErrorKind, Failure};
use crate::gate::Lane;
use crate::profile::Profile;
use crate::retry::{Wait, retry};
use crate::settings::RegistrySettings;
use crate::transport::{Broken, Message, Peer, Pool, server_of};

/// So long a registry that could not be reached is not tried again.
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);

impl Endpoint {
    /// Where the registry is, as `scheme://host[:port]/`. Finds out with the first request: whether
    /// it speaks TLS, and what it asks for.
    pub(crate) async fn base(self: &Arc<Self>) -> Result<&Url, Failure> {
        loop {
            if let Some(base) = self.base.get() {
                return Ok(base);
            }
            if let Some((when, failure)) = &*lock(&self.given_up)
                && when.elapsed() < GIVEN_UP_FOR
            {
                return Err(failure.clone());
            }
            let endpoint = Arc::clone(self);
            self.arrivals.join((), |()| true, || endpoint.arrive().boxed()).await?;
        }
    }

    async fn arrive(self: Arc<Self>) -> Result<(), Failure> {
        match retry(&self.patience, Wait::AtTheGate, |_| self.ping()).await {
            Ok(base) => {
                let _ = self.base.set(base);
                Ok(())
            }
            Err(failure) => {
                *lock(&self.given_up) = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn ping(&self) -> Result<Url, Failure> {
        let permit = self.gate.enter(Lane::Metadata, false).await?;
        let mut last = Failure::new(ErrorKind::Unsupported, "the registry's name is no URL's");
        for base in &self.candidates {
            let mut response = match self.knock_at(base).await {
                Ok(response) => response,
                Err(broken) => {
                    let next = broken.no_tls;
                    last = broken.failure;
                    if next { continue } else { break }
                }
            };
            let challenge = Challenge::of(response.headers());
            self.kind.learn(response.headers(), challenge.as_ref());
            if response.status() == StatusCode::UNAUTHORIZED
                && let Some(challenge) = challenge
            {
                self.auth.learn(&challenge, base)?;
            }
            let failure = self.refusal(&mut response, &server_of(base), &permit, None).await;
            // Whatever else there is at `/v2/`, there may be repositories below it.
            return if failure.is_temporary() { Err(failure) } else { Ok(base.clone()) };
        }
        Err(last)
    }

    /// The URL of a path below the base, such as `v2/…`.
    pub(crate) async fn url(self: &Arc<Self>, path: &str) -> Result<Url, Failure> {
        self.base().await?.join(path).map_err(|_| {
            Failure::new(ErrorKind::Unsupported, format!("`{path}` cannot be part of a URL"))
        })
    }

    /// The proxy that is connected to instead of the registry, as `host[:port]`.
    pub(crate) fn proxy(&self) -> Option<String> {
        self.transport.proxy_for(self.base.get().or(self.candidates.first())?)
    }

    /// Asks `GET /v2/` without a credential, once.
    pub(crate) async fn knock(&self, base: &Url) -> Result<reqwest::Response, Failure> {
        let _permit = self.gate.enter(Lane::Metadata, false).await?;
        self.knock_at(base).await.map_err(|broken| broken.failure)
    }

    async fn knock_at(&self, base: &Url) -> Result<reqwest::Response, Broken> {
        let url = base.join("v2/").unwrap_or_else(|_| base.clone());
        let (method, headers, body) = (Method::GET, HeaderMap::new(), Bytes::new().into());
        let message = Message { method, url, headers, body };
        let response = self.transport.send(Peer::Registry, Pool::Small, message, None).await?;
        self.heard(&response);
        Ok(response)
    }
}

/// The URLs where a registry may be.
pub(super) fn candidates(host: &Host, profile: &Profile, settings: &RegistrySettings) -> Vec<Url> {
    let schemes: &[&str] = match (&settings.endpoint, settings.plain_http) {
        (Some(endpoint), _) if endpoint.scheme() == "http" => &["http"],
        (Some(_), _) | (None, Some(false)) => &["https"],
        (None, Some(true)) => &["http"],
        (None, None) if host.is_loopback() => &["https", "http"],
        (None, None) => &["https"],
    };
    let name = profile.api_host.unwrap_or(host.as_str());
    schemes.iter().filter_map(|scheme| Url::parse(&format!("{scheme}://{name}/")).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_only_on_loopback_or_when_asked() {
        let endpoint = |url: &str| RegistrySettings {
            endpoint: Some(url.parse().unwrap()),
            ..RegistrySettings::default()
        };
        let plain = |plain_http| RegistrySettings { plain_http, ..RegistrySettings::default() };
        let table: &[(&str, RegistrySettings, &[&str])] = &[
            ("r.example", plain(None), &["https://r.example/"]),
            ("docker.io", plain(None), &["https://registry-1.docker.io/"]),
            ("r.example:5000", plain(Some(true)), &["http://r.example:5000/"]),
            ("localhost:5000", plain(None), &["https://localhost:5000/", "http://localhost:5000/"]),
            ("[::1]:5000", plain(Some(false)), &["https://[::1]:5000/"]),
            ("r.example", endpoint("http://127.0.0.1:1"), &["http://r.example/"]),
            ("localhost", endpoint("https://127.0.0.1:1"), &["https://localhost/"]),
        ];
        for (host, settings, expected) in table {
            let host = host.parse().unwrap();
            let found = candidates(&host, Profile::of(&host), settings);
            assert_eq!(found.iter().map(Url::as_str).collect::<Vec<_>>(), *expected, "{host}");
        }
    }
}

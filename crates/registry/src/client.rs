//! [`Client`]: all registries, each with its settings and what was learned of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use oci::{Host, Mirror, Repository};
use rustls::RootCertStore;
use tokio::sync::Semaphore;
use url::Url;

use crate::auth::lock;
use crate::credential::CredentialSource;
use crate::endpoint::Endpoint;
use crate::repository::RepositoryClient;
use crate::settings::{RegistrySettings, Settings, SettingsError};
use crate::tls;
use crate::transport::{Profile, Transport};
use crate::usage::RegistryUsage;

/// A client of registries; one per side of a run. Cheap to clone: clones share connections, tokens
/// and what was learned.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    settings: Settings,
    credentials: Arc<dyn CredentialSource>,
    /// For registries without settings of their own that change connections.
    transport: Transport,
    /// The same without a proxy, for loopback.
    direct: Transport,
    special: HashMap<Host, Transport>,
    /// What is left of the memory for reading ahead, in bytes.
    memory: Arc<Semaphore>,
    endpoints: Mutex<HashMap<Host, Arc<Endpoint>>>,
}

impl Client {
    /// A client with these settings. No registry is asked for anything yet.
    ///
    /// # Errors
    /// [`SettingsError`], such as a CA file that cannot be read.
    pub fn new(
        settings: Settings,
        credentials: Arc<dyn CredentialSource>,
    ) -> Result<Self, SettingsError> {
        let roots = tls::with_file(&tls::system_roots(), settings.default_ca_file.as_deref())?;
        let plain = |direct| {
            let roots = Arc::clone(&roots);
            let profile = Profile { roots, client_certificate: None, endpoint: None, direct };
            Transport::new(&settings, profile)
        };
        let (transport, direct) = (plain(false)?, plain(true)?);
        let mut special = HashMap::new();
        for (host, registry) in &settings.registries {
            check(host, registry)?;
            if registry.ca_file.is_some()
                || registry.client_certificate.is_some()
                || registry.endpoint.is_some()
            {
                let transport = transport_for(host, registry, &settings, &roots)?;
                special.insert(host.clone(), transport);
            }
        }
        let memory = Arc::new(Semaphore::new(settings.ranges.memory.min(Semaphore::MAX_PERMITS)));
        let endpoints = Mutex::default();
        Ok(Self(Arc::new(Shared {
            settings,
            credentials,
            transport,
            direct,
            special,
            memory,
            endpoints,
        })))
    }

    /// One repository of one registry.
    pub fn repository(&self, host: &Host, repository: &Repository) -> RepositoryClient {
        let registry = self.0.settings.registries.get(host);
        let mirrors = registry.map(|registry| registry.mirrors.as_slice()).unwrap_or_default();
        // A name that is too long there is one that it does not have.
        let mirror = |mirror: &Mirror| {
            let repository = mirror.repository(repository).ok()?;
            Some(RepositoryClient::mirror(self.endpoint(&mirror.host), repository))
        };
        let mirrors = mirrors.iter().filter_map(mirror).collect();
        RepositoryClient::new(self.endpoint(host), repository.clone(), mirrors)
    }

    /// What was asked of each registry so far, in the order of their names.
    pub fn usage(&self) -> Vec<RegistryUsage> {
        let mut usage: Vec<RegistryUsage> =
            lock(&self.0.endpoints).values().map(|endpoint| endpoint.usage()).collect();
        usage.sort_by(|one, other| one.registry.cmp(&other.registry));
        usage
    }

    pub(crate) fn endpoint(&self, host: &Host) -> Arc<Endpoint> {
        let shared = &self.0;
        let mut endpoints = lock(&shared.endpoints);
        let endpoint = endpoints.entry(host.clone()).or_insert_with(|| {
            let transport = shared.special.get(host).unwrap_or(if host.is_loopback() {
                &shared.direct
            } else {
                &shared.transport
            });
            let none = RegistrySettings::default();
            let registry = shared.settings.registries.get(host).unwrap_or(&none);
            let (transport, credentials) = (transport.clone(), Arc::clone(&shared.credentials));
            let memory = Arc::clone(&shared.memory);
            let settings = &shared.settings;
            Arc::new(Endpoint::new(host, settings, registry, transport, credentials, memory))
        });
        Arc::clone(endpoint)
    }
}

fn transport_for(
    host: &Host,
    registry: &RegistrySettings,
    settings: &Settings,
    roots: &Arc<RootCertStore>,
) -> Result<Transport, SettingsError> {
    let roots = tls::with_file(roots, registry.ca_file.as_deref())?;
    let client_certificate = registry.client_certificate.as_ref();
    let (endpoint, direct) = (registry.endpoint.as_ref(), host.is_loopback());
    Transport::new(settings, Profile { roots, client_certificate, endpoint, direct })
}

fn check(host: &Host, registry: &RegistrySettings) -> Result<(), SettingsError> {
    if let Some(rate) = registry.rate
        && !(rate.is_finite() && (1e-6..=1e9).contains(&rate))
    {
        return Err(SettingsError::Rate { registry: host.clone(), rate });
    }
    match &registry.endpoint {
        Some(url) if !is_endpoint(url) => {
            Err(SettingsError::Endpoint { registry: host.clone(), endpoint: oci::shown_url(url) })
        }
        _ => Ok(()),
    }
}

fn is_endpoint(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::AnonymousEverywhere;

    fn with(registry: RegistrySettings) -> Result<Client, SettingsError> {
        let registries = [("r.example".parse().unwrap(), registry)].into();
        let settings = Settings { registries, ..Settings::default() };
        Client::new(settings, Arc::new(AnonymousEverywhere))
    }

    #[test]
    fn settings_that_cannot_work_are_told_at_once() {
        for endpoint in ["ftp://h", "https://h/path", "https://u:p@h", "https://h?q"] {
            let endpoint = Some(endpoint.parse().unwrap());
            let error = with(RegistrySettings { endpoint, ..Default::default() }).err().unwrap();
            assert!(matches!(error, SettingsError::Endpoint { .. }), "{error}");
            assert!(!error.to_string().contains(":p@"), "{error}");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            let settings = RegistrySettings { rate: Some(rate), ..Default::default() };
            assert!(matches!(with(settings).err(), Some(SettingsError::Rate { .. })), "{rate}");
        }
        let ca_file = Some("/nowhere/ca.pem".into());
        let error = with(RegistrySettings { ca_file, ..Default::default() }).err().unwrap();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}

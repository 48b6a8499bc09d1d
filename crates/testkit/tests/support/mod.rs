//! A plain HTTP client that trusts a registry's authority, and short names for names.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::sync::Arc;

use oci::{Repository, Tag};
use reqwest::{Client, Method, Response, redirect};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder};
use testkit::{ClientIdentity, Registry};

pub(crate) fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

pub(crate) fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

/// Follows no redirect.
pub(crate) fn client(registry: &Registry) -> Client {
    build(registry, redirect::Policy::none())
}

/// Follows redirects, as reqwest does it: without credentials to another host.
pub(crate) fn following_client(registry: &Registry) -> Client {
    build(registry, redirect::Policy::limited(3))
}

/// Shows a client certificate.
pub(crate) fn client_with_identity(registry: &Registry, identity: &ClientIdentity) -> Client {
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let tls = tls(registry).with_client_auth_cert(vec![certificate], key).unwrap();
    http(tls, redirect::Policy::none())
}

fn build(registry: &Registry, redirects: redirect::Policy) -> Client {
    http(tls(registry).with_no_client_auth(), redirects)
}

fn tls(registry: &Registry) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = registry.ca_pem() {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

fn http(mut tls: ClientConfig, redirects: redirect::Policy) -> Client {
    // reqwest leaves a configuration of ours as it is, and without this HTTP/2 is never spoken.
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirects)
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .unwrap()
}

/// One request without a body.
pub(crate) async fn ask(client: &Client, method: &str, url: String) -> reqwest::Result<Response> {
    client.request(Method::from_bytes(method.as_bytes()).unwrap(), url).send().await
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

//! Whose certificates are trusted: the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
//! heeded), and Mozilla's where the system has none, as in an empty container image.

use std::sync::LazyLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The system's authorities. Read once.
static SYSTEM: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// Everyone who is trusted.
pub(crate) fn authorities() -> RootCertStore {
    let mut roots = SYSTEM.clone();
    if roots.is_empty() {
        roots.add_parsable_certificates(mozilla().cloned());
    }
    roots
}

/// Mozilla's authorities in PEM, if the system has none.
pub(crate) fn instead_of_system() -> Option<Vec<String>> {
    let encode =
        |der: &CertificateDer<'_>| pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec()));
    SYSTEM.is_empty().then(|| mozilla().map(encode).collect())
}

fn mozilla() -> impl Iterator<Item = &'static CertificateDer<'static>> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter()
}

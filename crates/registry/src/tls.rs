//! Whom we trust: the `rustls` configuration of a registry, and what its failures mean.
//!
//! The configuration is built here and given to the HTTP client, whose own way fails in images
//! without a CA bundle, even for plain http.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConfig, RootCertStore};

use crate::error::{ErrorKind, Failure};
use crate::settings::{ClientCertificate, SettingsError};

/// The certificates that are trusted everywhere: the system's (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// are heeded), or Mozilla's where the system has none, as in an empty container image. Read once.
pub(crate) fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| Arc::new(read_system_roots())))
}

fn read_system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!(target: "registry", %error, "cannot read a system certificate");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::debug!(target: "registry", "the system has no CA certificates; Mozilla's are used");
        let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
        roots.add_parsable_certificates(mozilla);
    }
    roots
}

/// These roots and the certificates of a PEM file, where there is one.
pub(crate) fn with_file(
    roots: &Arc<RootCertStore>,
    file: Option<&Path>,
) -> Result<Arc<RootCertStore>, SettingsError> {
    let mut roots = Arc::clone(roots);
    if let Some(file) = file {
        for certificate in certificates(file)? {
            let added = Arc::make_mut(&mut roots).add(certificate);
            added.map_err(|error| not_pem(CERTIFICATES, file, &error))?;
        }
    }
    Ok(roots)
}

/// The configuration for these roots and, where mutual TLS is wanted, our own certificate.
pub(crate) fn configuration(
    roots: Arc<RootCertStore>,
    client: Option<&ClientCertificate>,
) -> Result<ClientConfig, SettingsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Http(error.to_string()))?
        .with_root_certificates(roots);
    let Some(client) = client else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(&client.certificate_file)?;
    let file = &client.key_file;
    let key = PrivateKeyDer::from_pem_slice(&read(KEY, file)?)
        .map_err(|error| not_pem(KEY, file, &error))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| not_pem("the key of the client certificate", file, &error))
}

const CERTIFICATES: &str = "a file of PEM certificates";
const KEY: &str = "a PEM private key";

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let pem = read(CERTIFICATES, file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(CERTIFICATES, file, &error))?;
    if found.is_empty() {
        return Err(not_pem(CERTIFICATES, file, &"it holds none"));
    }
    Ok(found)
}

fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(file).map_err(|source| SettingsError::Read {
        what,
        file: file.to_owned(),
        source,
    })
}

fn not_pem(what: &'static str, file: &Path, problem: &dyn std::fmt::Display) -> SettingsError {
    SettingsError::Pem { what, file: file.to_owned(), problem: problem.to_string() }
}

/// The TLS error in a chain of errors. One that came through an `io::Error` is not its `source`.
pub(crate) fn error_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Whether the server answered with something that is no TLS at all, as plain http servers do.
pub(crate) fn is_no_tls(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidMessage(_))
}

/// What a TLS error means, and what can be done.
pub(crate) fn failure(error: &rustls::Error, server: &str) -> Failure {
    use rustls::Error as E;
    let tls = |message: String| Failure::new(ErrorKind::Tls, message);
    match error {
        E::InvalidCertificate(problem) => certificate_failure(problem, server),
        error if is_no_tls(error) => tls(format!("`{server}` does not speak TLS"))
            .hint("if it is meant to speak plain http, set `insecure: true` for this registry"),
        E::AlertReceived(alert) => tls(format!("`{server}` ended the TLS handshake: {alert:?}"))
            .hint("the server may want a client certificate, or an older TLS version"),
        error => tls(format!("no TLS connection to `{server}`: {error}")),
    }
}

/// What an alert means that came after the handshake. In TLS 1.3 a server looks at the client's
/// certificate only then, and what is left of the alert by then is text.
pub(crate) fn late_alert(text: &str, server: &str) -> Option<Failure> {
    text.strip_prefix("received fatal alert: ").map(|alert| alerted(alert, server))
}

fn alerted(alert: &str, server: &str) -> Failure {
    let failure = Failure::new(ErrorKind::Tls, format!("`{server}` refused TLS: {alert}"));
    if alert.contains("Certificate") || alert == "HandshakeFailure" {
        failure.hint("the server may want a client certificate, or another one")
    } else {
        failure
    }
}

fn certificate_failure(problem: &CertificateError, server: &str) -> Failure {
    use CertificateError as C;
    let tls = |message: String| Failure::new(ErrorKind::Tls, message);
    match problem {
        C::Expired | C::ExpiredContext { .. } => {
            tls(format!("the certificate of `{server}` has expired"))
                .hint("renew the server's certificate, and check this machine's clock")
        }
        C::NotValidYet | C::NotValidYetContext { .. } => {
            tls(format!("the certificate of `{server}` is not valid yet"))
                .hint("check this machine's clock")
        }
        C::UnknownIssuer => {
            tls(format!("the certificate of `{server}` is signed by an unknown authority"))
                .hint("set `ca` for this registry to the file of the authority's certificate (PEM)")
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => {
            tls(format!("the certificate of `{server}` is for another name: {problem}"))
                .hint("use the name that the certificate is for, or renew the certificate")
        }
        C::Revoked => tls(format!("the certificate of `{server}` was revoked")),
        problem => tls(format!("the certificate of `{server}` cannot be trusted: {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tls_error_inside_io_errors() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let nested = io::Error::other(io::Error::other(tls.clone()));
        assert_eq!(error_in(&nested), Some(&tls));
        assert_eq!(error_in(&io::Error::other("x")), None);
    }

    /// Only the module's own algorithms in a FIPS build.
    #[test]
    fn is_a_fips_configuration_in_a_fips_build() {
        let configuration = configuration(system_roots(), None).unwrap();
        assert_eq!(configuration.fips(), cfg!(feature = "fips"));
    }

    #[test]
    fn a_file_without_certificates_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let error = with_file(&system_roots(), Some(&file)).unwrap_err();
        assert!(matches!(error, SettingsError::Read { .. }), "{error}");
        std::fs::write(&file, "hello").unwrap();
        let error = with_file(&system_roots(), Some(&file)).unwrap_err().to_string();
        assert!(
            error.contains("ca.pem` is not a file of PEM certificates: it holds none"),
            "{error}"
        );
    }

    #[test]
    fn each_certificate_problem_has_its_words_and_next_step() {
        use CertificateError as C;
        for (problem, words, hint) in [
            (C::Expired, "has expired", Some("renew")),
            (C::UnknownIssuer, "unknown authority", Some("`ca`")),
            (C::NotValidForName, "another name", Some("name")),
        ] {
            let failure = failure(&rustls::Error::InvalidCertificate(problem), "r.example");
            let error = crate::Error::new("reading", failure);
            assert_eq!(error.kind(), ErrorKind::Tls);
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.hint().unwrap().contains(hint.unwrap()), "{error}");
        }
    }
}

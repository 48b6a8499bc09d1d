//! [`Authority`]: a private certificate authority, as companies have them.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// A certificate authority with its certificate in a file.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: PathBuf,
}

/// Whether a server's certificate may still be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    /// It may.
    Valid,
    /// Its time is over.
    Expired,
}

impl Authority {
    /// A new authority, whose certificate is written to `ca.crt` in the folder.
    pub fn new(folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "image-syncer interop authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificate = folder.join("ca.crt");
        std::fs::write(&certificate, issuer.pem()).unwrap();
        Self { issuer, certificate }
    }

    /// The authority's own certificate, in PEM.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Makes a certificate for a server on this machine; writes `server.crt` and `server.key`.
    pub fn issue(&self, folder: &Path, validity: Validity) -> (PathBuf, PathBuf) {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match validity {
            Validity::Valid => date_time_ymd(2120, 1, 1),
            Validity::Expired => date_time_ymd(2021, 1, 1),
        };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = (folder.join("server.crt"), folder.join("server.key"));
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

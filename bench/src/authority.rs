//! [`Authority`]: the certificate authority that all registries of a run are trusted by.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::error::{Context, Result};

/// Three PEM files: the authority's certificate, and the one of all registries with its key.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) trusted: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// A new one, with its files in this folder.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let (trusted, certificate, key) = issue().context(|| "making certificates".to_owned())?;
        let authority = Self {
            trusted: folder.join("ca.crt"),
            certificate: folder.join("registry.crt"),
            key: folder.join("registry.key"),
        };
        let files = [
            (&authority.trusted, trusted),
            (&authority.certificate, certificate),
            (&authority.key, key),
        ];
        for (path, content) in files {
            std::fs::write(path, content).context(|| format!("writing {}", path.display()))?;
        }
        Ok(authority)
    }
}

fn issue() -> std::result::Result<(String, String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "image-syncer bench authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "image-syncer bench registry");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((issuer.pem(), certificate.pem(), key.serialize_pem()))
}

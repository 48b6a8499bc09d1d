//! [`TrustedRoot`]: the authorities and logs that keyless signatures are judged by.

use std::fmt;
use std::path::{Path, PathBuf};

use sigstore_verify::trust_root;
use sigstore_verify::types::{Artifact, Bundle};
use sigstore_verify::{Error, VerificationPolicy, VerificationResult, Verifier};

/// A Sigstore trusted root (`trusted_root.json`, as `cosign trusted-root create` writes it, and as
/// `gh attestation trusted-root` prints it; media type
/// `application/vnd.dev.sigstore.trustedroot+json`), read once and judged by often.
///
/// Of the kinds of logs and authorities, what it names is demanded of every signature: with
/// transparency logs, inclusion in one; with certificate logs, that the certificate is in one. A root
/// without logs, as GitHub's for private repositories, demands a timestamp instead. A signature cannot
/// choose by what it is judged.
pub struct TrustedRoot {
    verifier: Verifier,
    policy: VerificationPolicy,
    logs: bool,
}

/// A trusted root that nothing can be judged by.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrustedRoot {
    /// It cannot be read.
    #[error("the trusted root {path}: {error}", path = path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// It is something else, or broken.
    #[error("not a Sigstore trusted root: {0}")]
    Malformed(String),
    /// Without certificate authorities every certificate is refused.
    #[error("the trusted root names no certificate authority")]
    NoCertificateAuthority,
    /// Without logs and timestamp authorities no time of signing can be proven.
    #[error("the trusted root names neither a transparency log nor a timestamp authority")]
    NoTime,
}

impl TrustedRoot {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or [`TrustedRoot::from_json`] refuses it.
    pub fn read(path: &Path) -> Result<Self, InvalidTrustedRoot> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| InvalidTrustedRoot::Unreadable { path: path.to_owned(), error })?;
        Self::from_json(&text)
    }

    /// The trusted root in this text.
    ///
    /// # Errors
    /// It is not a trusted root, has a key or certificate that cannot be used, or names too little to
    /// judge by.
    pub fn from_json(text: &str) -> Result<Self, InvalidTrustedRoot> {
        let root = trust_root::TrustedRoot::from_json(text)
            .map_err(|error| InvalidTrustedRoot::Malformed(error.to_string()))?;
        if root.certificate_authorities.is_empty() {
            return Err(InvalidTrustedRoot::NoCertificateAuthority);
        }
        let logs = !root.tlogs.is_empty();
        if !logs && root.timestamp_authorities.is_empty() {
            return Err(InvalidTrustedRoot::NoTime);
        }
        // Who may sign is decided on the outcome: the library knows no patterns and no lists.
        let mut policy = VerificationPolicy::any_identity();
        if !logs {
            policy = policy.skip_tlog_unsafe();
        }
        if root.ctlogs.is_empty() {
            policy = policy.skip_sct();
        }
        let verifier = Verifier::new(&root)
            .map_err(|error| InvalidTrustedRoot::Malformed(error.to_string()))?;
        Ok(Self { verifier, policy, logs })
    }

    /// Whether a signature must be in a transparency log.
    pub(super) fn demands_log(&self) -> bool {
        self.logs
    }

    pub(super) fn verify(
        &self,
        bundle: &Bundle,
        artifact: Artifact<'_>,
    ) -> Result<VerificationResult, Error> {
        self.verifier.verify(artifact, bundle, &self.policy)
    }
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedRoot").field("policy", &self.policy).finish_non_exhaustive()
    }
}

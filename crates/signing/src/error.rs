//! [`SigningError`]: why something could not be signed, or a key not be had.

use std::fmt;
use std::sync::Arc;

use credentials::cloud::{CloudError, CloudErrorKind};

/// A key or a signing service that failed. Cheap to clone, because one failure to read a key is that
/// of everyone who waited for it. Never carries a secret.
#[derive(Clone, Debug)]
pub struct SigningError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: SigningErrorKind,
    message: String,
    hint: Option<String>,
}

/// The class of a [`SigningError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SigningErrorKind {
    /// The key is there but not for us: no or wrong credentials, or a wrong password.
    Denied,
    /// There is no such key.
    NotFound,
    /// The service did not answer, or not usefully; the same may work at another time.
    Unreachable,
    /// A kind of key, algorithm or format that cannot be used here.
    Unsupported,
    /// A key or an answer that cannot be read.
    Invalid,
    /// A signature that the signer's own public key does not verify.
    BadSignature,
}

impl SigningError {
    /// An error with this message, a lower-case fragment.
    pub(crate) fn new(kind: SigningErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), hint: None }))
    }

    /// The same error, with what to do next.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        let Inner { kind, message, .. } = &*self.0;
        Self(Arc::new(Inner { kind: *kind, message: message.clone(), hint: Some(hint.into()) }))
    }

    /// The class of failure.
    pub fn kind(&self) -> SigningErrorKind {
        self.0.kind
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl From<CloudError> for SigningError {
    fn from(error: CloudError) -> Self {
        let kind = match error.kind() {
            CloudErrorKind::Denied => SigningErrorKind::Denied,
            CloudErrorKind::NotFound => SigningErrorKind::NotFound,
            CloudErrorKind::Unreachable => SigningErrorKind::Unreachable,
            CloudErrorKind::Unsupported => SigningErrorKind::Unsupported,
            CloudErrorKind::Invalid => SigningErrorKind::Invalid,
        };
        let own = Self::new(kind, error.to_string());
        match error.hint() {
            Some(hint) => own.with_hint(hint),
            None => own,
        }
    }
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for SigningError {}

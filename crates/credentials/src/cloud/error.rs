//! [`CloudError`]: why a cloud did not say or give what it was asked for.

use std::fmt;
use std::sync::Arc;

/// A cloud's service that failed, or an identity that cannot be had. Cheap to clone, because one failure
/// is that of everyone who waited for it. Never carries a secret.
#[derive(Clone, Debug)]
pub struct CloudError(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: CloudErrorKind,
    message: String,
    hint: Option<String>,
}

/// The class of a [`CloudError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CloudErrorKind {
    /// No or wrong credentials, or they are not allowed to do it.
    Denied,
    /// There is no such thing.
    NotFound,
    /// The service did not answer, or not usefully; the same may work at another time.
    Unreachable,
    /// A way to log in that cannot be used here.
    Unsupported,
    /// A setting or an answer that cannot be read.
    Invalid,
}

impl CloudError {
    /// An error with this message, a lower-case fragment.
    pub fn new(kind: CloudErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), hint: None }))
    }

    /// The same error, with what to do next.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self(Arc::new(Inner { hint: Some(hint.into()), ..(*self.0).clone() }))
    }

    /// The class of failure.
    pub fn kind(&self) -> CloudErrorKind {
        self.0.kind
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for CloudError {}

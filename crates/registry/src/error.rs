//! [`Error`]: what was asked of which registry, what happened, and what to do next.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// A request that failed.
///
/// It displays what was asked of which registry and what happened; [`Error::hint`] is the next
/// step, where one is known. Neither ever holds a secret.
#[derive(Clone)]
pub struct Error {
    asked: String,
    failure: Failure,
}

/// The class of a failure.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The registry does not know us: no credential, or a wrong one.
    Unauthorized,
    /// The registry knows us and forbids it.
    Denied,
    /// What the request needs is not there, such as the repository pushed to.
    NotFound,
    /// Too many requests; see [`Error::retry_after`].
    RateLimited,
    /// No connection, or one that broke or fell silent.
    Network,
    /// No connection that can be trusted.
    Tls,
    /// The registry failed.
    Server,
    /// The registry refused what it was given.
    Rejected,
    /// Content that is not what its digest and size say, or that could not be read.
    Content,
    /// An answer that is not what the distribution spec says, or not safe to follow.
    Protocol,
    /// The credential source failed.
    Credential,
    /// The registry, or this client, cannot do that.
    Unsupported,
}

impl Error {
    pub(crate) fn new(asked: impl Into<String>, failure: Failure) -> Self {
        Self { asked: asked.into(), failure }
    }

    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.failure.kind()
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.failure.0.hint.as_deref()
    }

    /// How long the registry asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure.0.retry_after
    }

    /// Whether the same may work at another time. The client has tried more than once already,
    /// except with what is streamed.
    pub fn is_temporary(&self) -> bool {
        self.failure.is_temporary()
    }

    /// The HTTP status that the registry answered.
    pub fn status(&self) -> Option<StatusCode> {
        self.failure.status()
    }

    /// The distribution spec's error code that the registry gave, such as `MANIFEST_BLOB_UNKNOWN`.
    pub fn code(&self) -> Option<&str> {
        self.failure.0.code.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, self.failure.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("asked", &self.asked)
            .field("failure", &self.failure.0)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failure.0.source.as_ref().map(|source| &**source as _)
    }
}

/// An error and what caused it, outermost first.
pub(crate) fn chain_of<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What happened, without what was asked. Cheap to clone, because one failure of a ping or a token
/// request is that of everyone who waited for it.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    temporary: bool,
    /// As many attempts were made as there may be.
    exhausted: bool,
    status: Option<StatusCode>,
    code: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure that will not pass.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            retry_after: None,
            temporary: false,
            exhausted: false,
            status: None,
            code: None,
            source: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// One that may pass.
    pub(crate) fn temporary(self) -> Self {
        self.with(|inner| inner.temporary = true)
    }

    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        self.with(|inner| inner.kind = kind)
    }

    /// One that was tried often enough, by whatever part of a request it comes from.
    pub(crate) fn exhausted(self) -> Self {
        self.with(|inner| inner.exhausted = true)
    }

    /// With what to do next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.with(|inner| inner.hint = Some(hint.into()))
    }

    pub(crate) fn retry_after(self, delay: Option<Duration>) -> Self {
        self.with(|inner| inner.retry_after = delay)
    }

    pub(crate) fn answered(self, status: StatusCode, code: Option<String>) -> Self {
        self.with(|inner| {
            inner.status = Some(status);
            inner.code = code;
        })
    }

    pub(crate) fn source(self, source: Box<dyn StdError + Send + Sync>) -> Self {
        self.with(|inner| inner.source = Some(Arc::from(source)))
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.0.temporary
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.0.exhausted
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    pub(crate) fn has_hint(&self) -> bool {
        self.0.hint.is_some()
    }

    /// Whether the registry answered with this status.
    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.0.status == Some(status)
    }
}

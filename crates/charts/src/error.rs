//! [`Error`]: which chart of which repository, what happened, and what to do next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong with a chart or a repository of charts.
///
/// It displays what was asked of whom and what happened; [`Error::hint`] is the next step, where one
/// is known. Neither ever holds a secret: URLs are shown without what stands before an `@` or after
/// a `?`.
#[derive(Clone, Debug)]
pub struct Error {
    asked: String,
    failure: Failure,
}

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// There is no such repository, chart or version.
    NotFound,
    /// The server knows us not, or forbids it.
    Denied,
    /// Too many requests; see [`Error::retry_after`].
    RateLimited,
    /// No connection, one that broke, or a server that failed.
    Unreachable,
    /// What the server has is not what it must be: an index that is none, an archive of another
    /// digest, name or version, or what no limit allows.
    Invalid,
    /// The index or the server sends us where we do not go.
    Refused,
    /// What is asked for cannot be done here, such as to read a URL that is no http.
    Unsupported,
}

impl Error {
    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.failure.kind()
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.failure.0.hint.as_deref()
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure.0.retry_after
    }

    /// Whether the same may work at another time. It was tried more than once already.
    pub fn is_temporary(&self) -> bool {
        self.failure.is_temporary()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, self.failure.0.message)
    }
}

impl std::error::Error for Error {}

/// What happened, without what was asked. An error itself, so that it can come through a reader.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    temporary: bool,
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
        }))
    }

    /// Content that is not what it must be.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).hint = Some(hint.into());
        self
    }

    /// The same, as one that may pass.
    pub(crate) fn temporary(mut self) -> Self {
        Arc::make_mut(&mut self.0).temporary = true;
        self
    }

    pub(crate) fn wait(mut self, retry_after: Option<Duration>) -> Self {
        Arc::make_mut(&mut self.0).retry_after = retry_after;
        self
    }

    /// The same, said of a part: `in what: …`.
    pub(crate) fn within(mut self, what: &str) -> Self {
        let message = &mut Arc::make_mut(&mut self.0).message;
        *message = format!("{what}: {message}");
        self
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.0.temporary
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The whole error: what was asked, and this.
    pub(crate) fn of(self, asked: impl Into<String>) -> Error {
        Error { asked: asked.into(), failure: self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Failure {}

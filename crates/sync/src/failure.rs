//! [`Failure`]: why something could not be done, on which side, and what to do next.

use std::fmt;

/// The side of a copy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// Where content comes from.
    Source,
    /// Where content goes to.
    Target,
}

/// What kind of failure it was; decides the exit code and what a person does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The credentials were refused, or there were none.
    Credentials,
    /// The credentials are known but not allowed to do this.
    Denied,
    /// What was asked for is not there.
    NotFound,
    /// A rate limit stood in the way for longer than a run waits.
    RateLimited,
    /// The other side could not be reached or went away.
    Network,
    /// The connection could not be made secure.
    Tls,
    /// The other side failed (5xx).
    Server,
    /// The other side refused the request itself.
    Rejected,
    /// The content is not what its digest or size says.
    Content,
    /// The content is of a kind that cannot be copied.
    Unsupported,
    /// The answer makes no sense in the protocol.
    Protocol,
    /// A local file or folder could not be read or written.
    Storage,
    /// The rules that select tags do not fit the tags that are there.
    Selection,
    /// A signature is not what is wanted: none by a key that is trusted, or one by somebody else.
    Signature,
    /// The key that signs is not for us.
    KeyDenied,
    /// The key that signs, or its service, could not be used.
    Key,
    /// The lock file that the run is held to does not have it.
    NotLocked,
    /// The plan that is carried out does not have it.
    NotPlanned,
    /// The run was stopped before it was done.
    Interrupted,
    /// The run's deadline came before it was done.
    Deadline,
}

/// A failure of one item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which side it happened on.
    pub side: Side,
    /// What kind of failure.
    pub class: Class,
    /// What happened, in one line.
    pub message: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
    /// Whether trying again at once may help.
    pub temporary: bool,
    /// Whether the target lacks something that a manifest names.
    pub content_unknown: bool,
}

impl Failure {
    /// A failure that trying again does not mend.
    pub fn new(side: Side, class: Class, message: impl Into<String>) -> Self {
        Self {
            side,
            class,
            message: message.into(),
            hint: None,
            temporary: false,
            content_unknown: false,
        }
    }

    /// The same, of what may work when it is tried again.
    pub(crate) fn again(self) -> Self {
        Self { temporary: true, ..self }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn registry(side: Side, error: &registry::Error) -> Self {
        use registry::ErrorKind as Kind;
        let class = match error.kind() {
            Kind::Unauthorized | Kind::Credential => Class::Credentials,
            Kind::Denied => Class::Denied,
            Kind::NotFound => Class::NotFound,
            Kind::RateLimited => Class::RateLimited,
            Kind::Network => Class::Network,
            Kind::Tls => Class::Tls,
            Kind::Server => Class::Server,
            Kind::Rejected => Class::Rejected,
            Kind::Content => Class::Content,
            Kind::Protocol => Class::Protocol,
            Kind::Unsupported => Class::Unsupported,
        };
        Self {
            side,
            class,
            message: with_causes(error),
            hint: error.hint().map(str::to_owned),
            temporary: error.is_temporary(),
            content_unknown: matches!(
                error.code(),
                Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN")
            ),
        }
    }

    /// What went wrong with a chart or its repository, which is a source.
    pub(crate) fn chart(error: &charts::Error) -> Self {
        use charts::ErrorKind as Kind;
        let class = match error.kind() {
            Kind::NotFound => Class::NotFound,
            Kind::Denied => Class::Credentials,
            Kind::RateLimited => Class::RateLimited,
            Kind::Unreachable => Class::Network,
            Kind::Invalid => Class::Content,
            Kind::Refused => Class::Rejected,
            Kind::Unsupported => Class::Unsupported,
        };
        let failure = Self::new(Side::Source, class, error.to_string());
        Self { hint: error.hint().map(str::to_owned), temporary: error.is_temporary(), ..failure }
    }

    pub(crate) fn layout(side: Side, error: &layout::Error) -> Self {
        let class = match error {
            layout::Error::Corrupt { .. }
            | layout::Error::WrongContent { .. }
            | layout::Error::Manifest { .. } => Class::Content,
            _ => Class::Storage,
        };
        Self::new(side, class, with_causes(error))
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.side, self.message)
    }
}

impl std::error::Error for Failure {}

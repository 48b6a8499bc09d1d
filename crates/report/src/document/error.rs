//! [`Error`]: why an item did not end well, as the report tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::hint::next_step;

/// Why an item did not end well.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Error {
    /// The side it happened on.
    pub side: ErrorSide,
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// What happened.
    pub message: String,
    /// What to do next, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A side of a copy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorSide {
    /// Where content comes from.
    Source,
    /// Where content goes to.
    Target,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
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

impl From<&sync::Failure> for Error {
    fn from(failure: &sync::Failure) -> Self {
        Self {
            side: match failure.side {
                sync::Side::Source => ErrorSide::Source,
                sync::Side::Target => ErrorSide::Target,
            },
            class: failure.class.into(),
            message: failure.message.clone(),
            hint: Some(next_step(failure).to_owned()),
        }
    }
}

impl From<sync::Class> for ErrorClass {
    fn from(class: sync::Class) -> Self {
        match class {
            sync::Class::Credentials => Self::Credentials,
            sync::Class::Denied => Self::Denied,
            sync::Class::NotFound => Self::NotFound,
            sync::Class::RateLimited => Self::RateLimited,
            sync::Class::Network => Self::Network,
            sync::Class::Tls => Self::Tls,
            sync::Class::Server => Self::Server,
            sync::Class::Rejected => Self::Rejected,
            sync::Class::Content => Self::Content,
            sync::Class::Unsupported => Self::Unsupported,
            sync::Class::Protocol => Self::Protocol,
            sync::Class::Storage => Self::Storage,
            sync::Class::Selection => Self::Selection,
            sync::Class::Signature => Self::Signature,
            sync::Class::KeyDenied => Self::KeyDenied,
            sync::Class::Key => Self::Key,
            sync::Class::Interrupted => Self::Interrupted,
            sync::Class::NotLocked => Self::NotLocked,
            sync::Class::NotPlanned => Self::NotPlanned,
            sync::Class::Deadline => Self::Deadline,
        }
    }
}

//! [`Error`]: why it could not be found out who we are, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cloud::{CloudError, CloudErrorKind};

/// A place of credentials that cannot be used. Never carries a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is there but cannot be read, or was named and is not there.
    #[error("cannot read the {what} from {}", file.display())]
    Read {
        /// What it should hold.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A place holds something that cannot be used.
    #[error("{place} cannot be used: {problem}")]
    Invalid {
        /// The file, or the variable.
        place: String,
        /// What is wrong with it, without its content.
        problem: String,
        /// What to do next.
        hint: String,
    },
    /// A credential helper is named but not installed.
    #[error("credential helper {program} is not in PATH; {named_by} names it for {server}")]
    HelperMissing {
        /// The program.
        program: String,
        /// Where it is named.
        named_by: String,
        /// What it was to be asked for.
        server: String,
    },
    /// A credential helper could not be run, or gave no usable answer.
    #[error("credential helper {program}, asked for {server}, {problem}")]
    Helper {
        /// The program.
        program: String,
        /// What it was asked for.
        server: String,
        /// What happened, with what it wrote to its standard error.
        problem: String,
    },
    /// A cloud that is meant gave nothing.
    #[error("{0}")]
    Cloud(CloudError),
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that this runs as read it".to_owned()
            }
            Self::Read { .. } => "correct the path, or create the file".to_owned(),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::HelperMissing { named_by, .. } => {
                format!("install it, add its folder to PATH, or take it out of {named_by}")
            }
            Self::Helper { program, server, .. } => {
                format!("try it by hand: `echo {server} | {program} get`")
            }
            Self::Cloud(error) => match (error.hint(), error.kind()) {
                (Some(hint), _) => hint.to_owned(),
                (None, CloudErrorKind::Unreachable) => "try again later".to_owned(),
                (None, _) => "set another `auth` for this registry".to_owned(),
            },
        }
    }
}

//! [`Note`]: what differs and is not changed.

use std::fmt;

use serde::Serialize;

use crate::{Encryption, ObservedEncryption};

/// Something about a repository that somebody should know and that nothing is done about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "note", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Note {
    /// The repository has a policy, and its file has none (any more).
    PolicyNotInFile {
        /// Which.
        policy: PolicyKind,
    },
    /// The repository is encrypted otherwise than the file says, for as long as it exists.
    OtherEncryption {
        /// What it has.
        has: ObservedEncryption,
        /// What the file says.
        wanted: Encryption,
    },
    /// The file names the key by an alias, which does not say whether it is the key that is used.
    KeyNotCompared {
        /// What the file says.
        alias: String,
        /// What is used.
        key: String,
    },
}

impl Note {
    /// Whether something that the file says is not so, and will not be.
    pub fn is_unmet(&self) -> bool {
        matches!(self, Self::OtherEncryption { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PolicyNotInFile { policy } => write!(
                f,
                "it has a {policy} that the file does not have; it is left, --prune-policies removes it"
            ),
            Self::OtherEncryption { has, wanted } => write!(
                f,
                "it is encrypted with {has}, and the file says {wanted}; ECR cannot change that: make \
                 another repository, or write what it has"
            ),
            Self::KeyNotCompared { alias, key } => write!(
                f,
                "whether `{}` is the key `{}`, with which it is encrypted, is not known; write the \
                 key's ARN",
                alias.escape_debug(),
                key.escape_debug()
            ),
        }
    }
}

/// Which of a repository's policies.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PolicyKind {
    /// Who may do what with it.
    Permission,
    /// Which of its images expire.
    Lifecycle,
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permission => "permission policy",
            Self::Lifecycle => "lifecycle policy",
        })
    }
}

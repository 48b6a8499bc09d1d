//! [`Outcome`]: the one thing that became of an item, whatever its kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::repositories::RepositoryOutcome;

/// The one thing that became of an item.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The target did not have the tag and has it now.
    Copied,
    /// The target does not have the tag; nothing was written.
    WouldCopy,
    /// The target had it already.
    UpToDate,
    /// The target's tag holds other content. It was left alone.
    Drift,
    /// The source's tag no longer points at the pinned digest; the target has what was pinned.
    SourceMoved,
    /// The source does not have it, and neither does the target.
    SourceMissing,
    /// The source no longer has it; the target still does.
    SourceLost,
    /// A policy forbids it.
    Refused,
    /// It could not be done.
    Failed,
    /// It was put off: a rate limit, the deadline, or the run was stopped before its turn.
    Deferred,
    /// A repository was created.
    Created,
    /// A repository was changed.
    Updated,
    /// A repository is not there; nothing was written.
    WouldCreate,
    /// A repository is not as it is to be; nothing was written.
    WouldUpdate,
}

impl Outcome {
    /// Every outcome, the most urgent first, the most welcome last.
    pub const ALL: [Self; 14] = [
        Self::Refused,
        Self::Drift,
        Self::Failed,
        Self::SourceMissing,
        Self::Deferred,
        Self::SourceLost,
        Self::SourceMoved,
        Self::WouldCreate,
        Self::WouldUpdate,
        Self::WouldCopy,
        Self::Created,
        Self::Updated,
        Self::Copied,
        Self::UpToDate,
    ];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::WouldCopy => "would-copy",
            Self::UpToDate => "up-to-date",
            Self::Drift => "drift",
            Self::SourceMoved => "source-moved",
            Self::SourceMissing => "source-missing",
            Self::SourceLost => "source-lost",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Deferred => "deferred",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::WouldCreate => "would-create",
            Self::WouldUpdate => "would-update",
        }
    }

    /// What it means, as a sentence without its end.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Copied => "the target did not have the tag and has it now",
            Self::WouldCopy => "the target does not have the tag; nothing was written",
            Self::UpToDate => "the target had it already",
            Self::Drift => "the target holds other content; it was left as it is",
            Self::SourceMoved => {
                "the source's tag no longer points at the pinned digest; the target has what was pinned"
            }
            Self::SourceMissing => "neither the source nor the target has it",
            Self::SourceLost => "the source no longer has it; the target still does",
            Self::Refused => "a policy forbids it",
            Self::Failed => "it could not be done",
            Self::Deferred => "it was put off; run again later",
            Self::Created => "the repository was created",
            Self::Updated => "the repository was changed",
            Self::WouldCreate => "the repository is not there; nothing was written",
            Self::WouldUpdate => "the repository is not as it is to be; nothing was written",
        }
    }

    /// The outcome of an image whose colour it shares.
    pub(crate) fn like(self) -> sync::Outcome {
        match self {
            Self::Copied | Self::Created | Self::Updated => sync::Outcome::Copied,
            Self::WouldCopy | Self::WouldCreate | Self::WouldUpdate => sync::Outcome::WouldCopy,
            Self::UpToDate => sync::Outcome::UpToDate,
            Self::Drift => sync::Outcome::Drift,
            Self::SourceMoved => sync::Outcome::SourceMoved,
            Self::SourceMissing => sync::Outcome::SourceMissing,
            Self::SourceLost => sync::Outcome::SourceLost,
            Self::Refused => sync::Outcome::Refused,
            Self::Failed => sync::Outcome::Failed,
            Self::Deferred => sync::Outcome::Deferred,
        }
    }

    /// How soon it must be looked at, 0 first.
    pub(crate) fn urgency(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).unwrap_or(Self::ALL.len())
    }
}

impl From<sync::Outcome> for Outcome {
    fn from(outcome: sync::Outcome) -> Self {
        match outcome {
            sync::Outcome::Copied => Self::Copied,
            sync::Outcome::WouldCopy => Self::WouldCopy,
            sync::Outcome::UpToDate => Self::UpToDate,
            sync::Outcome::Drift => Self::Drift,
            sync::Outcome::SourceMoved => Self::SourceMoved,
            sync::Outcome::SourceMissing => Self::SourceMissing,
            sync::Outcome::SourceLost => Self::SourceLost,
            sync::Outcome::Refused => Self::Refused,
            sync::Outcome::Failed => Self::Failed,
            sync::Outcome::Deferred => Self::Deferred,
        }
    }
}

impl From<RepositoryOutcome> for Outcome {
    fn from(outcome: RepositoryOutcome) -> Self {
        match outcome {
            RepositoryOutcome::Created => Self::Created,
            RepositoryOutcome::Updated => Self::Updated,
            RepositoryOutcome::UpToDate => Self::UpToDate,
            RepositoryOutcome::WouldCreate => Self::WouldCreate,
            RepositoryOutcome::WouldUpdate => Self::WouldUpdate,
            RepositoryOutcome::Drift => Self::Drift,
            RepositoryOutcome::Failed => Self::Failed,
            RepositoryOutcome::Deferred => Self::Deferred,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_there_once_with_its_name_of_json() {
        for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
            assert_eq!(outcome.urgency(), place, "{outcome:?} is there twice");
        }
    }
}

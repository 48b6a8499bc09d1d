//! The product's promise in one table: what is to be done about a wanted tag.
//!
//! Pure: it takes what both sides have and returns what to do. No network, no clock.

use oci::Digest;

use crate::Failure;

/// What the source was seen to have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceState {
    /// The wanted content.
    Found(Digest),
    /// The pinned content, under a tag that points elsewhere by now.
    Moved {
        /// The digest that is wanted.
        pinned: Digest,
        /// What the tag points at now; none if the tag is gone.
        now: Option<Digest>,
    },
    /// No such tag or digest.
    Missing,
    /// Something that a policy forbids to copy, with the reason.
    Refused(String),
    /// It could not be seen.
    Unreadable(Failure),
}

/// What the target's tag was seen to hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TargetState {
    /// Nothing: no such tag, or no such repository yet.
    Absent,
    /// This manifest.
    Holds(Digest),
    /// It could not be seen.
    Unreadable(Failure),
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Copy this, then tag it.
    Copy(Digest),
    /// Nothing.
    UpToDate(Digest),
    /// Nothing, and say so: the tag holds something else.
    Drift {
        /// What is wanted.
        source: Digest,
        /// What is there.
        target: Digest,
    },
    /// The pin decides; copy it unless the target has it, and say that the tag has moved.
    SourceMoved {
        /// The digest that is wanted.
        pinned: Digest,
        /// What the tag points at now; none if the tag is gone.
        now: Option<Digest>,
        /// Whether it is to be copied.
        copy: bool,
    },
    /// Nothing can be done, the source does not have it.
    SourceMissing,
    /// Nothing: the source has lost it, the target still has it.
    SourceLost {
        /// What the target has.
        target: Digest,
    },
    /// Nothing may be done, with the reason.
    Refused(String),
    /// Nothing can be done, a side could not be seen.
    Failed(Failure),
}

/// Decides about one wanted tag.
///
/// Drift goes before everything that is known of the source but a refusal: a target tag that holds
/// other content than wanted must never be hidden behind news of the source.
pub fn decide(source: &SourceState, target: &TargetState) -> Decision {
    use {SourceState as S, TargetState as T};
    match (source, target) {
        (S::Refused(reason), _) => Decision::Refused(reason.clone()),
        (S::Unreadable(failure), _) | (_, T::Unreadable(failure)) => {
            Decision::Failed(failure.clone())
        }
        (S::Found(source), T::Absent) => Decision::Copy(*source),
        (S::Found(source), T::Holds(target)) if source == target => Decision::UpToDate(*source),
        (S::Found(source), T::Holds(target)) => {
            Decision::Drift { source: *source, target: *target }
        }
        (S::Moved { pinned, .. }, T::Holds(target)) if pinned != target => {
            Decision::Drift { source: *pinned, target: *target }
        }
        (S::Moved { pinned, now }, target) => {
            Decision::SourceMoved { pinned: *pinned, now: *now, copy: matches!(target, T::Absent) }
        }
        (S::Missing, T::Absent) => Decision::SourceMissing,
        (S::Missing, T::Holds(target)) => Decision::SourceLost { target: *target },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, Side};

    const S: Digest = Digest::Sha256([1; 32]);
    const T: Digest = Digest::Sha256([2; 32]);
    const OTHER: Digest = Digest::Sha256([3; 32]);

    fn failure(side: Side) -> Failure {
        Failure::new(side, Class::Network, "unreachable")
    }

    #[test]
    fn found_absent_is_copied() {
        assert_eq!(decide(&SourceState::Found(S), &TargetState::Absent), Decision::Copy(S));
    }

    #[test]
    fn found_same_is_up_to_date() {
        assert_eq!(decide(&SourceState::Found(S), &TargetState::Holds(S)), Decision::UpToDate(S));
    }

    #[test]
    fn found_other_is_drift() {
        let decision = decide(&SourceState::Found(S), &TargetState::Holds(T));
        assert_eq!(decision, Decision::Drift { source: S, target: T });
    }

    #[test]
    fn moved_is_told_and_the_pin_decides() {
        for now in [Some(OTHER), None] {
            let moved = SourceState::Moved { pinned: S, now };
            for (target, copy) in [(TargetState::Absent, true), (TargetState::Holds(S), false)] {
                let expected = Decision::SourceMoved { pinned: S, now, copy };
                assert_eq!(decide(&moved, &target), expected);
            }
        }
    }

    #[test]
    fn moved_never_hides_drift() {
        let moved = SourceState::Moved { pinned: S, now: Some(T) };
        let decision = decide(&moved, &TargetState::Holds(T));
        assert_eq!(decision, Decision::Drift { source: S, target: T });
    }

    #[test]
    fn missing_absent_is_source_missing() {
        assert_eq!(decide(&SourceState::Missing, &TargetState::Absent), Decision::SourceMissing);
    }

    #[test]
    fn missing_present_is_source_lost() {
        let decision = decide(&SourceState::Missing, &TargetState::Holds(T));
        assert_eq!(decision, Decision::SourceLost { target: T });
    }

    #[test]
    fn refused_is_refused_whatever_the_target_has() {
        let targets = [
            TargetState::Absent,
            TargetState::Holds(S),
            TargetState::Unreadable(failure(Side::Target)),
        ];
        for target in targets {
            let decision = decide(&SourceState::Refused("unsigned".into()), &target);
            assert_eq!(decision, Decision::Refused("unsigned".into()));
        }
    }

    #[test]
    fn unreadable_is_failed_with_its_side() {
        for target in [TargetState::Absent, TargetState::Holds(S)] {
            let decision = decide(&SourceState::Unreadable(failure(Side::Source)), &target);
            assert_eq!(decision, Decision::Failed(failure(Side::Source)));
        }
        let sources = [
            SourceState::Found(S),
            SourceState::Missing,
            SourceState::Moved { pinned: S, now: None },
        ];
        for source in sources {
            let decision = decide(&source, &TargetState::Unreadable(failure(Side::Target)));
            assert_eq!(decision, Decision::Failed(failure(Side::Target)));
        }
    }
}

//! What becomes of a lock when its tags are looked at again, in one table. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use oci::Digest;

use super::{Lock, Locked};

/// What was seen of the tags that sync files want.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// By name, every wanted tag.
    pub tags: BTreeMap<String, Seen>,
    /// Repositories whose tags could not be listed: which of them are wanted is not known.
    pub unlisted: BTreeSet<String>,
}

/// What was seen of one tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// It points at this.
    At(Digest),
    /// It was not asked, or did not tell.
    Unknown,
}

/// What is to be told of one tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It was not locked and is now.
    Added {
        /// Its name.
        name: String,
        /// What it points at.
        digest: Digest,
    },
    /// Nobody wants it any more.
    Removed {
        /// Its name.
        name: String,
        /// What was locked.
        digest: Digest,
    },
    /// It has moved, and the lock follows.
    Updated {
        /// Its name.
        name: String,
        /// What was locked.
        from: Digest,
        /// What it points at.
        to: Digest,
    },
    /// It has moved, and the lock stays.
    Moved {
        /// Its name.
        name: String,
        /// What is locked.
        locked: Digest,
        /// What it points at.
        now: Digest,
    },
}

impl Change {
    /// Whether the lock is another one for it.
    pub fn is_written(&self) -> bool {
        !matches!(self, Self::Moved { .. })
    }
}

impl Lock {
    /// The lock after a look: what is missing is added, what nobody wants is removed, what has moved
    /// is followed where it is to be renewed. What could not be seen stays as it is.
    pub fn updated(
        &self,
        looked: &Looked,
        renew: impl Fn(&str) -> bool,
        now: Timestamp,
    ) -> (Self, Vec<Change>) {
        let (mut entries, mut changes) = (BTreeMap::new(), Vec::new());
        // A time to the second is all that a person reads in a diff.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let names: BTreeSet<&String> = self.entries.keys().chain(looked.tags.keys()).collect();
        for name in names {
            let (locked, wanted) = (self.entries.get(name), looked.tags.get(name));
            let entry = match (locked, wanted) {
                (Some(locked), None) if looked.may_want(name) => Some(*locked),
                (Some(locked), None) => {
                    changes.push(Change::Removed { name: name.clone(), digest: locked.digest });
                    None
                }
                (Some(locked), Some(Seen::At(digest))) if *digest != locked.digest => {
                    let (name, from, to) = (name.clone(), locked.digest, *digest);
                    if renew(&name) {
                        changes.push(Change::Updated { name, from, to });
                        Some(Locked { digest: to, seen: now })
                    } else {
                        changes.push(Change::Moved { name, locked: from, now: to });
                        Some(*locked)
                    }
                }
                (Some(locked), Some(_)) => Some(*locked),
                (None, Some(Seen::At(digest))) => {
                    changes.push(Change::Added { name: name.clone(), digest: *digest });
                    Some(Locked { digest: *digest, seen: now })
                }
                (None, Some(Seen::Unknown) | None) => None,
            };
            entries.extend(entry.map(|entry| (name.clone(), entry)));
        }
        (Self { entries }, changes)
    }
}

impl Looked {
    /// Whether a tag that is not known to be wanted may be.
    fn may_want(&self, name: &str) -> bool {
        name.rsplit_once(':').is_some_and(|(repository, _)| self.unlisted.contains(repository))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name, digest } => write!(f, "+ {name} {digest}"),
            Self::Removed { name, digest } => write!(f, "- {name} {digest}"),
            Self::Updated { name, from, to } => write!(f, "~ {name} {from} -> {to}"),
            Self::Moved { name, locked, now } => {
                write!(f, "! {name} is locked to {locked} and points at {now} now")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Digest = Digest::Sha256([1; 32]);
    const T: Digest = Digest::Sha256([2; 32]);
    const NAME: &str = "a.io/b:1";

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn lock(digest: Option<Digest>) -> Lock {
        let locked = digest.map(|digest| (NAME.to_owned(), Locked { digest, seen: time(1) }));
        Lock { entries: locked.into_iter().collect() }
    }

    #[test]
    fn every_combination_has_its_end() {
        let name = || NAME.to_owned();
        let added = Change::Added { name: name(), digest: S };
        let removed = Change::Removed { name: name(), digest: S };
        let updated = Change::Updated { name: name(), from: S, to: T };
        let moved = Change::Moved { name: name(), locked: S, now: T };
        let (seen, other, unknown) = (Some(Seen::At(S)), Some(Seen::At(T)), Some(Seen::Unknown));
        // What is locked, what is wanted, whether it is renewed: what is locked then and since when.
        let table = [
            (None, None, false, None, None),
            (None, seen, false, Some((S, 9)), Some(added.clone())),
            (None, seen, true, Some((S, 9)), Some(added)),
            (None, unknown, true, None, None),
            (Some(S), seen, false, Some((S, 1)), None),
            (Some(S), seen, true, Some((S, 1)), None),
            (Some(S), unknown, true, Some((S, 1)), None),
            (Some(S), other, false, Some((S, 1)), Some(moved)),
            (Some(S), other, true, Some((T, 9)), Some(updated)),
            (Some(S), None, false, None, Some(removed)),
        ];
        for (locked, wanted, renew, expected, change) in table {
            let tags = wanted.map(|wanted| (name(), wanted)).into_iter().collect();
            let looked = Looked { tags, unlisted: BTreeSet::new() };
            let (after, changes) = lock(locked).updated(&looked, |_| renew, time(9));
            let case = format!("{locked:?} {wanted:?} {renew}");
            let after = after.entries.get(NAME).map(|entry| (entry.digest, entry.seen.as_second()));
            assert_eq!((after, changes), (expected, change.into_iter().collect()), "{case}");
        }
    }

    #[test]
    fn what_could_not_be_listed_is_kept() {
        let unlisted = |name: &str| Looked {
            unlisted: BTreeSet::from([name.to_owned()]),
            ..Looked::default()
        };
        let kept = lock(Some(S)).updated(&unlisted("a.io/b"), |_| true, time(9));
        assert_eq!(kept, (lock(Some(S)), Vec::new()));
        let (removed, _) = lock(Some(S)).updated(&unlisted("a.io/c"), |_| true, time(9));
        assert!(removed.is_empty());
    }

    #[test]
    fn only_what_moved_alone_leaves_the_lock_as_it_is() {
        let name = NAME.to_owned();
        assert!(!Change::Moved { name: name.clone(), locked: S, now: T }.is_written());
        assert!(Change::Updated { name, from: S, to: T }.is_written());
    }
}

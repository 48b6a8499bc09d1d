//! [`Locks`]: the locks that a run is held to, and what it makes of what is wanted.
//!
//! A locked tag is wanted by its digest. What is not locked is not copied: who named it has to lock
//! it, and what rules match since is news.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::{Selection, Source};

use super::Lock;
use crate::{Class, Failure, Origin, Side, Wanted};

/// The locks of a run, by the sync file that each is for, as the file was given.
#[derive(Clone, Debug, Default)]
pub struct Locks(BTreeMap<String, Arc<Lock>>);

impl FromIterator<(String, Arc<Lock>)> for Locks {
    fn from_iter<I: IntoIterator<Item = (String, Arc<Lock>)>>(locks: I) -> Self {
        Self(locks.into_iter().collect())
    }
}

impl Locks {
    /// Whether nothing is locked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lock that what is asked for there is held to.
    pub fn of(&self, origin: Option<&Origin>) -> Option<&Lock> {
        self.0.get(&origin?.file).map(Arc::as_ref)
    }

    /// Makes a tag that is locked wanted by its digest.
    pub(crate) fn pin(&self, wanted: &mut Wanted) -> Result<(), Failure> {
        let Some(lock) = self.of(wanted.origin.as_ref()) else { return Ok(()) };
        wanted.source = pinned(lock, &wanted.source).ok_or_else(|| not_locked(&wanted.source))?;
        Ok(())
    }
}

/// A source by the digest that is locked; what has a digest of its own stays as it is.
fn pinned(lock: &Lock, source: &Source) -> Option<Source> {
    let Selection::Tag(tag) = &source.selection else { return Some(source.clone()) };
    let digest = lock.of(source)?.digest;
    let selection = Selection::Pinned { tag: tag.clone(), digest };
    Some(Source { location: source.location.clone(), selection })
}

fn not_locked(source: &Source) -> Failure {
    let message = format!("`{source}` is not in the lock file");
    Failure::new(Side::Source, Class::NotLocked, message)
        .with_hint("`image-syncer lock` adds it, for the change to be looked at")
}

#[cfg(test)]
mod tests {
    use oci::{Digest, Extent, Reference};

    use super::*;
    use crate::WantedSignatures;

    fn wanted(source: &str, file: &str) -> Wanted {
        Wanted {
            source: source.parse::<Reference>().unwrap().try_into().unwrap(),
            written: source.to_owned(),
            extent: Extent::Whole,
            target: "m.io/b:1".parse::<Reference>().unwrap().try_into().unwrap(),
            lists_images: false,
            signatures: WantedSignatures::default(),
            origin: Some(Origin { file: file.to_owned(), line: 2 }),
        }
    }

    #[test]
    fn a_locked_tag_is_wanted_by_its_digest() {
        let (locked, own) = (Digest::sha256(b"locked"), Digest::sha256(b"own"));
        let lock: Lock = format!("a.io/b:1 {locked} 2026-11-21T08:00:00Z").parse().unwrap();
        let locks: Locks = [("a.yaml".to_owned(), Arc::new(lock))].into_iter().collect();
        let table = [
            ("a.io/b:1", "a.yaml", Some(format!("a.io/b:1@{locked}"))),
            ("a.io/b:2", "a.yaml", None),
            // Another file has no lock.
            ("a.io/b:2", "b.yaml", Some("a.io/b:2".to_owned())),
            (&format!("a.io/b@{own}"), "a.yaml", Some(format!("a.io/b@{own}"))),
            (&format!("a.io/b:2@{own}"), "a.yaml", Some(format!("a.io/b:2@{own}"))),
        ];
        for (source, file, expected) in table {
            let mut wanted = wanted(source, file);
            match (locks.pin(&mut wanted), expected) {
                (Ok(()), Some(expected)) => assert_eq!(wanted.source.to_string(), expected),
                (Err(failure), None) => assert_eq!(failure.class, Class::NotLocked),
                other => panic!("{source} {file}: {other:?}"),
            }
        }
    }
}

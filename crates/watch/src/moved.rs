//! [`Moved`]: what a registry says was pushed, and which wanted things that concerns.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Digest, Host, Location, Repository, Selection, Source, Tag};

/// Something that was pushed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moved {
    /// The registry, by the name that sync files have for it.
    pub host: Host,
    /// The repository in it.
    pub repository: Repository,
    /// The tag that was pushed; none for a push by digest, such as that of a referrer.
    pub tag: Option<Tag>,
    /// What the tag points at now, where that is told.
    pub digest: Option<Digest>,
}

impl Moved {
    /// Whether a wanted image comes from there.
    ///
    /// A push without a tag may be a signature of any image of the repository, so it concerns all of
    /// them; so does one of cosign's tags. A source that is a digest alone cannot move: it is
    /// concerned by the push of that very digest, and of what may belong to it.
    pub fn concerns(&self, source: &Source) -> bool {
        if !self.concerns_repository(&source.location) {
            return false;
        }
        let Some(tag) = self.tag.as_ref().filter(|tag| !names_a_digest(tag)) else { return true };
        let (wanted_tag, wanted_digest) = match &source.selection {
            Selection::Tag(wanted) => (Some(wanted), None),
            Selection::Digest(wanted) => (None, Some(wanted)),
            Selection::Pinned { tag, digest } => (Some(tag), Some(digest)),
        };
        wanted_tag == Some(tag) || wanted_digest.is_some() && self.digest.as_ref() == wanted_digest
    }

    /// Whether it was pushed to this repository.
    pub fn concerns_repository(&self, location: &Location) -> bool {
        match location {
            Location::Registry { host, repository } => {
                (host, repository) == (&self.host, &self.repository)
            }
            Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => false,
        }
    }
}

/// Whether a tag is of the form by which things are found that belong to a digest: that of the
/// distribution spec's referrers list, and those of cosign with an ending.
fn names_a_digest(tag: &Tag) -> bool {
    tag.as_str().split_once('-').is_some_and(|(algorithm, rest)| {
        let hex = rest.split('.').next().unwrap_or_default();
        ["sha256", "sha512"].contains(&algorithm)
            && hex.len() >= 64
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// So many tags of one repository are told apart; more are the repository as a whole.
const TAGS_APART: usize = 256;

/// So many repositories are kept; who has more waiting has his next turn soon enough.
const REPOSITORIES: usize = 10_000;

/// Pushes that wait for their run, one of each: what is pushed twice is synced once, and a flood of
/// pushes takes no more memory than the images that are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    repositories: BTreeMap<(Host, Repository), Pushes>,
}

#[derive(Clone, Debug, Default)]
struct Pushes {
    tags: BTreeMap<Tag, Option<Digest>>,
    /// Digests that were pushed without a tag. The children of an index are pushed so, each before
    /// the index: where tags came as well, these are left out.
    has_untagged: bool,
    is_whole: bool,
}

impl Gathered {
    pub(crate) fn len(&self) -> usize {
        self.repositories.values().map(|pushes| pushes.tags.len().max(1)).sum()
    }

    pub(crate) fn add(&mut self, moved: Moved) {
        let key = (moved.host, moved.repository);
        if self.repositories.len() >= REPOSITORIES && !self.repositories.contains_key(&key) {
            tracing::warn!(
                "too many repositories wait for their run; a push was left to the schedule"
            );
            return;
        }
        let pushes = self.repositories.entry(key).or_default();
        match moved.tag {
            _ if pushes.is_whole => {}
            None => pushes.has_untagged = true,
            Some(tag) => {
                pushes.tags.insert(tag, moved.digest);
                if pushes.tags.len() > TAGS_APART {
                    pushes.tags.clear();
                    pushes.is_whole = true;
                }
            }
        }
    }

    /// All of them, each once.
    pub(crate) fn take(&mut self) -> BTreeSet<Moved> {
        let mut all = BTreeSet::new();
        for ((host, repository), pushes) in std::mem::take(&mut self.repositories) {
            let moved = |tag, digest| Moved {
                host: host.clone(),
                repository: repository.clone(),
                tag,
                digest,
            };
            if pushes.tags.is_empty() {
                all.insert(moved(None, None));
            }
            all.extend(pushes.tags.into_iter().map(|(tag, digest)| moved(Some(tag), digest)));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use oci::Reference;

    use super::*;

    fn moved(text: &str) -> Moved {
        let reference: Reference = text.parse().unwrap();
        let Location::Registry { host, repository } = reference.location else { panic!("{text}") };
        Moved { host, repository, tag: reference.tag, digest: reference.digest }
    }

    fn source(text: &str) -> Source {
        text.parse::<Reference>().unwrap().try_into().unwrap()
    }

    #[test]
    fn a_push_concerns_what_comes_from_there() {
        let (one, two) = (Digest::sha256(b"one"), Digest::sha256(b"two"));
        let pinned = format!("a.io/b:1@{one}");
        let by_digest = format!("a.io/b@{one}");
        let hex = "0".repeat(64);
        let table = [
            ("a.io/b:1".to_owned(), "a.io/b:1", true),
            ("a.io/b:1".to_owned(), "a.io/b:2", false),
            ("a.io/b:1".to_owned(), "a.io/c:1", false),
            ("a.io:80/b:1".to_owned(), "a.io/b:1", false),
            ("nginx:1".to_owned(), "docker.io/library/nginx:1", true),
            (format!("a.io/b:1@{two}"), &pinned, true),
            (format!("a.io/b:2@{one}"), &pinned, true),
            (format!("a.io/b:2@{two}"), &pinned, false),
            (format!("a.io/b:2@{one}"), &by_digest, true),
            (format!("a.io/b:2@{two}"), &by_digest, false),
            ("a.io/b".to_owned(), "a.io/b:1", true),
            (format!("a.io/b@{two}"), "a.io/b:1", true),
            (format!("a.io/b:sha256-{hex}.sig"), "a.io/b:1", true),
            (format!("a.io/b:sha256-{hex}"), &by_digest, true),
            ("a.io/b:sha256-1".to_owned(), "a.io/b:1", false),
            ("a.io/b:1".to_owned(), "oci:b:1", false),
        ];
        for (pushed, wanted, concerned) in table {
            assert_eq!(moved(&pushed).concerns(&source(wanted)), concerned, "{pushed}, {wanted}");
        }
    }

    #[test]
    fn what_is_pushed_twice_waits_once_and_a_flood_is_the_repository() {
        let mut gathered = Gathered::default();
        let digest = Digest::sha256(b"child");
        for text in ["a.io/b:1", "a.io/b:1", "a.io/b:2", &format!("a.io/b@{digest}"), "a.io/c"] {
            gathered.add(moved(text));
        }
        assert_eq!(gathered.len(), 3);
        let all: Vec<Moved> = gathered.take().into_iter().collect();
        assert_eq!(all, [moved("a.io/b:1"), moved("a.io/b:2"), moved("a.io/c")]);
        assert_eq!(gathered.len(), 0);
        (0..100_000).for_each(|tag| gathered.add(moved(&format!("a.io/b:{tag}"))));
        assert_eq!(gathered.len(), 1);
        assert_eq!(gathered.take().into_iter().collect::<Vec<_>>(), [moved("a.io/b")]);
    }
}

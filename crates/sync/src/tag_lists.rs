//! [`TagLists`]: each repository's tags are listed once in a run at most.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Digest, Location, Tag};
use registry::TagList;
use tokio::sync::OnceCell;

use crate::place::Place;
use crate::{Failure, Side, Wanted, neighbour};

/// The tags of the run's repositories, as they were when first asked for.
pub(crate) struct TagLists {
    wanted: HashMap<(Side, Location), HashSet<Tag>>,
    lists: Mutex<HashMap<(Side, Location), List>>,
}

type List = Arc<OnceCell<Result<Arc<Tags>, Failure>>>;

/// Of so many new tags of a repository at most the neighbours are looked for, each among all that
/// are there. More of them are neighbours of each other.
const WITH_NEIGHBOURS: usize = 32;

/// What a run may ask of a repository's tags: those that are wanted there, those beside them, and
/// those that are named after a digest. No other is kept, so it stays small where repositories are
/// large.
#[derive(Debug)]
pub(crate) struct Tags {
    /// With what they point at, where the list tells.
    kept: HashMap<Tag, Option<Digest>>,
    /// The tag beside each that is wanted and not there.
    neighbours: HashMap<Tag, Tag>,
    are_none: bool,
}

impl Tags {
    fn kept_of(listed: TagList, wanted: Option<&HashSet<Tag>>) -> Self {
        let is_kept =
            |tag: &Tag| is_of_digest(tag) || wanted.is_some_and(|wanted| wanted.contains(tag));
        let are_none = listed.tags.is_empty();
        let there: HashSet<&Tag> = listed.tags.iter().collect();
        let absent = wanted.into_iter().flatten().filter(|tag| !there.contains(tag));
        let absent: Vec<&Tag> = absent.collect();
        let few = if absent.len() <= WITH_NEIGHBOURS { absent } else { Vec::new() };
        let beside = few.into_iter().filter_map(|tag| {
            let others = listed.tags.iter().filter(|other| !is_of_digest(other));
            Some((tag.clone(), neighbour::of(tag, others)?.clone()))
        });
        let neighbours = beside.collect();
        let digests = listed.digests;
        let kept = listed.tags.into_iter().filter(is_kept);
        let kept = kept.map(|tag| {
            let digest = digests.get(&tag).copied();
            (tag, digest)
        });
        Self { kept: kept.collect(), neighbours, are_none }
    }

    /// The tag beside one that is wanted and not there.
    pub(crate) fn neighbour(&self, tag: &Tag) -> Option<&Tag> {
        self.neighbours.get(tag)
    }

    /// Whether the repository has this tag, which is wanted there or named after a digest.
    pub(crate) fn contains(&self, tag: &Tag) -> bool {
        self.kept.contains_key(tag)
    }

    /// What the list says that this tag points at.
    pub(crate) fn digest(&self, tag: &Tag) -> Option<Digest> {
        self.kept.get(tag).copied().flatten()
    }

    /// Whether the repository has no tag at all.
    pub(crate) fn are_none(&self) -> bool {
        self.are_none
    }
}

/// Whether a tag is named after a digest, as fallback tags and cosign's are.
fn is_of_digest(tag: &Tag) -> bool {
    ["sha256-", "sha512-"].iter().any(|prefix| tag.as_str().starts_with(prefix))
}

/// What cosign keeps in a tag of an image's digest.
pub(crate) const COSIGN_KINDS: [&str; 3] = ["sig", "att", "sbom"];

impl TagLists {
    /// The lists of a run in which this is wanted, and for which these sources were listed already.
    pub(crate) fn new(wanted: &[Arc<Wanted>], listed: Vec<(Location, TagList)>) -> Self {
        let mut tags: HashMap<(Side, Location), HashSet<Tag>> = HashMap::new();
        for wanted in wanted {
            let (source, target) = (&wanted.source, &wanted.target);
            let place = (Side::Target, target.location.clone());
            tags.entry(place).or_default().insert(target.tag.clone());
            if let Some(tag) = source.selection.tag() {
                let place = (Side::Source, source.location.clone());
                tags.entry(place).or_default().insert(tag.clone());
            }
        }
        let known = listed.into_iter().map(|(location, list)| {
            let key = (Side::Source, location);
            let known = Tags::kept_of(list, tags.get(&key));
            (key, Arc::new(OnceCell::new_with(Some(Ok(Arc::new(known))))))
        });
        let lists = Mutex::new(known.collect());
        Self { wanted: tags, lists }
    }

    /// How many tags of a place the run is about.
    pub(crate) fn wanted_of(&self, place: &Place) -> usize {
        self.wanted.get(&place.key()).map_or(0, HashSet::len)
    }

    /// The tags of a place.
    pub(crate) async fn of(&self, place: &Place) -> Result<Arc<Tags>, Failure> {
        let list = {
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lists.entry(place.key()).or_default())
        };
        let read = || async {
            let listed = place.tags().await?;
            Ok(Arc::new(Tags::kept_of(listed, self.wanted.get(&place.key()))))
        };
        list.get_or_init(read).await.clone()
    }
}

/// The tag where cosign keeps what it has of one kind for an image (cosign's
/// `specs/SIGNATURE_SPEC.md`); none where it would be too long for a tag.
pub(crate) fn cosign_tag(image: &Digest, kind: &str) -> Option<Tag> {
    format!("{}-{}.{kind}", image.algorithm(), image.hex()).parse().ok()
}

/// The artifact type that cosign gives to the same thing where it makes a referrer of it.
pub(crate) fn cosign_type(kind: &str) -> String {
    format!("application/vnd.dev.cosign.artifact.{kind}.v1+json")
}

#[cfg(test)]
mod tests {
    use oci::Algorithm;

    use super::*;

    #[test]
    fn cosign_names_tags_after_digests() {
        let digest = Digest::sha256(b"x");
        let tag = cosign_tag(&digest, "sig").unwrap();
        assert_eq!(tag.as_str(), format!("sha256-{}.sig", digest.hex()));
        assert_eq!(cosign_tag(&Digest::of(Algorithm::Sha512, b"x"), "sig"), None);
    }
}

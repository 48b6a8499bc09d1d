//! [`TagLists`]: each repository's tags are listed once in a run at most.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Digest, Location, Tag};
use tokio::sync::OnceCell;

use crate::place::Place;
use crate::{Failure, Side};

/// The tags of the run's repositories that are named after a digest. There are no other tags in
/// it, so it stays small where repositories are large.
#[derive(Default)]
pub(crate) struct TagLists {
    lists: Mutex<HashMap<(Side, Location), List>>,
}

type List = Arc<OnceCell<Result<Arc<HashSet<Tag>>, Failure>>>;

/// What cosign keeps in a tag of an image's digest.
pub(crate) const COSIGN_KINDS: [&str; 3] = ["sig", "att", "sbom"];

impl TagLists {
    /// The tags of a place that are named after a digest, as they were when first asked for.
    pub(crate) async fn of(&self, place: &Place) -> Result<Arc<HashSet<Tag>>, Failure> {
        let list = {
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (place.side(), place.location().clone());
            Arc::clone(lists.entry(key).or_default())
        };
        let read = || async {
            let mut tags: HashSet<Tag> = place.tags().await?.into_iter().collect();
            tags.retain(|tag| {
                tag.as_str().starts_with("sha256-") || tag.as_str().starts_with("sha512-")
            });
            tags.shrink_to_fit();
            Ok(Arc::new(tags))
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

//! The neighbour of a tag that is still to come: the tag beside it that most likely stands for an
//! older version of the same image. What its manifest names need not be asked for blob by blob.

use std::cmp::Ordering;
use std::collections::HashSet;

use futures::future::join_all;
use oci::{Descriptor, Digest, Manifest, Platform, Selector, Tag};

use crate::closure::Closure;
use crate::needed::Needed;
use crate::place::Place;

/// So many blobs a manifest read must save asking for, at least.
const WORTH_A_MANIFEST: usize = 2;

/// The tag among those listed that is most like one that is not: of the same shape
/// (`1.27.1-alpine` beside `1.27.2-alpine`), and the next older by its numbers.
pub(crate) fn of<'a>(wanted: &Tag, listed: impl Iterator<Item = &'a Tag>) -> Option<&'a Tag> {
    let wanted = wanted.as_str();
    listed.max_by(|one, two| likeness(wanted, one.as_str(), two.as_str()))
}

/// Which of two tags is more like the wanted one.
fn likeness(wanted: &str, one: &str, two: &str) -> Ordering {
    let shape = |tag| same_shape(wanted, tag);
    let is_older = |tag| by_numbers(tag, wanted) == Ordering::Less;
    shape(one).cmp(&shape(two)).then_with(|| is_older(one).cmp(&is_older(two))).then_with(|| {
        let order = by_numbers(one, two);
        if is_older(one) { order } else { order.reverse() }
    })
}

/// A tag in runs of digits and of all else.
fn parts(tag: &str) -> impl Iterator<Item = (Option<u64>, &[u8])> {
    let parts = tag.as_bytes().chunk_by(|one, two| one.is_ascii_digit() == two.is_ascii_digit());
    parts.map(|part| (str::from_utf8(part).ok().and_then(|part| part.parse().ok()), part))
}

fn same_shape(one: &str, two: &str) -> bool {
    let shape =
        |(number, part): (Option<u64>, _)| -> &[u8] { if number.is_some() { b"0" } else { part } };
    parts(one).map(shape).eq(parts(two).map(shape))
}

fn by_numbers(one: &str, two: &str) -> Ordering {
    parts(one).cmp(parts(two))
}

/// The needed blobs that the image at a neighbouring tag is made of as well. None where reading it
/// would cost more than it saves, or where it cannot be read: it is only a short cut.
pub(crate) async fn shares(
    place: &Place,
    neighbour: &Tag,
    closure: &Closure,
    needed: &Needed<'_>,
) -> HashSet<Digest> {
    let platforms = platforms(closure);
    if needed.blobs.len() < WORTH_A_MANIFEST * (1 + platforms.len()) {
        return HashSet::new();
    }
    let Ok(Some(root)) = place.manifest(Selector::Tag(neighbour.clone())).await else {
        return HashSet::new();
    };
    let alike = root.manifests().filter(|child| {
        child.platform.as_ref().is_some_and(|platform| platforms.contains(platform))
    });
    let alike: Vec<Digest> = alike.map(|child| child.digest).take(platforms.len()).collect();
    let children = alike.into_iter().map(|child| place.manifest(Selector::Digest(child)));
    let children = join_all(children).await.into_iter().flatten().flatten();
    let named = children.chain([root]).flat_map(|manifest| blobs_of(&manifest));
    let named = named.map(|blob| blob.digest);
    named.filter(|blob| needed.blobs.contains(blob)).collect()
}

/// The blobs that a manifest vouches for: not those that registries need not hold.
fn blobs_of(manifest: &Manifest) -> Vec<Descriptor> {
    let held = manifest.blobs().filter(|blob| !blob.media_type.is_foreign_layer());
    held.cloned().collect()
}

/// The platforms of the images in an index; of an attestation nothing is known to stay.
fn platforms(closure: &Closure) -> HashSet<&Platform> {
    let children = closure.root().into_iter().flat_map(Manifest::manifests);
    let platforms = children.filter_map(|child| child.platform.as_ref());
    platforms.filter(|platform| platform.os != "unknown").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_older_tag_of_the_same_shape_is_the_neighbour() {
        let table: &[(&str, &[&str], Option<&str>)] = &[
            ("2", &["0", "1", "10"], Some("1")),
            ("1.27.2", &["1.27.1", "1.27.10", "1.26.9"], Some("1.27.1")),
            ("1.27.2-alpine", &["1.27.1", "1.26.0-alpine", "1.27.2"], Some("1.26.0-alpine")),
            ("1.0", &["1.2", "1.1", "latest"], Some("1.1")),
            ("v3", &["latest"], Some("latest")),
            ("20260101", &["20251231", "20250101"], Some("20251231")),
            ("99999999999999999999999", &["1"], Some("1")),
            ("1", &[], None),
        ];
        for (wanted, listed, neighbour) in table {
            let listed: Vec<Tag> = listed.iter().map(|tag| tag.parse().unwrap()).collect();
            let found = of(&wanted.parse().unwrap(), listed.iter()).map(Tag::as_str);
            assert_eq!(found, *neighbour, "{wanted} among {listed:?}");
        }
    }
}

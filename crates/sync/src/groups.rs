//! Which items are walked together: those of one source, because it is read once for all its
//! targets, and those with one archive as their target, because an archive appears only whole.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use oci::{Extent, Location, Source};

use crate::{ItemId, Wanted};

/// Items that want the same of the same source, in the order wanted.
pub(crate) type SameSource = Vec<(ItemId, Arc<Wanted>)>;

/// The items of a run, in groups that can be walked independently of each other; within a group
/// those of one source are together.
pub(crate) fn of(wanted: &[Arc<Wanted>]) -> Vec<Vec<SameSource>> {
    let mut groups: Vec<Vec<SameSource>> = Vec::new();
    let mut archives: HashMap<&Path, usize> = HashMap::new();
    for same_source in by_source(wanted) {
        let files = same_source.iter().filter_map(|(id, _)| archive(wanted.get(id.0)?));
        let mut touched: Vec<usize> =
            files.clone().filter_map(|file| archives.get(file).copied()).collect();
        touched.sort_unstable();
        touched.dedup();
        let home = touched.first().copied().unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        archives.extend(files.map(|file| (file, home)));
        // Archives that shared no source until now do so from here on.
        for other in touched.into_iter().skip(1) {
            let moved = groups.get_mut(other).map(std::mem::take).unwrap_or_default();
            groups.get_mut(home).into_iter().for_each(|group| group.extend(moved.clone()));
            archives.values_mut().filter(|group| **group == other).for_each(|group| *group = home);
        }
        if let Some(group) = groups.get_mut(home) {
            group.push(same_source);
        }
    }
    groups.retain(|group| !group.is_empty());
    groups
}

fn by_source(wanted: &[Arc<Wanted>]) -> Vec<SameSource> {
    let mut sources: HashMap<(&Source, &Extent), usize> = HashMap::new();
    let mut lists: Vec<SameSource> = Vec::new();
    for (number, wanted) in wanted.iter().enumerate() {
        let list = *sources.entry((&wanted.source, &wanted.extent)).or_insert_with(|| {
            lists.push(Vec::new());
            lists.len() - 1
        });
        if let Some(list) = lists.get_mut(list) {
            list.push((ItemId(number), Arc::clone(wanted)));
        }
    }
    lists
}

fn archive(wanted: &Wanted) -> Option<&Path> {
    match &wanted.target.location {
        Location::Archive(file) => Some(file),
        Location::Registry { .. } | Location::Layout(_) | Location::Chart(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use oci::{Extent, Reference};

    use super::*;

    fn numbers(pairs: &[(&str, &str)]) -> Vec<Vec<Vec<usize>>> {
        let wanted = pairs.iter().map(|(source, target)| {
            let parse = |text: &str| text.parse::<Reference>().unwrap();
            Arc::new(Wanted {
                source: parse(source).try_into().unwrap(),
                written: (*source).to_owned(),
                extent: Extent::Whole,
                lists_images: false,
                signatures: crate::WantedSignatures::default(),
                target: parse(target).try_into().unwrap(),
                origin: None,
            })
        });
        let groups = of(&wanted.collect::<Vec<_>>());
        let plain = |list: SameSource| list.into_iter().map(|(id, _)| id.0).collect();
        groups.into_iter().map(|group| group.into_iter().map(plain).collect()).collect()
    }

    #[test]
    fn one_source_is_one_group_and_archives_join_groups() {
        let (a, b, c) = ("x.io/a:1", "x.io/b:1", "x.io/c:1");
        assert_eq!(
            numbers(&[(a, "m.io/a:1"), (b, "m.io/b:1"), (a, "n.io/a:1")]),
            [vec![vec![0, 2]], vec![vec![1]]]
        );
        let (one, two) = ("oci-archive:one.tar:1", "oci-archive:two.tar:1");
        assert_eq!(numbers(&[(a, one), (b, two), (c, "m.io/c:1")]).len(), 3);
        // The third source brings the two archives together, the fourth comes to them.
        assert_eq!(
            numbers(&[(a, one), (b, two), (c, two), (c, one), (a, two), (b, "m.io/b:1")]),
            [vec![vec![0, 4], vec![1, 5], vec![2, 3]]]
        );
    }
}

//! Groups of items and other names that become labels: as many as somebody wrote down, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use sync::{TagSelection, Wanted};

use crate::document::Item;
use crate::{Document, Outcome, SourceLost};

/// So many different values a label has at most; what comes later is [`OTHER`].
const MOST: usize = 100;
const OTHER: &str = "other";

/// The group of targets that are in no registry, and asked for by no file.
const LOCAL: &str = "local";

/// The group of an item: the sync file that asks for it; without one, the registry of its target.
pub fn group(file: Option<&str>, target: &str) -> String {
    let registry = || {
        let (host, _) = target.split_once('/').unwrap_or((target, ""));
        let is_folder = ["oci:", "oci-archive:"].iter().any(|scheme| target.starts_with(scheme));
        if is_folder { LOCAL } else { host }
    };
    file.unwrap_or_else(registry).to_owned()
}

/// The groups of all that is wanted, each once.
pub fn groups_of(wanted: &[Wanted], selections: &[TagSelection]) -> Vec<String> {
    let tags = wanted.iter().map(|one| (one.origin.as_ref(), one.target.to_string()));
    let rules = selections.iter().map(|one| (one.origin.as_ref(), one.target.to_string()));
    let groups: BTreeSet<String> = tags
        .chain(rules)
        .map(|(origin, target)| group(origin.map(|origin| origin.file.as_str()), &target))
        .collect();
    groups.into_iter().collect()
}

/// How many items of each group ended how; groups that were to be there are, also without an item.
pub(super) fn outcomes<'d>(
    document: &'d Document,
    expected: &'d [String],
) -> BTreeMap<String, BTreeMap<Outcome, i64>> {
    let mut groups: BTreeMap<String, BTreeMap<Outcome, i64>> =
        expected.iter().map(|group| (group.clone(), BTreeMap::new())).collect();
    for item in &document.items {
        *groups.entry(of_item(item)).or_default().entry(item.outcome).or_default() += 1;
    }
    groups
}

fn of_item(item: &Item) -> String {
    group(item.origin.as_ref().map(|origin| origin.file.as_str()), &item.target)
}

/// Whether a target that ended so is as wanted.
pub(super) fn is_well(outcome: Outcome, source_lost: SourceLost) -> bool {
    match outcome {
        Outcome::Copied
        | Outcome::UpToDate
        | Outcome::SourceMoved
        | Outcome::Created
        | Outcome::Updated => true,
        Outcome::SourceLost => source_lost == SourceLost::Warn,
        Outcome::WouldCopy
        | Outcome::WouldCreate
        | Outcome::WouldUpdate
        | Outcome::Drift
        | Outcome::SourceMissing
        | Outcome::Refused
        | Outcome::Failed
        | Outcome::Deferred => false,
    }
}

/// The values of a label, of which there are only so many.
#[derive(Default)]
pub(super) struct Bounded(Mutex<BTreeSet<String>>);

impl Bounded {
    /// The value itself, or [`OTHER`] where there are too many others.
    pub(super) fn name(&self, value: &str) -> String {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(value) {
            return value.to_owned();
        }
        if known.len() >= MOST {
            return OTHER.to_owned();
        }
        known.insert(value.to_owned());
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_file_or_a_registry() {
        for (file, target, expected) in [
            (Some("images.yaml"), "r.example/a:1", "images.yaml"),
            (None, "r.example:5000/a:1", "r.example:5000"),
            (None, "oci:./mirror/a:1", "local"),
            (None, "oci-archive:a.tar:1", "local"),
        ] {
            assert_eq!(group(file, target), expected);
        }
    }

    #[test]
    fn a_label_has_only_so_many_values() {
        let bounded = Bounded::default();
        let names: BTreeSet<String> = (0..1000).map(|n| bounded.name(&n.to_string())).collect();
        assert_eq!(names.len(), MOST + 1);
        assert_eq!(bounded.name("7"), "7");
        assert_eq!(bounded.name("700"), OTHER);
    }
}

//! What every target tag is to hold, when all is known that selections want. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use oci::Target;

use super::Item;
use crate::{Class, Failure, ItemReport, Outcome, Side, Wanted};

/// The items with no target tag twice; where a tag is to hold more than one thing, nothing is written to it.
pub(super) fn settle(items: Vec<Item>) -> Vec<Item> {
    let mut wishes: HashMap<Target, Vec<Wanted>> = HashMap::new();
    let mut named: HashSet<Target> = HashSet::new();
    let mut once = Vec::with_capacity(items.len());
    for item in items {
        if let Item::Wanted(wanted, selection) = &item {
            if selection.is_none() {
                named.insert(wanted.target.clone());
            }
            // What is named is so on purpose: how it is wanted there goes before what rules say.
            let is_named = named.contains(&wanted.target);
            let wishes = wishes.entry(wanted.target.clone()).or_default();
            let mut known = wishes.iter().filter(|known| is_same_tag(known, wanted));
            if selection.is_some() && known.any(|known| is_named || is_alike(known, wanted)) {
                continue;
            }
            wishes.push(wanted.clone());
        }
        once.push(item);
    }
    // The sync file's own check sees to the entries that name their tags.
    let conflicts: HashSet<Target> = once
        .iter()
        .filter_map(|item| match item {
            Item::Wanted(wanted, Some(_)) => Some(&wanted.target),
            _ => None,
        })
        .filter(|target| wishes.get(target).is_some_and(|wishes| wishes.len() > 1))
        .cloned()
        .collect();
    let settled = once.into_iter().map(|item| match item {
        Item::Wanted(wanted, _) if conflicts.contains(&wanted.target) => {
            let wishes = wishes.get(&wanted.target).map(Vec::as_slice).unwrap_or_default();
            let failure = wanted_twice(&wanted.target, wishes);
            let mut report = ItemReport::new(Arc::new(wanted), Outcome::Failed);
            report.fail(failure);
            Item::Ended(report)
        }
        item => item,
    });
    settled.collect()
}

/// Whether both are one tag of one repository, pinned or not.
fn is_same_tag(one: &Wanted, other: &Wanted) -> bool {
    let tag = one.source.selection.tag();
    one.source.location == other.source.location
        && tag.is_some()
        && tag == other.source.selection.tag()
}

/// Whether as much is wanted of both, signed in the same way.
fn is_alike(one: &Wanted, other: &Wanted) -> bool {
    (&one.extent, &one.signatures) == (&other.extent, &other.signatures)
}

fn wanted_twice(target: &Target, wishes: &[Wanted]) -> Failure {
    let sources: Vec<String> = wishes
        .iter()
        .map(|Wanted { source, origin, .. }| match origin {
            Some(origin) => format!("`{source}` ({origin})"),
            None => format!("`{source}`"),
        })
        .collect();
    let is_same = |same: fn(&Wanted, &Wanted) -> bool| {
        wishes.iter().zip(wishes.iter().skip(1)).all(|(one, other)| same(one, other))
    };
    let (how, hint) = if !is_same(is_same_tag) {
        ("wanted from several sources", "give another `destination`")
    } else if !is_same(|one, other| one.extent == other.extent) {
        ("wanted with different platforms", "give another `destination`")
    } else {
        ("to be signed in different ways", "say the same of `sign` and `key` in all")
    };
    let message = format!("`{target}` is {how}: {}", sources.join(", "));
    Failure::new(Side::Source, Class::Selection, message)
        .with_hint(format!("exclude the tag from all but one, or {hint}"))
}

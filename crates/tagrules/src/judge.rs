//! [`judge`]: the rules, applied to each tag, in this order: digests' tags, `include`, `exclude`,
//! `semver`, and of what is left, `latest`.
//!
//! A suffix is a prerelease by semver, but for images mostly a variant (`1.27-alpine`); nothing in
//! a tag says which. So where versions are compared, a tag with a suffix is dropped unless a rule
//! asks for it: the range by naming one, which then compares suffixes as semver does, or a pattern
//! that matches the tag and would not match it without its suffix (`*-alpine` asks, `*` does not);
//! then only the numbers are compared with the range.

use std::collections::{BTreeSet, HashMap};

use oci::Tag;

use crate::pattern::Pattern;
use crate::rules::{Latest, Rules};
use crate::verdict::{Dropped, Judged, Kept, Rank, Verdict};
use crate::version::Version;

/// Says of each tag what becomes of it and why, once for each, the highest versions first and what
/// is no version last, by name. The order of the tags that are given does not matter.
pub fn judge(rules: &Rules, tags: impl IntoIterator<Item = Tag>) -> Vec<Judged<'_>> {
    let tags: BTreeSet<Tag> = tags.into_iter().collect();
    let mut judged: Vec<Judged<'_>> = tags
        .into_iter()
        .map(|tag| {
            let version = Version::of(tag.as_str());
            let verdict = match alone(rules, &tag, version.as_ref()) {
                Ok(kept) => Verdict::Kept(kept),
                Err(dropped) => Verdict::Dropped(dropped),
            };
            Judged { tag, version, verdict }
        })
        .collect();
    // A stable sort: of equal versions the names stay in order.
    judged.sort_by(|one, other| other.version.cmp(&one.version));
    if let Some(latest) = rules.latest {
        keep_latest(latest, &mut judged);
    }
    judged
}

/// What a tag has to meet by itself.
fn alone<'r>(
    rules: &'r Rules,
    tag: &Tag,
    version: Option<&Version>,
) -> Result<Kept<'r>, Dropped<'r>> {
    if is_named_after_digest(tag) {
        return Err(Dropped::Companion);
    }
    let include = rules.include.iter().find(|pattern| pattern.matches(tag));
    if include.is_none() && !rules.include.is_empty() {
        return Err(Dropped::NotIncluded);
    }
    if let Some(pattern) = rules.exclude.iter().find(|pattern| pattern.matches(tag)) {
        return Err(Dropped::Excluded(pattern));
    }
    let range = rules.semver.as_ref();
    let kept = Kept { include, not_excluded: !rules.exclude.is_empty(), range, ..Kept::default() };
    if range.is_none() && rules.latest.is_none() {
        return Ok(kept);
    }
    let version = version.ok_or(Dropped::NoVersion)?;
    if range.is_some_and(|range| range.holds(version)) {
        return Ok(kept);
    }
    if let Some(range) = range.filter(|range| !range.holds_release_of(version)) {
        return Err(Dropped::OutOfRange(range));
    }
    if version.suffix().is_empty() {
        return Ok(kept);
    }
    let asking = rules.include.iter().find(|pattern| asks_for_suffix(pattern, tag, version));
    match asking {
        Some(_) => Ok(Kept { suffix_by: asking, ..kept }),
        None => Err(Dropped::Suffix(version.suffix().to_owned())),
    }
}

fn asks_for_suffix(pattern: &Pattern, tag: &Tag, version: &Version) -> bool {
    let without = tag.as_str().strip_suffix(version.suffix()).unwrap_or_default();
    pattern.matches(tag) && !pattern.matches_text(without)
}

/// Drops all but the latest of what is kept; `judged` has the highest versions first.
fn keep_latest(Latest { count, per }: Latest, judged: &mut [Judged<'_>]) {
    let mut places: HashMap<String, usize> = HashMap::new();
    for Judged { version, verdict, .. } in judged {
        let (Verdict::Kept(kept), Some(version)) = (&mut *verdict, version) else { continue };
        if let Some(part) = per.filter(|part| version.named() < *part) {
            *verdict = Verdict::Dropped(Dropped::Unnamed(part));
            continue;
        }
        let group = per.map(|part| version.up_to(part)).unwrap_or_default();
        let place = places.entry(group.clone()).or_default();
        *place += 1;
        let rank = Rank { place: *place, count, group };
        match rank.place <= count.get() {
            true => kept.rank = Some(rank),
            false => *verdict = Verdict::Dropped(Dropped::Older(rank)),
        }
    }
}

/// Whether it is a tag such as `sha256-…`, `sha256-….sig` (cosign's `specs/SIGNATURE_SPEC.md`; the
/// distribution spec's referrers tag schema, which cuts long digests at 64 digits).
fn is_named_after_digest(tag: &Tag) -> bool {
    let hex = ["sha256-", "sha512-"].iter().find_map(|start| tag.as_str().strip_prefix(start));
    hex.and_then(|hex| hex.get(..64))
        .is_some_and(|hex| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use proptest::prelude::*;

    use super::*;
    use crate::version::Part;

    /// Rules as one writes them: `semver=>=1; include=v*; latest=2; per=minor`.
    fn rules(text: &str) -> Rules {
        let mut rules = Rules::default();
        let mut per = None;
        for rule in text.split("; ").filter(|rule| !rule.is_empty()) {
            let (key, value) = rule.split_once('=').unwrap();
            match key {
                "semver" => rules.semver = Some(value.parse().unwrap()),
                "include" => rules.include.push(value.parse().unwrap()),
                "exclude" => rules.exclude.push(value.parse().unwrap()),
                "latest" => {
                    let count = value.parse().unwrap();
                    rules.latest = Some(Latest { count, per: None });
                }
                "per" => per = Some(value.parse::<Part>().unwrap()),
                _ => panic!("{key}"),
            }
        }
        if let Some(latest) = &mut rules.latest {
            latest.per = per;
        }
        rules
    }

    fn tags(text: &str) -> Vec<Tag> {
        text.split_whitespace().map(|tag| tag.parse().unwrap()).collect()
    }

    fn kept(rules: &Rules, tags: Vec<Tag>) -> Vec<String> {
        judge(rules, tags)
            .iter()
            .filter(|judged| judged.verdict.is_kept())
            .map(|judged| judged.tag.to_string())
            .collect()
    }

    #[test]
    fn what_is_kept() {
        let all = "latest 1 1.26 1.27 1.26.0 1.26.1 1.27.0 1.27.1 1.27.2-rc.1 1.27.1-alpine \
            1.26.1-alpine 2.0.0-beta.1 v0.9.0 nightly-2024 20240115 1.2.3.4";
        let table = [
            ("semver=^1", "1.27.1 1.27.0 1.27 1.26.1 1.26.0 1.26 1"),
            ("semver=1.27", "1.27.1 1.27.0 1.27"),
            ("semver=<1", "v0.9.0"),
            ("semver=^1; include=/\\d+\\.\\d+\\.\\d+/", "1.27.1 1.27.0 1.26.1 1.26.0"),
            // A suffix is asked for by the range, or by a pattern.
            ("semver=>=1.27.2-0, <1.28", "1.27.2-rc.1"),
            ("semver=>=1.27-0, <2", "1.27.2-rc.1 1.27.1 1.27.1-alpine 1.27.0 1.27"),
            ("semver=^1; include=*-alpine", "1.27.1-alpine 1.26.1-alpine"),
            ("semver=>=1.27.1; include=1*", "1.27.1"),
            ("semver=~1.27; include=*-alpine; include=[0-9]*", "1.27.1 1.27.1-alpine 1.27.0 1.27"),
            // Patterns alone look at names only.
            ("include=*-alpine", "1.27.1-alpine 1.26.1-alpine"),
            ("include=/latest|nightly-.*/", "latest nightly-2024"),
            ("include=1.26*; exclude=*-*", "1.26.1 1.26.0 1.26"),
            ("exclude=[0-9]*", "v0.9.0 latest nightly-2024"),
            // The latest.
            ("latest=1", "20240115"),
            ("latest=2; exclude=/\\d{8}/", "1.27.1 1.27.0"),
            ("semver=^1; latest=1; per=minor", "1.27.1 1.26.1"),
            ("semver=*; latest=1; per=major; exclude=/\\d{8}/", "1.27.1 v0.9.0"),
            ("latest=1; per=patch; include=*.*.*; semver=1.27", "1.27.1 1.27.0"),
            ("semver=^1; latest=9; include=*-alpine", "1.27.1-alpine 1.26.1-alpine"),
            ("semver=>=9, <10", ""),
        ];
        for (text, expected) in table {
            assert_eq!(kept(&rules(text), tags(all)).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn each_tag_is_told_why() {
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let list = format!("sha512-{}", "0".repeat(64));
        let all = format!(
            "latest edge 1.1 1.1.0 1.1.1 v1.1.2 1.2.0-rc.1 1.2.0-alpine 1 0.9.0 {signature} {list}"
        );
        let table: [(&str, &[(&str, &str)]); 4] = [
            (
                "semver=>=1; exclude=edge; latest=1; per=minor",
                &[
                    ("1.2.0-rc.1", "no rule asks for `-rc.1`"),
                    ("1.2.0-alpine", "no rule asks for `-alpine`"),
                    ("v1.1.2", "in `>=1`, the latest of 1.1"),
                    ("1.1.1", "older than the latest of 1.1"),
                    ("1.1.0", "older than the latest of 1.1"),
                    ("1.1", "older than the latest of 1.1"),
                    ("1", "names no minor version"),
                    ("0.9.0", "not in `>=1`"),
                    ("edge", "excluded by `edge`"),
                    ("latest", "is no version"),
                    (&signature, "travels with the image of its digest"),
                    (&list, "travels with the image of its digest"),
                ],
            ),
            (
                "semver=^1; include=*-alpine; include=v*",
                &[
                    ("1.2.0-rc.1", "matches no `include`"),
                    ("1.2.0-alpine", "matches `*-alpine`, without its suffix in `^1`"),
                    ("v1.1.2", "matches `v*`, in `^1`"),
                ],
            ),
            (
                "exclude=latest",
                &[("1", "matches no `exclude`"), ("latest", "excluded by `latest`")],
            ),
            (
                "",
                &[("latest", "there is no rule"), (&list, "travels with the image of its digest")],
            ),
        ];
        for (text, expected) in table {
            let rules = rules(text);
            let judged = judge(&rules, tags(&all));
            for (tag, words) in expected {
                let found = judged.iter().find(|judged| judged.tag.as_str() == *tag).unwrap();
                assert_eq!(found.verdict.to_string(), *words, "{text}: {tag}");
            }
        }
    }

    #[test]
    fn the_highest_come_first_and_names_last() {
        let all = Rules::default();
        let order = kept(&all, tags("b 1.9 1.10 v2 a 1.10-x 1.2.3 v1.2.3"));
        assert_eq!(order.join(" "), "v2 1.10 1.10-x 1.9 1.2.3 v1.2.3 a b");
    }

    #[test]
    fn only_whole_digests_make_a_companion() {
        for (tag, expected) in [
            (format!("sha256-{}", "0".repeat(64)), true),
            (format!("sha256-{}.att", "f".repeat(64)), true),
            (format!("sha512-{}", "f".repeat(64)), true),
            (format!("sha256-{}", "0".repeat(63)), false),
            (format!("sha256-{}", "G".repeat(64)), false),
            ("sha256-tools".to_owned(), false),
        ] {
            assert_eq!(is_named_after_digest(&tag.parse().unwrap()), expected, "{tag}");
        }
    }

    fn any_rules() -> impl Strategy<Value = Rules> {
        // Read once: to compile them takes longer than to judge by them.
        let patterns = ["*", "v*", "*-alpine", "1*", r"/\d+(\.\d+)*/", "[!v]*"];
        let pattern = proptest::sample::select(
            patterns.map(|text| text.parse::<Pattern>().unwrap()).to_vec(),
        );
        let range = proptest::sample::select(vec!["*", "^1", ">=1.1-0", "1.1 || 2.x", "<2, !=1.1"]);
        let part = proptest::sample::select(vec![Part::Major, Part::Minor, Part::Patch]);
        let latest = (1..4usize, proptest::option::of(part))
            .prop_map(|(count, per)| Latest { count: NonZeroUsize::new(count).unwrap(), per });
        let patterns = || proptest::collection::vec(pattern.clone(), 0..3);
        (
            proptest::option::of(range.prop_map(|text| text.parse().unwrap())),
            patterns(),
            patterns(),
            proptest::option::of(latest),
        )
            .prop_map(|(semver, include, exclude, latest)| Rules {
                semver,
                include,
                exclude,
                latest,
                ..Rules::default()
            })
    }

    fn any_tags() -> impl Strategy<Value = Vec<Tag>> {
        let version = "v?[0-2](\\.[0-2]){0,2}(-(alpine|rc\\.[0-9]))?";
        let tag = prop_oneof![version, "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}"];
        proptest::collection::vec(tag.prop_map(|text| text.parse().unwrap()), 0..20)
    }

    proptest! {
        #[test]
        fn the_order_of_tags_does_not_matter(rules in any_rules(), tags in any_tags()) {
            let mut reversed = tags.clone();
            reversed.reverse();
            prop_assert_eq!(judge(&rules, tags), judge(&rules, reversed));
        }

        #[test]
        fn every_tag_is_judged_once(rules in any_rules(), tags in any_tags()) {
            let judged: Vec<Tag> = judge(&rules, tags.clone()).into_iter().map(|one| one.tag).collect();
            let unique: BTreeSet<Tag> = judged.iter().cloned().collect();
            prop_assert_eq!(judged.len(), unique.len());
            prop_assert_eq!(unique, tags.into_iter().collect());
        }

        /// What is kept of what was kept is all of it.
        #[test]
        fn a_selection_is_a_fixed_point(rules in any_rules(), tags in any_tags()) {
            let once = kept(&rules, tags);
            let again = once.iter().map(|tag| tag.parse().unwrap()).collect();
            prop_assert_eq!(kept(&rules, again), once);
        }

        /// Another pattern to exclude never adds a tag, unless it makes room among the latest.
        #[test]
        fn a_further_rule_never_adds_a_tag(rules in any_rules(), tags in any_tags()) {
            let rules = Rules { latest: None, ..rules };
            let mut stricter = rules.clone();
            stricter.exclude.push("*1*".parse().unwrap());
            let before = kept(&rules, tags.clone());
            prop_assert!(kept(&stricter, tags).iter().all(|tag| before.contains(tag)));
        }
    }
}

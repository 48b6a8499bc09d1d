//! [`select`] and [`check`]: the tags that rules keep, if they are as many as they may be.

use oci::Tag;

use crate::judge::judge;
use crate::rules::Rules;
use crate::verdict::{Dropped, Judged, Verdict};

/// How many tags an error names.
const NAMED: usize = 3;

/// A selection that is not what anybody meant.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SelectionError {
    /// No tag is left.
    #[error("none of the {tags} tags is selected: {}", why.join(", "))]
    Empty {
        /// How many tags there are.
        tags: usize,
        /// How many of them were dropped, and by what, the most frequent first.
        why: Vec<String>,
    },
    /// There is no tag to select from.
    #[error("there are no tags to select from")]
    NoTags,
    /// More tags than [`Rules::max_tags`] are left.
    #[error("{selected} tags are selected, more than the {most} of `maxTags`: {}", named(first))]
    TooMany {
        /// How many tags are left.
        selected: usize,
        /// How many may be.
        most: usize,
        /// The first of them.
        first: Vec<Tag>,
    },
}

/// The tags that the rules keep, the highest versions first.
///
/// # Errors
/// Where there are none or too many of them, unless the rules allow it.
pub fn select(rules: &Rules, tags: Vec<Tag>) -> Result<Vec<Tag>, SelectionError> {
    check(rules, &judge(rules, tags))
}

/// The tags that [`judge`] has kept.
///
/// # Errors
/// As [`select`] has.
pub fn check(rules: &Rules, judged: &[Judged<'_>]) -> Result<Vec<Tag>, SelectionError> {
    let kept = judged.iter().filter(|judged| judged.verdict.is_kept());
    let selected: Vec<Tag> = kept.map(|judged| judged.tag.clone()).collect();
    if let Some(most) = rules.max_tags.filter(|most| selected.len() > most.get()) {
        return Err(SelectionError::TooMany {
            selected: selected.len(),
            most: most.get(),
            first: selected.into_iter().take(NAMED + 1).collect(),
        });
    }
    match (selected.is_empty() && !rules.allow_empty, judged.is_empty()) {
        (false, _) => Ok(selected),
        (true, true) => Err(SelectionError::NoTags),
        (true, false) => Err(SelectionError::Empty { tags: judged.len(), why: why(judged) }),
    }
}

/// Such as ``12 not in `>=9` (`2.1.0`, …)``.
fn why(judged: &[Judged<'_>]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&Tag>)> = Vec::new();
    for one in judged {
        let Verdict::Dropped(dropped) = &one.verdict else { continue };
        let words = dropped.of_several();
        match reasons.iter_mut().find(|(reason, _)| *reason == words) {
            Some((_, tags)) => tags.push(&one.tag),
            None => reasons.push((words, vec![&one.tag])),
        }
    }
    reasons.sort_by_key(|(_, tags)| std::cmp::Reverse(tags.len()));
    reasons
        .into_iter()
        .map(|(words, tags)| {
            if words == Dropped::Companion.of_several() {
                // Their names are long and say nothing.
                return format!("{} {words}", tags.len());
            }
            let first: Vec<Tag> = tags.iter().take(2).map(|tag| Tag::clone(tag)).collect();
            let more = if tags.len() > 2 { ", …" } else { "" };
            format!("{} {words} ({}{more})", tags.len(), listed(&first))
        })
        .collect()
}

fn named(first: &[Tag]) -> String {
    let shown = listed(first.get(..NAMED).unwrap_or(first));
    if first.len() > NAMED { format!("{shown}, …") } else { shown }
}

fn listed(tags: &[Tag]) -> String {
    tags.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn tags(text: &str) -> Vec<Tag> {
        text.split_whitespace().map(|tag| tag.parse().unwrap()).collect()
    }

    fn semver(range: &str) -> Rules {
        Rules { semver: Some(range.parse().unwrap()), ..Rules::default() }
    }

    #[test]
    fn nothing_selected_is_an_error_that_says_why() {
        let error = select(&semver(">=9"), tags("1.0 latest 2.0-rc 1.1 2.0")).unwrap_err();
        let expected = "none of the 5 tags is selected: 4 not in `>=9` (`2.0`, `2.0-rc`, …), \
            1 without a version (`latest`)";
        assert_eq!(error.to_string(), expected);
        let allowed = Rules { allow_empty: true, ..semver(">=9") };
        assert_eq!(select(&allowed, tags("1.0")), Ok(Vec::new()));
        assert_eq!(select(&semver("*"), Vec::new()), Err(SelectionError::NoTags));
    }

    #[test]
    fn a_flood_is_an_error_that_counts() {
        let limited = |most| Rules { max_tags: NonZeroUsize::new(most), ..semver("*") };
        let all = tags("1 2 3 4 5 latest");
        assert_eq!(select(&limited(5), all.clone()).map(|tags| tags.len()), Ok(5));
        let error = select(&limited(4), all.clone()).unwrap_err().to_string();
        assert_eq!(error, "5 tags are selected, more than the 4 of `maxTags`: `5`, `4`, `3`, …");
        let error = select(&limited(1), tags("1 2")).unwrap_err().to_string();
        assert_eq!(error, "2 tags are selected, more than the 1 of `maxTags`: `2`, `1`");
    }
}

//! [`Rules`]: what an entry of a sync file, or the flags of a command, say of the tags they want.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::pattern::Pattern;
use crate::range::Range;
use crate::version::Part;

/// Rules that a tag must keep to, all of them. Without any, every tag is wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Only versions in this range.
    pub semver: Option<Range>,
    /// Only tags that one of these matches, where there are some.
    pub include: Vec<Pattern>,
    /// No tags that one of these matches.
    pub exclude: Vec<Pattern>,
    /// Of what is left, only the latest.
    pub latest: Option<Latest>,
    /// More tags than this are a mistake.
    pub max_tags: Option<NonZeroUsize>,
    /// Whether it is right that no tag is left.
    pub allow_empty: bool,
}

/// Only so many of the highest versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Latest {
    /// How many.
    pub count: NonZeroUsize,
    /// Of each version up to this number; of all together without it.
    pub per: Option<Part>,
}

/// A text that names no number of a version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be `major`, `minor` or `patch`")]
pub struct InvalidPart;

impl Rules {
    /// Whether there is no rule that could drop a tag.
    pub fn want_all(&self) -> bool {
        let Self { semver, include, exclude, latest, max_tags: _, allow_empty: _ } = self;
        semver.is_none() && include.is_empty() && exclude.is_empty() && latest.is_none()
    }
}

impl FromStr for Part {
    type Err = InvalidPart;

    fn from_str(text: &str) -> Result<Self, InvalidPart> {
        [Self::Major, Self::Minor, Self::Patch]
            .into_iter()
            .find(|part| part.as_str() == text)
            .ok_or(InvalidPart)
    }
}

/// The rules as the flags of `image-syncer tags`, quoted for a shell.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words
            .extend(self.semver.iter().map(|range| format!("--semver {}", quoted(range.as_str()))));
        words.extend(self.include.iter().map(|one| format!("--include {}", quoted(one.as_str()))));
        words.extend(self.exclude.iter().map(|one| format!("--exclude {}", quoted(one.as_str()))));
        if let Some(Latest { count, per }) = self.latest {
            words.push(format!("--latest {count}"));
            words.extend(per.map(|per| format!("--per {per}")));
        }
        words.extend(self.max_tags.map(|most| format!("--max-tags {most}")));
        words.extend(self.allow_empty.then(|| "--allow-empty".to_owned()));
        f.write_str(&words.join(" "))
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_shown_as_flags() {
        let rules = Rules {
            semver: Some(">=2.0, <3".parse().unwrap()),
            include: vec!["v*".parse().unwrap(), "/it's/".parse().unwrap()],
            exclude: vec!["*-rc*".parse().unwrap()],
            latest: Some(Latest { count: NonZeroUsize::MIN, per: Some(Part::Minor) }),
            max_tags: NonZeroUsize::new(9),
            allow_empty: true,
        };
        let expected = r"--semver '>=2.0, <3' --include 'v*' --include '/it'\''s/' --exclude '*-rc*' --latest 1 --per minor --max-tags 9 --allow-empty";
        assert_eq!(rules.to_string(), expected);
        assert!(!rules.want_all());
        let none = Rules { max_tags: NonZeroUsize::new(9), ..Rules::default() };
        assert!(none.want_all());
    }
}

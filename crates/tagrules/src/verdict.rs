//! [`Verdict`]: which rule kept or dropped a tag, as a value, and in words.

use std::fmt;
use std::num::NonZeroUsize;

use oci::Tag;

use crate::pattern::Pattern;
use crate::range::Range;
use crate::version::{Part, Version};

/// A tag with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<'r> {
    /// The tag.
    pub tag: Tag,
    /// What it says, read as a version; none where it is none.
    pub version: Option<Version>,
    /// What became of it.
    pub verdict: Verdict<'r>,
}

/// What became of a tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'r> {
    /// It is wanted.
    Kept(Kept<'r>),
    /// It is not.
    Dropped(Dropped<'r>),
}

/// The rules that a wanted tag has met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept<'r> {
    /// The first pattern to include it.
    pub include: Option<&'r Pattern>,
    /// Whether there are patterns to exclude it, and none does.
    pub not_excluded: bool,
    /// The range that it is in.
    pub range: Option<&'r Range>,
    /// Where its suffix was set aside, because this pattern asks for it.
    pub suffix_by: Option<&'r Pattern>,
    /// Its place among the latest.
    pub rank: Option<Rank>,
}

/// A place among the latest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rank {
    /// The place, from 1.
    pub place: usize,
    /// How many of the latest are wanted.
    pub count: NonZeroUsize,
    /// What they are the latest of, such as `1.27`; empty where of all.
    pub group: String,
}

/// The rule that a tag does not meet.
#[derive(Clone, Debug, PartialEq)]
pub enum Dropped<'r> {
    /// It is named after a digest, as signatures and lists of referrers are, which travel with the
    /// image of that digest.
    Companion,
    /// No pattern includes it.
    NotIncluded,
    /// This pattern excludes it.
    Excluded(&'r Pattern),
    /// Versions are wanted, and it is none.
    NoVersion,
    /// The range does not hold it.
    OutOfRange(&'r Range),
    /// It has a suffix that neither the range nor a pattern asks for.
    Suffix(String),
    /// It has not as many numbers as the latest are grouped by.
    Unnamed(Part),
    /// There are enough that are later.
    Older(Rank),
}

/// A rule's name, for machines.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rule {
    /// Tags that are named after a digest are never selected.
    Companion,
    /// `include`
    Include,
    /// `exclude`
    Exclude,
    /// `semver`
    Semver,
    /// Suffixes must be asked for.
    Suffix,
    /// `latest`
    Latest,
    /// `per`
    Per,
}

impl Verdict<'_> {
    /// Whether the tag is wanted.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// The rule that had the last word; none where there is no rule.
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Kept(Kept { rank: Some(_), .. }) => Some(Rule::Latest),
            Self::Kept(Kept { range: Some(_), .. }) => Some(Rule::Semver),
            Self::Kept(Kept { include: Some(_), .. }) => Some(Rule::Include),
            Self::Kept(Kept { not_excluded: true, .. }) => Some(Rule::Exclude),
            Self::Kept(_) => None,
            Self::Dropped(dropped) => Some(match dropped {
                Dropped::Companion => Rule::Companion,
                Dropped::NotIncluded => Rule::Include,
                Dropped::Excluded(_) => Rule::Exclude,
                Dropped::NoVersion | Dropped::OutOfRange(_) => Rule::Semver,
                Dropped::Suffix(_) => Rule::Suffix,
                Dropped::Unnamed(_) => Rule::Per,
                Dropped::Older(_) => Rule::Latest,
            }),
        }
    }
}

impl Dropped<'_> {
    /// What is said of some tags that were dropped alike, after their number.
    pub(crate) fn of_several(&self) -> String {
        match self {
            Self::Companion => "named after digests".to_owned(),
            Self::NotIncluded => "matching no `include`".to_owned(),
            Self::Excluded(_) => "excluded".to_owned(),
            Self::NoVersion => "without a version".to_owned(),
            Self::OutOfRange(range) => format!("not in `{range}`"),
            Self::Suffix(_) => "with a suffix that no rule asks for".to_owned(),
            Self::Unnamed(part) => format!("without a {part} version"),
            Self::Older(_) => "older".to_owned(),
        }
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(kept) => kept.fmt(f),
            Self::Dropped(dropped) => dropped.fmt(f),
        }
    }
}

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.suffix_by.or(self.include).map(|include| format!("matches `{include}`")));
        words.extend(self.range.map(|range| match self.suffix_by {
            Some(_) => format!("without its suffix in `{range}`"),
            None => format!("in `{range}`"),
        }));
        words.extend(self.rank.as_ref().map(|rank| match rank.count.get() {
            1 => rank.the_latest(),
            _ => format!("number {} of {}", rank.place, rank.the_latest()),
        }));
        f.write_str(&match words.is_empty() {
            false => words.join(", "),
            true if self.not_excluded => "matches no `exclude`".to_owned(),
            true => "there is no rule".to_owned(),
        })
    }
}

impl Rank {
    /// Such as `the 5 latest of 1.27`.
    fn the_latest(&self) -> String {
        let latest = match self.count.get() {
            1 => "the latest".to_owned(),
            count => format!("the {count} latest"),
        };
        match self.group.as_str() {
            "" => latest,
            group => format!("{latest} of {group}"),
        }
    }
}

impl fmt::Display for Dropped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Companion => f.write_str("travels with the image of its digest"),
            Self::NotIncluded => f.write_str("matches no `include`"),
            Self::Excluded(pattern) => write!(f, "excluded by `{pattern}`"),
            Self::NoVersion => f.write_str("is no version"),
            Self::OutOfRange(range) => write!(f, "not in `{range}`"),
            Self::Suffix(suffix) => write!(f, "no rule asks for `{suffix}`"),
            Self::Unnamed(part) => write!(f, "names no {part} version"),
            Self::Older(rank) => write!(f, "older than {}", rank.the_latest()),
        }
    }
}

impl Rule {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Companion => "companion",
            Self::Include => "include",
            Self::Exclude => "exclude",
            Self::Semver => "semver",
            Self::Suffix => "suffix",
            Self::Latest => "latest",
            Self::Per => "per",
        }
    }
}

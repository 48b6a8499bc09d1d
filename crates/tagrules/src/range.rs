//! [`Range`]: versions in a row, written as people know it from npm, Helm and Masterminds/semver.
//!
//! The `semver` crate's `VersionReq` is cargo's grammar: it has no `||` and no `1.2 - 1.4`, needs
//! commas, and takes `1.2` for `^1.2` where everybody else here means `1.2.x`. So ranges are read
//! here, and the crate compares versions.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version as Semver};

use crate::version::{Part, Version};

/// A range of versions such as `>=2.0, <3`, `^1.2`, `~1.2`, `1.x` or `1.2 - 1.4 || >=2`.
///
/// Comparators with a comma or a space between them must all hold, and of alternatives (`||`) one.
/// Numbers that are left out may be any: `1.2` is `1.2.x`, `<=1.2` has `1.2.9`, `>1.2` begins with
/// `1.3`.
///
/// An alternative holds versions with a suffix only where it names one itself: `>=2.0-0` does.
/// `<3` holds no prerelease of 3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Range {
    text: String,
    alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Alternative {
    comparators: Vec<Comparator>,
    names_suffix: bool,
}

/// Versions between two bounds, or (`!=`) all others.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Comparator {
    inside: bool,
    bounds: (Bound<Semver>, Bound<Semver>),
}

/// A text that is no range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{}` is not a version range: {problem}", input.escape_debug())]
pub struct InvalidRange {
    input: String,
    problem: String,
}

impl InvalidRange {
    /// What is wrong with it, without the input.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl Range {
    /// Whether the version is in it, as semver has it, its suffix taken for a prerelease.
    pub fn holds(&self, version: &Version) -> bool {
        self.contains(version.semver(), !version.suffix().is_empty())
    }

    /// Whether a version in semver's own form is in it, such as a chart's. Build metadata does not
    /// count (semver 2.0, section 10), and is no suffix.
    pub fn holds_semver(&self, version: &Semver) -> bool {
        let version = Semver { build: BuildMetadata::EMPTY, ..version.clone() };
        self.contains(&version, !version.pre.is_empty())
    }

    fn contains(&self, version: &Semver, has_suffix: bool) -> bool {
        self.alternatives
            .iter()
            .filter(|alternative| alternative.names_suffix || !has_suffix)
            .any(|alternative| alternative.holds(version))
    }

    /// Whether the version would be in it without its suffix. What says something of suffixes has
    /// had its say in [`Range::holds`].
    pub(crate) fn holds_release_of(&self, version: &Version) -> bool {
        let release = version.release();
        self.alternatives
            .iter()
            .filter(|alternative| !alternative.names_suffix)
            .any(|alternative| alternative.holds(&release))
    }

    /// The range as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Alternative {
    fn holds(&self, version: &Semver) -> bool {
        self.comparators.iter().all(|one| one.bounds.contains(version) == one.inside)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(input: &str) -> Result<Self, InvalidRange> {
        let alternatives: Result<_, String> = input.split("||").map(alternative).collect();
        match alternatives {
            Ok(alternatives) => Ok(Self { text: input.trim().to_owned(), alternatives }),
            Err(problem) => Err(InvalidRange { input: input.to_owned(), problem }),
        }
    }
}

/// What comparators begin with, the longer ones first.
const OPERATORS: [(&str, Operator); 13] = [
    (">=", Operator::AtLeast),
    ("=>", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=<", Operator::AtMost),
    ("!=", Operator::Not),
    ("==", Operator::Is),
    ("~>", Operator::Tilde),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("=", Operator::Is),
    ("^", Operator::Caret),
    ("~", Operator::Tilde),
    ("!", Operator::Not),
];

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    AtLeast,
    AtMost,
    Above,
    Below,
    Is,
    Not,
    Caret,
    Tilde,
}

fn alternative(text: &str) -> Result<Alternative, String> {
    let mut words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty()).peekable();
    let mut read = Vec::new();
    while let Some(word) = words.next() {
        let (operator, rest) = operator(word);
        let version = match (operator, rest) {
            // A space after the operator is usual.
            (Some(_), "") => words.next().ok_or_else(|| format!("`{word}` has no version"))?,
            (_, rest) => rest,
        };
        if words.next_if_eq(&"-").is_some() {
            let end = words.next().ok_or_else(|| format!("`{word} -` has no end"))?;
            if operator.is_some() || self::operator(end).0.is_some() {
                return Err("an operator stands in a range `A - B`".to_owned());
            }
            read.push((Operator::AtLeast, Written::read(version)?));
            read.push((Operator::AtMost, Written::read(end)?));
        } else {
            read.push((operator.unwrap_or(Operator::Is), Written::read(version)?));
        }
    }
    if read.is_empty() {
        return Err("it is empty; `*` holds every version".to_owned());
    }
    let names_suffix = read.iter().any(|(_, written)| written.has_suffix());
    let comparators = read
        .iter()
        .map(|(operator, written)| comparator(*operator, written))
        .collect::<Option<Vec<_>>>()
        .ok_or("a number is too large")?;
    Ok(Alternative { comparators, names_suffix })
}

fn operator(word: &str) -> (Option<Operator>, &str) {
    let found = OPERATORS
        .into_iter()
        .find_map(|(text, operator)| word.strip_prefix(text).map(|rest| (Some(operator), rest)));
    found.unwrap_or((None, word))
}

/// A version in a range: nothing is written of `*`, two numbers of `1.2` and `1.2.x`.
struct Written {
    /// The version with zeros for what is not written.
    version: Semver,
    /// The last number that is written.
    named: Option<Part>,
    /// Whether numbers are written as any: `1.x-0` is more than `1-0`.
    open: bool,
}

impl Written {
    fn read(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{}` is not a version", text.escape_debug());
        let any = |part: &str| matches!(part, "*" | "x" | "X");
        let plain = text.strip_prefix(['v', 'V']).unwrap_or(text);
        // What is built of a version makes no other version of it (semver 2.0, section 10).
        let plain = plain.split_once('+').map_or(plain, |(version, _)| version);
        // After a suffix has begun, an `x` is a letter.
        let (numbers, suffix) = plain.split_at(plain.find(['-', '_']).unwrap_or(plain.len()));
        let numbers: Vec<&str> = numbers.split('.').collect();
        let written = numbers.iter().position(|part| any(part)).unwrap_or(numbers.len());
        let open = written < numbers.len();
        if numbers.len() > 3 || numbers.iter().skip(written).any(|part| !any(part)) {
            return Err(invalid());
        }
        let numbers = numbers.get(..written).unwrap_or_default().join(".");
        let any = numbers.is_empty() && open;
        let version = Version::of(&format!("{}{suffix}", if any { "0" } else { &numbers }));
        let version = version.ok_or_else(invalid)?;
        let named = (!any).then(|| version.named());
        Ok(Self { version: version.semver().clone(), named, open })
    }

    fn has_suffix(&self) -> bool {
        !self.version.pre.is_empty()
    }

    /// The first version after all that this may be; none where a number is too large.
    fn after(&self, part: Part) -> Option<Semver> {
        let Semver { major, minor, patch, .. } = self.version;
        Some(match part {
            Part::Major => first(major.checked_add(1)?, 0, 0),
            Part::Minor => first(major, minor.checked_add(1)?, 0),
            Part::Patch => first(major, minor, patch.checked_add(1)?),
        })
    }
}

/// The lowest version with these numbers: the first of their prereleases.
fn first(major: u64, minor: u64, patch: u64) -> Semver {
    let pre = Prerelease::new("0").unwrap_or_default();
    Semver { pre, ..Semver::new(major, minor, patch) }
}

/// None where a number is too large.
fn comparator(operator: Operator, written: &Written) -> Option<Comparator> {
    use Bound::{Excluded, Included, Unbounded};
    let version = written.version.clone();
    let at_least = Included(version.clone());
    // With a suffix one version is meant, however many numbers it has.
    let exact = written.named == Some(Part::Patch) || (written.has_suffix() && !written.open);
    let Some(named) = written.named else {
        // `*` with any operator holds everything, but what would be above, below or beside it.
        let inside = !matches!(operator, Operator::Above | Operator::Below | Operator::Not);
        return Some(Comparator { inside, bounds: (Unbounded, Unbounded) });
    };
    let Semver { major, minor, patch, .. } = version;
    let bounds = match operator {
        Operator::AtLeast => (at_least, Unbounded),
        Operator::Above if exact => (Excluded(version), Unbounded),
        Operator::Above => (Included(without_suffix(written.after(named)?)), Unbounded),
        Operator::Below if written.has_suffix() => (Unbounded, Excluded(version)),
        Operator::Below => (Unbounded, Excluded(first(major, minor, patch))),
        Operator::AtMost if exact => (Unbounded, Included(version)),
        Operator::AtMost => (Unbounded, Excluded(written.after(named)?)),
        Operator::Is | Operator::Not if exact => (at_least, Included(version)),
        Operator::Is | Operator::Not => (at_least, Excluded(written.after(named)?)),
        Operator::Tilde => (at_least, Excluded(written.after(named.min(Part::Minor))?)),
        Operator::Caret => {
            // The first number that is not 0 stays, or the last one that is written.
            let stays = match (major, minor) {
                (1.., _) => Part::Major,
                (0, 1..) => Part::Minor,
                (0, 0) => Part::Patch,
            };
            (at_least, Excluded(written.after(stays.min(named))?))
        }
    };
    Some(Comparator { inside: operator != Operator::Not, bounds })
}

fn without_suffix(version: Semver) -> Semver {
    Semver { pre: Prerelease::EMPTY, ..version }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    fn holds(text: &str, tag: &str) -> bool {
        range(text).holds(&Version::of(tag).unwrap())
    }

    #[test]
    fn ranges_hold_what_npm_and_masterminds_say() {
        let table: [(&str, &[&str], &[&str]); 41] = [
            ("*", &["0", "v9.9.9"], &["1.0.0-rc"]),
            ("1.2.3", &["1.2.3", "v1.2.3"], &["1.2.4", "1.2.2"]),
            ("=1.2.3", &["1.2.3"], &["1.2.4"]),
            ("==v1.2.3", &["1.2.3"], &["1.2.4"]),
            ("1.2", &["1.2", "1.2.9"], &["1.3", "1.1.9"]),
            ("1", &["1", "1.9.9"], &["2", "0.9"]),
            ("1.x", &["1.0", "1.9.9"], &["2.0", "0.9"]),
            ("1.2.*", &["1.2.0", "1.2.9"], &["1.3"]),
            ("1.X.x", &["1.9"], &["2.0"]),
            (">=2.0, <3", &["2", "2.9.9"], &["3", "1.9", "2.5-rc", "3.0.0-rc.1"]),
            (">=2.0 <3", &["2.9"], &["3.0"]),
            (">= 2.0, < 3", &["2.9"], &["3.0"]),
            ("=>2,=<3", &["2", "3.9"], &["4"]),
            (">1.2.3", &["1.2.4"], &["1.2.3"]),
            (">1.2", &["1.3"], &["1.2.9"]),
            ("<=1.2", &["1.2.9"], &["1.3"]),
            ("<=1.2.3", &["1.2.3"], &["1.2.4"]),
            ("<1.2", &["1.1.9"], &["1.2"]),
            ("!=1.2.3", &["1.2.4"], &["1.2.3"]),
            ("!1.2", &["1.3"], &["1.2.3"]),
            (">=1, !=1.2.x", &["1.3", "1.1"], &["1.2.3", "0.1"]),
            ("^1.2.3", &["1.2.3", "1.9"], &["2.0", "1.2.2"]),
            ("^0.2.3", &["0.2.9"], &["0.3", "0.2.2"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.9"], &["0.1"]),
            ("^0", &["0.9"], &["1"]),
            ("^1.x", &["1.9"], &["2"]),
            ("~1.2.3", &["1.2.9"], &["1.3", "1.2.2"]),
            ("~1.2", &["1.2.0"], &["1.3"]),
            ("~>1", &["1.9"], &["2"]),
            ("1.2 - 1.4", &["1.2", "1.4.9"], &["1.5", "1.1.9"]),
            ("1.2.3 - 2.0.0", &["2.0.0"], &["2.0.1"]),
            ("^1 || >=3", &["1.5", "3", "4"], &["2.9"]),
            ("1.2 - 1.4||5.x", &["1.3", "5.5"], &["2"]),
            (">=2.0-0, <3", &["2.0-rc.1", "2.5-rc", "2.5"], &["3.0.0-rc.1", "1.9-rc"]),
            ("^1.2.0-beta.2", &["1.2.0-beta.10", "1.3.0-a"], &["1.2.0-beta.1", "2.0.0-a"]),
            ("=1.27-alpine", &["1.27.0-alpine"], &["1.27", "1.27.0-alpine3"]),
            ("*-0", &["1.2.3", "1.2.3-alpha.1"], &[]),
            ("1.x-0", &["1.0.0-a", "1.9"], &["2.0.0-a", "0.9-a"]),
            ("^1.X-0, !=1.2.x-0", &["1.0.0-a", "1.3"], &["1.2.0-a", "1.2.9"]),
            (">*", &[], &["1"]),
        ];
        for (text, inside, outside) in table {
            for tag in inside {
                assert!(holds(text, tag), "{text} does not hold {tag}");
            }
            for tag in outside {
                assert!(!holds(text, tag), "{text} holds {tag}");
            }
        }
    }

    #[test]
    fn only_the_alternative_that_names_a_suffix_holds_some() {
        assert!(holds("^1 || >=2.0-0", "2.5-rc"));
        assert!(!holds("^1 || >=2.0-0", "1.5-rc"));
    }

    /// The tables of Masterminds/semver v3.5.0 (`constraints_test.go`), which Helm reads ranges with,
    /// but for what it does otherwise: see `not_as_masterminds`.
    #[test]
    fn ranges_hold_what_masterminds_tests_say() {
        let table: [(&str, &[&str], &[&str]); 44] = [
            ("=2.0.0", &["2.0.0"], &["1.2.3"]),
            ("=2.0", &["2.0.0", "2.0.1"], &["1.2.3"]),
            ("4.1", &["4.1.0"], &[]),
            ("!=4.1.0", &["4.1.1"], &["4.1.0", "5.1.0-alpha.1"]),
            ("!=4.1", &["5.1.0"], &["4.1.0", "4.1.1", "5.1.0-alpha.1"]),
            ("!=4.1-alpha", &["4.1.0"], &["4.1.0-alpha"]),
            ("!=4.x", &["5.1.0"], &["4.1.0"]),
            ("<11", &["0.1.0"], &["11.1.0"]),
            ("<1.1", &["0.1.0"], &["1.1.0", "1.1.1"]),
            ("<1.x", &["0.1.1"], &["1.1.1", "2.0.0"]),
            ("<1.1.x", &["1.0.500"], &["1.2.1", "1.1.500"]),
            ("<=11", &["1.2.3", "11.2.3"], &["12.2.3"]),
            ("<=1.1", &["0.1.0", "1.1.0", "1.1.1"], &["1.2.3"]),
            (">1.1", &["4.1.0"], &["1.1.0"]),
            (">0", &["1.0.0"], &["0.0.0", "0.0.1-alpha", "0.0.0-alpha"]),
            (">0.0.0-0", &["0.0.0-alpha"], &[]),
            (">1.2.3-alpha.1", &["1.2.3-alpha.2", "1.3.3-alpha.2"], &[]),
            (">11.1", &["11.2.1"], &["11.1.0", "11.1.1"]),
            (">=11.1", &["11.1.2"], &["11.0.2"]),
            (">=1.1", &["4.1.0", "1.1.0"], &["0.0.9", "4.1.0-beta"]),
            (">=0", &["0.0.0"], &["0.0.1-alpha", "0.0.0-alpha"]),
            (">=0-0", &["0.0.1-alpha", "0.0.0-alpha"], &[]),
            (">=0.0.0-0", &["0.0.0-alpha", "1.2.3", "3.4.5-beta.1"], &[]),
            ("<0-z", &["0.0.0-alpha"], &[]),
            ("*", &["1.0.0", "4.5.6"], &["1.2.3-alpha.1"]),
            ("*-0", &["1.2.3-alpha.1"], &[]),
            ("2.*", &["2.1.1"], &["1.0.0", "3.4.5"]),
            ("2.1.*", &["2.1.1"], &["2.2.1"]),
            ("~1.2.3", &["1.2.4"], &["1.3.4"]),
            ("~1", &["1.2.4"], &["2.3.4"]),
            ("~1.2.3-beta.2", &["1.2.3-beta.4", "1.2.4-beta.2"], &["1.3.4-beta.2"]),
            ("^1.2.3", &["1.8.9"], &["2.8.9", "1.2.1"]),
            ("^1.2.0", &["1.2.0"], &["2.2.1", "1.2.1-alpha.1"]),
            ("^1.2.0-alpha.0", &["1.2.1-alpha.1", "1.2.1-alpha.0"], &[]),
            ("^1.2.0-alpha.2", &["1.2.0-alpha.2"], &["1.2.0-alpha.1"]),
            ("^0.2.3", &["0.2.5"], &["0.5.6"]),
            ("^0.2.3-beta.2", &["0.2.3-beta.4", "0.2.4-beta.2"], &["0.3.4-beta.2"]),
            ("^0.0.3", &["0.0.3"], &["0.0.4"]),
            ("^0.0", &["0.0.3"], &["0.1.4", "1.0.4"]),
            ("^0.0.0", &["0.0.0"], &["1.2.3"]),
            (">= 1.2.3 < 2.0 || => 3.0 < 4", &["1.3.0", "3.1.0"], &["2.5.0", "4.0.0"]),
            ("3 - 4 || => 5.0, < 6", &["4.9.9", "5.1.0"], &["6.0.0"]),
            ("1.0.0 - 2.0.0, <=2.0.0", &["1.5.0"], &["2.1.0"]),
            ("12.3.34 || ~1.2.3", &["12.3.34", "1.2.9"], &["12.3.35"]),
        ];
        for (text, inside, outside) in table {
            let holds = |version: &str| range(text).holds_semver(&version.parse().unwrap());
            for version in inside {
                assert!(holds(version), "{text} does not hold {version}");
            }
            for version in outside {
                assert!(!holds(version), "{text} holds {version}");
            }
        }
        for text in ["12.3.4.1234", "BAR >= 1.2.3", ">= bar", "12.3.34~ 1.2.3"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }

    /// Where Masterminds/semver says otherwise, and why it is not followed: what it does surprises,
    /// or a suffix is a variant in images' tags.
    #[test]
    fn not_as_masterminds() {
        let holds = |text: &str, version: &str| range(text).holds_semver(&version.parse().unwrap());
        // There it holds everything; here, as in npm, >=0.0.0 <0.1.0.
        assert!(!holds("~0.0.0", "1.2.3"));
        // There 3.0.0-rc.1 is below 3, and so in a range that ends before 3.
        assert!(!holds(">=2.0.0-0, <3", "3.0.0-rc.1"));
        // There >0-0 is >0.0.x.
        assert!(holds(">0-0", "0.0.1-alpha"));
        // There the suffix counts for each patch version.
        assert!(holds("!=4.1-alpha", "4.1.1-alpha"));
        // There 1.27-alpha is ~1.27.0-alpha.
        assert!(!holds("1.27-alpha", "1.27.1"));
    }

    #[test]
    fn build_metadata_does_not_count() {
        let holds = |text: &str, version: &str| range(text).holds_semver(&version.parse().unwrap());
        assert!(holds("1.2.3", "1.2.3+b"));
        assert!(holds("1.2.3+a", "1.2.3+b"));
        assert!(holds("<=1.2.3", "1.2.3+b"));
        assert!(!holds(">1.2.3", "1.2.3+b"));
        assert!(!holds(">=1", "1.2.3-rc+b"));
    }

    #[test]
    fn without_its_suffix_a_version_is_a_release() {
        let alpine = Version::of("1.27-alpine").unwrap();
        assert!(range(">=1.27").holds_release_of(&alpine));
        assert!(!range(">1.27").holds_release_of(&alpine));
        // Where suffixes are compared, that is what counts.
        assert!(!range(">=1.27-b").holds_release_of(&alpine));
    }

    #[test]
    fn what_is_no_range_says_why() {
        let table = [
            ("", "it is empty; `*` holds every version"),
            ("^1 ||", "it is empty; `*` holds every version"),
            (">=", "`>=` has no version"),
            ("1.2 -", "`1.2 -` has no end"),
            (">=1 - 2", "an operator stands in a range `A - B`"),
            (">=1.2<2", "`1.2<2` is not a version"),
            ("latest", "`latest` is not a version"),
            ("1.x.3", "`1.x.3` is not a version"),
            ("1.x-", "`1.x-` is not a version"),
            ("1.2.3.4", "`1.2.3.4` is not a version"),
            ("1.2.3.x", "`1.2.3.x` is not a version"),
            ("^18446744073709551615", "a number is too large"),
        ];
        for (text, problem) in table {
            assert_eq!(text.parse::<Range>().unwrap_err().problem(), problem, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[v0-9.x*<>=!~^|, -]{0,24}|\\PC{0,16}", tag in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}(-[a-z]{1,3})?") {
            if let (Ok(range), Some(version)) = (text.parse::<Range>(), Version::of(&tag)) {
                range.holds(&version);
                range.holds_release_of(&version);
            }
        }

        /// Where cargo's grammar means the same, its own implementation agrees.
        #[test]
        fn agrees_with_the_semver_crate(
            operator in proptest::sample::select(vec![">=", ">", "<", "<=", "^", "~", "="]),
            numbers in proptest::collection::vec(0..4u64, 1..4),
            (major, minor, patch) in (0..4u64, 0..4u64, 0..4u64),
        ) {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let text = format!("{operator}{}", numbers.join("."));
            let version = Semver::new(major, minor, patch);
            let theirs = semver::VersionReq::parse(&text).unwrap().matches(&version);
            prop_assert_eq!(holds(&text, &version.to_string()), theirs, "{} {}", text, version);
        }
    }
}

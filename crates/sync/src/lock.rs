//! [`Lock`]: the digest that each source tag had when somebody looked, as text that lies beside the
//! sync file in git.
//!
//! One entry a line, sorted by name, nothing that depends on another line: two branches that lock
//! different tags merge. The time is that of the digest: it changes only with it. How a lock is kept
//! up to date is in `update`, what a run makes of it in `pins`.

mod pins;
mod update;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use oci::{Digest, Location, Selection, Source, Tag};

pub use pins::Locks;
pub use update::{Change, Looked, Seen};

/// The first line of a lock file.
const HEADER: &str = "# image-syncer lock v1";

/// What begins the lines that git leaves where it could not merge.
const CONFLICT_MARKERS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// Digests of source tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lock {
    /// By name: the repository, a colon, the tag.
    entries: BTreeMap<String, Locked>,
}

/// What is locked of one tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Locked {
    /// What it pointed at.
    pub digest: Digest,
    /// When that was first seen.
    pub seen: Timestamp,
}

/// A lock file that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LockError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LockProblem,
}

/// What is wrong with a line of a lock file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LockProblem {
    /// git could not merge.
    #[error("a merge has left a conflict here")]
    Conflict,
    /// It is made by another version.
    #[error("`{0}` is no header of this version, which is `{HEADER}`")]
    Header(String),
    /// It does not have three parts.
    #[error("it must be `SOURCE:TAG DIGEST TIME`, with one space between them")]
    Malformed,
    /// Its first part names no tag.
    #[error("`{0}` names no tag")]
    Name(String),
    /// Its second part is no digest.
    #[error(transparent)]
    Digest(#[from] oci::InvalidName),
    /// Its third part is no time.
    #[error("`{0}` is no time such as `2026-11-21T08:00:00Z`")]
    Time(String),
    /// Another line says something else of the same tag.
    #[error("`{name}` is locked to another digest in line {first}")]
    Twice {
        /// The tag.
        name: String,
        /// The other line.
        first: usize,
    },
}

/// What a tag of a source is called in a lock.
pub fn locked_name(location: &Location, tag: &Tag) -> String {
    format!("{location}:{tag}")
}

impl Lock {
    /// What is locked of the tag that a source names; none of a source without a tag.
    pub fn of(&self, source: &Source) -> Option<Locked> {
        self.entries.get(&locked_name(&source.location, source.selection.tag()?)).copied()
    }

    /// The tags of a repository that are locked.
    pub fn tags(&self, location: &Location) -> Vec<Tag> {
        let begin = format!("{location}:");
        let from_there = self.entries.range(begin.clone()..);
        let names = from_there.map_while(|(name, _)| name.strip_prefix(&begin));
        // `oci:a` is the beginning of `oci:a:b` too, whose rest is no tag.
        names.filter_map(|tag| tag.parse().ok()).collect()
    }

    /// How many tags are locked.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no tag is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a sync file pins and the lock has otherwise: the locked digest.
    pub fn contradicts(&self, source: &Source) -> Option<Digest> {
        let Selection::Pinned { digest, .. } = source.selection else { return None };
        self.of(source).map(|locked| locked.digest).filter(|locked| *locked != digest)
    }
}

impl FromStr for Lock {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, LockError> {
        let mut lines: BTreeMap<String, (usize, Locked)> = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |problem| LockError { line, problem };
            if CONFLICT_MARKERS.iter().any(|marker| text.starts_with(marker)) {
                return Err(wrong(LockProblem::Conflict));
            }
            if line == 1 && text.starts_with("# image-syncer lock") && text != HEADER {
                return Err(wrong(LockProblem::Header(text.to_owned())));
            }
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (name, locked) = entry(text).map_err(wrong)?;
            match lines.get_mut(&name) {
                None => {
                    lines.insert(name, (line, locked));
                }
                // Both sides of a merge have locked the same: it was seen when the first one saw it.
                Some((_, there)) if there.digest == locked.digest => {
                    there.seen = there.seen.min(locked.seen);
                }
                Some((first, _)) => {
                    return Err(wrong(LockProblem::Twice { first: *first, name }));
                }
            }
        }
        let entries = lines.into_iter().map(|(name, (_, locked))| (name, locked)).collect();
        Ok(Self { entries })
    }
}

fn entry(text: &str) -> Result<(String, Locked), LockProblem> {
    let mut parts = text.split(' ');
    let (Some(name), Some(digest), Some(time), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(LockProblem::Malformed);
    };
    let tag = name.rsplit_once(':').map(|(_, tag)| tag.parse::<Tag>());
    if !matches!(tag, Some(Ok(_))) {
        return Err(LockProblem::Name(name.to_owned()));
    }
    let seen = time.parse().map_err(|_| LockProblem::Time(time.to_owned()))?;
    Ok((name.to_owned(), Locked { digest: digest.parse()?, seen }))
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        self.entries
            .iter()
            .try_for_each(|(name, Locked { digest, seen })| writeln!(f, "{name} {digest} {seen}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    const TWO: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
    const TIME: &str = "2026-11-21T08:00:00Z";

    fn source(text: &str) -> Source {
        text.parse::<oci::Reference>().unwrap().try_into().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_sorted() {
        let text = format!(
            "{HEADER}\r\nquay.io/org/agent:3 {TWO} {TIME}\n\n# a remark\n\
             docker.io/library/nginx:1.27 {ONE} {TIME}\n"
        );
        let lock: Lock = text.parse().unwrap();
        let sorted = format!(
            "{HEADER}\ndocker.io/library/nginx:1.27 {ONE} {TIME}\nquay.io/org/agent:3 {TWO} {TIME}\n"
        );
        assert_eq!(lock.to_string(), sorted);
        assert_eq!(sorted.parse(), Ok(lock.clone()));
        let digest = |text: &str| lock.of(&source(text)).map(|locked| locked.digest.to_string());
        assert_eq!(digest("nginx:1.27").as_deref(), Some(ONE));
        assert_eq!(digest(&format!("nginx:1.27@{TWO}")).as_deref(), Some(ONE));
        assert_eq!(digest("nginx:1.28"), None);
        assert_eq!(digest(&format!("nginx@{ONE}")), None);
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let good = format!("a.io/b:1 {ONE} {TIME}");
        let table = [
            (format!("{good}\n<<<<<<< HEAD\n"), "line 2: a merge has left a conflict here"),
            (format!("{good}\n=======\n"), "line 2: a merge has left a conflict here"),
            (
                "# image-syncer lock v2\n".to_owned(),
                "line 1: `# image-syncer lock v2` is no header",
            ),
            (format!("{good} more\n"), "line 1: it must be `SOURCE:TAG DIGEST TIME`"),
            (format!("a.io/b:1  {ONE} {TIME}\n"), "line 1: it must be"),
            (format!("\n\na.io/b {ONE} {TIME}\n"), "line 3: `a.io/b` names no tag"),
            (format!("a.io:5000/b {ONE} {TIME}\n"), "line 1: `a.io:5000/b` names no tag"),
            (format!("a.io/b:1 sha256:12 {TIME}\n"), "line 1: "),
            (format!("a.io/b:1 {ONE} yesterday\n"), "line 1: `yesterday` is no time"),
            (
                format!("{good}\n# x\na.io/b:1 {TWO} {TIME}\n"),
                "line 3: `a.io/b:1` is locked to another digest in line 1",
            ),
        ];
        for (text, expected) in table {
            let error = text.parse::<Lock>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_same_on_both_sides_of_a_merge_is_one() {
        let later = "2026-11-22T08:00:00Z";
        let text = format!("a.io/b:1 {ONE} {later}\na.io/b:1 {ONE} {TIME}\n");
        let lock: Lock = text.parse().unwrap();
        assert_eq!(lock.to_string(), format!("{HEADER}\na.io/b:1 {ONE} {TIME}\n"));
    }

    #[test]
    fn the_tags_of_one_repository_are_those_of_no_other() {
        let names = ["a.io/b:1", "a.io/b:2", "a.io/b/c:3", "a.io/bc:4", "a.io:80/b:5"];
        let text: String = names.map(|name| format!("{name} {ONE} {TIME}\n")).concat();
        let lock: Lock = text.parse().unwrap();
        let tags = |name: &str| {
            let reference: oci::Reference = name.parse().unwrap();
            lock.tags(&reference.location).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(tags("a.io/b"), ["1", "2"]);
        assert_eq!(tags("a.io/bc"), ["4"]);
        assert_eq!(tags("a.io:80/b"), ["5"]);
        assert!(tags("a.io/x").is_empty());
    }

    #[test]
    fn a_pin_in_a_sync_file_may_contradict() {
        let lock: Lock = format!("a.io/b:1 {ONE} {TIME}").parse().unwrap();
        let locked: Digest = ONE.parse().unwrap();
        assert_eq!(lock.contradicts(&source(&format!("a.io/b:1@{TWO}"))), Some(locked));
        for fine in [format!("a.io/b:1@{ONE}"), "a.io/b:1".into(), format!("a.io/b@{TWO}")] {
            assert_eq!(lock.contradicts(&source(&fine)), None, "{fine}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = text.parse::<Lock>();
        }

        #[test]
        fn a_line_that_is_read_is_written_alike(
            tag in "[a-z0-9][a-z0-9.]{0,8}", seconds in 0_i64..4_000_000_000,
        ) {
            let time = Timestamp::from_second(seconds).unwrap();
            let text = format!("{HEADER}\na.io/b:{tag} {ONE} {time}\n");
            proptest::prop_assert_eq!(text.parse::<Lock>().unwrap().to_string(), text);
        }
    }
}

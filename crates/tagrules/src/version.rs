//! [`Version`]: what a tag says, read as a version.

use std::fmt;

use semver::{BuildMetadata, Prerelease};

/// A number of a version.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// The first.
    Major,
    /// The second.
    Minor,
    /// The third.
    Patch,
}

impl Part {
    /// `major`, `minor` or `patch`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Minor => "minor",
            Self::Patch => "patch",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version: one to three numbers, perhaps after a `v`, perhaps with a suffix after them.
///
/// Numbers that are not there count as 0, and zeros before a number do not count: `24.04` is a
/// version. The suffix begins at the first `-`, `_` or `+`. It orders as a prerelease does in
/// semver, so `1.27-alpine` comes before `1.27`; whether it is a prerelease or a variant, no tag
/// tells. The order is that of semver; of `1.27` and `1.27.0` the second is the higher.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    semver: semver::Version,
    named: Part,
    suffix: String,
}

impl Version {
    /// Reads a tag; none where it is no version.
    pub fn of(tag: &str) -> Option<Self> {
        let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
        let (numbers, suffix) = match text.find(['-', '_', '+']) {
            Some(at) => text.split_at_checked(at)?,
            None => (text, ""),
        };
        let mut named = None;
        let mut all = [0; 3];
        let mut parts = numbers.split('.');
        for (slot, part) in all.iter_mut().zip([Part::Major, Part::Minor, Part::Patch]) {
            let Some(text) = parts.next() else { break };
            *slot = number(text)?;
            named = Some(part);
        }
        if parts.next().is_some() {
            return None;
        }
        let [major, minor, patch] = all;
        let pre = if suffix.is_empty() { Prerelease::EMPTY } else { prerelease(suffix)? };
        let semver = semver::Version { major, minor, patch, pre, build: BuildMetadata::EMPTY };
        Some(Self { semver, named: named?, suffix: suffix.to_owned() })
    }

    /// What comes after the numbers, as it is written: `-alpine`; empty where nothing does.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The last number that is written: of `1.27` the minor one.
    pub fn named(&self) -> Part {
        self.named
    }

    /// As semver compares it.
    pub(crate) fn semver(&self) -> &semver::Version {
        &self.semver
    }

    /// The same without its suffix.
    pub(crate) fn release(&self) -> semver::Version {
        semver::Version { pre: Prerelease::EMPTY, ..self.semver.clone() }
    }

    /// The numbers up to this one, as in `1.27`.
    pub(crate) fn up_to(&self, part: Part) -> String {
        let semver::Version { major, minor, patch, .. } = &self.semver;
        match part {
            Part::Major => format!("{major}"),
            Part::Minor => format!("{major}.{minor}"),
            Part::Patch => format!("{major}.{minor}.{patch}"),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a `+`.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A suffix in semver's form, which is stricter than that of tags: its parts are not empty, have no
/// `_`, and where they are numbers no zeros before them.
fn prerelease(suffix: &str) -> Option<Prerelease> {
    let rest = suffix.get(1..)?;
    let parts: Vec<&str> =
        rest.split(['.', '_', '+']).filter(|part| !part.is_empty()).map(plain).collect();
    if parts.is_empty() {
        return None;
    }
    Prerelease::new(&parts.join(".")).ok()
}

fn plain(part: &str) -> &str {
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return part;
    }
    match part.trim_start_matches('0') {
        "" => "0",
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_versions() {
        let table = [
            ("1.27.3", "1.27.3", Part::Patch, ""),
            ("v1.27.3", "1.27.3", Part::Patch, ""),
            ("V2", "2.0.0", Part::Major, ""),
            ("1.27", "1.27.0", Part::Minor, ""),
            ("24.04", "24.4.0", Part::Minor, ""),
            ("20240115", "20240115.0.0", Part::Major, ""),
            ("1.27-alpine", "1.27.0-alpine", Part::Minor, "-alpine"),
            ("1.27.3-alpine3.20", "1.27.3-alpine3.20", Part::Patch, "-alpine3.20"),
            ("v2.0.0-rc.1", "2.0.0-rc.1", Part::Patch, "-rc.1"),
            ("17.0.9_9-jre", "17.0.9-9-jre", Part::Patch, "_9-jre"),
            ("1.2.3-007.x", "1.2.3-7.x", Part::Patch, "-007.x"),
            ("1.2.3-0", "1.2.3-0", Part::Patch, "-0"),
            ("1.2.3-a..b_c", "1.2.3-a.b.c", Part::Patch, "-a..b_c"),
            ("2024-01-15", "2024.0.0-01-15", Part::Major, "-01-15"),
        ];
        for (tag, semver, named, suffix) in table {
            let version = Version::of(tag).unwrap();
            assert_eq!(version.semver().to_string(), semver, "{tag}");
            assert_eq!(version.named(), named, "{tag}");
            assert_eq!(version.suffix(), suffix, "{tag}");
        }
    }

    #[test]
    fn tags_that_are_none() {
        let too_large = "99999999999999999999";
        for tag in [
            "",
            "v",
            "latest",
            "stable",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4",
            "1.27rc1",
            "3.13.0rc2",
            "vv1",
            "release-1.2",
            "1.2.3-",
            "1.2.3-.",
            "-1",
            "_1",
            "1.x",
            "+1",
            "7f3a9c",
            too_large,
        ] {
            assert_eq!(Version::of(tag), None, "{tag}");
        }
    }

    #[test]
    fn from_the_lowest_to_the_highest() {
        let order = [
            "0.9",
            "1.2.3-2",
            "1.2.3-10",
            "1.2.3-alpine",
            "1.2.3-alpine3.9",
            "1.2.3-alpine3.20",
            "1.2.3-rc.1",
            "1.2.3",
            "1.3",
            "1.3.0",
            "1.10.0",
            "2",
            "2.0",
            "2.0.0",
        ];
        let versions: Vec<Version> = order.iter().map(|tag| Version::of(tag).unwrap()).collect();
        for (one, other) in versions.iter().zip(versions.iter().skip(1)) {
            assert!(one < other, "{one:?} {other:?}");
        }
    }
}

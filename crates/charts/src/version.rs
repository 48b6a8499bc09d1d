//! A chart's version: how Helm reads it, what it is as a tag, and which one a text means.

use oci::{InvalidName, Tag};
use semver::{BuildMetadata, Prerelease, Version};

/// The tag that a version has in a registry: `+`, which no tag can have, becomes `_`
/// (<https://github.com/helm/helm/issues/10166>).
///
/// # Errors
/// [`InvalidName`] where a tag cannot be like that, such as one of more than 128 characters.
pub fn version_tag(version: &str) -> Result<Tag, InvalidName> {
    version.replace('+', "_").parse()
}

/// A version as Helm reads it (Masterminds/semver's `NewVersion`): perhaps after a `v`, and numbers
/// that are left out are 0. None where it is none; Helm passes over such an entry of an index.
pub(crate) fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, BuildMetadata::new(build).ok().filter(|it| !it.is_empty())?),
        None => (text, BuildMetadata::EMPTY),
    };
    let (text, pre) = match text.split_once('-') {
        Some((text, pre)) => (text, Prerelease::new(pre).ok().filter(|it| !it.is_empty())?),
        None => (text, Prerelease::EMPTY),
    };
    let mut numbers = text.split('.').map(|number| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| number.parse::<u64>().ok()).flatten()
    });
    let major = numbers.next()??;
    let minor = numbers.next().unwrap_or(Some(0))?;
    let patch = numbers.next().unwrap_or(Some(0))?;
    numbers.next().is_none().then_some(Version { major, minor, patch, pre, build })
}

/// How well a version is the one that a text names; the lowest is the best. A text may have a `v`
/// that the version has not, or the other way round, and the `_` of a tag for `+`: no version has
/// an underscore.
pub(crate) fn match_of(version: &str, named: &str) -> Option<u8> {
    let named = named.replace('_', "+");
    let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    if version == named {
        Some(0)
    } else if bare(version) == bare(&named) {
        Some(1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_what_helm_takes() {
        let table = [
            ("1.2.3", "1.2.3"),
            ("v1.2.3", "1.2.3"),
            ("1", "1.0.0"),
            ("1.2", "1.2.0"),
            ("01.2.3", "1.2.3"),
            ("1.2.3-rc.1+b.2", "1.2.3-rc.1+b.2"),
            ("1.2.3+up1.0-x", "1.2.3+up1.0-x"),
            ("1.2-rc", "1.2.0-rc"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        for text in
            ["", "v", "x", "1.2.3.4", "1..2", "1.2.3-", "1.2.3+", "1.2.3_b", "+1", "1.2.3-01"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_tag_has_an_underscore_for_a_plus() {
        assert_eq!(version_tag("1.0.0+b.1").unwrap().as_str(), "1.0.0_b.1");
        assert_eq!(version_tag("v1.0.0-rc.1").unwrap().as_str(), "v1.0.0-rc.1");
        assert!(version_tag(&format!("1.0.0+{}", "b".repeat(128))).is_err());
    }

    #[test]
    fn a_text_names_a_version_as_it_is_or_nearly() {
        let table = [
            ("1.2.3", "1.2.3", Some(0)),
            ("v1.2.3", "1.2.3", Some(1)),
            ("1.2.3", "v1.2.3", Some(1)),
            ("1.2.3+b", "1.2.3_b", Some(0)),
            ("1.2.3+b", "1.2.3", None),
            ("1.2.0", "1.2", None),
        ];
        for (version, named, expected) in table {
            assert_eq!(match_of(version, named), expected, "{version} {named}");
        }
    }
}

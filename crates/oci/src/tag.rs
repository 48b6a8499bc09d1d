//! [`Tag`]: the movable name of a manifest within a repository.

use std::fmt;
use std::str::FromStr;

use crate::name::serde_as_text;
use crate::{Digest, InvalidName};

/// A tag as the distribution spec defines it: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(String);

impl Tag {
    /// The tag under which whoever pushes referrers of `subject` lists them, where the registry does
    /// not: the digest with `-` for `:`, its hex digits cut at 64 (distribution spec, "Referrers Tag
    /// Schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        let mut hex = subject.hex();
        hex.truncate(64);
        Self(format!("{}-{hex}", subject.algorithm()))
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let invalid = |problem: &str| Err(InvalidName::new("tag", input, problem));
        let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = |b: u8| first(b) || b == b'.' || b == b'-';
        match input.as_bytes() {
            [] => invalid("a tag has at least one character"),
            bytes if bytes.len() > 128 => invalid("a tag has at most 128 characters"),
            bytes if !bytes.iter().all(|&b| rest(b)) => {
                invalid("a tag has only letters, digits, `_`, `.` and `-`")
            }
            [head, ..] if !first(*head) => invalid("a tag begins with a letter, a digit or `_`"),
            _ => Ok(Self(input.to_owned())),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Tag);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn fallback_tags_are_tags() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let subject = Digest::of(algorithm, b"");
            let tag = Tag::of_referrers(&subject);
            assert_eq!(tag.as_str(), format!("{algorithm}-{}", &subject.hex()[..64]));
            assert_eq!(tag.as_str().parse::<Tag>().unwrap(), tag);
        }
    }

    #[test]
    fn takes_what_the_spec_takes() {
        let longest = "x".repeat(128);
        for good in ["latest", "1.27", "_x", "A-b_c.d", "3.10", longest.as_str()] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_the_rest_and_quotes_it() {
        let too_long = "x".repeat(129);
        for bad in ["", "-x", ".x", "a b", "v1.0+b", "a/b", "sha256:abc", "ü", too_long.as_str()] {
            let error = bad.parse::<Tag>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{bad}` is not a tag")), "{error}");
        }
    }
}

//! [`Source`] and [`Target`]: references with what each side of a copy needs.

use std::fmt;

use crate::{Digest, InvalidName, Location, Reference, Tag};

/// Where content is copied from: a reference that picks one manifest.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Source {
    /// The repository.
    pub location: Location,
    /// Which of its manifests.
    pub selection: Selection,
}

/// How a source picks its manifest.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Selection {
    /// What the tag points at when the run looks.
    Tag(Tag),
    /// The manifest with this digest.
    Digest(Digest),
    /// The manifest with this digest, which the tag pointed at when it was written down.
    Pinned {
        /// The tag.
        tag: Tag,
        /// The digest; it decides.
        digest: Digest,
    },
}

/// Where content is copied to: a tag in a repository.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Target {
    /// The repository.
    pub location: Location,
    /// The tag that will point at the copy.
    pub tag: Tag,
}

impl Selection {
    /// The tag, where one is part of it.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) | Self::Pinned { tag, .. } => Some(tag),
            Self::Digest(_) => None,
        }
    }

    /// The digest, where one is part of it.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Tag(_) => None,
            Self::Digest(digest) | Self::Pinned { digest, .. } => Some(*digest),
        }
    }
}

impl TryFrom<Reference> for Source {
    type Error = InvalidName;

    fn try_from(reference: Reference) -> Result<Self, InvalidName> {
        let text = reference.to_string();
        let selection = match (reference.tag, reference.digest) {
            (Some(tag), Some(digest)) => Selection::Pinned { tag, digest },
            (Some(tag), None) => Selection::Tag(tag),
            (None, Some(digest)) => Selection::Digest(digest),
            (None, None) => {
                let problem = "it has neither tag nor digest; `:latest` must be said";
                return Err(InvalidName::new("source", &text, problem));
            }
        };
        Ok(Self { location: reference.location, selection })
    }
}

impl TryFrom<Reference> for Target {
    type Error = InvalidName;

    fn try_from(reference: Reference) -> Result<Self, InvalidName> {
        let text = reference.to_string();
        let invalid = |problem| Err(InvalidName::new("target", &text, problem));
        match (reference.tag, reference.digest) {
            (_, Some(_)) => invalid("a target is named by a tag, its digest comes from the source"),
            (None, None) => invalid("it has no tag"),
            (Some(tag), None) => Ok(Self { location: reference.location, tag }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.location, self.selection)
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tag().iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest().iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.location, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_picks_a_manifest_and_a_target_names_a_tag() {
        let digest = format!("@{}", Digest::sha256(b""));
        let (pinned, both) = (format!("a.io/b{digest}"), format!("a.io/b:1{digest}"));
        let table = [
            ("a.io/b:1", true, true),
            (pinned.as_str(), true, false),
            (both.as_str(), true, false),
            ("a.io/b", false, false),
        ];
        for (text, source, target) in table {
            let reference: Reference = text.parse().unwrap();
            let as_source = Source::try_from(reference.clone());
            assert_eq!(as_source.is_ok(), source, "{text}");
            assert_eq!(Target::try_from(reference).is_ok(), target, "{text}");
            if let Ok(source) = as_source {
                assert_eq!(source.to_string(), text);
            }
        }
    }
}

//! [`Wanted`]: one tag that the target is to have. [`TagSelection`]: those that rules select.

use std::fmt;
use std::sync::Arc;

use oci::{Digest, Extent, Location, Source, Tag, Target};
use tagrules::{Range, Rules};

use crate::WantedSignatures;

/// One wanted item: this source, under that tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Where the content comes from.
    pub source: Source,
    /// The source as its author wrote it; target names depend on the spelling.
    pub written: String,
    /// How much of it is wanted.
    pub extent: Extent,
    /// The tag that is to hold it.
    pub target: Target,
    /// Whether a plan says which images a chart names.
    pub lists_images: bool,
    /// What it asks of signatures.
    pub signatures: WantedSignatures,
    /// The place in a sync file that asked for it; none for a single copy.
    pub origin: Option<Origin>,
}

/// Tags of a source, each under its own name. Which these are, or where they are, is known when the
/// source was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagSelection {
    /// The repository that the tags are of.
    pub source: Location,
    /// The one that is meant instead where there is no such repository.
    pub otherwise: Option<Location>,
    /// The source as its author wrote it.
    pub written: String,
    /// Which of its tags.
    pub choice: Choice,
    /// How much of each is wanted.
    pub extent: Extent,
    /// The repository that is to hold them.
    pub target: Location,
    /// Whether a plan says which images each chart names.
    pub lists_images: bool,
    /// What each asks of signatures.
    pub signatures: WantedSignatures,
    /// The place in a sync file that asked for them.
    pub origin: Option<Origin>,
}

/// Which tags.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Those that these rules select.
    Rules(Rules),
    /// Those of all versions of a chart that are in this range.
    Versions(Range),
    /// These, whether they are listed or not.
    Named(Vec<Tag>),
}

/// What an item is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// A tag.
    Tag(Arc<Wanted>),
    /// Tags that could not be selected, so that none of them is known.
    Selection(Arc<TagSelection>),
}

/// A place in a sync file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The file as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl Wanted {
    /// The source text that pins `digest`, to be written in place of what is there now.
    pub fn pinned_to(&self, digest: Digest) -> String {
        let name = self.written.split('@').next().unwrap_or_default();
        format!("{name}@{digest}")
    }
}

impl TagSelection {
    /// One of its tags, as a wanted item, from where it was found.
    pub fn wanted(&self, source: Source, tag: Tag) -> Wanted {
        Wanted {
            source,
            written: format!("{}:{tag}", self.written),
            target: Target { location: self.target.clone(), tag },
            extent: self.extent.clone(),
            lists_images: self.lists_images,
            signatures: self.signatures.clone(),
            origin: self.origin.clone(),
        }
    }
}

impl Wish {
    /// Where the content comes from, as text; without a tag where none is known.
    pub fn source(&self) -> String {
        match self {
            Self::Tag(wanted) => wanted.source.to_string(),
            Self::Selection(selection) => selection.source.to_string(),
        }
    }

    /// Where it goes, as text; without a tag where none is known.
    pub fn target(&self) -> String {
        match self {
            Self::Tag(wanted) => wanted.target.to_string(),
            Self::Selection(selection) => selection.target.to_string(),
        }
    }

    /// How much of it.
    pub fn extent(&self) -> &Extent {
        match self {
            Self::Tag(wanted) => &wanted.extent,
            Self::Selection(selection) => &selection.extent,
        }
    }

    /// The place in a sync file that asked for it.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Tag(wanted) => wanted.origin.as_ref(),
            Self::Selection(selection) => selection.origin.as_ref(),
        }
    }
}

impl From<Arc<Wanted>> for Wish {
    fn from(wanted: Arc<Wanted>) -> Self {
        Self::Tag(wanted)
    }
}

impl From<Arc<TagSelection>> for Wish {
    fn from(selection: Arc<TagSelection>) -> Self {
        Self::Selection(selection)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use oci::Reference;

    use super::*;

    #[test]
    fn a_pin_keeps_the_spelling() {
        let digest = Digest::sha256(b"there");
        let old = Digest::sha256(b"old");
        let table = [
            ("nginx:1.27".to_owned(), format!("nginx:1.27@{digest}")),
            (format!("nginx:1.27@{old}"), format!("nginx:1.27@{digest}")),
            (format!("busybox@{old}"), format!("busybox@{digest}")),
        ];
        for (written, expected) in table {
            let reference: Reference = written.parse().unwrap();
            let wanted = Wanted {
                source: reference.try_into().unwrap(),
                written,
                extent: Extent::Whole,
                target: "a.io/b:1".parse::<Reference>().unwrap().try_into().unwrap(),
                lists_images: false,
                origin: None,
                signatures: WantedSignatures::default(),
            };
            assert_eq!(wanted.pinned_to(digest), expected);
        }
    }
}

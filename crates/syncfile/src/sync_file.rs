//! [`SyncFile`]: what one or several sync files ask for, with nothing left to check.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use oci::{Extent, Host, Location, Source, Target};
use tagrules::Rules;

use crate::chart::Chart;
use crate::notice::Notice;
use crate::registry::RegistryEntry;
use crate::repository::EcrRepository;
use crate::signing::Signing;
use crate::verify::VerifyRule;

/// What is wanted, of all files together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncFile {
    /// The images, in the order of the files. No target is in there twice.
    pub images: Vec<Image>,
    /// The rules that select tags, in the order of the files. Which tags these are is not known
    /// here; some may be targets of other entries as well.
    pub selections: Vec<TagSelection>,
    /// How registries are reached, where a default does not fit.
    pub registries: BTreeMap<Host, RegistryEntry>,
    /// What must be signed at its source, in the order of the files; the rules of each file are for
    /// the sources of all of them.
    pub verify: Vec<VerifyRule>,
    /// The ECR repositories that are to be, in the order of the files. None is in there twice. What
    /// their images are is in `images`, their charts in `charts`.
    pub repositories: Vec<EcrRepository>,
    /// The charts, in the order of the files.
    pub charts: Vec<Chart>,
    /// Who is told of a run, in the order of the files; the same one is in there once.
    pub notices: Vec<Notice>,
}

impl SyncFile {
    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
            && self.selections.is_empty()
            && self.repositories.is_empty()
            && self.charts.is_empty()
    }
}

/// One image and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Where it comes from.
    pub source: Source,
    /// The source as it stands in the file.
    pub written: String,
    /// How much of it is wanted.
    pub extent: Extent,
    /// Where it goes, at least one place; it is the same content everywhere.
    pub targets: Vec<Target>,
    /// Whether and how it is signed at its targets.
    pub signing: Signing,
    /// Where it is asked for.
    pub origin: Origin,
}

/// The tags of a source that rules select, and where they go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TagSelection {
    /// Where they come from.
    pub source: Location,
    /// The source as it stands in the file.
    pub written: String,
    /// Which tags.
    pub rules: Rules,
    /// How much of each is wanted.
    pub extent: Extent,
    /// Where they go, at least one place, each under its own name.
    pub targets: Vec<Location>,
    /// Whether and how each is signed at its targets.
    pub signing: Signing,
    /// Where they are asked for.
    pub origin: Origin,
}

/// Where something is asked for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    /// The file as it was given; `<stdin>` for standard input.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

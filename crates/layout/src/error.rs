//! What can go wrong with a layout. Each error names the file and what was being done with it.

use std::io;
use std::path::{Path, PathBuf};

use oci::{Digest, ManifestError, Mismatch};

/// Why a layout could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, such as `read`.
        action: &'static str,
        /// The file or folder it was done with.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what the image layout spec says it is.
    #[error("{} is damaged: {problem}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Content that was to be stored is not what its digest or size promises; nothing was stored.
    #[error("blob {digest} was not stored")]
    WrongContent {
        /// The digest it was to be stored under.
        digest: Digest,
        /// What is wrong with it.
        source: Box<Mismatch>,
    },
    /// A manifest that cannot be read as one.
    #[error("manifest {digest} in {}", path.display())]
    Manifest {
        /// The manifest's digest.
        digest: Digest,
        /// The file it is in.
        path: PathBuf,
        /// Why it cannot be read.
        source: ManifestError,
    },
    /// A file that is read whole is larger than anything sensible.
    #[error("{} has {size} bytes, more than the {limit} that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// A tag was to point at a manifest that is not in the layout.
    #[error("{} has no manifest {digest}: store it before its tag", path.display())]
    Missing {
        /// The layout.
        path: PathBuf,
        /// The manifest's digest.
        digest: Digest,
    },
    /// Another writer is at work on the archive.
    #[error("{} is being written by another process: try again when it has ended", path.display())]
    Busy {
        /// The archive.
        path: PathBuf,
    },
    /// A repository whose layout would lie among the files of another.
    #[error(
        "repository `{name}` cannot be stored in a tree of layouts: below the first component, \
         `blobs`, `index.json` and `oci-layout` are files of the layout above"
    )]
    Name {
        /// The repository's name.
        name: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn corrupt(path: &Path, problem: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), problem: problem.into() }
    }
}

/// Why a blob could not be written: its source broke, or the layout did.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The stream that the content came from ended with this error.
    #[error("the content could not be read")]
    Content(#[source] E),
    /// The content is wrong or could not be stored.
    #[error(transparent)]
    Layout(#[from] Error),
}

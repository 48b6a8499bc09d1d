//! [`Chain`]: the file beside an audit log that says where its chain ends. It outlives the log's
//! rotation, so that a new file goes on where the last one ended, and it is what two runs lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::line::NO_HASH;

/// The length of the file, in bytes: always the same, so that one write replaces all of it.
const LENGTH: usize = 128;

/// Where a chain of lines ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Link {
    /// The number of the last line; 0 before the first one.
    pub(super) sequence: u64,
    /// Its hash.
    pub(super) hash: String,
}

impl Link {
    pub(super) fn before_all() -> Self {
        Self { sequence: 0, hash: NO_HASH.to_owned() }
    }
}

/// The file, locked as long as this lives.
pub(super) struct Chain(File);

/// Why there is no chain.
pub(super) enum Problem {
    /// Another process writes the log.
    Busy,
    Io(io::Error),
}

impl Chain {
    /// Its path beside a log.
    pub(super) fn path(log: &Path) -> PathBuf {
        let mut name = log.as_os_str().to_owned();
        name.push(".chain");
        PathBuf::from(name)
    }

    /// Opens and locks it; what it says, if it says anything.
    pub(super) fn open(log: &Path) -> Result<(Self, Option<Link>), Problem> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false);
        let mut file = opened.open(Self::path(log)).map_err(Problem::Io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Problem::Busy,
            TryLockError::Error(error) => Problem::Io(error),
        })?;
        let mut text = String::new();
        // What cannot be read is taken for nothing; then the log itself tells.
        let _ = (&mut file).take(4096).read_to_string(&mut text);
        let link = serde_json::from_str(text.trim()).ok();
        Ok((Self(file), link))
    }

    /// Lets others have it.
    pub(super) fn unlock(&self) {
        let _ = self.0.unlock();
    }

    /// Says where the chain ends now. It need not survive the loss of power: the log does.
    pub(super) fn set(&mut self, link: &Link) -> io::Result<()> {
        let text = serde_json::to_string(link)?;
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(format!("{text:<width$}\n", width = LENGTH - 1).as_bytes())
    }
}

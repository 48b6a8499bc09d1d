//! Writing that a crash cannot cut in half, and the lock that orders writers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci::Digest;

use crate::Error;

/// Runs file work where it may block.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Error> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(error) => Err(Error::io("finish work on", Path::new("."))(io::Error::other(error))),
    }
}

/// Held while `index.json` is read, changed and replaced. Released when dropped, or by the
/// operating system when its holder dies.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock of the layout in `folder`, which must exist.
    pub(crate) fn acquire(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(".lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = open.map_err(Error::io("open", &path))?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(Self { _file: file })
    }
}

/// Puts `content` at `path` so that a reader, and a machine that lost its power, finds the old
/// content or the new one. The caller holds whatever orders writers.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    replace_soon(path, content)?;
    sync_parent(path)
}

/// As [`replace`], but which of the two it is after a loss of power is open until the folder is
/// synced.
pub(crate) fn replace_soon(path: &Path, content: &[u8]) -> Result<(), Error> {
    let temporary = hidden_beside(path);
    let written = (|| {
        let mut file = File::create(&temporary).map_err(Error::io("create", &temporary))?;
        file.write_all(content).map_err(Error::io("write", &temporary))?;
        file.sync_all().map_err(Error::io("write", &temporary))?;
        rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives a finished file its name, for good.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<(), Error> {
    rename(temporary, path)?;
    sync_parent(path)
}

fn rename(temporary: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(temporary, path).map_err(Error::io("rename a finished file to", path))
}

/// Makes the names in the folder around `path` outlive a power cut.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
}

/// The hidden name that a file has while its content is written. It is the same for every writer:
/// they are in order, so the next one overwrites what a dead one left.
pub(crate) fn hidden_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// Where a blob lies below the folder of its layout.
pub(crate) fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join(digest.algorithm().as_str()).join(digest.hex())
}

/// Makes a folder and those above it, names that outlive a power cut.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        make_folder(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync_parent(path),
        // Another writer was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io("create the folder", path)(error)),
    }
}

/// The size of a file in bytes, if it is there.
pub(crate) fn file_size(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io("look for", path)(error)),
    }
}

/// Whether the answer means that there is no such file, rather than that it cannot be reached.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

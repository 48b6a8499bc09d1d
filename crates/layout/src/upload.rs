//! [`Upload`]: a blob that grows in the hidden folder `.uploads/` of its layout until it is whole,
//! checked and published; and the clearing away of those that never were.
//!
//! The file of an upload is locked as long as a process has the upload open, so what a dead
//! process left behind can be told from what a living one is at work on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use oci::{Algorithm, Digest, Hasher, Mismatch};
use uuid::Uuid;

use crate::durable::{blob_path, blocking, is_absent, make_folder, publish};
use crate::{Error, WriteError};

/// How much is gathered before it is hashed and written, in bytes: the network gives pieces of a
/// few KiB, and each way to the blocking pool costs.
const PIECE: usize = 512 * 1024;

/// How long a session may rest before it is cleared away.
const SESSION_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A blob that is written in one go is cleared away much earlier: nobody can come back to it. Not
/// at once, so that its writer has the time to lock what it created.
const BLOB_AGE: Duration = Duration::from_secs(60);

/// The name of an upload, which cannot be guessed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UploadId(Uuid);

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for UploadId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What becomes of an upload that is dropped before it is finished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfinished {
    /// It stays on disk for whoever opens it again.
    Stays,
    /// It is removed.
    Goes,
}

/// A blob that arrives in pieces. Dropped, it stays on disk and can be opened again by its id,
/// until a day after its last piece.
#[derive(Debug)]
pub struct Upload {
    id: UploadId,
    folder: PathBuf,
    path: PathBuf,
    size: u64,
    unfinished: Unfinished,
    /// Away while a piece is being written. It stays away where nobody waited for the end of that,
    /// because what is on disk is not known then.
    growing: Option<Growing>,
}

/// The open file, and the digest of what is in it where it was seen from the start.
#[derive(Debug)]
struct Growing {
    file: File,
    hasher: Option<Hasher>,
}

impl Upload {
    /// Creates an empty one in the layout, whose folders exist. Blocks.
    pub(crate) fn create(
        folder: &Path,
        algorithm: Algorithm,
        unfinished: Unfinished,
    ) -> Result<Self, Error> {
        let id = UploadId(Uuid::new_v4());
        let path = path_of(folder, id, unfinished);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        file.lock().map_err(Error::io("lock", &path))?;
        let growing = Growing { file, hasher: Some(Hasher::new(algorithm)) };
        Ok(Self {
            id,
            folder: folder.to_owned(),
            path,
            size: 0,
            unfinished,
            growing: Some(growing),
        })
    }

    /// Opens one that was dropped, also by another process. Blocks.
    pub(crate) fn open(folder: &Path, id: UploadId) -> Result<Option<Self>, Error> {
        let path = path_of(folder, id, Unfinished::Stays);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        // It may have been finished, and so renamed, before the lock was had.
        if !path.exists() {
            return Ok(None);
        }
        let size = file.seek(SeekFrom::End(0)).map_err(Error::io("read", &path))?;
        Ok(Some(Self {
            id,
            folder: folder.to_owned(),
            path,
            size,
            unfinished: Unfinished::Stays,
            growing: Some(Growing { file, hasher: None }),
        }))
    }

    /// Its name.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// How many bytes have come so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next pieces. Where the stream or the writing fails, what came before is kept and
    /// counted; where nobody waits for the end, the upload has to be opened again.
    ///
    /// # Errors
    /// The stream's error, or that of the disk.
    pub async fn append<S, E>(&mut self, content: S) -> Result<(), WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        self.append_up_to(None, content).await
    }

    /// As [`Upload::append`], but refuses more than `limit` bytes in all.
    pub(crate) async fn append_up_to<S, E>(
        &mut self,
        limit: Option<(Digest, u64)>,
        content: S,
    ) -> Result<(), WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let mut content = std::pin::pin!(content);
        let mut gathered = Vec::new();
        while let Some(piece) = content.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => {
                    self.write(gathered).await?;
                    return Err(WriteError::Content(error));
                }
            };
            if let Some((digest, expected)) = limit
                && self.size + (gathered.len() + piece.len()) as u64 > expected
            {
                let source = Box::new(Mismatch::TooLong { expected });
                return Err(Error::WrongContent { digest, source }.into());
            }
            if gathered.capacity() == 0 {
                // A blob that comes in one small piece needs no large buffer.
                gathered.reserve(piece.len());
            } else if gathered.len() + piece.len() > gathered.capacity() {
                gathered.reserve_exact(PIECE.max(piece.len()));
            }
            gathered.extend_from_slice(&piece);
            if gathered.len() >= PIECE {
                gathered = self.write(gathered).await?;
            }
        }
        self.write(gathered).await?;
        Ok(())
    }

    /// Hashes and writes; gives the emptied buffer back.
    async fn write(&mut self, mut gathered: Vec<u8>) -> Result<Vec<u8>, Error> {
        if gathered.is_empty() {
            return Ok(gathered);
        }
        let mut growing = self.take()?;
        let path = self.path.clone();
        let (growing, gathered, written) = blocking(move || {
            growing.file.write_all(&gathered).map_err(Error::io("write", &path))?;
            if let Some(hasher) = &mut growing.hasher {
                hasher.update(&gathered);
            }
            let written = gathered.len() as u64;
            gathered.clear();
            Ok((growing, gathered, written))
        })
        .await?;
        self.growing = Some(growing);
        self.size += written;
        Ok(gathered)
    }

    fn take(&mut self) -> Result<Growing, Error> {
        let lost = || Error::corrupt(&self.path, "an earlier write to it was broken off");
        self.growing.take().ok_or_else(lost)
    }

    /// Publishes the blob if all that came has this digest; otherwise removes it.
    ///
    /// # Errors
    /// [`Error::WrongContent`], or that of the disk.
    pub async fn finish(mut self, digest: &Digest) -> Result<(), Error> {
        let Growing { mut file, hasher } = self.take()?;
        self.unfinished = Unfinished::Goes;
        let digest = *digest;
        blocking(move || {
            let actual = match hasher {
                Some(hasher) => hasher.finish(),
                None => {
                    hash(&mut file, digest.algorithm()).map_err(Error::io("read", &self.path))?
                }
            };
            let actual = if actual.algorithm() == digest.algorithm() {
                actual
            } else {
                hash(&mut file, digest.algorithm()).map_err(Error::io("read", &self.path))?
            };
            if actual != digest {
                let source = Box::new(Mismatch::Digest(actual));
                return Err(Error::WrongContent { digest, source });
            }
            self.publish(&file, &digest)
        })
        .await
    }

    /// Writes and publishes content that is known to have this digest. Blocks.
    pub(crate) fn finish_with(mut self, content: &[u8], digest: &Digest) -> Result<(), Error> {
        let Growing { mut file, .. } = self.take()?;
        file.write_all(content).map_err(Error::io("write", &self.path))?;
        self.publish(&file, digest)
    }

    fn publish(&mut self, file: &File, digest: &Digest) -> Result<(), Error> {
        file.sync_all().map_err(Error::io("write", &self.path))?;
        let place = blob_path(&self.folder, digest);
        place.parent().map_or(Ok(()), make_folder)?;
        publish(&self.path, &place)?;
        self.unfinished = Unfinished::Stays;
        Ok(())
    }

    /// Removes it.
    pub fn cancel(mut self) {
        self.unfinished = Unfinished::Goes;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.unfinished == Unfinished::Goes {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn path_of(folder: &Path, id: UploadId, unfinished: Unfinished) -> PathBuf {
    let kind = match unfinished {
        Unfinished::Stays => SESSION,
        Unfinished::Goes => BLOB,
    };
    folder.join(".uploads").join(format!("{kind}{id}"))
}

const SESSION: &str = "session-";
const BLOB: &str = "blob-";

fn hash(file: &mut File, algorithm: Algorithm) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(algorithm);
    let mut piece = vec![0; PIECE];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(piece.get(..length).unwrap_or_default()),
        }
    }
}

/// Removes the uploads of a layout that nobody will finish: no process has them open, and they
/// have not grown for long. What cannot be judged is left. Blocks.
pub(crate) fn clear_away(folder: &Path) {
    let Ok(uploads) = fs::read_dir(folder.join(".uploads")) else { return };
    for upload in uploads.flatten() {
        let name = upload.file_name();
        let name = name.to_string_lossy();
        let age = match (name.starts_with(SESSION), name.starts_with(BLOB)) {
            (true, _) => SESSION_AGE,
            (_, true) => BLOB_AGE,
            _ => continue,
        };
        let Ok(file) = File::open(upload.path()) else { continue };
        let changed = file.metadata().and_then(|metadata| metadata.modified());
        let old = changed.is_ok_and(|changed| {
            SystemTime::now().duration_since(changed).is_ok_and(|rested| rested > age)
        });
        if old && file.try_lock().is_ok() {
            let _ = fs::remove_file(upload.path());
        }
    }
}

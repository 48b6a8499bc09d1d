//! [`ArchiveWriter`]: a layout in a tar archive, to write to.
//!
//! A tar archive cannot be changed in place, so a new one grows beside it under a hidden name and
//! takes its place when it is finished. The hidden file is locked while its writer lives: a second
//! writer is turned away, and what a dead one left is written over.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use oci::{Descriptor, Digest, Manifest, Mismatch, Selector, Tag, Verifier};
use tokio::sync::{Mutex, MutexGuard};

use super::reader::{Part, Table};
use crate::disk::LAYOUT_VERSION;
use crate::durable::{blocking, hidden_beside, publish};
use crate::index::Tagged;
use crate::{Error, Layout, WriteError};

/// The size of tar's blocks in bytes.
const BLOCK: u64 = 512;

/// How much is gathered before it is written, in bytes.
const PIECE: usize = 512 * 1024;

/// An OCI image layout in a tar archive, to write to. Nothing is to be seen before
/// [`ArchiveWriter::finish`], nor after it was dropped without.
///
/// What the archive held before stays in it. Blobs are written one after another: a second one
/// waits until the first is there.
#[derive(Debug)]
pub struct ArchiveWriter {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: Table,
    /// The manifests that refer to another: they keep their entry, whatever index holds them.
    referrers: HashSet<Digest>,
    /// Whether there is something to write that the archive does not have.
    changed: bool,
    /// Away while something is written. It stays away where that failed half-way or nobody waited
    /// for its end: the archive is broken then and must not be finished.
    growing: Option<Growing>,
}

impl ArchiveWriter {
    /// Opens an archive for writing; what is in it stays.
    ///
    /// # Errors
    /// [`Error::Busy`] while another writer has it open, or where it cannot be read or is damaged.
    pub async fn create(file: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = file.into();
        blocking(move || {
            let mut growing = Growing::create(&path)?;
            let before = Table::read(&path)?;
            let changed = before.is_none();
            let table = before.unwrap_or_default();
            if !changed {
                growing.before =
                    table.blobs.iter().map(|(digest, part)| (*digest, *part)).collect();
                growing.before.sort_by_key(|(_, part)| part.start);
            }
            let state = State { table, referrers: HashSet::new(), changed, growing: Some(growing) };
            Ok(Self { path, state: Mutex::new(state) })
        })
        .await
    }

    /// The archive's file.
    pub fn file(&self) -> &Path {
        &self.path
    }

    /// The manifest that a tag points at, or the listed one that has a digest; `None` where it is
    /// not there.
    ///
    /// # Errors
    /// None yet; it is a [`Result`] as the same method of a layout in a folder.
    pub async fn resolve(&self, selector: &Selector) -> Result<Option<Descriptor>, Error> {
        Ok(self.state.lock().await.table.document.contents().find(selector).cloned())
    }

    /// All tags, sorted.
    ///
    /// # Errors
    /// None yet; it is a [`Result`] as the same method of a layout in a folder.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.state.lock().await.table.document.contents().tags.into_keys().collect())
    }

    /// The size of a blob in bytes; `None` where it is not there.
    ///
    /// # Errors
    /// None yet; it is a [`Result`] as the same method of a layout in a folder.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.state.lock().await.table.blobs.get(digest).map(|part| part.size))
    }

    /// Stores a blob, checked while it is written. What is there already is left and the content
    /// not read.
    ///
    /// # Errors
    /// The stream's error, [`Error::WrongContent`], or that of the disk; only after the last can
    /// the archive not be finished any more.
    pub async fn write_blob<S, E>(
        &self,
        digest: &Digest,
        size: Option<u64>,
        content: S,
    ) -> Result<(), WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let mut state = self.state.lock().await;
        if state.table.blobs.contains_key(digest) {
            return Ok(());
        }
        let wrong = |mismatch: Mismatch| Error::WrongContent {
            digest: *digest,
            source: Box::new(mismatch),
        };
        let mut content = std::pin::pin!(content);
        let mut verifier = Verifier::new(*digest, size);
        let mut gathered = Vec::new();
        self.on_disk(&mut state, Growing::begin_blob).await?;
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(WriteError::Content)?;
            verifier.update(&piece).map_err(wrong)?;
            gathered.extend_from_slice(&piece);
            if gathered.len() >= PIECE {
                gathered = self.on_disk(&mut state, |growing| growing.write(gathered)).await?;
            }
        }
        let size = verifier.seen();
        verifier.finish().map_err(wrong)?;
        let digest = *digest;
        let part = self
            .on_disk(&mut state, move |growing| {
                growing.write(gathered)?;
                growing.end_blob(&digest, size)
            })
            .await?;
        state.table.blobs.insert(digest, part);
        state.changed = true;
        Ok(())
    }

    /// Copies a blob from a layout in a folder; false where that does not have it.
    ///
    /// # Errors
    /// Where it cannot be read there or written here.
    pub async fn link_blob(&self, from: &Layout, digest: &Digest) -> Result<bool, Error> {
        let Some(content) = from.read_blob(digest, 0).await? else { return Ok(false) };
        match self.write_blob(digest, Some(content.size()), content).await {
            Ok(()) => Ok(true),
            Err(WriteError::Content(error) | WriteError::Layout(error)) => Err(error),
        }
    }

    /// Stores a manifest under its digest.
    ///
    /// # Errors
    /// That of the disk.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        let bytes = manifest.bytes().clone();
        let size = Some(bytes.len() as u64);
        let content = futures::stream::iter([Ok::<_, Error>(bytes)]);
        match self.write_blob(&manifest.digest(), size, content).await {
            Ok(()) => {}
            Err(WriteError::Content(error) | WriteError::Layout(error)) => return Err(error),
        }
        let mut state = self.state.lock().await;
        if manifest.subject().is_some() {
            state.referrers.insert(manifest.digest());
        }
        let mut changed = state.table.document.keep(&manifest.descriptor());
        for child in manifest.manifests() {
            if !state.referrers.contains(&child.digest) {
                changed |= state.table.document.release(&child.digest);
            }
        }
        state.changed |= changed;
        Ok(())
    }

    /// Points a tag at a manifest that is in the archive, unless it points at another.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Corrupt`] where the tag's entry cannot be read.
    pub async fn tag(&self, tag: &Tag, manifest: &Descriptor) -> Result<Tagged, Error> {
        let mut state = self.state.lock().await;
        if !state.table.blobs.contains_key(&manifest.digest) {
            return Err(Error::Missing { path: self.path.clone(), digest: manifest.digest });
        }
        let tagged = state.table.document.tag(tag, manifest);
        let tagged = tagged.map_err(|problem| Error::corrupt(&self.path, problem))?;
        state.changed |= tagged == Tagged::Written;
        Ok(tagged)
    }

    /// Points a tag at a manifest that is in the archive, wherever it points now.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn retag(&self, tag: &Tag, manifest: &Descriptor) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if !state.table.blobs.contains_key(&manifest.digest) {
            return Err(Error::Missing { path: self.path.clone(), digest: manifest.digest });
        }
        state.changed |= state.table.document.retag(tag, manifest);
        Ok(())
    }

    /// Writes `index.json`, sees the archive safely to disk, and puts it in its place. Where
    /// nothing was changed the archive stays as it was. Nothing can be written after it.
    ///
    /// # Errors
    /// That of the disk, also of an earlier writing.
    pub async fn finish(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        if state.changed {
            let index = std::mem::take(&mut state.table.document).into_bytes();
            self.on_disk(&mut state, move |growing| growing.finish(&index)).await?;
        }
        state.changed = false;
        state.growing = None;
        Ok(())
    }

    /// Does something to the growing file where it may block.
    async fn on_disk<T, F>(&self, state: &mut MutexGuard<'_, State>, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Growing) -> io::Result<T> + Send + 'static,
    {
        let lost = || Error::corrupt(&self.path, "an earlier write to it was broken off");
        let mut growing = state.growing.take().ok_or_else(lost)?;
        let (growing, result) = blocking(move || {
            let result = work(&mut growing).map_err(Error::io("write", &growing.hidden))?;
            Ok((growing, result))
        })
        .await?;
        state.growing = Some(growing);
        Ok(result)
    }
}

/// The hidden file, locked. Removed when dropped, unless it has become the archive. Its methods
/// block.
#[derive(Debug)]
struct Growing {
    path: PathBuf,
    hidden: PathBuf,
    file: File,
    /// Where the last whole member ends, in bytes.
    end: u64,
    /// What is to be carried over from the archive as it was, before anything else is written.
    before: Vec<(Digest, Part)>,
    finished: bool,
}

impl Growing {
    fn create(path: &Path) -> Result<Self, Error> {
        let hidden = hidden_beside(path);
        loop {
            let open = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&hidden);
            let file = open.map_err(Error::io("create", &hidden))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy { path: path.to_owned() });
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &hidden)(error)),
            }
            // Its last holder may have removed or renamed it before this lock was had.
            if is_named(&file, &hidden) {
                file.set_len(0).map_err(Error::io("write", &hidden))?;
                let (path, before) = (path.to_owned(), Vec::new());
                return Ok(Self { path, hidden, file, end: 0, before, finished: false });
            }
        }
    }

    /// Makes room for the header of a blob. What was written of a blob that has not been ended is
    /// given up.
    fn begin_blob(&mut self) -> io::Result<()> {
        if self.end == 0 {
            self.append("oci-layout", &mut io::Cursor::new(LAYOUT_VERSION))?;
            if !self.before.is_empty() {
                let mut archive = File::open(&self.path)?;
                for (digest, part) in std::mem::take(&mut self.before) {
                    archive.seek(SeekFrom::Start(part.start))?;
                    let mut content = io::Read::take(&archive, part.size);
                    self.append(&name_of(&digest), &mut content)?;
                }
            }
        }
        self.file.seek(SeekFrom::Start(self.end + BLOCK))?;
        Ok(())
    }

    /// Writes the next piece of a blob; gives the emptied buffer back.
    fn write(&mut self, mut piece: Vec<u8>) -> io::Result<Vec<u8>> {
        self.file.write_all(&piece)?;
        piece.clear();
        Ok(piece)
    }

    /// Ends a blob with its header, now that its size is known.
    fn end_blob(&mut self, digest: &Digest, size: u64) -> io::Result<Part> {
        self.end_member(&name_of(digest), size)
    }

    fn append(&mut self, name: &str, content: &mut impl io::Read) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end + BLOCK))?;
        let size = io::copy(content, &mut self.file)?;
        self.end_member(name, size).map(drop)
    }

    fn end_member(&mut self, name: &str, size: u64) -> io::Result<Part> {
        let start = self.end + BLOCK;
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(0o644);
        // The same content gives the same archive.
        header.set_mtime(0);
        header.set_cksum();
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(header.as_bytes())?;
        self.end = start + size.next_multiple_of(BLOCK);
        // Longer where a blob was given up here, shorter where this one does not fill its block.
        self.file.set_len(start + size)?;
        self.file.set_len(self.end)?;
        Ok(Part { start, size })
    }

    fn finish(&mut self, index: &[u8]) -> io::Result<()> {
        self.begin_blob()?;
        self.append("index.json", &mut io::Cursor::new(index))?;
        // Two empty blocks end a tar archive.
        self.file.set_len(self.end + 2 * BLOCK)?;
        self.file.sync_all()?;
        publish(&self.hidden, &self.path).map_err(io::Error::other)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

fn name_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// Whether `path` still means the open file.
#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

/// Elsewhere an open file can be neither removed nor renamed.
#[cfg(not(unix))]
fn is_named(_file: &File, _path: &Path) -> bool {
    true
}

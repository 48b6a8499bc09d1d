//! [`Layout`]: an OCI image layout in a folder. What blocks is in [`crate::disk`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use futures::Stream;
use oci::{Algorithm, Descriptor, Digest, Manifest, Mismatch, Selector, Tag};

use crate::blob::BlobReader;
use crate::disk::Disk;
use crate::durable::{Lock, blocking, file_size, is_absent, make_folder, sync_parent};
use crate::index::Tagged;
use crate::upload::{Unfinished, Upload, UploadId};
use crate::{Error, WriteError};

/// An OCI image layout in a folder: one repository. Clones share what they have read.
///
/// A layout that does not exist reads as an empty one, and is made by the first write.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(crate) disk: Arc<Disk>,
    /// Orders the writers of this process, so that none but one waits for the file lock, which
    /// takes a thread.
    writers: Arc<tokio::sync::Mutex<()>>,
}

impl Layout {
    /// The layout in a folder. Does nothing yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { disk: Arc::new(Disk::new(folder.into())), writers: Arc::default() }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.disk.folder
    }

    /// Whether there is a layout in the folder.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be looked into.
    pub async fn exists(&self) -> Result<bool, Error> {
        self.read(|disk| Ok(file_size(&disk.folder.join("oci-layout"))?.is_some())).await
    }

    /// The manifest that a tag points at, or that has a digest; `None` where it is not there.
    ///
    /// # Errors
    /// Where the layout cannot be read or is damaged.
    pub async fn resolve(&self, selector: &Selector) -> Result<Option<Descriptor>, Error> {
        let selector = selector.clone();
        self.read(move |disk| {
            let contents = disk.contents()?;
            let entry = contents.find(&selector);
            match (entry, &selector) {
                (Some(entry), _) => {
                    let size = file_size(&disk.blob(&entry.digest))?;
                    Ok(size.map(|size| Descriptor { size, ..entry.clone() }))
                }
                (None, Selector::Tag(_)) => Ok(None),
                (None, Selector::Digest(digest)) => {
                    Ok(disk.manifest(digest, None)?.map(|manifest| manifest.descriptor()))
                }
            }
        })
        .await
    }

    /// All tags, sorted.
    ///
    /// # Errors
    /// Where the layout cannot be read or is damaged.
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        self.read(|disk| Ok(disk.contents()?.tags.keys().cloned().collect())).await
    }

    /// A manifest, its bytes checked against its digest; `None` where it is not there.
    ///
    /// One that only another manifest names, so that `index.json` has no entry for it, is found
    /// by its digest as well.
    ///
    /// # Errors
    /// Where the layout cannot be read or is damaged.
    pub async fn manifest(&self, selector: &Selector) -> Result<Option<Manifest>, Error> {
        let selector = selector.clone();
        self.read(move |disk| {
            let contents = disk.contents()?;
            match (contents.find(&selector), &selector) {
                (Some(entry), _) => disk.manifest(&entry.digest, Some(&entry.media_type)),
                (None, Selector::Tag(_)) => Ok(None),
                (None, Selector::Digest(digest)) => disk.manifest(digest, None),
            }
        })
        .await
    }

    /// The size of a blob in bytes; `None` where it is not there. Manifests are blobs too.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let digest = *digest;
        self.read(move |disk| file_size(&disk.blob(&digest))).await
    }

    /// A blob's content from `offset` on; `None` where it is not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn read_blob(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<BlobReader>, Error> {
        BlobReader::open(&self.disk.blob(digest), None, offset).await
    }

    /// Stores a blob, checked while it is written; nothing is there if that fails. What is there
    /// already, with the right size, is left and the content not read.
    ///
    /// # Errors
    /// The stream's error, [`Error::WrongContent`], or that of the disk.
    pub async fn write_blob<S, E>(
        &self,
        digest: &Digest,
        size: Option<u64>,
        content: S,
    ) -> Result<(), WriteError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
    {
        let present = self.blob_size(digest).await?;
        if present.is_some_and(|present| size.is_none_or(|size| size == present)) {
            return Ok(());
        }
        let mut upload = self.create_upload(digest.algorithm(), Unfinished::Goes).await?;
        upload.append_up_to(size.map(|size| (*digest, size)), content).await?;
        if let Some(expected) = size.filter(|&size| upload.size() < size) {
            let source = Box::new(Mismatch::TooShort { expected, actual: upload.size() });
            return Err(Error::WrongContent { digest: *digest, source }.into());
        }
        Ok(upload.finish(digest).await?)
    }

    /// Takes a blob over from another layout, without copying it where both are in one file
    /// system; false where that layout does not have it.
    ///
    /// # Errors
    /// Where it cannot be read there or written here.
    pub async fn link_blob(&self, from: &Self, digest: &Digest) -> Result<bool, Error> {
        let source = from.disk.blob(digest);
        let (path, name) = (source.clone(), *digest);
        let linked = self.read(move |disk| {
            let target = disk.blob(&name);
            if file_size(&path)?.is_none() {
                return Ok(Some(false));
            }
            if file_size(&target)?.is_some() {
                return Ok(Some(true));
            }
            disk.prepare()?;
            target.parent().map_or(Ok(()), make_folder)?;
            match fs::hard_link(&path, &target) {
                Ok(()) => sync_parent(&target).map(|()| Some(true)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Some(true)),
                // Another file system, or one that has no links.
                Err(_) => Ok(None),
            }
        });
        if let Some(linked) = linked.await? {
            return Ok(linked);
        }
        let Some(content) = from.read_blob(digest, 0).await? else { return Ok(false) };
        match self.write_blob(digest, Some(content.size()), content).await {
            Ok(()) => Ok(true),
            Err(WriteError::Content(error) | WriteError::Layout(error)) => Err(error),
        }
    }

    /// Stores a manifest under its digest.
    ///
    /// # Errors
    /// Where the layout cannot be written or is damaged.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        self.put_tagged(manifest, &[]).await
    }

    /// Stores a manifest and points tags at it, wherever they point now; all of them at once.
    ///
    /// # Errors
    /// Where the layout cannot be written or is damaged.
    pub async fn put_tagged(&self, manifest: &Manifest, tags: &[Tag]) -> Result<(), Error> {
        let (manifest, tags) = (manifest.clone(), tags.to_vec());
        let stored = manifest.clone();
        self.read(move |disk| {
            disk.prepare()?;
            disk.store(&stored.digest(), stored.bytes())
        })
        .await?;
        self.write(move |disk| {
            let subject = manifest.subject().map(|subject| subject.digest);
            disk.remember_subject(manifest.digest(), subject);
            let descriptor = manifest.descriptor();
            disk.change(|document| {
                // It may have been deleted again before the lock was had.
                disk.store(&manifest.digest(), manifest.bytes())?;
                let mut changed = false;
                for tag in &tags {
                    changed |= document.retag(tag, &descriptor);
                }
                changed |= document.keep(&descriptor);
                for child in manifest.manifests() {
                    // A referrer keeps its entry, by which it is found.
                    if disk.subject(child)?.is_none() {
                        changed |= document.release(&child.digest);
                    }
                }
                Ok((changed, ()))
            })
        })
        .await
    }

    /// Points a tag at a manifest that is in the layout, unless it points at another.
    ///
    /// # Errors
    /// [`Error::Missing`], or where the layout cannot be written or is damaged.
    pub async fn tag(&self, tag: &Tag, manifest: &Descriptor) -> Result<Tagged, Error> {
        let (tag, manifest) = (tag.clone(), manifest.clone());
        self.write(move |disk| {
            disk.change(|document| {
                disk.must_have(&manifest.digest)?;
                let tagged = document.tag(&tag, &manifest);
                let tagged = tagged.map_err(|problem| Error::corrupt(&disk.index(), problem))?;
                Ok((tagged == Tagged::Written, tagged))
            })
        })
        .await
    }

    /// Points a tag at a manifest that is in the layout, wherever it points now.
    ///
    /// # Errors
    /// [`Error::Missing`], or where the layout cannot be written or is damaged.
    pub async fn retag(&self, tag: &Tag, manifest: &Descriptor) -> Result<(), Error> {
        let (tag, manifest) = (tag.clone(), manifest.clone());
        self.write(move |disk| {
            disk.change(|document| {
                disk.must_have(&manifest.digest)?;
                Ok((document.retag(&tag, &manifest), ()))
            })
        })
        .await
    }

    /// Takes a tag away and leaves its manifest; false where it is not there.
    ///
    /// # Errors
    /// Where the layout cannot be written or is damaged.
    pub async fn untag(&self, tag: &Tag) -> Result<bool, Error> {
        let tag = tag.clone();
        self.write_existing(move |disk| {
            disk.change(|document| {
                let found = document.untag(&tag);
                Ok((found, found))
            })
        })
        .await
    }

    /// Removes a blob; of a manifest, also its tags. False where it is not there.
    ///
    /// # Errors
    /// Where the layout cannot be written or is damaged.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, Error> {
        let digest = *digest;
        self.write_existing(move |disk| {
            let lock = Lock::acquire(&disk.folder)?;
            let listed = disk.change_under(&lock, |document| {
                let found = document.remove(&digest);
                Ok((found, found))
            })?;
            let path = disk.blob(&digest);
            match fs::remove_file(&path) {
                Ok(()) => sync_parent(&path).map(|()| true),
                Err(error) if is_absent(&error) => Ok(listed),
                Err(error) => Err(Error::io("delete", &path)(error)),
            }
        })
        .await
    }

    /// Begins a blob that arrives in pieces. Its digest is computed with `algorithm` as they
    /// come; one by another algorithm costs another reading at the end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn start_upload(&self, algorithm: Algorithm) -> Result<Upload, Error> {
        self.create_upload(algorithm, Unfinished::Stays).await
    }

    /// Opens an upload that was begun, maybe by another process; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Busy`] while something else has it open, or [`Error::Io`].
    pub async fn open_upload(&self, id: UploadId) -> Result<Option<Upload>, Error> {
        self.read(move |disk| Upload::open(&disk.folder, id)).await
    }

    async fn create_upload(
        &self,
        algorithm: Algorithm,
        unfinished: Unfinished,
    ) -> Result<Upload, Error> {
        self.read(move |disk| {
            disk.prepare()?;
            Upload::create(&disk.folder, algorithm, unfinished)
        })
        .await
    }

    /// Runs what only reads, or writes nothing that others write.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    {
        let disk = Arc::clone(&self.disk);
        blocking(move || work(&disk)).await
    }

    /// Runs what changes `index.json`, in a layout that is made if need be.
    async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    {
        let _turn = self.writers.lock().await;
        self.read(move |disk| {
            disk.prepare()?;
            work(disk)
        })
        .await
    }

    /// Runs what takes something away; false where there is no layout to take it from.
    async fn write_existing<F>(&self, work: F) -> Result<bool, Error>
    where
        F: FnOnce(&Disk) -> Result<bool, Error> + Send + 'static,
    {
        if self.exists().await? { self.write(work).await } else { Ok(false) }
    }
}

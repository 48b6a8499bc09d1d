//! [`Archive`]: a layout in a tar archive, to read from.
//!
//! The archive is gone through once, header by header; after that each blob is read from where it
//! lies. Nothing is unpacked.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use oci::{Descriptor, Digest, MANIFEST_SIZE_LIMIT, Manifest, MediaType, Selector, Tag};
use tokio::sync::OnceCell;

use super::referrers::BySubject;
use crate::Error;
use crate::blob::BlobReader;
use crate::disk::{check_version, parse_manifest};
use crate::durable::{blocking, is_absent};
use crate::index::{Contents, Document};

/// An OCI image layout in a tar archive, to read from. Clones share its table of contents.
#[derive(Clone, Debug)]
pub struct Archive {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) file: PathBuf,
    pub(super) contents: Contents,
    pub(super) table: Table,
    /// Found out when first asked for.
    pub(super) referrers: OnceCell<BySubject>,
}

/// Where in an archive everything lies.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) document: Document,
    pub(crate) blobs: HashMap<Digest, Part>,
}

/// The content of one member: where in the archive it begins, and its size, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl Archive {
    /// Opens an archive; `None` where there is no such file.
    ///
    /// # Errors
    /// Where it cannot be read, or is no layout in an uncompressed tar archive.
    pub async fn open(file: impl Into<PathBuf>) -> Result<Option<Self>, Error> {
        let file = file.into();
        blocking(move || {
            let Some(table) = Table::read(&file)? else { return Ok(None) };
            let contents = table.document.contents();
            Ok(Some(Self {
                inner: Arc::new(Inner { file, contents, table, referrers: OnceCell::new() }),
            }))
        })
        .await
    }

    /// The archive's file.
    pub fn file(&self) -> &Path {
        &self.inner.file
    }

    /// The manifest that a tag points at, or that has a digest; `None` where it is not there.
    ///
    /// # Errors
    /// Where the archive cannot be read or is damaged.
    pub async fn resolve(&self, selector: &Selector) -> Result<Option<Descriptor>, Error> {
        if let Some(entry) = self.inner.contents.find(selector) {
            let present = self.inner.table.blobs.contains_key(&entry.digest);
            return Ok(present.then(|| entry.clone()));
        }
        Ok(self.manifest(selector).await?.map(|manifest| manifest.descriptor()))
    }

    /// All tags, sorted.
    ///
    /// # Errors
    /// None yet; it is a [`Result`] as the same method of a layout in a folder.
    #[expect(clippy::unused_async, reason = "the same shape as Layout::tags")]
    pub async fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.inner.contents.tags.keys().cloned().collect())
    }

    /// A manifest, its bytes checked against its digest; `None` where it is not there.
    ///
    /// # Errors
    /// Where the archive cannot be read or is damaged.
    pub async fn manifest(&self, selector: &Selector) -> Result<Option<Manifest>, Error> {
        let entry = self.inner.contents.find(selector);
        let (digest, media_type) = match (entry, selector) {
            (Some(entry), _) => (entry.digest, Some(entry.media_type.clone())),
            (None, Selector::Tag(_)) => return Ok(None),
            (None, Selector::Digest(digest)) => (*digest, None),
        };
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.table.manifest(&inner.file, &digest, media_type.as_ref())).await
    }

    /// The size of a blob in bytes; `None` where it is not there. Manifests are blobs too.
    ///
    /// # Errors
    /// None yet; it is a [`Result`] as the same method of a layout in a folder.
    #[expect(clippy::unused_async, reason = "the same shape as Layout::blob_size")]
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.inner.table.blobs.get(digest).map(|part| part.size))
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
        match self.inner.table.blobs.get(digest) {
            Some(part) => {
                BlobReader::open(&self.inner.file, Some((part.start, part.size)), offset).await
            }
            None => Ok(None),
        }
    }
}

impl Table {
    /// Goes through the archive; `None` where there is no such file. Blocks.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let mut table = Self::default();
        let mut found_index = false;
        let mut archive = tar::Archive::new(io::BufReader::new(file));
        let unreadable = |error: io::Error| unreadable(path, &error);
        for entry in archive.entries_with_seek().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = entry.path().map_err(unreadable)?.into_owned();
            let part = Part { start: entry.raw_file_position(), size: entry.size() };
            match Member::of(&name) {
                // A later member replaces an earlier one of its name, as in any tar archive.
                Some(Member::Blob(digest)) => {
                    table.blobs.insert(digest, part);
                }
                Some(Member::Index) => {
                    let bytes = read_small(&mut entry, path, part.size)?;
                    table.document = Document::parse(&bytes).map_err(|problem| {
                        Error::corrupt(path, format!("index.json: {problem}"))
                    })?;
                    found_index = true;
                }
                Some(Member::Version) => {
                    let bytes = read_small(&mut entry, path, part.size)?;
                    check_version(&bytes).map_err(|problem| {
                        Error::corrupt(path, format!("oci-layout: {problem}"))
                    })?;
                }
                None => {}
            }
        }
        if found_index {
            Ok(Some(table))
        } else {
            Err(Error::corrupt(
                path,
                "it has no index.json, so it is no OCI image layout in a tar archive; one in \
                 Docker's own format can be converted with `skopeo copy docker-archive:… \
                 oci-archive:…`",
            ))
        }
    }

    pub(super) fn manifest(
        &self,
        path: &Path,
        digest: &Digest,
        media_type: Option<&MediaType>,
    ) -> Result<Option<Manifest>, Error> {
        let Some(part) = self.blobs.get(digest) else { return Ok(None) };
        if part.size > MANIFEST_SIZE_LIMIT {
            return match media_type {
                None => Ok(None),
                Some(_) => Err(Error::TooLarge {
                    path: path.to_owned(),
                    size: part.size,
                    limit: MANIFEST_SIZE_LIMIT,
                }),
            };
        }
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(part.start))?;
                file.take(part.size).read_to_end(&mut bytes)
            })
            .map_err(Error::io("read", path))?;
        parse_manifest(path, bytes.into(), digest, media_type)
    }
}

/// What a member of the archive is, by its name.
enum Member {
    Blob(Digest),
    Index,
    Version,
}

impl Member {
    fn of(name: &Path) -> Option<Self> {
        let mut components = name.components().filter(|part| *part != Component::CurDir);
        let mut next = || components.next().map(|part| part.as_os_str().to_str());
        match (next(), next(), next(), next()) {
            (Some(Some("index.json")), None, None, None) => Some(Self::Index),
            (Some(Some("oci-layout")), None, None, None) => Some(Self::Version),
            (Some(Some("blobs")), Some(Some(algorithm)), Some(Some(hex)), None) => {
                format!("{algorithm}:{hex}").parse().ok().map(Self::Blob)
            }
            _ => None,
        }
    }
}

/// The largest `index.json` that is read, in bytes.
const SMALL: u64 = 64 * 1024 * 1024;

fn read_small(member: &mut impl Read, path: &Path, size: u64) -> Result<Vec<u8>, Error> {
    if size > SMALL {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit: SMALL });
    }
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// The error for what is no tar archive, with what it is where that can be told.
fn unreadable(path: &Path, error: &io::Error) -> Error {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let problem = match (read, magic) {
        (Ok(()), [0x1f, 0x8b, ..]) => "it is compressed; unpack it with `gunzip` first".to_owned(),
        (Ok(()), [0x28, 0xb5, 0x2f, 0xfd]) => {
            "it is compressed; unpack it with `unzstd` first".to_owned()
        }
        _ => format!("it is not a tar archive ({error})"),
    };
    Error::corrupt(path, problem)
}

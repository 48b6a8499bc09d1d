//! [`Disk`]: the files of a layout in a folder. Everything here blocks.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use oci::{Digest, MANIFEST_SIZE_LIMIT, Manifest, MediaType};

use crate::Error;
use crate::durable::{Lock, blob_path, file_size, is_absent, make_folder, replace, replace_soon};
use crate::index::{Contents, Document};
use crate::upload::{self, Unfinished, Upload};

/// The largest `index.json` that is read, in bytes: a quarter of a million tags.
const INDEX_SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// How long ago `index.json` must have changed for a copy of it in memory to be trusted: a file
/// that changes twice within the clock of its file system looks unchanged (FAT's has 2 s).
const SETTLED: Duration = Duration::from_secs(2);

/// How often left-over uploads are looked for.
const CLEARING_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A layout in a folder, and what was read from it.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) folder: PathBuf,
    cached: Mutex<Option<Cached>>,
    /// The subject of each manifest that was looked at; content never changes.
    pub(crate) subjects: Mutex<HashMap<Digest, Option<Digest>>>,
    cleared: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    settled: bool,
    contents: Arc<Contents>,
}

/// What tells one `index.json` from the next without reading it.
#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    modified: SystemTime,
    size: u64,
    #[cfg(unix)]
    file: u64,
}

impl Disk {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            cached: Mutex::default(),
            subjects: Mutex::default(),
            cleared: Mutex::default(),
        }
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.folder, digest)
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    /// Makes the layout where there is none, `oci-layout` last, and clears away left-overs.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        let version = self.folder.join("oci-layout");
        let is_new = file_size(&version)?.is_none();
        if is_new {
            make_folder(&self.folder)?;
        }
        for name in ["blobs", ".uploads"] {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).map_err(Error::io("create the folder", &folder))?;
        }
        if is_new {
            let _lock = Lock::acquire(&self.folder)?;
            if file_size(&self.index())?.is_none() {
                replace_soon(&self.index(), &Document::default().into_bytes())?;
            }
            replace(&version, LAYOUT_VERSION)?;
        }
        let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        if cleared.is_none_or(|at| at.elapsed() > CLEARING_INTERVAL) {
            *cleared = Some(Instant::now());
            drop(cleared);
            upload::clear_away(&self.folder);
        }
        Ok(())
    }

    /// What `index.json` says now.
    pub(crate) fn contents(&self) -> Result<Arc<Contents>, Error> {
        let path = self.index();
        let now = SystemTime::now();
        let Some(stamp) = Stamp::of(&path)? else { return Ok(Arc::default()) };
        let cached = || self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cached().as_ref().filter(|known| known.settled)
            && known.stamp == stamp
        {
            return Ok(Arc::clone(&known.contents));
        }
        let settled = stamp.modified.checked_add(SETTLED).is_some_and(|settled| settled < now);
        let contents = Arc::new(self.document()?.contents());
        *cached() = Some(Cached { stamp, settled, contents: Arc::clone(&contents) });
        Ok(contents)
    }

    fn document(&self) -> Result<Document, Error> {
        let path = self.index();
        let Some(bytes) = read_up_to(&path, INDEX_SIZE_LIMIT)? else {
            return Ok(Document::default());
        };
        let version = self.folder.join("oci-layout");
        if let Some(bytes) = read_up_to(&version, INDEX_SIZE_LIMIT)? {
            check_version(&bytes).map_err(|problem| Error::corrupt(&version, problem))?;
        }
        Document::parse(&bytes).map_err(|problem| Error::corrupt(&path, problem))
    }

    /// Reads, changes and replaces `index.json` under the lock. `change` says whether there is
    /// something to write.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Document) -> Result<(bool, T), Error>,
    ) -> Result<T, Error> {
        self.change_under(&Lock::acquire(&self.folder)?, change)
    }

    pub(crate) fn change_under<T>(
        &self,
        _lock: &Lock,
        change: impl FnOnce(&mut Document) -> Result<(bool, T), Error>,
    ) -> Result<T, Error> {
        let mut document = self.document()?;
        let (changed, result) = change(&mut document)?;
        if changed {
            replace(&self.index(), &document.into_bytes())?;
        }
        Ok(result)
    }

    /// The manifest in a blob. Without a media type, from `index.json` or another descriptor,
    /// what is no manifest is none, rather than an error.
    pub(crate) fn manifest(
        &self,
        digest: &Digest,
        media_type: Option<&MediaType>,
    ) -> Result<Option<Manifest>, Error> {
        let path = self.blob(digest);
        match read_up_to(&path, MANIFEST_SIZE_LIMIT) {
            Ok(Some(bytes)) => parse_manifest(&path, bytes.into(), digest, media_type),
            Ok(None) => Ok(None),
            Err(Error::TooLarge { .. }) if media_type.is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn must_have(&self, digest: &Digest) -> Result<(), Error> {
        match file_size(&self.blob(digest))? {
            Some(_) => Ok(()),
            None => Err(Error::Missing { path: self.folder.clone(), digest: *digest }),
        }
    }

    /// Stores small content whose digest is right, unless it is there.
    pub(crate) fn store(&self, digest: &Digest, content: &Bytes) -> Result<(), Error> {
        let path = self.blob(digest);
        let limit = content.len() as u64;
        if read_up_to(&path, limit).ok().flatten().is_some_and(|present| present == *content) {
            return Ok(());
        }
        Upload::create(&self.folder, digest.algorithm(), Unfinished::Goes)?
            .finish_with(content, digest)
    }
}

impl Stamp {
    fn of(path: &Path) -> Result<Option<Self>, Error> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        Ok(Some(Self {
            modified: metadata.modified().map_err(Error::io("read", path))?,
            size: metadata.len(),
            #[cfg(unix)]
            file: std::os::unix::fs::MetadataExt::ino(&metadata),
        }))
    }
}

/// The content of `oci-layout`.
pub(crate) const LAYOUT_VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Whether the content of `oci-layout` is of a version that is known here.
pub(crate) fn check_version(bytes: &[u8]) -> Result<(), String> {
    let content: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON ({error})"))?;
    match content.get("imageLayoutVersion").and_then(serde_json::Value::as_str) {
        Some("1.0.0") => Ok(()),
        Some(other) => Err(format!("its version is `{other}`, and only 1.0.0 is known here")),
        None => Err("it has no `imageLayoutVersion`".to_owned()),
    }
}

/// The manifest in `bytes`, which were read from `path`.
pub(crate) fn parse_manifest(
    path: &Path,
    bytes: Bytes,
    digest: &Digest,
    media_type: Option<&MediaType>,
) -> Result<Option<Manifest>, Error> {
    let actual = Digest::of(digest.algorithm(), &bytes);
    if actual != *digest {
        return Err(Error::corrupt(path, format!("its content has digest {actual}")));
    }
    match Manifest::parse(bytes, media_type, digest.algorithm()) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(_) if media_type.is_none() => Ok(None),
        Err(source) => Err(Error::Manifest { digest: *digest, path: path.to_owned(), source }),
    }
}

/// A whole file, if it is there and not too large.
fn read_up_to(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    let mut content = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or_default());
    io::Read::read_to_end(&mut io::Read::take(file, limit.saturating_add(1)), &mut content)
        .map_err(Error::io("read", path))?;
    if content.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit });
    }
    Ok(Some(content))
}

//! [`Place`]: one repository to read from or write to, in a registry or an OCI layout.
//!
//! How it is opened is in `open`, what lists it keeps in `lists`, how a blob gets there in `upload`.
//!
//! A closed set: whoever adds a kind of place is led by the compiler to all that it must do.

mod charted;
mod checked;
mod foreign;
mod lists;
mod open;
mod small;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use layout::{Archive, ArchiveWriter, Layout};
use oci::{Algorithm, Descriptor, Digest, Host, Location, Manifest, Repository, Selector, Tag};
use registry::RepositoryClient;

use crate::charts::ChartPlace;
use crate::{Class, Failure, Side};
use checked::verified;

pub(crate) use open::Places;
pub(crate) use upload::{Start, Upload};

/// A blob's content, piece by piece. What ends without an error is what its descriptor says.
pub(crate) type BlobContent = BoxStream<'static, Result<Bytes, Failure>>;

/// One repository, opened for one side of a copy.
#[derive(Clone)]
pub(crate) struct Place {
    side: Side,
    location: Location,
    store: Store,
}

#[derive(Clone)]
enum Store {
    Registry(Remote),
    Layout(Layout),
    /// An archive to read from.
    Archive(Archive),
    /// An archive to write to; there only after [`Place::finish`].
    Growing(Arc<ArchiveWriter>),
    /// An archive that is not there and is only looked at.
    Nothing,
    /// A chart to read.
    Chart(ChartPlace),
}

#[derive(Clone)]
struct Remote {
    client: RepositoryClient,
    host: Host,
    name: Repository,
}

/// The places that can share blobs without moving them through this program.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Realm {
    /// All repositories of a registry.
    Registry(Host),
    /// All layouts in folders.
    Folders,
    /// An archive, each for itself.
    Archive(PathBuf),
    /// None: what a chart repository has is no blob.
    Charts,
}

/// What a tag holds after the attempt to set it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tagged {
    /// What was wanted, since now.
    Set,
    /// What was wanted, already before.
    Same,
    /// Something else, which was left alone.
    Holds(Digest),
}

impl From<layout::Tagged> for Tagged {
    fn from(tagged: layout::Tagged) -> Self {
        match tagged {
            layout::Tagged::Written => Self::Set,
            layout::Tagged::Same => Self::Same,
            layout::Tagged::Holds(digest) => Self::Holds(digest),
        }
    }
}

impl Place {
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// What it is called within a run.
    pub(crate) fn key(&self) -> (Side, Location) {
        (self.side, self.location.clone())
    }

    pub(crate) fn is_registry(&self) -> bool {
        matches!(self.store, Store::Registry(_))
    }

    /// Begins to talk to a registry, so that the first question need not wait for the connection.
    pub(crate) async fn introduce(&self) {
        if let Store::Registry(remote) = &self.store {
            remote.client.introduce().await;
        }
    }

    pub(crate) fn realm(&self) -> Realm {
        match &self.store {
            Store::Registry(remote) => Realm::Registry(remote.host.clone()),
            Store::Layout(_) => Realm::Folders,
            Store::Archive(archive) => Realm::Archive(archive.file().to_owned()),
            Store::Growing(archive) => Realm::Archive(archive.file().to_owned()),
            Store::Nothing => Realm::Archive(PathBuf::new()),
            Store::Chart(_) => Realm::Charts,
        }
    }

    /// Whether both are the same repository.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.store, &other.store) {
            (Store::Registry(one), Store::Registry(two)) => {
                one.host == two.host && one.name == two.name
            }
            (Store::Layout(one), Store::Layout(two)) => one.folder() == two.folder(),
            (Store::Growing(one), Store::Growing(two)) => one.file() == two.file(),
            _ => false,
        }
    }

    /// The digest behind a tag, or the digest itself if the place has it.
    pub(crate) async fn resolve(&self, selector: &Selector) -> Result<Option<Digest>, Failure> {
        let descriptor = match &self.store {
            Store::Registry(remote) => {
                remote.client.resolve(selector).await.map_err(self.registry())
            }
            Store::Layout(layout) => layout.resolve(selector).await.map_err(self.layout()),
            Store::Archive(archive) => archive.resolve(selector).await.map_err(self.layout()),
            Store::Growing(archive) => archive.resolve(selector).await.map_err(self.layout()),
            Store::Nothing => Ok(None),
            Store::Chart(chart) => {
                let manifest = chart.manifest(selector).await?;
                Ok(manifest.map(|manifest| manifest.descriptor()))
            }
        };
        Ok(descriptor?.map(|descriptor| descriptor.digest))
    }

    /// The digest of a manifest that is here, in this algorithm. Registries differ in which one a tag
    /// stands for; only where they do is the manifest read. None where it is gone meanwhile.
    pub(crate) async fn in_algorithm(
        &self,
        digest: Digest,
        algorithm: Algorithm,
    ) -> Result<Option<Digest>, Failure> {
        if digest.algorithm() == algorithm {
            return Ok(Some(digest));
        }
        let manifest = self.manifest(digest).await?;
        Ok(manifest.map(|manifest| Digest::of(algorithm, manifest.bytes())))
    }

    /// A manifest, its bytes checked where it was asked for by digest. Of an archive that is being
    /// written, only what it held before is known.
    pub(crate) async fn manifest(
        &self,
        selector: impl Into<Selector>,
    ) -> Result<Option<Manifest>, Failure> {
        let selector = selector.into();
        match &self.store {
            Store::Registry(remote) => {
                remote.client.manifest(&selector).await.map_err(self.registry())
            }
            Store::Layout(layout) => layout.manifest(&selector).await.map_err(self.layout()),
            Store::Archive(archive) => archive.manifest(&selector).await.map_err(self.layout()),
            // What it held before is still in its place.
            Store::Growing(archive) => {
                match Archive::open(archive.file()).await.map_err(self.layout())? {
                    Some(before) => before.manifest(&selector).await.map_err(self.layout()),
                    None => Ok(None),
                }
            }
            Store::Nothing => Ok(None),
            Store::Chart(chart) => chart.manifest(&selector).await,
        }
    }

    /// A blob's size in bytes, if the place has it.
    pub(crate) async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Failure> {
        match &self.store {
            Store::Registry(remote) => {
                remote.client.blob_size(digest).await.map_err(self.registry())
            }
            Store::Layout(layout) => layout.blob_size(digest).await.map_err(self.layout()),
            Store::Archive(archive) => archive.blob_size(digest).await.map_err(self.layout()),
            Store::Growing(archive) => archive.blob_size(digest).await.map_err(self.layout()),
            Store::Nothing => Ok(None),
            Store::Chart(chart) => Ok(chart.blob(digest).await.map(|content| content.len() as u64)),
        }
    }

    /// A blob's content.
    pub(crate) async fn read_blob(&self, blob: &Descriptor) -> Result<BlobContent, Failure> {
        let side = self.side;
        let content = match &self.store {
            Store::Registry(remote) => remote
                .client
                .read_blob(&blob.digest, Some(blob.size))
                .await
                .map_err(self.registry())?
                .map(|reader| {
                    reader.map(move |piece| piece.map_err(|e| Failure::registry(side, &e))).boxed()
                }),
            _ => self.read_layout(blob, 0).await?.map(|reader| verified(side, blob, reader)),
        };
        self.or_elsewhere(content, blob, 0).await
    }

    /// A blob's content from an offset on; the digest of the whole is not checked.
    pub(crate) async fn read_rest(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobContent, Failure> {
        let content = match &self.store {
            Store::Registry(remote) => remote
                .client
                .read_blob_from(&blob.digest, blob.size, offset)
                .await
                .map_err(self.registry())?
                .map(|reader| {
                    let side = self.side;
                    reader.map(move |piece| piece.map_err(|e| Failure::registry(side, &e))).boxed()
                }),
            _ => self.read_layout(blob, offset).await?,
        };
        self.or_elsewhere(content, blob, offset).await
    }

    /// A blob of a layout, from an offset on, unchecked.
    async fn read_layout(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<Option<BlobContent>, Failure> {
        let reader = match &self.store {
            Store::Layout(layout) => layout.read_blob(&blob.digest, offset).await,
            Store::Archive(archive) => archive.read_blob(&blob.digest, offset).await,
            Store::Chart(chart) => {
                let Some(content) = chart.blob(&blob.digest).await else { return Ok(None) };
                let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                let rest = content.slice(offset..);
                return Ok(Some(futures::stream::once(async move { Ok(rest) }).boxed()));
            }
            Store::Registry(_) | Store::Growing(_) | Store::Nothing => return Ok(None),
        };
        let side = self.side;
        let reader = reader.map_err(self.layout())?;
        Ok(reader.map(|reader| {
            reader.map(move |piece| piece.map_err(|e| Failure::layout(side, &e))).boxed()
        }))
    }

    /// Stores a manifest by its digest; says whether the place lists it by its subject, which is
    /// true of every manifest that has none.
    pub(crate) async fn put_manifest(&self, manifest: &Manifest) -> Result<bool, Failure> {
        match &self.store {
            Store::Registry(remote) => remote
                .client
                .put_manifest(&Selector::Digest(manifest.digest()), manifest)
                .await
                .map(|receipt| receipt.subject_accepted || manifest.subject().is_none())
                .map_err(self.registry()),
            Store::Layout(layout) => {
                layout.put_manifest(manifest).await.map(|()| true).map_err(self.layout())
            }
            Store::Growing(archive) => {
                archive.put_manifest(manifest).await.map(|()| true).map_err(self.layout())
            }
            Store::Archive(_) | Store::Nothing | Store::Chart(_) => Err(self.not_writable()),
        }
    }

    /// Points a tag at a manifest whose parts are all here, unless it points elsewhere.
    ///
    /// The protocol has no conditional PUT, so a registry is asked once more just before it; a
    /// layout decides under its lock.
    pub(crate) async fn tag(&self, tag: &Tag, manifest: &Manifest) -> Result<Tagged, Failure> {
        match &self.store {
            Store::Registry(remote) => {
                let selector = Selector::Tag(tag.clone());
                match self.resolve(&selector).await? {
                    Some(digest) if manifest.has_digest(&digest) => Ok(Tagged::Same),
                    Some(digest) => Ok(Tagged::Holds(digest)),
                    None => match remote.client.put_manifest(&selector, manifest).await {
                        Ok(_receipt) => Ok(Tagged::Set),
                        // Where tags are immutable, whoever comes second is refused (ECR: 400,
                        // Harbor: 412); what the tag holds then is what matters.
                        Err(error) if error.kind() == registry::ErrorKind::Rejected => {
                            match self.resolve(&selector).await {
                                Ok(Some(digest)) => Ok(Tagged::Holds(digest)),
                                _ => Err(self.registry()(error)),
                            }
                        }
                        Err(error) => Err(self.registry()(error)),
                    },
                }
            }
            Store::Layout(layout) => {
                layout.put_manifest(manifest).await.map_err(self.layout())?;
                let tagged = layout.tag(tag, &manifest.descriptor()).await;
                Ok(tagged.map_err(self.layout())?.into())
            }
            Store::Growing(archive) => {
                archive.put_manifest(manifest).await.map_err(self.layout())?;
                let tagged = archive.tag(tag, &manifest.descriptor()).await;
                Ok(tagged.map_err(self.layout())?.into())
            }
            Store::Archive(_) | Store::Nothing | Store::Chart(_) => Err(self.not_writable()),
        }
    }

    /// Makes what was written to be seen, where it is not yet: an archive appears whole or not.
    pub(crate) async fn finish(&self) -> Result<(), Failure> {
        match &self.store {
            Store::Growing(archive) => archive.finish().await.map_err(self.layout()),
            _ => Ok(()),
        }
    }

    fn registry(&self) -> impl Fn(registry::Error) -> Failure + use<> {
        let side = self.side;
        move |error| Failure::registry(side, &error)
    }

    fn layout(&self) -> impl Fn(layout::Error) -> Failure + use<> {
        let side = self.side;
        move |error| Failure::layout(side, &error)
    }

    fn not_writable(&self) -> Failure {
        let message = format!("`{}` cannot be written to", self.location);
        Failure::new(self.side, Class::Unsupported, message)
    }
}

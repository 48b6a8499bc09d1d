//! Small things that are read and written whole: what signatures are made of.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use oci::{Descriptor, Manifest, Selector, Tag};

use super::{Place, Start, Store};
use crate::{Class, Failure};

/// The largest blob that is taken for a small one, in bytes. The largest bundles in the field carry an
/// SBOM of a few MiB.
const SMALL_AT_MOST: u64 = 16 * 1024 * 1024;

/// How often a small blob is sent before it is given up.
const UPLOADS: u32 = 3;

impl Place {
    /// A small blob's content, its digest checked.
    pub(crate) async fn read_small(&self, blob: &Descriptor) -> Result<Bytes, Failure> {
        if blob.size > SMALL_AT_MOST {
            let message =
                format!("blob {} of {} bytes is too large to be read", blob.digest, blob.size);
            return Err(Failure::new(self.side, Class::Unsupported, message));
        }
        let mut content = self.read_blob(blob).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.freeze())
    }

    /// Whether it is an archive that is being written: what goes in is not read back.
    pub(crate) fn is_growing(&self) -> bool {
        matches!(self.store, Store::Growing(_))
    }

    /// Writes a small blob. An upload that breaks is begun anew.
    pub(crate) async fn write_small(
        &self,
        blob: &Descriptor,
        content: Bytes,
    ) -> Result<(), Failure> {
        let mut uploads = 1;
        loop {
            match self.upload_small(blob, content.clone()).await {
                Err(failure) if failure.temporary && uploads < UPLOADS => uploads += 1,
                done => return done,
            }
        }
    }

    async fn upload_small(&self, blob: &Descriptor, content: Bytes) -> Result<(), Failure> {
        match self.start(blob, None).await? {
            Start::Taken => Ok(()),
            Start::Upload(mut upload) => {
                let content = futures::stream::once(async move { Ok(content) });
                upload.write(content.boxed()).await
            }
        }
    }

    /// Points a tag at a manifest whose parts are here, wherever it points now. For what grows by its
    /// nature and is named after a digest: cosign's signatures and lists of referrers. No other tag is
    /// ever moved.
    pub(crate) async fn move_tag(&self, tag: &Tag, manifest: &Manifest) -> Result<(), Failure> {
        match &self.store {
            Store::Registry(remote) => remote
                .client
                .put_manifest(&Selector::Tag(tag.clone()), manifest)
                .await
                .map(drop)
                .map_err(self.registry()),
            Store::Layout(layout) => {
                layout.put_manifest(manifest).await.map_err(self.layout())?;
                layout.retag(tag, &manifest.descriptor()).await.map_err(self.layout())
            }
            Store::Growing(archive) => {
                archive.put_manifest(manifest).await.map_err(self.layout())?;
                archive.retag(tag, &manifest.descriptor()).await.map_err(self.layout())
            }
            Store::Archive(_) | Store::Nothing | Store::Chart(_) => Err(self.not_writable()),
        }
    }
}

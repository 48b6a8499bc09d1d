//! Checks that a target has a manifest with everything it is made of.

use futures::StreamExt;
use oci::Digest;

use crate::place::Place;
use crate::{Class, Failure, ForeignLayers, Side, closure};

/// How many blobs are asked for at once.
const ASK_AT_ONCE: usize = 8;

/// Whether every manifest and blob below `root` is at the target, by digest and size. Manifests are
/// read and hashed; of blobs the registry is asked.
pub(crate) async fn complete(
    target: &Place,
    root: Digest,
    foreign_layers: ForeignLayers,
) -> Result<(), Failure> {
    let missing = |what: String| {
        Failure::new(Side::Target, Class::Content, format!("the copy has a hole: {what}"))
    };
    let root = target.manifest(root).await?;
    let root =
        root.ok_or_else(|| missing("its tag points at a manifest that is not there".into()))?;
    let closure = closure::read(target, Side::Target, root, foreign_layers).await?;
    let mut checks = futures::stream::iter(closure.blobs)
        .map(|blob| async move { (target.blob_size(&blob.digest).await, blob) })
        .buffer_unordered(ASK_AT_ONCE);
    while let Some((size, blob)) = checks.next().await {
        match size? {
            Some(size) if size == blob.size => {}
            Some(size) => {
                let message = format!("blob {} has {size} bytes, not {}", blob.digest, blob.size);
                return Err(missing(message));
            }
            None => return Err(missing(format!("blob {} is not there", blob.digest))),
        }
    }
    Ok(())
}

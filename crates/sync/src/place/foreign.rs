//! Blobs that a place does not have: a foreign layer may be where its descriptor says.

use bytes::Bytes;
use futures::StreamExt;
use oci::Descriptor;

use super::{BlobContent, Place, Store};
use crate::{Class, Failure};

impl Place {
    /// A blob's content from an offset on: what is here, or of a foreign layer what is at one of its
    /// URLs.
    pub(super) async fn or_elsewhere(
        &self,
        content: Option<BlobContent>,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobContent, Failure> {
        if let Some(content) = content {
            return Ok(content);
        }
        if !blob.media_type.is_foreign_layer() {
            let message = format!("the manifest names blob {}, which is not there", blob.digest);
            return Err(Failure::new(self.side, Class::Content, message));
        }
        let side = self.side;
        if let Store::Registry(remote) = &self.store
            && let Some(reader) =
                remote.client.read_elsewhere(blob).await.map_err(self.registry())?
        {
            let content = reader.map(move |piece| piece.map_err(|e| Failure::registry(side, &e)));
            return Ok(from_offset(content.boxed(), offset));
        }
        let message = format!(
            "foreign layer {} is neither there nor at any of the {} URLs in the manifest",
            blob.digest,
            blob.urls.len()
        );
        let hint = "such layers are left out unless they are asked for";
        Err(Failure::new(side, Class::Content, message).with_hint(hint))
    }
}

/// Leaves out the first bytes: what is not a registry may know no ranges.
fn from_offset(content: BlobContent, offset: u64) -> BlobContent {
    let cut = content.scan(offset, |left, piece| {
        let piece = piece.map(|mut piece: Bytes| {
            let cut = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len());
            *left -= cut as u64;
            piece.split_off(cut)
        });
        futures::future::ready(Some(piece))
    });
    cut.boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn the_first_bytes_are_left_out() {
        for offset in 0..=7 {
            let pieces = ["ab", "cde", "fg"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
            let content = futures::stream::iter(pieces).boxed();
            let rest: Vec<Bytes> = from_offset(content, offset).try_collect().await.unwrap();
            assert_eq!(rest.concat(), b"abcdefg"[usize::try_from(offset).unwrap()..]);
        }
    }
}

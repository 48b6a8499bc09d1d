//! A layout's content, checked on the way; a registry's reader does so itself.

use futures::StreamExt;
use oci::{Descriptor, Mismatch, Verifier};

use super::BlobContent;
use crate::{Class, Failure, Side};

/// Checks what a layout gives against the descriptor; a registry's reader does so itself.
///
/// The last piece is given only when all is well with the whole: whoever sends it on with a known
/// length does not ask for more after it.
pub(super) fn verified(side: Side, blob: &Descriptor, content: BlobContent) -> BlobContent {
    let Descriptor { digest, size, .. } = *blob;
    let wrong = move |mismatch: Mismatch| {
        Failure::new(side, Class::Content, format!("blob {digest}: {mismatch}"))
    };
    let state = (content, Verifier::new(digest, Some(size)));
    futures::stream::try_unfold(state, move |(mut content, mut verifier)| async move {
        match content.next().await {
            Some(Ok(piece)) => {
                verifier.update(&piece).map_err(wrong)?;
                if verifier.seen() == size {
                    verifier.clone().finish().map_err(wrong)?;
                }
                Ok(Some((piece, (content, verifier))))
            }
            Some(Err(failure)) => Err(failure),
            None => verifier.finish().map(|()| None).map_err(wrong),
        }
    })
    .boxed()
}

//! The keys that the mirror signed with before: those that are named, and the earlier versions of all of
//! them, as far as a key service tells them. What they signed is ours, and is signed anew.

use signing::{KeyReference, PublicKey};

use super::SignWith;
use super::ours::{failed, signer};
use crate::walk::Walk;
use crate::{Failure, Side};

/// All of them. Each is asked for once in a run.
pub(super) async fn keys(walk: &Walk, with: &SignWith) -> Result<Vec<PublicKey>, Failure> {
    let mut keys = earlier(walk, &with.key).await?;
    for reference in &with.former {
        let public = signer(walk, reference, Side::Target)?.public_key().await;
        let public = public.map_err(|error| {
            let instead = "`formerKeys` takes the public half in a file as well";
            let hint = error.hint().map(|hint| format!("{hint}; {instead}"));
            let hint = hint.unwrap_or_else(|| instead.to_owned());
            failed(Side::Target, reference, &error).with_hint(hint)
        })?;
        keys.push((*public).clone());
        keys.extend(earlier(walk, reference).await?);
    }
    Ok(keys)
}

async fn earlier(walk: &Walk, reference: &KeyReference) -> Result<Vec<PublicKey>, Failure> {
    let earlier = signer(walk, reference, Side::Target)?.earlier_public_keys().await;
    let earlier = earlier.map_err(|error| failed(Side::Target, reference, &error))?;
    Ok(earlier.to_vec())
}

//! One image's signatures by themselves: made, or judged, without a copy.

use std::sync::Arc;

use oci::{Digest, Location, Selector};

use super::ours::{self, Subject};
use super::{Demand, SignWith, SignatureState, trust};
use crate::place::Place;
use crate::walk::Walk;
use crate::{Class, Engine, Failure, ForeignLayers, Side, closure};

/// What was found out about one image's signatures.
#[derive(Debug)]
pub struct Judged {
    /// What the reference stands for.
    pub digest: Digest,
    /// By whom it is signed, of those who must have; or why it counts as not signed.
    pub verdict: Result<Vec<String>, Failure>,
}

impl Engine {
    /// Signs what is there. Signatures that it has already, whoever made them, stay.
    ///
    /// # Errors
    /// It is not there, cannot be read or written, or the key cannot be used.
    pub async fn sign(
        &self,
        location: &Location,
        selector: &Selector,
        with: &SignWith,
    ) -> Result<(Digest, SignatureState), Failure> {
        let walk = self.walk(&[], Vec::new());
        let place = walk.places.open(Side::Target, location).await?;
        let root = found(&place, selector).await?;
        let digest = root.digest();
        let subjects = if with.recursively {
            let closure =
                closure::read(&place, Side::Target, root, ForeignLayers::LeaveOut).await?;
            closure.levels.iter().rev().flatten().map(Subject::of).collect()
        } else {
            vec![Subject::of(&root)]
        };
        // What stands there came from there: nobody who signed it is a stranger.
        let signed = ours::sign_all(&walk, with, &place, &place, &subjects).await;
        // Nobody waits for the end of an item here.
        self.acts.ended(std::iter::empty()).await;
        let state = signed?;
        place.finish().await?;
        Ok((digest, state))
    }

    /// Whether the signatures of what is there prove what they must: its digest, and by whom they are.
    ///
    /// # Errors
    /// It is not there, it cannot be read, or a key cannot be had. That they do not is a verdict
    /// ([`Class::Signature`]).
    pub async fn judge(
        &self,
        location: &Location,
        selector: &Selector,
        demand: Arc<Demand>,
    ) -> Result<Judged, Failure> {
        let walk: Walk = self.walk(&[], Vec::new());
        let place = walk.places.open(Side::Source, location).await?;
        let digest = found(&place, selector).await?.digest();
        let trust = trust::check(&walk, &place, digest, &[demand]).await?;
        let verdict = match trust.refused.or_else(|| trust.remarks.into_iter().next()) {
            Some(reason) => Err(Failure::new(Side::Source, Class::Signature, reason)),
            None => Ok(trust.verified),
        };
        Ok(Judged { digest, verdict })
    }
}

async fn found(place: &Place, selector: &Selector) -> Result<oci::Manifest, Failure> {
    place.manifest(selector.clone()).await?.ok_or_else(|| {
        let message = format!("there is no {selector} in {}", place.location());
        Failure::new(place.side(), Class::NotFound, message)
    })
}

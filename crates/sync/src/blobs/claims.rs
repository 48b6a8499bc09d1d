//! [`Claims`]: all that want one blob in one copy, each answered as soon as it can be.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use oci::Digest;

use super::{Alone, Blobs, Claim, Copying, Turn};
use crate::place::Place;

/// Who wants a blob at a place.
pub(crate) trait Claimant {
    /// Where it is wanted.
    fn place(&self) -> &Place;

    /// The copy that it is wanted for.
    fn copying(&self) -> &Copying;

    /// Whether it is not wanted any more.
    fn has_given_up(&self) -> bool;
}

/// Those that want one blob. Whose wait is over claims it again, and nobody else: so each is asked a
/// few times, however many they are. What is dropped hands on what it was given.
pub(crate) struct Claims<'a, C> {
    blobs: &'a Arc<Blobs>,
    digest: Digest,
    asking: Vec<(C, Option<Alone>)>,
    waiting: FuturesUnordered<BoxFuture<'a, (C, Option<Alone>)>>,
}

impl<'a, C: Claimant + Send + 'a> Claims<'a, C> {
    pub(crate) fn new(blobs: &'a Arc<Blobs>, digest: Digest, claimants: Vec<C>) -> Self {
        let asking = claimants.into_iter().map(|claimant| (claimant, None)).collect();
        Self { blobs, digest, asking, waiting: FuturesUnordered::new() }
    }

    /// Waits until some can be answered: all whose turn it is by then, and, without a turn, those
    /// that have the blob. None when all were answered or have given up.
    pub(crate) async fn next(&mut self) -> Option<Vec<(C, Option<Turn>)>> {
        let mut answered = Vec::new();
        loop {
            for (claimant, alone) in std::mem::take(&mut self.asking) {
                if claimant.has_given_up() {
                    continue;
                }
                let (place, copying) = (claimant.place(), claimant.copying());
                match self.blobs.claim(place, self.digest, copying, alone) {
                    Claim::Present => answered.push((claimant, None)),
                    Claim::Turn(turn) => answered.push((claimant, Some(turn))),
                    Claim::Wait(until) => {
                        let waits = async move { (claimant, until.happens().await) };
                        self.waiting.push(waits.boxed());
                    }
                }
            }
            let over = match answered.is_empty() {
                true => self.waiting.next().await,
                // One turn that begins may open the way for others.
                false => self.waiting.next().now_or_never().flatten(),
            };
            match over {
                Some(over) => self.asking.push(over),
                None => return (!answered.is_empty()).then_some(answered),
            }
        }
    }
}

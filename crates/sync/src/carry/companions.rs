//! Brings what belongs to an image: referrers, and what cosign keeps in tags.

use std::collections::BTreeMap;

use futures::future::join_all;
use futures::{StreamExt, stream};
use oci::{Content, Digest, Manifest};

use super::{Carrier, Root};
use crate::Failure;
use crate::act::{Act, ActKind};
use crate::companions::Companion;
use crate::destination::Destination;
use crate::place::Tagged;

/// How many companions of an image are under way at once.
const COMPANIONS_AT_ONCE: usize = 4;

/// What became of companions that did not simply arrive.
#[derive(Debug, Default)]
pub(crate) struct LeftOver {
    /// Those that could not be brought, and why.
    pub(crate) problems: Vec<Failure>,
    /// Those whose tag holds something else at the target, which stays: what to say of each.
    pub(crate) held: Vec<String>,
}

impl Carrier<'_> {
    /// Brings companions, those that belong to the image before those that belong to them; what did
    /// not arrive at each destination, in their order.
    pub(crate) async fn companions(
        &self,
        rings: &[Vec<Companion>],
        to: &[&Destination<'_>],
    ) -> Vec<LeftOver> {
        let mut left: Vec<LeftOver> = to.iter().map(|_| LeftOver::default()).collect();
        for ring in rings {
            let arriving: Vec<_> = ring.iter().map(|one| self.companion(one, to)).collect();
            let mut arriving = stream::iter(arriving).buffer_unordered(COMPANIONS_AT_ONCE);
            while let Some(done) = arriving.next().await {
                for (left, done) in left.iter_mut().zip(done) {
                    match done {
                        Ok(held) => left.held.extend(held),
                        Err(problem) => left.problems.push(problem),
                    }
                }
            }
        }
        let lists = join_all(to.iter().map(|destination| self.lists(destination))).await;
        for (left, problems) in left.iter_mut().zip(lists) {
            left.problems.extend(problems);
        }
        left
    }

    async fn companion(
        &self,
        companion: &Companion,
        to: &[&Destination<'_>],
    ) -> Vec<Result<Option<String>, Failure>> {
        let Companion { tag, manifest, closure } = companion;
        let root = match tag {
            Some(_) if manifest.subject().is_none() => Root::LeftToCaller,
            _ => Root::Pushed,
        };
        let parts = self.closure(closure, to, root).await;
        let tagged = to.iter().zip(parts).map(|(destination, parts)| async move {
            let parts = parts?;
            let Some(tag) = tag else { return Ok(None) };
            let place = destination.place;
            let brought = self.walk.acts.begin(|| {
                let kind = ActKind::CompanionTagBrought;
                let mut act = Act::at_tag(kind, place.location(), tag);
                act.source = Some(format!("{}:{tag}", self.source.location()));
                act.to = Some(manifest.digest());
                act
            });
            let brought = brought.await?;
            let tagged = place.tag(tag, manifest).await?;
            match tagged {
                Tagged::Set => brought.done(|_| ()).await?,
                Tagged::Same | Tagged::Holds(_) => brought.was_nothing(),
            }
            match tagged {
                Tagged::Set | Tagged::Same => {
                    parts.are_committed();
                    Ok(None)
                }
                // Somebody signed there as well. That must not keep the image from being copied,
                // even where referrers are required: whoever signs copies makes it so on purpose.
                Tagged::Holds(other) => {
                    let held = destination.place.manifest(other).await?;
                    if held.is_some_and(|held| has_layers_of(&held, manifest)) {
                        return Ok(None);
                    }
                    Ok(Some(format!(
                        "tag {tag} holds {other} at the target and {} at the source; it was left \
                         alone",
                        manifest.digest()
                    )))
                }
            }
        });
        join_all(tagged).await
    }

    /// Lists the referrers that the destination does not list itself.
    async fn lists(&self, destination: &Destination<'_>) -> Vec<Failure> {
        let mut by_subject = BTreeMap::<Digest, Vec<Manifest>>::new();
        for manifest in destination.take_unlisted() {
            if let Some(subject) = manifest.subject() {
                by_subject.entry(subject.digest).or_default().push(manifest);
            }
        }
        let lists = stream::iter(by_subject).map(|(subject, referrers)| async move {
            let (walk, place) = (self.walk, destination.place);
            walk.fallback_tags.add(&walk.acts, place, subject, &referrers).await
        });
        lists
            .buffer_unordered(COMPANIONS_AT_ONCE)
            .filter_map(|done| async { done.err() })
            .collect()
            .await
    }
}

/// Whether all layers of one are among the other's: signatures to which the mirror has added its own.
fn has_layers_of(held: &Manifest, wanted: &Manifest) -> bool {
    match (held.content(), wanted.content()) {
        (Content::Image(held), Content::Image(wanted)) => {
            wanted.layers.iter().all(|layer| held.layers.contains(layer))
        }
        _ => false,
    }
}

//! Finds out what a copy would write, by reading everything that it would read but blobs; and whether
//! what was foreseen is still at the source, by asking for it.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use oci::{Descriptor, Digest, Manifest};

use super::{Foreseen, ForeseenBlob, ForeseenCompanion, ForeseenManifest};
use crate::closure::Closure;
use crate::companions::{Companion, Search};
use crate::copy::settle;
use crate::destination::Destination;
use crate::item::Item;
use crate::needed::Needed;
use crate::place::Place;
use crate::walk::Walk;
use crate::{Class, Failure, Outcome, Side, SignatureReport, SignatureState, closure, subset};

/// How many things of one item are asked for at once.
const ASK_AT_ONCE: usize = 8;

/// Foresees the copies of one image to all targets that lack it, and ends their items.
pub(crate) async fn copies(
    walk: &Walk,
    source: &Place,
    root: subset::Root,
    wanting: &[(&Item, &Place)],
) {
    let is_at_source = |node: &Digest| !root.is_made || *node != root.manifest.digest();
    let foreign_layers = walk.options.foreign_layers;
    let closure = closure::read(source, Side::Source, root.manifest.clone(), foreign_layers).await;
    let closure = match closure {
        Ok(closure) => closure,
        Err(failure) => {
            wanting.iter().for_each(|(item, _)| item.ends(Err(failure.clone())));
            return;
        }
    };
    let nodes = closure.levels.iter().rev().flatten().map(Manifest::digest);
    let nodes = nodes.filter(is_at_source).collect();
    let found = Search::new(walk, source).around(nodes).await;
    let (closure, found) = (&closure, &found);
    let each = wanting.iter().map(|(item, target)| async move {
        let foreseen = match settle(walk, found.problems.clone(), item) {
            Ok(()) => copy(walk, item, source, target, closure, &found.rings).await,
            Err(failure) => Err(failure),
        };
        let outcome = foreseen.map(|foreseen| {
            item.report().foreseen = Some(Box::new(foreseen));
            Outcome::WouldCopy
        });
        item.ends(outcome);
    });
    join_all(each).await;
}

async fn copy(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    closure: &Closure,
    rings: &[Vec<Companion>],
) -> Result<Foreseen, Failure> {
    let root = closure.root().map(Manifest::digest);
    let root = root.ok_or_else(|| {
        Failure::new(
            Side::Source,
            Class::Content,
            "it is made of nothing, which is a fault of ours",
        )
    })?;
    let destination = Destination::new(walk, target, item).await;
    let needed = Needed::at(&destination, closure, &walk.blobs).await?;
    // A manifest that is there vouches for its blobs.
    let vouched = closure.blobs.iter().filter(|blob| !needed.includes(blob));
    let vouched = vouched.map(|blob| blob.digest).collect();
    let all = closure.blobs.iter().chain(blobs_of(rings));
    let mut signatures = Vec::new();
    if let Some(with) = &item.wanted.signatures.sign {
        item.signature_is(SignatureReport::all(with, SignatureState::WouldSign));
        let nodes = closure.levels.iter().rev().flatten().map(Manifest::digest);
        signatures.extend(nodes.filter(|node| with.recursively || *node == root));
    }
    let foreseen = Foreseen {
        root,
        manifests: closure.manifests().map(manifest).collect(),
        companions: companions(rings),
        blobs: blobs(target, destination.was_empty, all, &vouched).await?,
        signatures,
        attests: item.wanted.signatures.sign.as_ref().is_some_and(|with| with.attest),
        cost: super::Cost::default(),
    };
    Ok(foreseen.with_cost(source.is_registry()))
}

/// Foresees what came late for an image that is there.
pub(crate) async fn arrivals(
    item: &Item,
    source: &Place,
    target: &Place,
    root: Digest,
    rings: &[Vec<Companion>],
) -> Result<(), Failure> {
    let blobs = blobs(target, false, blobs_of(rings), &HashSet::new()).await?;
    let mut report = item.report();
    let foreseen =
        report.foreseen.take().map_or_else(|| Foreseen::nothing(root), |foreseen| *foreseen);
    let foreseen = Foreseen { companions: companions(rings), blobs, ..foreseen };
    report.foreseen = Some(Box::new(foreseen.with_cost(source.is_registry())));
    Ok(())
}

/// Foresees signatures on an image that is there, and whether there is a statement about it to make.
pub(crate) fn signatures(
    item: &Item,
    source: &Place,
    root: Digest,
    subjects: Vec<Digest>,
    attests: bool,
) {
    let mut report = item.report();
    let foreseen =
        report.foreseen.take().map_or_else(|| Foreseen::nothing(root), |foreseen| *foreseen);
    let foreseen = Foreseen { signatures: subjects, attests, ..foreseen };
    report.foreseen = Some(Box::new(foreseen.with_cost(source.is_registry())));
}

/// Asks the source for all that was foreseen of these items, and ends them. Nothing is read: what is
/// there by its digest is what it was.
pub(crate) async fn still_there(walk: &Walk, source: &Place, wanting: &[(&Item, &Place)]) {
    for (item, target) in wanting {
        let whole = item.report().source_digest;
        let foreseen = walk.options.fence.as_ref().and_then(|fence| fence.of(&item.wanted.target));
        let asked = match foreseen {
            Some(foreseen) => {
                let is_made = whole.is_some_and(|whole| {
                    subset::is_made(&item.wanted.extent, whole, foreseen.root)
                });
                let made = is_made.then_some(foreseen.root);
                ask(source, target, foreseen, made).await
            }
            None => Ok(()),
        };
        item.ends(asked.map(|()| Outcome::WouldCopy));
    }
}

/// Asks the source for what was foreseen, but for what is `made` here; what the target has by now need
/// not be at the source any more.
pub(crate) async fn ask(
    source: &Place,
    target: &Place,
    foreseen: &Foreseen,
    made: Option<Digest>,
) -> Result<(), Failure> {
    let gone = |what: &str, digest: Digest| {
        let message = format!("{what} {digest}, which is planned, is gone from the source");
        Failure::new(Side::Source, Class::NotFound, message)
            .with_hint("make a new plan, and see who deleted it")
    };
    let manifests: Vec<Digest> =
        foreseen.digests().filter(|digest| Some(*digest) != made).collect();
    let manifests = stream::iter(manifests).map(|digest| async move {
        match source.has_manifest(digest).await? || target.has_manifest(digest).await? {
            true => Ok(()),
            false => Err(gone("manifest", digest)),
        }
    });
    manifests.buffer_unordered(ASK_AT_ONCE).try_collect::<()>().await?;
    let missing = foreseen.blobs.iter().filter(|blob| blob.is_missing);
    let missing: Vec<Digest> = missing.map(|blob| blob.digest).collect();
    let blobs = stream::iter(missing).map(|digest| async move {
        let at_source = source.blob_size(&digest).await?.is_some();
        match at_source || target.blob_size(&digest).await?.is_some() {
            true => Ok(()),
            false => Err(gone("blob", digest)),
        }
    });
    blobs.buffer_unordered(ASK_AT_ONCE).try_collect::<()>().await
}

fn manifest(manifest: &Manifest) -> ForeseenManifest {
    let Descriptor { digest, media_type, size, .. } = manifest.descriptor();
    ForeseenManifest { digest, media_type, size }
}

fn companions(rings: &[Vec<Companion>]) -> Vec<ForeseenCompanion> {
    let one = |ring, companion: &Companion| ForeseenCompanion {
        digest: companion.manifest.digest(),
        tag: companion.tag.clone(),
        artifact_type: companion.manifest.artifact_type().map(str::to_owned),
        ring,
        manifests: companion.closure.manifests().map(Manifest::digest).collect(),
    };
    rings
        .iter()
        .enumerate()
        .flat_map(|(ring, all)| all.iter().map(move |companion| one(ring, companion)))
        .collect()
}

fn blobs_of(rings: &[Vec<Companion>]) -> impl Iterator<Item = &Descriptor> {
    rings.iter().flatten().flat_map(|companion| &companion.closure.blobs)
}

/// These blobs, each once, and whether the target lacks them.
async fn blobs(
    target: &Place,
    was_empty: bool,
    all: impl Iterator<Item = &Descriptor>,
    vouched: &HashSet<Digest>,
) -> Result<Vec<ForeseenBlob>, Failure> {
    let sizes: HashMap<Digest, u64> = all.map(|blob| (blob.digest, blob.size)).collect();
    let asked = stream::iter(sizes).map(|(digest, size)| async move {
        let is_there =
            vouched.contains(&digest) || (!was_empty && target.blob_size(&digest).await?.is_some());
        Ok::<_, Failure>(ForeseenBlob { digest, size, is_missing: !is_there })
    });
    let mut blobs: Vec<ForeseenBlob> = asked.buffer_unordered(ASK_AT_ONCE).try_collect().await?;
    blobs.sort_by(|a, b| b.size.cmp(&a.size).then(a.digest.cmp(&b.digest)));
    Ok(blobs)
}

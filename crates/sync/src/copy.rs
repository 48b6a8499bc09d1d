//! Copies everything below a digest and everything that belongs to it, then sets the tag, then
//! reads it back.

use oci::{Digest, Manifest, Selector};

use crate::carry::Carrier;
use crate::closure::Closure;
use crate::companions::{Companion, Search};
use crate::place::{Place, Tagged};
use crate::walk::Walk;
use crate::{Class, Failure, ItemId, ItemReport, Outcome, Side, closure};

/// Brings an image to the target under the tag that is wanted.
///
/// The order: blobs, manifests, what belongs to them, the tag. Whoever admits images by their
/// signature never sees the tag of one whose signature is still to come.
pub(crate) async fn image(
    walk: &Walk,
    id: ItemId,
    source: &Place,
    target: &Place,
    digest: Digest,
    report: &mut ItemReport,
) -> Result<Outcome, Failure> {
    let root = source.manifest(digest).await?.ok_or_else(|| {
        let message = format!("manifest {digest} was there a moment ago and is gone");
        Failure::new(Side::Source, Class::NotFound, message)
    })?;
    let closure = closure::read(source, Side::Source, root.clone()).await?;
    let which = &walk.options.referrers.which;
    let search = Search { source, tags: &walk.tag_lists, which };
    // The root first: of several problems, one with the root is told.
    let nodes = closure.levels.iter().rev().flatten().map(Manifest::digest).collect();
    let companions = search.around(nodes).await;
    settle(walk, companions.problems, report)?;
    let (rings, Closure { mut levels, blobs, foreign }) = (companions.rings, closure);
    let others = || rings.iter().flatten().map(|companion| &companion.closure);
    let foreign = foreign.len() + others().map(|closure| closure.foreign.len()).sum::<usize>();
    if foreign > 0 {
        report.notes.push(format!("{foreign} layers that may not be distributed were left out"));
    }

    let has_companions = rings.iter().any(|ring: &Vec<Companion>| !ring.is_empty());
    if !has_companions && root.subject().is_none() {
        // The root's only PUT is the one by its tag. Otherwise it must be there before the tag is.
        levels.pop();
    }
    let carrier = Carrier::new(walk, id, source, target, &mut report.transferred);
    carrier.announce(blobs.iter().chain(others().flat_map(|closure| &closure.blobs)));
    carrier.blobs(blobs).await?;
    carrier.manifests(levels).await?;
    let left = carrier.companions(rings).await;
    report.notes.extend(left.held);
    settle(walk, left.problems, report)?;

    let tag = &report.wanted.target.tag;
    if let Tagged::Holds(other) = target.tag(tag, &root).await? {
        // Someone else set the tag while this copy was under way. It stays theirs.
        report.target_digest = Some(other);
        return Ok(Outcome::Drift);
    }
    let held = target.resolve(&Selector::Tag(tag.clone())).await?;
    report.target_digest = held;
    if held == Some(digest) {
        return Ok(Outcome::Copied);
    }
    let says = held.map_or("does not know the tag".to_owned(), |held| format!("says {held}"));
    let message = format!("tag {tag} was set to {digest}, but read back the target {says}");
    Err(Failure::new(Side::Target, Class::Content, message)
        .with_hint("the target rewrites what is pushed, or someone else set the tag meanwhile"))
}

/// What could not be had of what belongs to an image: a failure where that is required, else a
/// note. Never nothing: "not allowed" does not mean "none".
pub(crate) fn settle(
    walk: &Walk,
    problems: Vec<Failure>,
    report: &mut ItemReport,
) -> Result<(), Failure> {
    let count = problems.len();
    let Some(first) = problems.into_iter().next() else { return Ok(()) };
    if walk.options.referrers.required {
        let hint = "were referrers best-effort, this would be a note";
        return Err(if first.hint.is_some() { first } else { first.with_hint(hint) });
    }
    let more = match count {
        1 => String::new(),
        more => format!(" (and {} more such problems)", more - 1),
    };
    report.notes.push(format!("not all referrers or signatures may be there: {first}{more}"));
    Ok(())
}

//! Late arrivals: signatures and SBOMs are often pushed after their image, and an image that is up
//! to date is not walked again. So its referrers and cosign's tags are looked at once more.
//!
//! Only those of the tag's own manifest: to know an index's children, it would have to be read.

use std::collections::HashSet;

use oci::{Digest, Selector};

use crate::carry::Carrier;
use crate::companions::{Candidate, Companions, Search, newcomers};
use crate::copy::settle;
use crate::destination::Destination;
use crate::fallback_tag::FallbackTags;
use crate::item::Item;
use crate::place::Place;
use crate::plan::foresee;
use crate::walk::Walk;
use crate::{Event, Failure, Fence, LateArrivals, Mode, WhichReferrers};

/// Copies what came to belong to an image after it was copied.
pub(crate) async fn arrivals(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    root: Digest,
) -> Result<(), Failure> {
    let which = &walk.options.referrers.which;
    let looks = walk.options.late_referrers && *which != WhichReferrers::None;
    if !looks || walk.options.mode == Mode::Verify {
        return Ok(());
    }
    let search = Search::new(walk, source);
    let (listed, mut problems) = search.listed(root).await;
    let candidates = match missing(walk, target, root, listed).await {
        Ok(candidates) => candidates,
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    };
    if walk.options.fence.is_some() {
        // What a plan has is not looked for.
        problems.clear();
    }
    let found = match walk.options.fence.as_deref() {
        None => search.follow(candidates, &mut HashSet::from([root])).await,
        Some(fence) => planned(walk, item, &search, fence, target, candidates).await?,
    };
    problems.extend(found.problems);
    let count: usize = found.rings.iter().map(Vec::len).sum();
    if count > 0 && walk.options.mode == Mode::Plan {
        let note = format!("{} came late and would be copied", artifacts(count).0);
        {
            let mut report = item.report();
            report.notes.push(note);
            report.late = Some(LateArrivals::WouldCopy(count));
        }
        if walk.options.foresees {
            foresee::arrivals(item, source, target, root, &found.rings).await?;
        }
    } else if count > 0 {
        let destination = Destination::new(walk, target, item).await;
        let closures = found.rings.iter().flatten().map(|companion| &companion.closure);
        let blobs = closures.flat_map(|closure| &closure.blobs);
        walk.listener.hear(&Event::CopyStarted {
            item: item.id,
            blobs: blobs.clone().count(),
            bytes: blobs.map(|blob| blob.size).sum(),
        });
        let left = Carrier { walk, source }.companions(&found.rings, &[&destination]).await;
        for left in left {
            let copied = count.saturating_sub(left.problems.len() + left.held.len());
            let mut report = item.report();
            if copied > 0 {
                let (artifacts, were) = artifacts(copied);
                report.notes.push(format!("{artifacts} came late and {were} copied"));
                report.late = Some(LateArrivals::Copied(copied));
            }
            report.notes.extend(left.held);
            problems.extend(left.problems);
        }
    }
    settle(walk, problems, item)
}

/// Of what a plan has foreseen, that which the target does not have yet. What came since stays away.
async fn planned(
    walk: &Walk,
    item: &Item,
    search: &Search<'_>,
    fence: &Fence,
    target: &Place,
    candidates: Vec<Candidate>,
) -> Result<Companions, Failure> {
    let foreseen = fence.of(&item.wanted.target);
    let companions = || foreseen.into_iter().flat_map(|foreseen| &foreseen.companions);
    let is_new = |candidate: &&Candidate| match candidate {
        Candidate::Referrer { digest, .. } => companions().all(|one| one.digest != *digest),
        Candidate::Tagged(tag) => companions().all(|one| one.tag.as_ref() != Some(tag)),
        Candidate::Planned { .. } => false,
    };
    let new = candidates.iter().filter(is_new).count();
    let mut found = Companions { new, ..Companions::default() };
    if walk.options.mode == Mode::Plan {
        if let Some(foreseen) = foreseen {
            foresee::ask(search.source, target, foreseen, None).await?;
        }
        return Ok(found);
    }
    item.report().notes.extend(newcomers(new));
    for ring in fence.rings([&item.wanted.target].into_iter()) {
        let mut missing = Vec::new();
        for one in ring {
            let selector = one.tag.clone().map_or(Selector::Digest(one.digest), Selector::Tag);
            if target.resolve(&selector).await?.is_none() {
                missing.push(Candidate::Planned { tag: one.tag.clone(), digest: one.digest });
            }
        }
        search.read_planned(missing, &mut found).await;
    }
    Ok(found)
}

fn artifacts(count: usize) -> (String, &'static str) {
    match count {
        1 => ("1 referrer or signature".to_owned(), "was"),
        _ => (format!("{count} referrers or signatures"), "were"),
    }
}

/// What the target does not have of what the source lists. Where the source lists nothing, the
/// target is not asked.
async fn missing(
    walk: &Walk,
    target: &Place,
    root: Digest,
    mut listed: Vec<Candidate>,
) -> Result<Vec<Candidate>, Failure> {
    if listed.iter().any(|candidate| matches!(candidate, Candidate::Tagged(_))) {
        let tags = walk.tag_lists.of(target).await?;
        listed
            .retain(|candidate| !matches!(candidate, Candidate::Tagged(tag) if tags.contains(tag)));
    }
    if !listed.iter().any(|candidate| matches!(candidate, Candidate::Referrer { .. })) {
        return Ok(listed);
    }
    let own = target.own_referrers(&root).await?;
    let own = own.map(|own| own.into_iter().map(|referrer| referrer.digest).collect());
    // Only a fallback tag's list can be mended.
    let (there, can_be_mended): (HashSet<Digest>, bool) = match own {
        Some(own) => (own, false),
        None => match FallbackTags::listed(target, &root).await? {
            Some(listed) => (listed, true),
            None => (HashSet::new(), false),
        },
    };
    let mut missing = Vec::new();
    for candidate in listed {
        let is_there = match &candidate {
            Candidate::Tagged(_) | Candidate::Planned { .. } => false,
            Candidate::Referrer { digest, .. } => {
                // A target that leaves out of its list what it has will do so again.
                there.contains(digest) || (!can_be_mended && target.has_manifest(*digest).await?)
            }
        };
        if !is_there {
            missing.push(candidate);
        }
    }
    Ok(missing)
}

//! Looks at both sides, with as few requests as the decision needs.
//!
//! The target first: where it lacks the tag, the source's manifest is read at once instead of asked
//! for. Where the first tag of a repository is not there, and more of it are wanted, one listing of
//! the repository answers for the others. Where a listing tells digests, it answers for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use oci::{Digest, Extent, Location, Manifest, Selection, Selector, Tag};
use tokio::sync::OnceCell;

use crate::place::Place;
use crate::subset::Held;
use crate::walk::Walk;
use crate::{Failure, Mode, SourceState, TargetState, Wanted};

/// So many tags of one repository are worth a listing of it.
const WORTH_A_LISTING: usize = 3;

/// For each target repository of which enough tags are wanted, whether its listing is worth
/// reading: the first of its tags that was looked at was not there.
#[derive(Default)]
pub(crate) struct FirstLooks(Mutex<HashMap<Location, Arc<OnceCell<bool>>>>);

impl FirstLooks {
    fn at(&self, place: &Place) -> Arc<OnceCell<bool>> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(looks.entry(place.location().clone()).or_default())
    }
}

/// What was seen of a source.
pub(crate) struct Seen {
    pub(crate) state: SourceState,
    /// The wanted manifest, where it was read.
    pub(crate) manifest: Option<Manifest>,
}

/// What the target's tag holds.
pub(crate) async fn target(walk: &Walk, wanted: &Wanted, place: &Place) -> Held {
    let tag = &wanted.target.tag;
    let look = || async {
        match &wanted.extent {
            Extent::Whole => Held::whole(digest_of(walk, place, tag).await),
            Extent::Platforms(_) | Extent::Image(_) | Extent::Chart => {
                Held::read(place, tag, &wanted.extent).await
            }
        }
    };
    // A plan is told of what a listing may not know yet; a copy looks once more before it tags.
    if walk.options.mode != Mode::Sync || walk.tag_lists.wanted_of(place) < WORTH_A_LISTING {
        return look().await;
    }
    let first = walk.first_looks.at(place);
    let mut own = None;
    let lists = first.get_or_init(|| async {
        let held = look().await;
        let is_absent = held.state == TargetState::Absent;
        own = Some(held);
        is_absent
    });
    let lists = *lists.await;
    if let Some(held) = own {
        return held;
    }
    if lists
        && let Ok(tags) = walk.tag_lists.of(place).await
        && !tags.contains(tag)
    {
        return Held::whole(Ok(None));
    }
    look().await
}

/// What a tag points at.
async fn digest_of(walk: &Walk, place: &Place, tag: &Tag) -> Result<Option<Digest>, Failure> {
    if place.lists_digests()
        && walk.tag_lists.wanted_of(place) >= WORTH_A_LISTING
        && let Ok(tags) = walk.tag_lists.of(place).await
        && let Some(digest) = tags.digest(tag)
    {
        return Ok(Some(digest));
    }
    place.resolve(&Selector::Tag(tag.clone())).await
}

/// What the source has for these targets.
pub(crate) async fn source(
    walk: &Walk,
    selection: &Selection,
    place: &Place,
    targets: &[Held],
) -> Seen {
    let is_absent = targets.iter().any(|target| target.state == TargetState::Absent);
    let reads = is_absent && walk.options.mode == Mode::Sync;
    if let Some(same) = same_chart(selection, place, targets).await {
        return Seen { state: SourceState::Found(same), manifest: None };
    }
    match selection {
        Selection::Tag(tag) if reads => look(place, &Selector::Tag(tag.clone()), true).await,
        Selection::Tag(tag) => {
            let state = match digest_of(walk, place, tag).await {
                Ok(Some(digest)) => SourceState::Found(digest),
                Ok(None) => SourceState::Missing,
                Err(failure) => SourceState::Unreadable(failure),
            };
            Seen { state, manifest: None }
        }
        Selection::Digest(digest) => {
            // What is pinned cannot change: where the targets have it, the source is not asked.
            if targets.iter().all(|target| target.is_of(*digest)) {
                return Seen { state: SourceState::Found(*digest), manifest: None };
            }
            look(place, &Selector::Digest(*digest), reads).await
        }
        Selection::Pinned { tag, digest } => {
            let pinned = *digest;
            let now = match digest_of(walk, place, tag).await {
                Ok(Some(now)) => place.in_algorithm(now, pinned.algorithm()).await,
                now => now,
            };
            let state = match now {
                Err(failure) => SourceState::Unreadable(failure),
                Ok(Some(now)) if now == pinned => SourceState::Found(now),
                Ok(now) if !is_absent => SourceState::Moved { pinned, now },
                Ok(now) => {
                    let seen = look(place, &Selector::Digest(pinned), reads).await;
                    let state = match seen.state {
                        SourceState::Found(pinned) => SourceState::Moved { pinned, now },
                        other => other,
                    };
                    return Seen { state, manifest: seen.manifest };
                }
            };
            Seen { state, manifest: None }
        }
    }
}

/// What the targets hold, where an index tells that it is the very chart: then it is not fetched.
async fn same_chart(selection: &Selection, place: &Place, targets: &[Held]) -> Option<Digest> {
    let held = targets.first()?.chart()?;
    if targets.iter().any(|target| target.chart() != Some(held))
        || place.known_chart(selection).await.ok()? != Some(held)
    {
        return None;
    }
    match targets.first()?.state {
        TargetState::Holds(digest) => Some(digest),
        TargetState::Absent | TargetState::Unreadable(_) => None,
    }
}

/// What a target holds, in the algorithm of the digest that it is to hold: where they differ, it may
/// hold the same bytes.
pub(crate) async fn comparable(goal: &SourceState, place: &Place, mut held: Held) -> Held {
    let (
        TargetState::Holds(there),
        SourceState::Found(digest) | SourceState::Moved { pinned: digest, .. },
    ) = (&held.state, goal)
    else {
        return held;
    };
    held.state = match place.in_algorithm(*there, digest.algorithm()).await {
        Ok(Some(there)) => TargetState::Holds(there),
        Ok(None) => TargetState::Absent,
        Err(failure) => TargetState::Unreadable(failure),
    };
    held
}

/// Asks for a manifest, or reads it.
async fn look(place: &Place, selector: &Selector, reads: bool) -> Seen {
    let found: Result<Option<(Digest, Option<Manifest>)>, Failure> = if reads {
        let manifest = place.manifest(selector.clone()).await;
        manifest.map(|found| found.map(|manifest| (manifest.digest(), Some(manifest))))
    } else {
        place.resolve(selector).await.map(|found| found.map(|digest| (digest, None)))
    };
    match found {
        Ok(Some((digest, manifest))) => Seen { state: SourceState::Found(digest), manifest },
        Ok(None) => Seen { state: SourceState::Missing, manifest: None },
        Err(failure) => Seen { state: SourceState::Unreadable(failure), manifest: None },
    }
}

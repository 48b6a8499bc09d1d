//! The walk of a group of items: observe → decide → copy → tag → read back → report.
//!
//! Items of one source are walked together, so that it is read once for all its targets. Items that
//! share an archive as their target are in one group, because an archive is there only when all of
//! it is.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::{join, join_all};
use oci::{Digest, Location, Selection};
use tokio::sync::Semaphore;
use tracing::{Instrument, Span};

use crate::act::Acts;
use crate::blobs::Blobs;
use crate::fallback_tag::FallbackTags;
use crate::groups::SameSource;
use crate::item::Item;
use crate::observe::{self, FirstLooks, Seen};
use crate::place::{Place, Places};
use crate::plan::foresee;
use crate::schedule::Schedule;
use crate::signatures::{self, Trust};
use crate::subset::{Held, Subset};
use crate::tag_lists::TagLists;
use crate::turns::Turns;
use crate::{
    Class, Decision, Event, Failure, ItemId, ItemReport, Listener, Mode, Options, Outcome, Side,
    SignatureReport, SignatureState, SourceState, Stop, TargetState, Wish, charts, copy, decide,
    late, spans, subset, verify,
};

/// What all walks of a run share.
pub(crate) struct Walk {
    pub(crate) places: Places,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) schedule: Schedule,
    /// How many images are copied at once; what is known of them is held in memory.
    pub(crate) copies: Semaphore,
    pub(crate) first_looks: FirstLooks,
    pub(crate) tag_lists: TagLists,
    pub(crate) fallback_tags: FallbackTags,
    /// Signing one thing at one place is one walk's affair at a time, so that two tags of one image get
    /// one signature.
    pub(crate) signing_turns: Turns,
    pub(crate) acts: Acts,
    pub(crate) options: Options,
    pub(crate) listener: Arc<dyn Listener>,
}

const PROVENANCE_IS_LATE: &str = "its repository has a provenance file by now, which the target lacks; \
    delete the tag there, and the next run publishes the chart with it";

/// The targets of a group. An archive is opened once, and is there when it is finished.
type Targets = HashMap<Location, Result<Place, Failure>>;

/// Walks the items of a group to their end, or until they are given up.
pub(crate) async fn group(
    walk: &Walk,
    group: Vec<SameSource>,
    stop: &Stop,
) -> Vec<(ItemId, ItemReport)> {
    let mut targets = Targets::new();
    let (mut reports, mut item_spans) = (Vec::new(), Vec::new());
    for same_source in group {
        let begin = |(id, wanted): (ItemId, _)| {
            walk.listener.hear(&Event::ItemStarted { item: id, wanted: Arc::clone(&wanted) });
            Item::new(id, wanted)
        };
        let items: Vec<Item> = same_source.into_iter().map(begin).collect();
        let spans: Vec<Span> = items.iter().map(|item| item.span.clone()).collect();
        let in_common = spans.first().cloned().unwrap_or_else(Span::none);
        for follower in spans.iter().skip(1) {
            follower.follows_from(&in_common);
        }
        item_spans.extend(spans);
        tokio::select! {
            () = one_source(walk, &items, &mut targets).instrument(in_common) => {}
            () = stop.give_up.cancelled() => {}
        }
        let given_up = || given_up(stop);
        reports.extend(items.into_iter().map(|item| (item.id, item.into_report(given_up))));
    }
    for (location, target) in targets {
        let Ok(target) = target else { continue };
        let Err(failure) = target.finish().await else { continue };
        let was_written = |report: &ItemReport| {
            matches!(&report.wanted, Wish::Tag(wanted) if wanted.target.location == location)
                && matches!(report.outcome, Outcome::Copied | Outcome::SourceMoved)
        };
        for (_, report) in reports.iter_mut().filter(|(_, report)| was_written(report)) {
            report.fail(failure.clone());
        }
    }
    // Before it is told.
    walk.acts.ended(reports.iter_mut().map(|(_, report)| report)).await;
    for ((id, report), span) in reports.iter().zip(&item_spans) {
        spans::ended(span, report);
        walk.listener.hear(&Event::ItemFinished { item: *id, report: Arc::new(report.clone()) });
    }
    reports
}

fn given_up(stop: &Stop) -> Failure {
    if stop.is_at_deadline() {
        let message = "the deadline came before it was done";
        return Failure::new(Side::Target, Class::Deadline, message)
            .with_hint("run again: what is done is not done twice");
    }
    Failure::new(Side::Target, Class::Interrupted, "the run was stopped in the middle of it")
        .with_hint("run again: it ends as if it had never been stopped")
}

/// Walks the items of one source, each to its end.
async fn one_source(walk: &Walk, items: &[Item], targets: &mut Targets) {
    let Some(first) = items.first() else { return };
    let wanted = &first.wanted.source;
    let source = match walk.places.open(Side::Source, &wanted.location).await {
        Ok(source) => source,
        Err(failure) => return items.iter().for_each(|item| item.ends(Err(failure.clone()))),
    };
    for item in items {
        let location = &item.wanted.target.location;
        if !targets.contains_key(location) {
            let place = match walk.options.blocked.get(location) {
                Some(failure) => Err(failure.clone()),
                None => walk.places.open(Side::Target, location).await,
            };
            targets.insert(location.clone(), place);
        }
    }
    let mut open = Vec::new();
    for item in items {
        match targets.get(&item.wanted.target.location) {
            Some(Ok(target)) => open.push((item, target)),
            Some(Err(failure)) => item.ends(Err(failure.clone())),
            None => {}
        }
    }
    let held = open.iter().map(|(item, target)| observe::target(walk, &item.wanted, target));
    let introduced = async {
        // What is pinned may be at all targets, and then the source is not asked.
        if !matches!(wanted.selection, Selection::Digest(_)) {
            source.introduce().await;
        }
    };
    let looks = async {
        let (held, ()) = join(join_all(held), introduced).await;
        let seen = observe::source(walk, &wanted.selection, &source, &held).await;
        (held, seen)
    };
    let (held, Seen { state, manifest }) = looks.instrument(spans::observe()).await;
    let state = trusted(walk, items, &source, state).await;
    let subset = Subset::new(&source, &wanted.selection, &first.wanted.extent, manifest);
    let goals = open.iter().zip(&held).map(|((_, target), held)| {
        let reads = walk.options.mode != Mode::Verify;
        subset.goal(&state, held, target, reads)
    });
    let goals = join_all(goals).await;
    let held = open.iter().zip(held).zip(&goals);
    let held = held.map(|(((_, target), held), goal)| observe::comparable(goal, target, held));
    let held = join_all(held).await;

    if walk.options.mode == Mode::Plan && open.iter().any(|(item, _)| item.wanted.lists_images) {
        let named = charts::images_named(&source, &wanted.selection).await;
        let wanting = open.iter().filter(|(item, _)| item.wanted.lists_images);
        wanting.for_each(|(item, _)| item.report().notes.extend(named.iter().cloned()));
    }
    let remarks = source.chart_remarks(&wanted.selection).await;
    open.iter().for_each(|(item, _)| item.report().notes.extend(remarks.iter().cloned()));

    let (mut settled, mut copied, mut without_provenance) = (Vec::new(), Vec::new(), Vec::new());
    for (((item, target), held), goal) in open.into_iter().zip(held).zip(goals) {
        match next(walk, item, &state, &goal, &held) {
            Next::End(end) => item.ends(end),
            Next::Check(digest, outcome) => {
                let is_lost = outcome == Outcome::SourceLost;
                if walk.options.mode == Mode::Verify && !is_lost && held.lacks_provenance() {
                    without_provenance.push(item);
                }
                let checked = check(walk, item, &source, target, digest, outcome);
                settled.push(checked.instrument(spans::check(&item.span)));
            }
            Next::Drift => {
                let part_of = held.part_of(target, &item.wanted.extent).await;
                item.report().part_of = part_of;
                item.ends(Ok(Outcome::Drift));
            }
            Next::Missing => {
                let missing = source.missing(&wanted.selection).await;
                item.report().failure = Some(missing);
                item.ends(Ok(Outcome::SourceMissing));
            }
            Next::Copy => copied.push((item, target)),
        }
    }
    // A chart is the same with a provenance file and without, so this only shows when it is asked for.
    if !without_provenance.is_empty() && source.has_provenance(&wanted.selection).await {
        for item in without_provenance {
            item.report().notes.push(PROVENANCE_IS_LATE.to_owned());
        }
    }
    let copies = async {
        // One source has one digest.
        let (Some(digest), false) = (digest(&state), copied.is_empty()) else { return };
        let _copies = walk.copies.acquire().await;
        // On the heap: most of the hundreds that are looked at at once are up to date.
        Box::pin(copy_to(walk, &source, subset, digest, &copied)).await;
    };
    join(join_all(settled), copies).await;
}

/// Copies an image, or says what would be copied.
async fn copy_to(
    walk: &Walk,
    source: &Place,
    subset: Subset<'_>,
    digest: Digest,
    wanting: &[(&Item, &Place)],
) {
    let plans = walk.options.mode == Mode::Plan;
    if plans && walk.options.fence.is_some() {
        return foresee::still_there(walk, source, wanting).await;
    }
    match subset.into_root(digest).await {
        Ok(root) if plans => foresee::copies(walk, source, root, wanting).await,
        Ok(root) => copy::image(walk, source, root, wanting).instrument(spans::copy()).await,
        Err(failure) => wanting.iter().for_each(|(item, _)| item.ends(Err(failure.clone()))),
    }
}

/// The source, or that its signatures do not prove what they must.
async fn trusted(walk: &Walk, items: &[Item], source: &Place, state: SourceState) -> SourceState {
    let (Some(digest), Some(first)) = (digest(&state), items.first()) else { return state };
    // What is demanded of a source is the same for all its targets.
    let demands = &first.wanted.signatures.demands;
    let span = if demands.is_empty() { Span::none() } else { spans::verify() };
    match signatures::check_trust(walk, source, digest, demands).instrument(span).await {
        Ok(Trust { refused: Some(reason), .. }) => {
            // What was refused belongs into the report as much as what is copied.
            items.iter().for_each(|item| item.report().source_digest = Some(digest));
            SourceState::Refused(reason)
        }
        Ok(Trust { refused: None, remarks, verified }) => {
            for item in items {
                let mut report = item.report();
                report.notes.extend(remarks.iter().cloned());
                report.verified.clone_from(&verified);
            }
            state
        }
        Err(failure) => SourceState::Unreadable(failure),
    }
}

/// What is to be done about an item.
enum Next {
    End(Result<Outcome, Failure>),
    /// It is there; it is looked at again.
    Check(Digest, Outcome),
    Drift,
    Missing,
    Copy,
}

/// The wanted digest at the source.
fn digest(seen: &SourceState) -> Option<Digest> {
    match seen {
        SourceState::Found(digest) => Some(*digest),
        SourceState::Moved { pinned, .. } => Some(*pinned),
        SourceState::Missing | SourceState::Refused(_) | SourceState::Unreadable(_) => None,
    }
}

/// Decides, and notes in the report what was seen.
fn next(walk: &Walk, item: &Item, seen: &SourceState, goal: &SourceState, held: &Held) -> Next {
    let decision = decide(goal, &held.state);
    walk.listener.hear(&Event::Decided { item: item.id, decision: decision.clone() });
    let mut report = item.report();
    report.source_digest = digest(seen).or(report.source_digest);
    if let TargetState::Holds(digest) = held.state {
        report.target_digest = Some(digest);
    }
    let signed = item.wanted.signatures.sign.as_ref();
    if let (Mode::Plan, Decision::Copy(_), Some(with)) = (walk.options.mode, &decision, signed) {
        report.signature = Some(SignatureReport::all(with, SignatureState::WouldSign));
    }
    let copy = || match walk.options.mode {
        Mode::Sync => Next::Copy,
        Mode::Plan if walk.options.foresees || walk.options.fence.is_some() => Next::Copy,
        Mode::Plan | Mode::Verify => Next::End(Ok(Outcome::WouldCopy)),
    };
    match decision {
        Decision::Copy(_) => copy(),
        Decision::UpToDate(digest) => Next::Check(digest, Outcome::UpToDate),
        Decision::SourceMoved { pinned, now, copy: is_missing } => {
            report.notes.push(match now {
                Some(now) => format!("the source's tag points at {now} now; the pin decides"),
                None => "the source's tag is gone; the pin decides".to_owned(),
            });
            item.source_has_moved();
            if is_missing { copy() } else { Next::Check(pinned, Outcome::SourceMoved) }
        }
        Decision::Drift { .. } => {
            let other = report.source_digest.and_then(|source| held.other_part_of(source));
            report.notes.extend(other.map(str::to_owned));
            Next::Drift
        }
        Decision::SourceMissing => Next::Missing,
        Decision::SourceLost { target } => Next::Check(target, Outcome::SourceLost),
        Decision::Refused(reason) => {
            Next::End(Err(Failure::new(Side::Source, Class::Signature, reason)))
        }
        Decision::Failed(failure) => Next::End(Err(failure)),
    }
}

/// Looks at what is there again: for late arrivals, or in a verifying run whether it is whole.
async fn check(
    walk: &Walk,
    item: &Item,
    source: &Place,
    target: &Place,
    digest: Digest,
    outcome: Outcome,
) {
    let whole = item.report().source_digest;
    // Made here, or lost there.
    let is_only_here =
        whole.is_none_or(|whole| subset::is_made(&item.wanted.extent, whole, digest));
    let checked = match walk.options.mode {
        Mode::Verify => verify::complete(target, digest, walk.options.foreign_layers).await,
        // Nothing at the source belongs to what the source does not have.
        Mode::Sync | Mode::Plan if is_only_here => Ok(()),
        Mode::Sync | Mode::Plan => late::arrivals(walk, item, source, target, digest).await,
    };
    let checked = match checked {
        Ok(()) => signatures::check_ours(walk, item, source, target, digest).await,
        Err(failure) => Err(failure),
    };
    item.ends(checked.map(|()| outcome));
}

//! The walk of one item: observe → decide → copy → tag → read back → report.
//!
//! Items that share an archive as their target are walked together, because an archive is there
//! only when all of it is.

use std::sync::Arc;

use oci::{Digest, Selection, Selector};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::fallback_tag::FallbackTags;
use crate::place::{Place, Places};
use crate::tag_lists::TagLists;
use crate::{
    Class, Decision, Event, Failure, ItemId, ItemReport, Listener, Mode, Options, Outcome, Side,
    SourceState, TargetState, Wanted, copy, decide, late, verify,
};

/// What all walks of a run share.
pub(crate) struct Walk {
    pub(crate) places: Places,
    pub(crate) blobs: Blobs,
    pub(crate) tag_lists: TagLists,
    pub(crate) fallback_tags: FallbackTags,
    pub(crate) options: Options,
    pub(crate) listener: Arc<dyn Listener>,
}

/// Walks items one after another to their end, or until `give_up`. They have one target location.
pub(crate) async fn items(
    walk: &Walk,
    items: Vec<(ItemId, Arc<Wanted>)>,
    give_up: &CancellationToken,
) -> Vec<(ItemId, ItemReport)> {
    let mut target = None;
    let mut reports = Vec::with_capacity(items.len());
    for (id, wanted) in items {
        let started = Instant::now();
        walk.listener.hear(&Event::ItemStarted { item: id, wanted: Arc::clone(&wanted) });
        let mut report = ItemReport::new(Arc::clone(&wanted), Outcome::Failed);
        let done = tokio::select! {
            done = steps(walk, id, &wanted, &mut target, &mut report) => done,
            () = give_up.cancelled() => Err(given_up()),
        };
        match done {
            Ok(outcome) => report.outcome = outcome,
            Err(failure) => report.fail(failure),
        }
        report.duration = started.elapsed();
        reports.push((id, report));
    }
    if let Some(target) = target
        && let Err(failure) = target.finish().await
    {
        let was_written = |outcome| matches!(outcome, Outcome::Copied | Outcome::SourceMoved);
        for (_, report) in reports.iter_mut().filter(|(_, report)| was_written(report.outcome)) {
            report.fail(failure.clone());
        }
    }
    for (id, report) in &reports {
        walk.listener.hear(&Event::ItemFinished { item: *id, report: Arc::new(report.clone()) });
    }
    reports
}

fn given_up() -> Failure {
    Failure::new(Side::Target, Class::Interrupted, "the run was stopped in the middle of it")
        .with_hint("run again: it ends as if it had never been stopped")
}

async fn steps(
    walk: &Walk,
    id: ItemId,
    wanted: &Wanted,
    target: &mut Option<Place>,
    report: &mut ItemReport,
) -> Result<Outcome, Failure> {
    let source = walk.places.open(Side::Source, &wanted.source.location).await?;
    let target = match target {
        Some(target) => target,
        None => target.insert(walk.places.open(Side::Target, &wanted.target.location).await?),
    };
    let (seen, held) = observe(wanted, &source, target).await;
    let decision = decide(&seen, &held);
    report.source_digest = match seen {
        SourceState::Found(digest) => Some(digest),
        SourceState::Moved { pinned, .. } => Some(pinned),
        SourceState::Missing | SourceState::Refused(_) | SourceState::Unreadable(_) => None,
    };
    if let TargetState::Holds(digest) = held {
        report.target_digest = Some(digest);
    }
    walk.listener.hear(&Event::Decided { item: id, decision: decision.clone() });
    match decision {
        Decision::Copy(digest) => match walk.options.mode {
            Mode::Plan | Mode::Verify => Ok(Outcome::WouldCopy),
            Mode::Sync => copy::image(walk, id, &source, target, digest, report).await,
        },
        Decision::UpToDate(digest) => {
            check(walk, target, digest).await?;
            late::arrivals(walk, id, &source, target, digest, report).await?;
            Ok(Outcome::UpToDate)
        }
        Decision::SourceMoved { pinned, now, copy: missing } => {
            report.notes.push(match now {
                Some(now) => format!("the source's tag points at {now} now; the pin decides"),
                None => "the source's tag is gone; the pin decides".to_owned(),
            });
            match (missing, walk.options.mode) {
                (true, Mode::Sync) => {
                    let outcome = copy::image(walk, id, &source, target, pinned, report).await?;
                    Ok(if outcome == Outcome::Copied { Outcome::SourceMoved } else { outcome })
                }
                (true, Mode::Plan | Mode::Verify) => Ok(Outcome::WouldCopy),
                (false, _) => {
                    check(walk, target, pinned).await?;
                    late::arrivals(walk, id, &source, target, pinned, report).await?;
                    Ok(Outcome::SourceMoved)
                }
            }
        }
        Decision::Drift { .. } => Ok(Outcome::Drift),
        Decision::SourceMissing => {
            let message = format!("there is no such tag or digest: `{}`", wanted.source);
            let hint = "check the spelling; private repositories often answer so to strangers";
            let failure = Failure::new(Side::Source, Class::NotFound, message);
            report.failure = Some(failure.with_hint(hint));
            Ok(Outcome::SourceMissing)
        }
        Decision::SourceLost { .. } => Ok(Outcome::SourceLost),
        Decision::Refused(reason) => {
            report.failure = Some(Failure::new(Side::Source, Class::Denied, reason));
            Ok(Outcome::Refused)
        }
        Decision::Failed(failure) => Err(failure),
    }
}

/// Looks at both sides, with as few requests as the decision needs.
async fn observe(wanted: &Wanted, source: &Place, target: &Place) -> (SourceState, TargetState) {
    let held = async {
        match target.resolve(&Selector::Tag(wanted.target.tag.clone())).await {
            Ok(Some(digest)) => TargetState::Holds(digest),
            Ok(None) => TargetState::Absent,
            Err(failure) => TargetState::Unreadable(failure),
        }
    };
    match &wanted.source.selection {
        Selection::Tag(tag) => {
            let seen = async {
                match source.resolve(&Selector::Tag(tag.clone())).await {
                    Ok(Some(digest)) => SourceState::Found(digest),
                    Ok(None) => SourceState::Missing,
                    Err(failure) => SourceState::Unreadable(failure),
                }
            };
            futures::join!(seen, held)
        }
        Selection::Digest(digest) => {
            let held = held.await;
            // What is pinned cannot change: where the target has it, the source is not asked.
            let seen = match &held {
                TargetState::Holds(there) if there == digest => SourceState::Found(*digest),
                _ => pinned(source, *digest, SourceState::Found).await,
            };
            (seen, held)
        }
        Selection::Pinned { tag, digest } => {
            let tag = Selector::Tag(tag.clone());
            let (now, held) = futures::join!(source.resolve(&tag), held);
            let seen = match now {
                Ok(Some(now)) if now == *digest => SourceState::Found(now),
                Ok(now) if matches!(held, TargetState::Absent) => {
                    pinned(source, *digest, |pinned| SourceState::Moved { pinned, now }).await
                }
                Ok(now) => SourceState::Moved { pinned: *digest, now },
                Err(failure) => SourceState::Unreadable(failure),
            };
            (seen, held)
        }
    }
}

/// Asks whether the source has a digest.
async fn pinned(
    source: &Place,
    digest: Digest,
    there: impl FnOnce(Digest) -> SourceState,
) -> SourceState {
    match source.resolve(&Selector::Digest(digest)).await {
        Ok(Some(_)) => there(digest),
        Ok(None) => SourceState::Missing,
        Err(failure) => SourceState::Unreadable(failure),
    }
}

/// In a verifying run, whether what is there is whole.
async fn check(walk: &Walk, target: &Place, digest: Digest) -> Result<(), Failure> {
    match walk.options.mode {
        Mode::Verify => verify::complete(target, digest).await,
        Mode::Sync | Mode::Plan => Ok(()),
    }
}

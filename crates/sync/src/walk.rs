//! The walk of one item: observe → decide → copy → tag → read back → report.
//!
//! Items that share an archive as their target are walked together, because an archive is there
//! only when all of it is.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use oci::{Digest, Selection, Selector};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::place::{Place, Places, Tagged};
use crate::transfer::Progress;
use crate::{
    Class, Decision, Event, Failure, ItemId, ItemReport, Listener, Mode, Options, Outcome, Side,
    SourceState, TargetState, Wanted, closure, decide, verify,
};

/// What all walks of a run share.
pub(crate) struct Walk {
    pub(crate) places: Places,
    pub(crate) blobs: Blobs,
    pub(crate) options: Options,
    pub(crate) listener: Arc<dyn Listener>,
}

/// How many blobs of one item are brought to the target at once.
const BLOBS_AT_ONCE: usize = 8;

/// How many manifests of one level are pushed at once.
const MANIFESTS_AT_ONCE: usize = 8;

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
    report.failure = decision.failure();
    match decision {
        Decision::Copy(digest) => match walk.options.mode {
            Mode::Plan | Mode::Verify => Ok(Outcome::WouldCopy),
            Mode::Sync => copy(walk, id, &source, target, digest, report).await,
        },
        Decision::UpToDate(digest) => {
            check(walk, target, digest).await?;
            Ok(Outcome::UpToDate)
        }
        Decision::SourceMoved { pinned, now, copy: missing } => {
            report.notes.push(match now {
                Some(now) => format!("the source's tag points at {now} now; the pin decides"),
                None => "the source's tag is gone; the pin decides".to_owned(),
            });
            match (missing, walk.options.mode) {
                (true, Mode::Sync) => {
                    let outcome = copy(walk, id, &source, target, pinned, report).await?;
                    Ok(if outcome == Outcome::Copied { Outcome::SourceMoved } else { outcome })
                }
                (true, Mode::Plan | Mode::Verify) => Ok(Outcome::WouldCopy),
                (false, _) => {
                    check(walk, target, pinned).await?;
                    Ok(Outcome::SourceMoved)
                }
            }
        }
        Decision::Drift { .. } => Ok(Outcome::Drift),
        Decision::SourceMissing => Ok(Outcome::SourceMissing),
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

/// Copies everything below a digest, then sets the tag, then reads it back.
async fn copy(
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
    if !closure.foreign.is_empty() {
        report.notes.push(format!(
            "{} layers that may not be distributed were left out",
            closure.foreign.len()
        ));
    }
    walk.listener.hear(&Event::CopyStarted {
        item: id,
        blobs: closure.blobs.len(),
        bytes: closure.blobs.iter().map(|blob| blob.size).sum(),
    });

    let progress = Progress {
        item: id,
        listener: Arc::clone(&walk.listener),
        attempts: walk.options.attempts.max(1),
    };
    let progress = &progress;
    let mut arriving = futures::stream::iter(closure.blobs)
        .map(|blob| async move {
            let way = walk.blobs.ensure(source, target, &blob, progress).await?;
            Ok::<_, Failure>((blob, way))
        })
        .buffer_unordered(BLOBS_AT_ONCE);
    while let Some((blob, way)) = arriving.try_next().await? {
        report.transferred.add(way, blob.size);
        let (digest, size) = (blob.digest, blob.size);
        walk.listener.hear(&Event::BlobFinished { item: id, digest, size, way });
    }

    let mut below_root = closure.levels;
    below_root.pop();
    for level in below_root {
        futures::stream::iter(level)
            .map(|manifest| async move { target.put_manifest(&manifest).await })
            .buffer_unordered(MANIFESTS_AT_ONCE)
            .try_collect::<()>()
            .await?;
    }

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

//! `apply`: carries out a plan, exactly, or nothing of it.
//!
//! It is one run of two walks. First everything is looked at anew, by digest: a walk that plans, of what the
//! plan wants. Where the world has moved, that is the end of it (`moved.rs`). Then the engine copies, fenced
//! in by the plan.

mod moved;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Digest, Reference, Selection, Source, Target};
use report::{ExitStatus, PlanDocument, PlanError, PlanItem};
use sync::{
    Class, Failure, Fence, Foreseen, ItemReport, Mode, Outcome, Planned, RunReport, Side,
    TagSelection, Wanted,
};

use super::sync::{Asked, ask, peers, target_login};
use crate::arguments::ApplyArguments;
use crate::error::CliError;
use crate::locks;
use crate::run::{Context, Ended, HeldTo, Job, Run, Show, Walk, Walked};
use crate::settings::{SigningSettings, files, list_of, run_of};
use moved::HasMoved;

pub(crate) async fn execute(
    typed: &ApplyArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let plan = read(&typed.plan)?;
    let settings = run_of(&plan.settings, &typed.run, context.environment)?;
    let show = Show::begin(&settings, context)?;
    let login = target_login(&typed.login, context)?;
    let list = list_of(&plan.settings, sync_files(typed, &plan, context))?;
    let signing = SigningSettings::planned(&plan.settings, context.environment)?;
    let asked = ask(&list, &signing, context)?;
    check_files(&plan, &asked)?;
    let items = items(&plan, &asked)?;
    for item in plan.items.iter().filter(|item| !has_tag(item)) {
        context
            .warn(&format!("the plan could not select tags of {}; none are copied", item.source));
    }
    let login_hosts = asked.login_hosts(&list, login.as_ref(), context)?;
    let foreseen =
        items.iter().filter_map(|item| Some((item.wanted.target.clone(), item.foreseen.clone()?)));
    let fence = Arc::new(Fence::new(foreseen));
    let job = Job {
        mode: Mode::Sync,
        wanted: items.iter().map(|item| item.wanted.clone()).collect(),
        selections: Vec::new(),
        repositories: &asked.sync_file.repositories,
        notices: &asked.sync_file.notices,
        peers: peers(&asked.sync_file, login.as_ref(), login_hosts),
        pending_has_code: false,
        settings: &settings,
        show,
        held: HeldTo { fence: Some(fence), ..HeldTo::default() },
    };
    let carried_out = async |run: Run<'_>, walk: Walk| carry_out(&plan, &items, run, walk).await;
    let (ended, moved) = job.end_by(context, carried_out).await?;
    ended.tell(&settings, context)?;
    match moved {
        None => Ok(ended.status),
        Some(moved) => Err(moved.error().with_status(ended.status)),
    }
}

/// Looks, and then does what is planned. Where the world has moved, that is returned, and nothing was done.
async fn carry_out(
    plan: &PlanDocument,
    items: &[Item],
    run: Run<'_>,
    walk: Walk,
) -> (Ended, Option<HasMoved>) {
    let Walk { mode, wanted, selections, show, held } = walk;
    let look = Walk {
        mode: Mode::Plan,
        wanted,
        selections: Vec::new(),
        show: Show::Nothing,
        held: held.clone(),
    };
    let mut seen = run.walk(look).await;
    let is_stopped = seen.report.interrupted;
    let moved = if is_stopped { None } else { HasMoved::since(plan, items, &mut seen) };
    if moved.is_some() || is_stopped {
        moved::leave_undone(&mut seen, run.witness().as_ref()).await;
        let status = moved.as_ref().map_or_else(|| run.status(&seen), HasMoved::status);
        return (run.end(seen, status).await, moved);
    }
    let to_do = items.iter().filter(|item| item.planned != Planned::Left);
    let wanted = to_do.map(|item| item.wanted.clone()).collect();
    let done = run.walk(Walk { mode, wanted, selections, show, held }).await;
    let all = with_left(done, items, seen.report);
    let status = run.status(&all);
    (run.end(all, status).await, None)
}

/// Whether it is about a tag, not about tags that could not be selected.
fn has_tag(item: &PlanItem) -> bool {
    item.target.parse::<Reference>().is_ok_and(|target| target.tag.is_some())
}

fn read(file: &Path) -> Result<PlanDocument, CliError> {
    let wrong = |problem: String| {
        CliError::usage(format!("cannot apply the plan `{}`: {problem}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    PlanDocument::read(&text).map_err(|error| {
        let error = wrong(error.to_string());
        error.hint("a plan is applied as it was made; `image-syncer plan -o` makes a new one")
    })
}

/// The sync files as the plan has them, or others in their place.
fn sync_files(typed: &ApplyArguments, plan: &PlanDocument, context: &Context<'_>) -> Vec<PathBuf> {
    match files(&typed.images_file, context.environment) {
        none if none.is_empty() => {
            let paths = plan.sync_files.iter().map(|file| file.path.as_str());
            paths.map(|path| PathBuf::from(if path == "<stdin>" { "-" } else { path })).collect()
        }
        given => given,
    }
}

/// The files must be what they were.
fn check_files(plan: &PlanDocument, asked: &Asked) -> Result<(), CliError> {
    let mut problems = Vec::new();
    if plan.sync_files.len() != asked.files.len() {
        let (made, now) = (plan.sync_files.len(), asked.files.len());
        problems.push(format!("the plan was made of {made} sync files, and {now} are given"));
    }
    for (planned, read) in plan.sync_files.iter().zip(&asked.files) {
        if planned.digest != read.digest {
            problems.push(format!("`{}` was changed since the plan was made", read.path.display()));
        }
    }
    for lock in &plan.locks {
        let there = locks::read(Path::new(&lock.path))?.map(|(_, digest)| digest);
        if there != Some(lock.digest) {
            problems.push(format!("`{}` was changed since the plan was made", lock.path));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CliError::usage(problems.join("\n")).hint("make a new plan")),
    }
}

/// An item of a plan, joined with its entry in the sync file.
struct Item {
    wanted: Wanted,
    planned: Planned,
    foreseen: Option<Foreseen>,
}

/// All items whose tags are known.
fn items(plan: &PlanDocument, asked: &Asked) -> Result<Vec<Item>, CliError> {
    let paths: HashMap<&str, String> = plan
        .sync_files
        .iter()
        .zip(&asked.files)
        .map(|(planned, read)| (planned.path.as_str(), read.path.display().to_string()))
        .collect();
    let wrong = |item: &PlanItem, error: &dyn std::fmt::Display| {
        CliError::usage(format!("the plan of `{}` cannot be used: {error}", item.target))
    };
    let mut items = Vec::new();
    for item in &plan.items {
        let reference: Reference = item.target.parse().map_err(|error| wrong(item, &error))?;
        if reference.tag.is_none() {
            continue;
        }
        let target = Target::try_from(reference).map_err(|error| wrong(item, &error))?;
        let origin = item
            .origin
            .as_ref()
            .and_then(|origin| Some((paths.get(origin.file.as_str())?.as_str(), origin.line)));
        let wanted = entry(item, &target, origin, asked);
        let wanted =
            wanted.ok_or_else(|| wrong(item, &"no entry of the sync files asks for it"))?;
        let parts = || -> Result<_, PlanError> {
            let digest: Option<Digest> =
                item.source_digest.as_deref().map(str::parse).transpose()?;
            Ok((digest, item.planned()?, item.foreseen()?))
        };
        let (digest, planned, foreseen) = parts().map_err(|error| wrong(item, &error))?;
        let source = pinned(wanted.source.clone(), digest);
        items.push(Item { wanted: Wanted { source, ..wanted }, planned, foreseen });
    }
    Ok(items)
}

/// What asks for an item: by name, or by a rule that has selected it.
fn entry(
    item: &PlanItem,
    target: &Target,
    origin: Option<(&str, usize)>,
    asked: &Asked,
) -> Option<Wanted> {
    let is_here = |one: Option<&sync::Origin>| {
        one.map(|origin| (origin.file.as_str(), origin.line)) == origin
    };
    let named = asked.wanted.iter().find(|one| {
        one.target == *target && one.written == item.written && is_here(one.origin.as_ref())
    });
    named.cloned().or_else(|| {
        let selections = asked.selections.iter();
        let mut of_target =
            selections.filter(|one| one.target == target.location && is_here(one.origin.as_ref()));
        of_target.find_map(|one| selected(item, target, one))
    })
}

/// An item that a rule has selected, without asking anybody.
fn selected(item: &PlanItem, target: &Target, selection: &TagSelection) -> Option<Wanted> {
    let of_locations = [Some(&selection.source), selection.otherwise.as_ref()];
    let source = of_locations.into_iter().flatten().find_map(|location| {
        let rest = item.source.strip_prefix(&format!("{location}:"))?;
        let tag = rest.split('@').next()?.parse().ok()?;
        Some(Source { location: location.clone(), selection: Selection::Tag(tag) })
    });
    // An index of charts may point into a registry.
    let source = source.or_else(|| item.source.parse::<Reference>().ok()?.try_into().ok())?;
    let wanted = selection.wanted(source, target.tag.clone());
    (wanted.written == item.written).then_some(wanted)
}

/// A source by the digest that was planned; a tag that has moved is told, and not followed.
fn pinned(source: Source, digest: Option<Digest>) -> Source {
    match (&source.selection, digest) {
        (Selection::Tag(tag), Some(digest)) => {
            let selection = Selection::Pinned { tag: tag.clone(), digest };
            Source { selection, ..source }
        }
        _ => source,
    }
}

/// What was done, and between it what the plan leaves as it is.
fn with_left(done: Walked, items: &[Item], seen: RunReport) -> Walked {
    let timings = done.timings.into_iter().chain(std::iter::repeat(None));
    let mut walked = done.report.items.into_iter().zip(timings);
    let all = items.iter().zip(seen.items).filter_map(|(item, seen)| match item.planned {
        Planned::Left => Some((left(seen), None)),
        Planned::Copy(_) | Planned::There(_) => walked.next(),
    });
    let (items, timings) = all.unzip();
    let duration = seen.duration + done.report.duration;
    Walked { report: RunReport { items, duration, ..done.report }, timings, ..done }
}

/// What could be done now and could not when the plan was made is left for the next one.
fn left(mut report: ItemReport) -> ItemReport {
    if report.outcome == Outcome::WouldCopy {
        report.outcome = Outcome::Deferred;
        report.failure = Some(Failure {
            side: Side::Source,
            class: Class::NotPlanned,
            message: "when the plan was made, nothing could be done about it".to_owned(),
            hint: Some("make a new plan".to_owned()),
            temporary: false,
            content_unknown: false,
        });
    }
    report
}

//! `apply`: carries out a plan, exactly, or nothing of it.
//!
//! First everything is looked at anew, by digest: a run that plans, of what the plan wants. Where the
//! world has moved, that is the end of it. Then the engine copies, fenced in by the plan.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Digest, Reference, Selection, Source, Target};
use report::{Document, ExitStatus, PlanDocument, PlanError, PlanItem, Rules};
use sync::{
    Class, Failure, Fence, Foreseen, ItemReport, Mode, Moved, Outcome, Planned, RunReport, Side,
    TagSelection, Wanted, compare,
};

use super::sync::{Asked, ask, peers, target_login};
use crate::arguments::ApplyArguments;
use crate::error::CliError;
use crate::locks;
use crate::run::{Context, Ended, HeldTo, Job, Show};
use crate::settings::{RunSettings, SigningSettings, files, list_of, run_of};

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
    // Of the look before, nobody but who applies is told.
    let job = |mode, wanted, show| Job {
        mode,
        wanted,
        selections: Vec::new(),
        repositories: &asked.sync_file.repositories,
        notices: if mode == Mode::Sync { asked.sync_file.notices.as_slice() } else { &[] },
        peers: peers(&asked.sync_file, login.as_ref(), login_hosts.clone()),
        pending_has_code: false,
        settings: &settings,
        show,
        held: HeldTo { fence: Some(Arc::clone(&fence)), ..HeldTo::default() },
    };
    let wanted = items.iter().map(|item| item.wanted.clone()).collect();
    let seen = job(Mode::Plan, wanted, Show::Nothing).end(context).await?;
    if seen.report.interrupted {
        seen.tell(&settings, context)?;
        return Ok(seen.status);
    }
    stop_where_moved(&plan, &items, &seen, &settings, context)?;
    let to_do = items.iter().filter(|item| item.planned != Planned::Left);
    let wanted = to_do.map(|item| item.wanted.clone()).collect();
    let done = job(Mode::Sync, wanted, show).end(context).await?;
    let done = with_left(done, &items, &seen.report, &settings);
    done.tell(&settings, context)?;
    Ok(done.status)
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

/// Compares the plan with what was seen. Where they differ, everything that differs is told.
fn stop_where_moved(
    plan: &PlanDocument,
    items: &[Item],
    seen: &Ended,
    settings: &RunSettings,
    context: &Context<'_>,
) -> Result<(), CliError> {
    let (mut problems, mut statuses) = (Vec::new(), Vec::new());
    for (item, report) in items.iter().zip(&seen.report.items) {
        if let Some(moved) = compare(item.planned, report) {
            let (problem, status) = tell(moved, report);
            problems.push(format!("{}: {problem}", item.wanted.target));
            statuses.push(status);
        }
    }
    for planned in &plan.repositories {
        let now = seen.facts.repositories.iter().find(|one| one.name == planned.name);
        let problem = match now {
            None => Some("the sync file does not ask for it".to_owned()),
            Some(now) => match &now.failure {
                Some(failure) => Some(failure.to_string()),
                None if now.changes.is_empty() || now.changes == planned.changes => None,
                None => Some(format!(
                    "what would be changed is not what is planned:\n  {}",
                    now.changes.join("\n").replace('\n', "\n  ")
                )),
            },
        };
        if let Some(problem) = problem {
            problems.push(format!("{}: {problem}", planned.name));
            let failure = now.and_then(|now| now.failure.as_ref());
            statuses.push(failure.map_or(ExitStatus::ItemFailed, ExitStatus::of_failure));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    seen.tell(settings, context)?;
    let message = format!(
        "the world has moved since the plan was made; nothing was written\n{}",
        problems.join("\n")
    );
    Err(CliError::failed(message)
        .with_status(ExitStatus::first_of(statuses))
        .hint("make a new plan, and look at what it says"))
}

fn tell(moved: Moved, report: &ItemReport) -> (String, ExitStatus) {
    let failure = || match &report.failure {
        Some(failure) => failure.to_string(),
        None => "there is no reason, which is a fault of this program".to_owned(),
    };
    match moved {
        Moved::TargetChanged { planned, there } => {
            let there = there.map_or("something else".to_owned(), |digest| digest.to_string());
            (format!("the target holds {there}, planned is {planned}"), ExitStatus::Drift)
        }
        Moved::TargetLost => {
            ("the target does not have it any more".to_owned(), ExitStatus::ItemFailed)
        }
        Moved::SourceGone => (failure(), ExitStatus::ItemFailed),
        Moved::Refused => (failure(), ExitStatus::Refused),
        Moved::NotSeen => {
            let of = |failure: &Failure| ExitStatus::of_failure(failure);
            (failure(), report.failure.as_ref().map_or(ExitStatus::ItemFailed, of))
        }
    }
}

/// What was done, and between it what the plan leaves as it is.
fn with_left(done: Ended, items: &[Item], seen: &RunReport, settings: &RunSettings) -> Ended {
    let Ended { document: told, report, mut facts, .. } = done;
    let timings =
        std::mem::take(&mut facts.timings).into_iter().map(Some).chain(std::iter::repeat(None));
    let mut walked = report.items.into_iter().zip(timings);
    let all = items.iter().zip(&seen.items).filter_map(|(item, seen)| match item.planned {
        Planned::Left => Some((left(seen.clone()), None)),
        Planned::Copy(_) | Planned::There(_) => walked.next(),
    });
    let (all, timings): (Vec<_>, Vec<_>) = all.unzip();
    facts.timings = timings.into_iter().map(Option::flatten).collect();
    let report = RunReport { items: all, ..report };
    let rules = Rules {
        mode: Mode::Sync,
        source_lost: settings.source_lost,
        pending_has_code: false,
        signal: done.signal,
    };
    let status = ExitStatus::of(&report, &facts.repositories, &rules);
    let document = Document { notices: told.notices, ..Document::new(&facts, &report, status) };
    Ended { document, report, facts, status, signal: done.signal }
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

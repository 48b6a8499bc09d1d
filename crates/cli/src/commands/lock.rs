//! `lock`: writes down what source tags point at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use oci::{Selection, Source};
use report::ExitStatus;
use sync::{
    Change, Engine, Event, Failure, Lock, Looked, Mode, Options, Origin, Resolved, ResolvedTags,
    Seen, Stop, locked_name,
};

use super::sync::{Asked, ask, peers};
use crate::arguments::LockArguments;
use crate::charts;
use crate::environment;
use crate::error::CliError;
use crate::locks;
use crate::run::Context;
use crate::settings::{ListSettings, LockChoice, SigningSettings, flag};
use crate::wiring::{Clients, Limits};

pub(crate) async fn execute(
    typed: &LockArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let checks = flag(typed.check, context.environment, environment::CHECK)?;
    let update = match &typed.update {
        Some(typed) => Some(typed.clone()),
        None => context.environment.text(environment::UPDATE)?.map(|found| found.value),
    };
    let update = update.map(|pattern| pattern_of(&pattern)).transpose()?;
    let mut list = ListSettings::new(&typed.list, context.environment)?;
    if list.lock == LockChoice::None {
        return Err(CliError::usage("--no-lock says that there is to be no lock"));
    }
    // A lock is of the whole list, whoever works on which share of it.
    list.shard = None;
    if list.prefixes.is_empty() {
        // Where images go does not matter here.
        list.prefixes.push("oci:./".to_owned());
    }
    let asked = ask(&list, &SigningSettings::of_nothing(), context)?;
    let files = LockFiles::read(&list, &asked)?;
    let renews = |name: &str| update.as_ref().is_some_and(|pattern| pattern.is_match(name));
    files.check_pins(&asked, renews)?;
    let asks = |origin: Option<&Origin>, source: &Source| {
        let name = source.selection.tag().map(|tag| locked_name(&source.location, tag));
        let is_new = files.of_origin(origin).is_none_or(|(_, lock)| lock.of(source).is_none());
        checks || is_new || name.is_some_and(|name| renews(&name))
    };
    let found = resolve(asked, asks, context).await?;
    let failures = failures(&found);
    let mut changed = false;
    for (file, lock) in &files.locks {
        let (new, changes) = lock.updated(&files.looked(file, &found), renews, Timestamp::now());
        changed |= changes.iter().any(Change::is_written);
        let is_new = !file.exists() && !new.is_empty();
        if !checks && (is_new || changes.iter().any(Change::is_written)) {
            write(file, &new)?;
        }
        context.result(&told(file, &new, &changes))?;
    }
    for (source, failure) in &failures {
        let painted = context.terminal.painted("error:");
        context.terminal.message(&format!("{painted} {source}: {}\n", failure.message));
    }
    let mut statuses: Vec<ExitStatus> =
        failures.iter().map(|(_, failure)| ExitStatus::of_failure(failure)).collect();
    statuses.extend((checks && changed).then_some(ExitStatus::ChangesPending));
    Ok(ExitStatus::first_of(statuses))
}

fn pattern_of(pattern: &str) -> Result<GlobMatcher, CliError> {
    let glob = Glob::new(pattern).map_err(|error| {
        CliError::usage(format!("`{}` is no pattern: {error}", pattern.escape_debug()))
    })?;
    Ok(glob.compile_matcher())
}

/// Asks the sources.
async fn resolve(
    asked: Asked,
    asks: impl Fn(Option<&Origin>, &Source) -> bool,
    context: &Context<'_>,
) -> Result<ResolvedTags, CliError> {
    let Asked { sync_file, wanted, selections, .. } = asked;
    let peers = peers(&sync_file, None, Default::default());
    let limits = Limits { concurrency: None, deadline: None };
    let clients = Clients::new(&peers, false, limits, context.environment)?;
    let locations = charts::of(&wanted, &selections);
    let charts = charts::repositories(locations, &clients.web, &clients.credentials).await;
    let options = Options { mode: Mode::Plan, charts: Arc::new(charts), ..Options::default() };
    let engine = Engine::new(clients.source, clients.target, options, Arc::new(|_: &Event| {}));
    Ok(engine.resolve(wanted, selections, asks, &Stop::default()).await)
}

/// The lock files of a list, as they are.
struct LockFiles {
    locks: BTreeMap<PathBuf, Lock>,
    /// By the sync file, as origins have it.
    by_sync_file: BTreeMap<String, PathBuf>,
}

impl LockFiles {
    fn read(list: &ListSettings, asked: &Asked) -> Result<Self, CliError> {
        let mut files = Self { locks: BTreeMap::new(), by_sync_file: BTreeMap::new() };
        for read in &asked.files {
            let Some(file) = locks::place(&list.lock, &read.path) else {
                return Err(CliError::usage("a list from standard input has no lock beside it")
                    .hint("say with --lock-file where it is"));
            };
            if !files.locks.contains_key(&file) {
                let there = locks::read(&file)?.map(|(lock, _)| lock);
                files.locks.insert(file.clone(), there.unwrap_or_default());
            }
            files.by_sync_file.insert(read.path.display().to_string(), file);
        }
        Ok(files)
    }

    fn of_file(&self, sync_file: &str) -> Option<(&Path, &Lock)> {
        let file = self.by_sync_file.get(sync_file)?;
        Some((file.as_path(), self.locks.get(file)?))
    }

    fn of_origin(&self, origin: Option<&Origin>) -> Option<(&Path, &Lock)> {
        self.of_file(&origin?.file)
    }

    /// A pin that contradicts the lock is followed only where that is asked for.
    fn check_pins(&self, asked: &Asked, renews: impl Fn(&str) -> bool) -> Result<(), CliError> {
        let kept = asked.wanted.iter().filter(|one| {
            let tag = one.source.selection.tag();
            tag.is_some_and(|tag| !renews(&locked_name(&one.source.location, tag)))
        });
        let all = self.by_sync_file.keys().filter_map(|sync_file| {
            let (_, lock) = self.of_file(sync_file)?;
            Some((sync_file.clone(), Arc::new(lock.clone())))
        });
        locks::check(&all.collect(), kept)
    }

    /// What was seen of what this lock is for.
    fn looked(&self, file: &Path, found: &ResolvedTags) -> Looked {
        let is_here =
            |origin: Option<&Origin>| self.of_origin(origin).is_some_and(|(at, _)| at == file);
        let mut looked = Looked::default();
        for Resolved { source, origin, digest } in &found.tags {
            let Some(tag) = source.selection.tag().filter(|_| is_here(origin.as_ref())) else {
                continue;
            };
            let seen = match digest {
                Some(Ok(digest)) => Seen::At(*digest),
                Some(Err(_)) | None => Seen::Unknown,
            };
            let name = locked_name(&source.location, tag);
            // Where one entry pins what another names, the pin is what is meant.
            let is_pinned = matches!(source.selection, Selection::Pinned { .. });
            let entry = looked.tags.entry(name).or_insert(seen);
            if is_pinned {
                *entry = seen;
            }
        }
        for (selection, _) in &found.unlisted {
            if is_here(selection.origin.as_ref()) {
                let places = [Some(&selection.source), selection.otherwise.as_ref()];
                looked.unlisted.extend(places.into_iter().flatten().map(ToString::to_string));
            }
        }
        looked
    }
}

/// What could not be looked at, each once.
fn failures(found: &ResolvedTags) -> Vec<(String, Failure)> {
    let mut seen = BTreeSet::new();
    let tags = found.tags.iter().filter_map(|one| match &one.digest {
        Some(Err(failure)) => Some((one.source.to_string(), failure.clone())),
        Some(Ok(_)) | None => None,
    });
    let unlisted = found.unlisted.iter();
    let unlisted = unlisted.map(|(one, failure)| (one.source.to_string(), failure.clone()));
    tags.chain(unlisted).filter(|(source, _)| seen.insert(source.clone())).collect()
}

fn write(file: &Path, lock: &Lock) -> Result<(), CliError> {
    std::fs::write(file, lock.to_string()).map_err(|error| {
        CliError::failed(format!("cannot write the lock file `{}`: {error}", file.display()))
    })
}

/// A line for each change, and one for the file.
fn told(file: &Path, lock: &Lock, changes: &[Change]) -> String {
    let mut text: String = changes.iter().map(|change| format!("{change}\n")).collect();
    let count = |is: fn(&Change) -> bool| changes.iter().filter(|change| is(change)).count();
    let counts = [
        (count(|change| matches!(change, Change::Added { .. })), "added"),
        (count(|change| matches!(change, Change::Removed { .. })), "removed"),
        (count(|change| matches!(change, Change::Updated { .. })), "updated"),
        (count(|change| matches!(change, Change::Moved { .. })), "moved and kept"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let changes = match counts.is_empty() {
        true => "nothing has changed".to_owned(),
        false => counts.join(", "),
    };
    let tags = if lock.len() == 1 { "tag" } else { "tags" };
    text.push_str(&format!("{}: {} {tags}; {changes}\n", file.display(), lock.len()));
    text
}

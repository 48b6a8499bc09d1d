//! From rules to wanted tags, before the walk: each source repository is listed once, and what its
//! tags become is decided by a pure function ([`expand`]). Charts go the same way: what is asked for
//! may lie in one of two places, and a repository's index may send us to a registry.
//!
//! Rules that select nothing, too much, or what another entry wants from elsewhere end the items
//! that are concerned, and no others.

mod conflicts;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use oci::{Location, Selection, Source, Tag};
use registry::TagList;
use tagrules::{Range, Rules, SelectionError};
use tokio::time::Instant;

use crate::engine::{Engine, Stop, not_walked};
use crate::place::{Place, Places};
use crate::{
    Choice, Class, Event, Failure, ItemReport, Locks, Outcome, RunReport, Side, TagSelection,
    Wanted, Wish,
};

pub(crate) type Lists = HashMap<Asked, Result<Listed, Failure>>;

/// A repository to be listed, and the one that is meant where it is not there.
pub(crate) type Asked = (Location, Option<Location>);

/// What was found.
pub(crate) struct Listed {
    location: Location,
    tags: TagList,
    /// Tags that are in another place than the repository that lists them.
    elsewhere: HashMap<Tag, Source>,
}

impl Listed {
    fn source(&self, tag: &Tag) -> Source {
        self.elsewhere.get(tag).cloned().unwrap_or_else(|| Source {
            location: self.location.clone(),
            selection: Selection::Tag(tag.clone()),
        })
    }
}

impl Engine {
    /// As [`Engine::run`], with the tags that `selections` want after those that are named. Where
    /// both want a tag from the same repository, the entry that names it goes first: it may pin it.
    ///
    /// The tags of a repository are listed once. A selection that cannot be made is one item of the
    /// report, in its place, and the others go on, unless [`crate::Options::fail_fast`].
    pub async fn run_selecting(
        &self,
        named: Vec<Wanted>,
        selections: Vec<TagSelection>,
        stop: &Stop,
    ) -> RunReport {
        if selections.is_empty() && self.options.locks.is_empty() {
            return self.run(named, stop).await;
        }
        let started = Instant::now();
        let selections: Vec<Arc<TagSelection>> = selections.into_iter().map(Arc::new).collect();
        let lists = self.list(&selections, stop).await;
        let mut items = expand(named, &selections, &lists, &self.options.locks);
        let ended = items.iter_mut().filter_map(|item| match item {
            Item::Ended(report) => Some(report),
            Item::Wanted(..) => None,
        });
        self.acts.ended(ended).await;
        self.tell(&items, &selections, &lists);
        if self.options.fail_fast {
            put_off(&mut items);
        }
        let mut wanted = Vec::new();
        let ended: Vec<Option<ItemReport>> = items
            .into_iter()
            .map(|item| match item {
                Item::Wanted(item, _) => {
                    wanted.push(item);
                    None
                }
                Item::Ended(report) => Some(report),
            })
            .collect();
        // What the walk looks for in a list, it need not ask for again.
        let listed = lists.into_values().filter_map(Result::ok);
        let listed = listed.map(|listed| (listed.location, listed.tags));
        let report = self.run_knowing(wanted, listed.collect(), stop).await;
        let mut walked = report.items.into_iter();
        let items = ended.into_iter().filter_map(|ended| ended.or_else(|| walked.next())).collect();
        RunReport { items, duration: started.elapsed(), interrupted: report.interrupted }
    }

    /// The tags of every source, each listed once.
    pub(crate) async fn list(&self, selections: &[Arc<TagSelection>], stop: &Stop) -> Lists {
        let charts = Arc::clone(&self.options.charts);
        let places = Places::new(self.source.clone(), self.source.clone(), charts, true);
        let asked: HashSet<Asked> = selections.iter().map(|one| asked(one)).collect();
        let listed = futures::stream::iter(asked)
            .map(|asked| {
                let places = &places;
                async move {
                    let listed = tokio::select! {
                        biased;
                        () = stop.begin_nothing.cancelled() => Err(not_listed(stop)),
                        listed = find(places, &asked) => listed,
                    };
                    (asked, listed)
                }
            })
            .buffer_unordered(self.options.concurrency.max(1));
        listed.collect().await
    }

    fn tell(&self, items: &[Item], selections: &[Arc<TagSelection>], lists: &Lists) {
        for selection in selections {
            let Some(Ok(listed)) = lists.get(&asked(selection)) else { continue };
            let (mut selected, mut failed) = (0, false);
            for item in items {
                match item {
                    Item::Wanted(_, Some(one)) => {
                        selected += usize::from(Arc::ptr_eq(one, selection));
                    }
                    Item::Ended(report) => {
                        failed |= report.wanted == Wish::Selection(Arc::clone(selection));
                    }
                    Item::Wanted(_, None) => {}
                }
            }
            if !failed {
                let (selection, tags) = (Arc::clone(selection), listed.tags.tags.len());
                self.listener.hear(&Event::Selected { selection, tags, selected });
            }
        }
        for item in items {
            if let Item::Ended(report) = item {
                let report = Arc::new(report.clone());
                self.listener.hear(&Event::NotSelected { report });
            }
        }
    }
}

/// All tags of a repository, a layout or an archive, for whoever wants to see them before a run.
///
/// # Errors
/// Where it cannot be read or is not there.
pub async fn tags(source: &registry::Client, location: &Location) -> Result<Vec<Tag>, Failure> {
    let places = Places::new(source.clone(), source.clone(), Arc::default(), true);
    list(&places, location).await.map(|(_, list)| list.tags)
}

pub(crate) fn asked(selection: &TagSelection) -> Asked {
    (selection.source.clone(), selection.otherwise.clone())
}

/// Lists the repository, or the other one where there is no such repository.
async fn find(places: &Places, (source, otherwise): &Asked) -> Result<Listed, Failure> {
    let mut location = source;
    let mut found = list(places, source).await;
    if let (Err(first), Some(other)) = (&found, otherwise)
        && first.class == Class::NotFound
    {
        found = match list(places, other).await {
            Err(second) if second.class == Class::NotFound => Err(Failure {
                message: format!("{}, and {}", first.message, second.message),
                ..second
            }),
            found => {
                location = other;
                found
            }
        };
    }
    let (place, tags) = found?;
    let elsewhere = place.elsewhere().await?;
    Ok(Listed { location: location.clone(), tags, elsewhere })
}

async fn list(places: &Places, location: &Location) -> Result<(Place, TagList), Failure> {
    let place = places.open(Side::Source, location).await?;
    let tags = place.tags_if_there().await?.ok_or_else(|| {
        Failure::new(Side::Source, Class::NotFound, format!("there is no `{location}`"))
            .with_hint("check the spelling; private repositories often answer so to strangers")
    })?;
    Ok((place, tags))
}

/// What becomes of an entry before the walk.
enum Item {
    /// To be walked; with the selection that it comes from, where it is not named.
    Wanted(Wanted, Option<Arc<TagSelection>>),
    /// At its end already.
    Ended(ItemReport),
}

impl Item {
    fn ended(wanted: Wanted, outcome: Outcome, failure: Failure) -> Self {
        let mut report = ItemReport::new(Arc::new(wanted), outcome);
        report.failure = Some(failure);
        Self::Ended(report)
    }
}

/// Named items first, then those of each selection, no target tag twice.
fn expand(
    named: Vec<Wanted>,
    selections: &[Arc<TagSelection>],
    lists: &Lists,
    locks: &Locks,
) -> Vec<Item> {
    let named = named.into_iter().map(|mut wanted| match locks.pin(&mut wanted) {
        Ok(()) => Item::Wanted(wanted, None),
        Err(failure) => Item::ended(wanted, Outcome::Failed, failure),
    });
    let mut items: Vec<Item> = named.collect();
    for selection in selections {
        let selected = match lists.get(&asked(selection)) {
            Some(Ok(listed)) => select(selection, listed, locks),
            Some(Err(failure)) => Err(failure.clone()),
            // Every source was listed.
            None => continue,
        };
        match selected {
            Ok(selected) => {
                let is_named = matches!(selection.choice, Choice::Named(_));
                items.extend(selected.into_iter().map(|mut wanted| match locks.pin(&mut wanted) {
                    Ok(()) => Item::Wanted(wanted, Some(Arc::clone(selection))),
                    Err(failure) if is_named => Item::ended(wanted, Outcome::Failed, failure),
                    // It came since: that is news, nothing went wrong.
                    Err(failure) => Item::ended(wanted, Outcome::Deferred, failure),
                }));
            }
            Err(failure) => {
                let mut report = ItemReport::new(Arc::clone(selection), Outcome::Failed);
                let stopped = failure.class == Class::Interrupted;
                report.fail(failure);
                if stopped {
                    report.outcome = Outcome::Deferred;
                }
                items.push(Item::Ended(report));
            }
        }
    }
    conflicts::settle(items)
}

/// What a selection wants of what is there. Where there is a lock, that is what the rules select of
/// what is locked, and of what is there those that they select and that are not locked.
pub(crate) fn select(
    selection: &TagSelection,
    listed: &Listed,
    locks: &Locks,
) -> Result<Vec<Wanted>, Failure> {
    let wanted = |tags: Vec<Tag>| -> Vec<Wanted> {
        tags.into_iter().map(|tag| selection.wanted(listed.source(&tag), tag)).collect()
    };
    let there = listed.tags.tags.clone();
    let lock = locks.of(selection.origin.as_ref());
    let (Some(lock), Choice::Rules(_) | Choice::Versions(_)) = (lock, &selection.choice) else {
        return Ok(wanted(choose(selection, there)?));
    };
    let is_locked = |tag: &Tag| lock.of(&listed.source(tag)).is_some();
    let mut candidates = lock.tags(&listed.location);
    candidates.extend(there.iter().filter(|tag| is_locked(tag)).cloned());
    candidates.sort_unstable();
    candidates.dedup();
    // What the rules selected of all tags, they select of fewer as well.
    let mut tags = choose(selection, candidates).unwrap_or_default();
    match choose(selection, there) {
        Ok(now) => tags.extend(now.into_iter().filter(|tag| !is_locked(tag))),
        Err(failure) if tags.is_empty() => return Err(failure),
        Err(_) => {}
    }
    Ok(wanted(tags))
}

/// What is selected of these tags.
fn choose(selection: &TagSelection, tags: Vec<Tag>) -> Result<Vec<Tag>, Failure> {
    Ok(match &selection.choice {
        Choice::Rules(rules) => {
            tagrules::select(rules, tags).map_err(|error| does_not_fit(selection, rules, &error))?
        }
        Choice::Versions(range) => {
            let tags: Vec<Tag> = tags.into_iter().filter(|tag| is_in(range, tag)).collect();
            if tags.is_empty() {
                let message = format!("no version of the chart is in the range `{range}`");
                let hint =
                    "`helm search repo --versions` or `helm show chart` tell which there are";
                return Err(Failure::new(Side::Source, Class::Selection, message).with_hint(hint));
            }
            tags
        }
        Choice::Named(tags) => tags.clone(),
    })
}

/// Whether a tag is a version in the range. It has `_` where the version has `+`
/// (helm/helm#10166).
fn is_in(range: &Range, tag: &Tag) -> bool {
    let version = tag.as_str().replace('_', "+");
    let version = version.strip_prefix('v').unwrap_or(&version);
    version.parse().is_ok_and(|version| range.holds_semver(&version))
}

fn does_not_fit(selection: &TagSelection, rules: &Rules, error: &SelectionError) -> Failure {
    let explain = format!("image-syncer tags {} {rules}", selection.source);
    let explain = explain.trim_end();
    let hint = match error {
        SelectionError::NoTags => {
            "check the spelling; `allowEmpty: true` in `tags` takes it as it is".to_owned()
        }
        SelectionError::Empty { .. } => {
            format!("`{explain}` says why; `allowEmpty: true` in `tags` takes it as it is")
        }
        SelectionError::TooMany { .. } => {
            format!("`{explain}` lists them; narrow the rules, or raise `maxTags`")
        }
    };
    Failure::new(Side::Source, Class::Selection, error.to_string()).with_hint(hint)
}

fn not_listed(stop: &Stop) -> Failure {
    let (class, why) = match stop.is_at_deadline() {
        true => (Class::Deadline, "the deadline came before its tags were listed"),
        false => (Class::Interrupted, "the run was stopped before its tags were listed"),
    };
    Failure::new(Side::Source, class, why).with_hint("run again: what is done is not done twice")
}

/// Whether it only tells that rules match more than is locked.
fn is_news(report: &ItemReport) -> bool {
    let class = report.failure.as_ref().map(|failure| failure.class);
    report.outcome == Outcome::Deferred && class == Some(Class::NotLocked)
}

/// After a failure, in a run that ends at the first one: begins nothing.
fn put_off(items: &mut [Item]) {
    let is_failure = |item: &Item| matches!(item, Item::Ended(report) if !is_news(report));
    if !items.iter().any(is_failure) {
        return;
    }
    for item in items {
        if let Item::Wanted(wanted, _) = item {
            let why = "another item failed before its turn came, and --fail-fast was asked for";
            let report = not_walked(Arc::new(wanted.clone()), Class::Interrupted, why);
            *item = Item::Ended(report);
        }
    }
}

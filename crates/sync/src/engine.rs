//! [`Engine`]: takes what is wanted, walks every item, and returns what became of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oci::Location;
use registry::TagList;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::act::Acts;
use crate::fallback_tag::FallbackTags;
use crate::observe::FirstLooks;
use crate::place::Places;
use crate::schedule::Schedule;
use crate::tag_lists::TagLists;
use crate::turns::Turns;
use crate::walk::{self, Walk};
use crate::{
    Charts, Class, Event, Failure, Fence, ForeignLayers, ItemId, ItemReport, Keys, Listener, Locks,
    Outcome, Provenance, Referrers, RunReport, Side, Wanted, Witness, groups,
};

/// What the walk of a group may take in memory while it looks and waits.
const MOST_BYTES_A_WALK: usize = 16 * 1024;

/// What a run does with what it decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Copy what is missing.
    Sync,
    /// Say what would be copied. Writes nothing.
    Plan,
    /// Check that the target has it, with everything it is made of. Writes nothing.
    Verify,
}

/// How a run goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is done with decisions.
    pub mode: Mode,
    /// How many sources are walked at once: looked at on both sides, and compared.
    pub concurrency: usize,
    /// How many of them are copied at once.
    pub copies: usize,
    /// How many blobs move at once.
    pub transfers: usize,
    /// Whether the first item that does not end well keeps later ones from beginning.
    pub fail_fast: bool,
    /// How often a blob's transfer is begun before its item fails.
    pub attempts: u32,
    /// What of that which belongs to an image travels with it.
    pub referrers: Referrers,
    /// What is done with layers that registries need not hold.
    pub foreign_layers: ForeignLayers,
    /// Whether an image that is up to date is looked at again for referrers that came later.
    pub late_referrers: bool,
    /// The keys that items name.
    pub keys: Keys,
    /// What statements about the mirroring say of the run.
    pub provenance: Provenance,
    /// Whether something before the walk did not end well, which `fail_fast` heeds.
    pub failed_before: bool,
    /// Targets that nothing may be written to, and why. Their items fail with it.
    pub blocked: HashMap<Location, Failure>,
    /// The chart repositories that items come from.
    pub charts: Arc<Charts>,
    /// Who keeps a record of what is done to targets, if anybody.
    pub witness: Option<Arc<dyn Witness>>,
    /// The locks that items are held to, by the sync file that asks for them.
    pub locks: Locks,
    /// Whether a plan finds out all that would be written; it reads manifests for that.
    pub foresees: bool,
    /// What alone may be written, where the run carries out a plan.
    pub fence: Option<Arc<Fence>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Sync,
            concurrency: 512,
            copies: 64,
            transfers: 64,
            fail_fast: false,
            attempts: 4,
            referrers: Referrers::default(),
            foreign_layers: ForeignLayers::default(),
            late_referrers: true,
            keys: Keys::default(),
            provenance: Provenance::default(),
            failed_before: false,
            blocked: HashMap::new(),
            charts: Arc::default(),
            witness: None,
            locks: Locks::default(),
            foresees: false,
            fence: None,
        }
    }
}

/// How a run is stopped from outside.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Begin nothing new; what is under way is finished.
    pub begin_nothing: CancellationToken,
    /// Give up what is under way as well.
    pub give_up: CancellationToken,
    at_deadline: Arc<AtomicBool>,
}

impl Stop {
    /// Begins nothing new because the time is up, unless the run was stopped before. What is not
    /// done then is put off.
    pub fn reach_deadline(&self) {
        if !self.begin_nothing.is_cancelled() {
            self.at_deadline.store(true, Ordering::SeqCst);
            self.begin_nothing.cancel();
        }
    }

    /// Whether the deadline stopped the run.
    pub fn is_at_deadline(&self) -> bool {
        self.at_deadline.load(Ordering::SeqCst)
    }
}

/// The engine of one run.
pub struct Engine {
    pub(crate) source: registry::Client,
    target: registry::Client,
    pub(crate) options: Options,
    pub(crate) listener: Arc<dyn Listener>,
    pub(crate) acts: Acts,
}

impl Engine {
    /// An engine that reads through `source` and writes through `target`, telling `listener`.
    pub fn new(
        source: registry::Client,
        target: registry::Client,
        options: Options,
        listener: Arc<dyn Listener>,
    ) -> Self {
        let acts = Acts::new(options.witness.clone());
        Self { source, target, options, listener, acts }
    }

    /// Walks every wanted item and returns one report for each, in the same order.
    ///
    /// One item that fails never stops the others, unless [`Options::fail_fast`].
    pub async fn run(&self, wanted: Vec<Wanted>, stop: &Stop) -> RunReport {
        self.run_knowing(wanted, Vec::new(), stop).await
    }

    /// As [`Engine::run`], where these tags of sources were listed already.
    pub(crate) async fn run_knowing(
        &self,
        wanted: Vec<Wanted>,
        listed: Vec<(Location, TagList)>,
        stop: &Stop,
    ) -> RunReport {
        let started = Instant::now();
        let fail_fast = CancellationToken::new();
        if self.options.fail_fast && self.options.failed_before {
            fail_fast.cancel();
        }
        self.listener.hear(&Event::RunStarted { items: wanted.len() });
        let wanted: Vec<Arc<Wanted>> = wanted.into_iter().map(Arc::new).collect();
        let walk = Arc::new(self.walk(&wanted, listed));
        let slots = Arc::new(Semaphore::new(self.options.concurrency.max(1)));
        let mut tasks = JoinSet::new();
        let mut reports: BTreeMap<ItemId, ItemReport> = BTreeMap::new();
        for group in groups::of(&wanted) {
            let slot = tokio::select! {
                // A stop that has come goes before a slot that is free.
                biased;
                () = stop.begin_nothing.cancelled() => break,
                () = fail_fast.cancelled() => break,
                () = self.acts.failed() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let walk = Arc::clone(&walk);
            let (stop, fail_fast) = (stop.clone(), fail_fast.clone());
            let walked = async move {
                let _slot = slot;
                // On the heap: what is in it is deeper than what the compiler looks through.
                let walking = Box::pin(walk::group(&walk, group, &stop));
                // Hundreds are in memory at once. What few of them come to is on the heap by itself.
                debug_assert!(size_of_val(&*walking) <= MOST_BYTES_A_WALK, "it has grown");
                let reports = walking.await;
                let all_well = reports.iter().all(|(_, report)| ended_well(report.outcome));
                if walk.options.fail_fast && !all_well {
                    fail_fast.cancel();
                }
                reports
            };
            tasks.spawn(walked.in_current_span());
            while let Some(done) = tasks.try_join_next() {
                reports.extend(done.unwrap_or_default());
            }
        }
        while let Some(done) = tasks.join_next().await {
            reports.extend(done.unwrap_or_default());
        }
        let at_deadline = stop.is_at_deadline();
        let interrupted = stop.begin_nothing.is_cancelled() && !at_deadline;
        let (class, why) = match (interrupted, fail_fast.is_cancelled()) {
            _ if at_deadline => (Class::Deadline, "the deadline came before it was done"),
            (true, _) => (Class::Interrupted, "the run was stopped before its turn came"),
            (false, _) if self.acts.have_failed() => {
                (Class::Storage, "the audit log cannot be written, so nothing more was begun")
            }
            (false, true) => (
                Class::Interrupted,
                "another item failed before its turn came, and --fail-fast was asked for",
            ),
            (false, false) => {
                (Class::Interrupted, "its walk broke off, which is a fault of this program")
            }
        };
        let items = wanted
            .into_iter()
            .enumerate()
            .map(|(number, wanted)| {
                reports.remove(&ItemId(number)).unwrap_or_else(|| not_walked(wanted, class, why))
            })
            .collect();
        RunReport { items, duration: started.elapsed(), interrupted }
    }

    /// What all walks of a run share.
    pub(crate) fn walk(&self, wanted: &[Arc<Wanted>], listed: Vec<(Location, TagList)>) -> Walk {
        Walk {
            places: Places::new(
                self.source.clone(),
                self.target.clone(),
                Arc::clone(&self.options.charts),
                self.options.mode != Mode::Sync,
            ),
            blobs: Arc::default(),
            schedule: Schedule::new(self.options.transfers),
            copies: Semaphore::new(self.options.copies.max(1)),
            first_looks: FirstLooks::default(),
            tag_lists: TagLists::new(wanted, listed),
            fallback_tags: FallbackTags::default(),
            signing_turns: Turns::default(),
            acts: self.acts.clone(),
            options: self.options.clone(),
            listener: Arc::clone(&self.listener),
        }
    }
}

fn ended_well(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Copied
        | Outcome::WouldCopy
        | Outcome::UpToDate
        | Outcome::SourceMoved
        | Outcome::SourceLost => true,
        Outcome::Drift
        | Outcome::SourceMissing
        | Outcome::Refused
        | Outcome::Failed
        | Outcome::Deferred => false,
    }
}

/// The report of an item that has none.
pub(crate) fn not_walked(wanted: Arc<Wanted>, class: Class, why: &str) -> ItemReport {
    let failure = Failure::new(Side::Source, class, why);
    let mut report = ItemReport::new(wanted, Outcome::Deferred);
    report.failure = Some(failure.with_hint("run again: what is done is not done twice"));
    report
}

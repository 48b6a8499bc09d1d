//! [`Metrics`]: what a run does, counted for Prometheus.
//!
//! A [`Metrics`] lives as long as the process and knows all of its runs; a [`RunMetrics`] listens to one
//! of them. What the registry clients know is asked when somebody looks, so that a scrape in the middle
//! of a run shows it as well. No label holds a tag, a digest or the name of an image: how many series
//! there can be is known from the command line (docs/metrics.md).

mod exposition;
mod families;
mod figures;
mod groups;
mod run;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

pub use exposition::Exposition;
pub use figures::{Distribution, FamilyFigures, Figures, Labels, Number, Sample};
pub use groups::{group, groups_of};
pub use run::RunMetrics;

use crate::RegistryUse;
use crate::notices::NoticeReport;
use families::{Families, GroupLabels, NoticeLabels};
use groups::Bounded;
use run::Run;

/// What the clients of a run have asked of their registries so far.
pub type RegistryUses = Box<dyn Fn() -> Vec<RegistryUse> + Send + Sync>;

/// How a run is counted.
pub struct RunPlan {
    /// The command that made it, the value of the label `mode`.
    pub command: &'static str,
    /// Whether it does what it decides; else it looks only.
    pub writes: bool,
    /// The groups of its items ([`groups_of`]), whose time of the last success is there from the start.
    pub groups: Vec<String>,
    /// What is asked of registries, live.
    pub registries: RegistryUses,
}

/// The metrics of a process.
#[derive(Clone)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    registry: Registry,
    families: Families,
    groups: Bounded,
    hosts: Bounded,
    /// Runs that may be under way.
    runs: Mutex<Vec<Weak<Run>>>,
}

impl Metrics {
    /// Metrics of a program of this version, built with validated cryptography or not.
    pub fn new(version: &str, fips: bool) -> Self {
        let mut registry = Registry::with_prefix("image_syncer");
        let families = Families::registered(&mut registry);
        families.describe_build(version, fips);
        let (groups, hosts) = (Bounded::default(), Bounded::default());
        Self(Arc::new(Shared { registry, families, groups, hosts, runs: Mutex::default() }))
    }

    /// A listener for one run; [`RunMetrics::end`] tells it how the run ended.
    pub fn begin(&self, plan: RunPlan) -> RunMetrics {
        let shared = &self.0;
        if plan.writes {
            for group in &plan.groups {
                let group = shared.groups.name(group);
                // Made with 0, unless it is there.
                drop(shared.families.last_success.get_or_create(&GroupLabels { group }));
            }
        }
        let run = Arc::new(Run::new(plan, Arc::clone(shared)));
        let mut runs = shared.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.retain(|run| run.strong_count() > 0);
        runs.push(Arc::downgrade(&run));
        RunMetrics::new(run)
    }

    /// Takes over when each group last succeeded from metrics that another process wrote, so that a run that
    /// fails does not forget it. What cannot be read is left out.
    pub fn recall(&self, text: &str) {
        for (group, seconds) in exposition::last_successes(text) {
            let group = self.0.groups.name(&group);
            let gauge = self.0.families.last_success.get_or_create_owned(&GroupLabels { group });
            if gauge.get() < seconds {
                gauge.set(seconds);
            }
        }
    }

    /// Counts what became of notices.
    pub fn notices(&self, reports: &[NoticeReport]) {
        for report in reports {
            let result = if report.delivered { "delivered" } else { "failed" };
            let labels = NoticeLabels { kind: report.kind.as_str(), result };
            self.0.families.notices.get_or_create(&labels).inc();
        }
    }

    /// All metrics as values, by the names that they have in [`Exposition::Text`].
    pub fn figures(&self) -> Vec<FamilyFigures> {
        figures::read(&self.encode(Exposition::OpenMetrics))
    }

    /// All metrics as text.
    pub fn encode(&self, exposition: Exposition) -> String {
        let runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        runs.iter().filter_map(Weak::upgrade).for_each(|run| run.look_at_registries());
        let mut open_metrics = String::new();
        // A `String` takes all that is written to it.
        let _infallible = text::encode(&mut open_metrics, &self.0.registry);
        match exposition {
            Exposition::OpenMetrics => open_metrics,
            Exposition::Text => exposition::as_text(&open_metrics),
        }
    }
}

/// Seconds since 1970, as Prometheus writes times.
fn unix_seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// Totals that only grow, of which the growth is wanted.
struct Growth<K>(BTreeMap<K, u64>);

impl<K> Default for Growth<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Growth<K> {
    /// How much more it is than when it was last looked at.
    fn of(&mut self, key: K, total: u64) -> u64 {
        let before = self.0.entry(key).or_default();
        let more = total.saturating_sub(*before);
        *before += more;
        more
    }
}

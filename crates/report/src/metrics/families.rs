//! Every metric there is, with its labels. docs/metrics.md describes each; a test compares.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// A gauge of seconds since 1970 or such.
pub(super) type Seconds = Gauge<f64, AtomicU64>;

/// A program.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct BuildLabels {
    pub(super) version: String,
    pub(super) fips: &'static str,
}

/// A run by how it ended.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct RunLabels {
    pub(super) mode: &'static str,
    pub(super) result: &'static str,
}

/// What a run does with what it decides.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ModeLabels {
    pub(super) mode: &'static str,
}

/// Items by what became of them.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct ItemLabels {
    pub(super) mode: &'static str,
    pub(super) outcome: &'static str,
}

/// Bytes by how they came to the target.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct WayLabels {
    pub(super) way: &'static str,
}

/// Requests.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct RequestLabels {
    pub(super) registry: String,
    pub(super) side: &'static str,
    pub(super) status: u64,
}

/// A registry, as it is used on one side.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct RegistryLabels {
    pub(super) registry: String,
    pub(super) side: &'static str,
}

/// A group of items.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct GroupLabels {
    pub(super) group: String,
}

/// The items of a group by what became of them.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct GroupItemLabels {
    pub(super) group: String,
    pub(super) outcome: &'static str,
}

/// A signature that is not as it should be.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct SignatureLabels {
    pub(super) kind: &'static str,
}

/// Notices.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct NoticeLabels {
    pub(super) kind: &'static str,
    pub(super) result: &'static str,
}

/// Histograms with these bounds, in seconds.
#[derive(Clone, Copy)]
pub(super) struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// From an item that is up to date, which two requests tell, to an image of many gigabytes.
const ITEM_SECONDS: Bounds =
    Bounds(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0]);

/// From a run with nothing to do to one of a working day.
const RUN_SECONDS: Bounds =
    Bounds(&[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21_600.0]);

/// All metrics; clones of each share its values.
pub(super) struct Families {
    build_info: Family<BuildLabels, Gauge>,
    pub(super) runs: Family<RunLabels, Counter>,
    pub(super) run_duration: Family<ModeLabels, Histogram, Bounds>,
    pub(super) last_run: Family<ModeLabels, Seconds>,
    pub(super) last_run_items: Family<GroupItemLabels, Gauge>,
    pub(super) last_success: Family<GroupLabels, Seconds>,
    pub(super) items: Family<ItemLabels, Counter>,
    pub(super) items_queued: Gauge,
    pub(super) items_in_progress: Gauge,
    pub(super) item_duration: Family<ItemLabels, Histogram, Bounds>,
    pub(super) blob_bytes: Family<WayLabels, Counter>,
    pub(super) streamed_bytes: Counter,
    pub(super) transfer_retries: Counter,
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) throttled: Family<RegistryLabels, Counter>,
    pub(super) pulls_remaining: Family<RegistryLabels, Gauge>,
    pub(super) pulls_limit: Family<RegistryLabels, Gauge>,
    pub(super) signature_failures: Family<SignatureLabels, Counter>,
    pub(super) notices: Family<NoticeLabels, Counter>,
}

impl Families {
    /// The families, in the registry.
    pub(super) fn registered(to: &mut Registry) -> Self {
        let made = Self {
            build_info: Family::default(),
            runs: Family::default(),
            run_duration: Family::new_with_constructor(RUN_SECONDS),
            last_run: Family::default(),
            last_run_items: Family::default(),
            last_success: Family::default(),
            items: Family::default(),
            items_queued: Gauge::default(),
            items_in_progress: Gauge::default(),
            item_duration: Family::new_with_constructor(ITEM_SECONDS),
            blob_bytes: Family::default(),
            streamed_bytes: Counter::default(),
            transfer_retries: Counter::default(),
            requests: Family::default(),
            throttled: Family::default(),
            pulls_remaining: Family::default(),
            pulls_limit: Family::default(),
            signature_failures: Family::default(),
            notices: Family::default(),
        };
        let (seconds, bytes) = (|| Unit::Seconds, || Unit::Bytes);
        to.register("build_info", "The program that runs, always 1", made.build_info.clone());
        to.register("runs", "Runs that have ended, by how", made.runs.clone());
        let help = "How long runs took";
        to.register_with_unit("run_duration", help, seconds(), made.run_duration.clone());
        let help = "When the last run ended, in seconds since 1970";
        to.register_with_unit("last_run_timestamp", help, seconds(), made.last_run.clone());
        let help = "What became of the items of a group in the last run that looked at it";
        to.register("last_run_items", help, made.last_run_items.clone());
        let help = "When all items of a group were last as wanted after a sync, in seconds since \
                    1970; 0 where that is not known";
        let last_success = made.last_success.clone();
        to.register_with_unit("last_success_timestamp", help, seconds(), last_success);
        to.register("items", "Items that were done, by what became of them", made.items.clone());
        let help = "Items of the runs under way whose turn has not come";
        to.register("items_queued", help, made.items_queued.clone());
        let help = "Items of the runs under way that are worked on";
        to.register("items_in_progress", help, made.items_in_progress.clone());
        let help = "How long items took";
        to.register_with_unit("item_duration", help, seconds(), made.item_duration.clone());
        let help = "Sizes of blobs of finished items, by the way they came to the target";
        to.register_with_unit("blob", help, bytes(), made.blob_bytes.clone());
        let help = "Bytes of blobs that passed through, also those that had to be sent again";
        to.register_with_unit("streamed", help, bytes(), made.streamed_bytes.clone());
        let help = "Transfers of blobs that broke and began again";
        to.register("transfer_retries", help, made.transfer_retries.clone());
        let help = "Requests that registries answered, by status";
        to.register("registry_requests", help, made.requests.clone());
        let help = "Requests that registries refused as too many";
        to.register("registry_throttled_requests", help, made.throttled.clone());
        let help = "Pulls that a registry has left for us, by its last answer";
        to.register("registry_pulls_remaining", help, made.pulls_remaining.clone());
        let help = "Pulls that a registry allows in its window";
        to.register("registry_pulls_limit", help, made.pulls_limit.clone());
        let help = "Items whose source is not signed as it must be, whose copy at the target is signed \
                    by a stranger or not by our key, or that could not be signed, by kind";
        to.register("signature_failures", help, made.signature_failures.clone());
        to.register("notices", "Notices that were to be sent", made.notices.clone());
        // What alerts look at is there before it happens, or its first increase would not be one.
        for kind in ["verification", "target", "signing"] {
            drop(made.signature_failures.get_or_create(&SignatureLabels { kind }));
        }
        for way in ["copied", "mounted", "present"] {
            drop(made.blob_bytes.get_or_create(&WayLabels { way }));
        }
        made
    }

    pub(super) fn describe_build(&self, version: &str, fips: bool) {
        let fips = if fips { "true" } else { "false" };
        let labels = BuildLabels { version: version.to_owned(), fips };
        self.build_info.get_or_create(&labels).set(1);
    }
}

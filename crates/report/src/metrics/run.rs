//! [`RunMetrics`]: a listener that counts one run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sync::{Class, Event, ItemReport, Listener, Side, SignatureState};

use super::families::{
    GroupItemLabels, GroupLabels, ItemLabels, ModeLabels, RegistryLabels, RequestLabels, RunLabels,
    SignatureLabels, WayLabels,
};
use super::{Growth, RunPlan, Shared, groups, unix_seconds};
use crate::{Bytes, Document, ErrorSide, Outcome, SourceLost};

/// Counts one run. Clones count the same run.
#[derive(Clone)]
pub struct RunMetrics(Arc<Run>);

pub(super) struct Run {
    plan: RunPlan,
    shared: Arc<Shared>,
    counted: Mutex<Counted>,
}

/// What was counted of a run so far.
#[derive(Default)]
struct Counted {
    queued: i64,
    in_progress: i64,
    outcomes: BTreeMap<Outcome, usize>,
    bytes: Bytes,
    requests: Growth<(String, &'static str, u16)>,
    throttled: Growth<(String, &'static str)>,
}

impl RunMetrics {
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self(run)
    }

    /// Counts how the run ended. What became of items without an event, as of those whose turn never
    /// came, is counted now, so that the metrics say what the report says.
    pub fn end(&self, document: &Document, source_lost: SourceLost) {
        self.0.look_at_registries();
        self.0.end(document, source_lost);
    }
}

impl Listener for RunMetrics {
    fn hear(&self, event: &Event) {
        let families = &self.0.shared.families;
        match event {
            Event::RunStarted { items } => self.0.moved(to_gauge(*items), 0),
            Event::ItemStarted { .. } => self.0.moved(-1, 1),
            Event::ItemFinished { report, .. } => {
                self.0.moved(0, -1);
                self.0.count(report);
            }
            Event::NotSelected { report } => self.0.count(report),
            Event::BlobProgress { bytes, .. } => {
                families.streamed_bytes.inc_by(*bytes);
            }
            Event::BlobRetried { .. } => {
                families.transfer_retries.inc();
            }
            _ => {}
        }
    }
}

impl Run {
    pub(super) fn new(plan: RunPlan, shared: Arc<Shared>) -> Self {
        let run = Self { plan, shared, counted: Mutex::default() };
        let mode = run.plan.command;
        // What is there from the start has an increase when it first happens.
        for outcome in Outcome::ALL {
            let labels = ItemLabels { mode, outcome: outcome.name() };
            drop(run.shared.families.items.get_or_create(&labels));
        }
        run
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves items into the queue, out of it, to work, or from it.
    fn moved(&self, queued: i64, in_progress: i64) {
        let mut counted = self.counted();
        counted.queued += queued;
        counted.in_progress += in_progress;
        self.shared.families.items_queued.inc_by(queued);
        self.shared.families.items_in_progress.inc_by(in_progress);
    }

    fn count(&self, report: &ItemReport) {
        let families = &self.shared.families;
        let outcome = Outcome::from(report.outcome);
        self.count_outcome(outcome, 1);
        let labels = ItemLabels { mode: self.plan.command, outcome: outcome.name() };
        families.item_duration.get_or_create(&labels).observe(report.duration.as_secs_f64());
        self.count_bytes(report.transferred.into());
        let failed = report.failure.as_ref().map(|failure| (failure.class, failure.side));
        let unsigned =
            report.signature.as_ref().is_some_and(|one| one.state == SignatureState::Missing);
        let kind = match failed {
            Some((Class::Signature, Side::Source)) => Some("verification"),
            // A stranger's, or in a verification none of ours.
            Some((Class::Signature, Side::Target)) => Some("target"),
            Some((Class::Key | Class::KeyDenied, _)) => Some("signing"),
            _ if unsigned => Some("signing"),
            _ => None,
        };
        if let Some(kind) = kind {
            families.signature_failures.get_or_create(&SignatureLabels { kind }).inc();
        }
    }

    fn count_outcome(&self, outcome: Outcome, items: usize) {
        *self.counted().outcomes.entry(outcome).or_default() += items;
        let labels = ItemLabels { mode: self.plan.command, outcome: outcome.name() };
        self.shared.families.items.get_or_create(&labels).inc_by(items as u64);
    }

    fn count_bytes(&self, bytes: Bytes) {
        let mut counted = self.counted();
        let known = &mut counted.bytes;
        let families = &self.shared.families.blob_bytes;
        for (way, sum, bytes) in [
            ("copied", &mut known.copied, bytes.copied),
            ("mounted", &mut known.mounted, bytes.mounted),
            ("present", &mut known.present, bytes.present),
        ] {
            *sum += bytes;
            families.get_or_create(&WayLabels { way }).inc_by(bytes);
        }
    }

    /// Takes over what the clients know by now.
    pub(super) fn look_at_registries(&self) {
        let (families, hosts) = (&self.shared.families, &self.shared.hosts);
        let uses = (self.plan.registries)();
        let mut counted = self.counted();
        for usage in uses {
            let side = side(usage.side);
            let registry = hosts.name(&usage.registry);
            for (status, answers) in usage.answers {
                let key = (usage.registry.clone(), side, status);
                let more = counted.requests.of(key, answers);
                let status = u64::from(status);
                let labels = RequestLabels { registry: registry.clone(), side, status };
                families.requests.get_or_create(&labels).inc_by(more);
            }
            let more = counted.throttled.of((usage.registry, side), usage.throttled);
            let labels = RegistryLabels { registry, side };
            families.throttled.get_or_create(&labels).inc_by(more);
            let pulls = usage.pulls.unwrap_or_default();
            if let Some(remaining) = pulls.remaining {
                let remaining = i64::try_from(remaining).unwrap_or(i64::MAX);
                families.pulls_remaining.get_or_create(&labels).set(remaining);
            }
            if let Some(limit) = pulls.limit {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                families.pulls_limit.get_or_create(&labels).set(limit);
            }
        }
    }

    fn end(&self, document: &Document, source_lost: SourceLost) {
        let families = &self.shared.families;
        self.settle();
        let missed = |counted: &Counted, outcome: &Outcome, items: usize| {
            items.saturating_sub(counted.outcomes.get(outcome).copied().unwrap_or_default())
        };
        for (outcome, items) in &document.summary.outcomes {
            let missed = missed(&self.counted(), outcome, *items);
            self.count_outcome(*outcome, missed);
        }
        let (all, known) = (document.summary.bytes, self.counted().bytes);
        self.count_bytes(Bytes {
            copied: all.copied.saturating_sub(known.copied),
            mounted: all.mounted.saturating_sub(known.mounted),
            present: all.present.saturating_sub(known.present),
        });
        let mode = self.plan.command;
        let result = result(document.summary.exit_code);
        families.runs.get_or_create(&RunLabels { mode, result }).inc();
        let labels = ModeLabels { mode };
        families.run_duration.get_or_create(&labels).observe(document.summary.seconds);
        let ended = unix_seconds(document.run.finished_at);
        families.last_run.get_or_create(&labels).set(ended);
        for (name, outcomes) in groups::outcomes(document, &self.plan.groups) {
            let group = self.shared.groups.name(&name);
            for outcome in Outcome::ALL {
                let items = outcomes.get(&outcome).copied().unwrap_or_default();
                let labels = GroupItemLabels { group: group.clone(), outcome: outcome.name() };
                families.last_run_items.get_or_create(&labels).set(items);
            }
            let all_well = outcomes.keys().all(|outcome| groups::is_well(*outcome, source_lost));
            if self.plan.writes && all_well && !document.run.interrupted {
                families.last_success.get_or_create(&GroupLabels { group }).set(ended);
            }
        }
    }

    /// Takes what is left of the run out of what is under way.
    fn settle(&self) {
        let (queued, in_progress) = {
            let counted = self.counted();
            (counted.queued, counted.in_progress)
        };
        self.moved(-queued, -in_progress);
    }
}

impl Drop for Run {
    /// A run that broke off has no end, and is not under way either.
    fn drop(&mut self) {
        self.settle();
    }
}

fn to_gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn side(side: ErrorSide) -> &'static str {
    match side {
        ErrorSide::Source => "source",
        ErrorSide::Target => "target",
    }
}

/// How a run with this exit code ended.
fn result(code: u8) -> &'static str {
    match code {
        0 => "success",
        3 => "drift",
        4 => "credentials",
        5 => "refused",
        6 => "pending",
        75 => "deferred",
        130 | 143 => "interrupted",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Exposition, Metrics};
    use crate::{ExitStatus, sample};
    use sync::{ItemId, Wish};

    fn begun(metrics: &Metrics, command: &'static str) -> RunMetrics {
        let registries = sample::facts().registries;
        let plan = RunPlan {
            command,
            writes: command == "sync",
            groups: vec!["images.yaml".into()],
            registries: Box::new(move || registries.clone()),
        };
        metrics.begin(plan)
    }

    fn run(metrics: &Metrics, items: Vec<ItemReport>, status: ExitStatus) {
        let listener = begun(metrics, "sync");
        let report = sample::report_of(items);
        listener.hear(&Event::RunStarted { items: report.items.len() });
        for (number, item) in report.items.iter().enumerate() {
            // The turn of the last one never comes.
            let (Wish::Tag(wanted), true) = (&item.wanted, number + 1 < report.items.len()) else {
                continue;
            };
            let id = ItemId(number);
            listener.hear(&Event::ItemStarted { item: id, wanted: Arc::clone(wanted) });
            let digest = sample::SOURCE;
            listener.hear(&Event::BlobProgress { item: id, digest, bytes: 1000 });
            listener.hear(&Event::ItemFinished { item: id, report: Arc::new(item.clone()) });
        }
        let text = metrics.encode(Exposition::Text);
        assert!(text.contains("\nimage_syncer_items_queued 1\n"), "{text}");
        let document = Document::new(&sample::facts(), &report, status);
        listener.end(&document, SourceLost::Warn);
    }

    #[test]
    fn a_run_is_counted_as_its_report_has_it() {
        let metrics = Metrics::new("1.2.3", false);
        run(&metrics, sample::report().items, ExitStatus::Drift);
        insta::assert_snapshot!(in_order(&metrics.encode(Exposition::Text)));
    }

    /// The families with their samples sorted, and without the buckets, which say little here.
    fn in_order(text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.contains("_bucket{")).collect();
        let is_comment = |line: &str| line.starts_with('#');
        for samples in lines.chunk_by_mut(|one, next| is_comment(one) == is_comment(next)) {
            if !samples.iter().any(|line| is_comment(line)) {
                samples.sort_unstable();
            }
        }
        lines.join("\n")
    }

    #[test]
    fn runs_add_up_and_what_is_asked_twice_is_counted_once() {
        let metrics = Metrics::new("1.2.3", true);
        let well = || {
            let item = |line| sample::item("alpine:3", line, sync::Outcome::UpToDate);
            vec![item(1), item(2)]
        };
        run(&metrics, well(), ExitStatus::Success);
        run(&metrics, well(), ExitStatus::Success);
        let text = metrics.encode(Exposition::OpenMetrics);
        let has = |line: &str| assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
        has("image_syncer_items_total{mode=\"sync\",outcome=\"up-to-date\"} 4");
        has("image_syncer_runs_total{mode=\"sync\",result=\"success\"} 2");
        // 40 in each run, however often it was looked at.
        has(
            "image_syncer_registry_requests_total{registry=\"docker.io\",side=\"source\",status=\"200\"} 80",
        );
        has("image_syncer_last_success_timestamp_seconds{group=\"images.yaml\"} 1795248072.5");
        has("image_syncer_items_queued 0");
        has("image_syncer_items_in_progress 0");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_success_is_remembered_and_there_from_the_start() {
        let line = |seconds: &str| {
            format!(
                "\nimage_syncer_last_success_timestamp_seconds{{group=\"images.yaml\"}} {seconds}\n"
            )
        };
        let before = Metrics::new("1.2.3", false);
        drop(begun(&before, "plan"));
        assert!(!before.encode(Exposition::Text).contains(&line("0.0")));
        drop(begun(&before, "sync"));
        let seeded = before.encode(Exposition::Text);
        assert!(seeded.contains(&line("0.0")), "{seeded}");
        let earlier = before.encode(Exposition::Text).replace(&line("0.0"), &line("1763000000.5"));
        let now = Metrics::new("1.2.3", false);
        now.recall(&earlier);
        let failing = vec![
            sample::item("a:1", 1, sync::Outcome::Failed),
            sample::item("b:1", 2, sync::Outcome::UpToDate),
        ];
        run(&now, failing, ExitStatus::ItemFailed);
        assert!(now.encode(Exposition::Text).contains(&line("1763000000.5")));
    }

    #[test]
    fn a_run_that_broke_off_leaves_nothing_under_way() {
        let metrics = Metrics::new("1.2.3", false);
        let listener = begun(&metrics, "sync");
        listener.hear(&Event::RunStarted { items: 7 });
        assert!(metrics.encode(Exposition::Text).contains("image_syncer_items_queued 7\n"));
        drop(listener);
        assert!(metrics.encode(Exposition::Text).contains("image_syncer_items_queued 0\n"));
    }

    #[test]
    fn signatures_that_are_not_as_they_should_be_are_counted() {
        let metrics = Metrics::new("1.2.3", false);
        let listener = begun(&metrics, "sync");
        for (side, class) in [
            (Side::Source, Class::Signature),
            (Side::Target, Class::Signature),
            (Side::Target, Class::Signature),
            (Side::Source, Class::Key),
            (Side::Target, Class::KeyDenied),
            (Side::Source, Class::Network),
        ] {
            let mut item = sample::item("a:1", 1, sync::Outcome::Refused);
            item.failure = Some(sample::failure(side, class));
            listener.hear(&Event::NotSelected { report: Arc::new(item) });
        }
        let text = metrics.encode(Exposition::Text);
        for line in ["{kind=\"verification\"} 1", "{kind=\"target\"} 2", "{kind=\"signing\"} 2"] {
            assert!(text.contains(&format!("signature_failures_total{line}\n")), "{text}");
        }
    }

    /// docs/metrics.md is where each is described.
    #[test]
    fn every_metric_is_in_the_documentation() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        let metrics = Metrics::new("1.2.3", false);
        run(&metrics, sample::report().items, ExitStatus::Drift);
        let text = metrics.encode(Exposition::Text);
        let types: Vec<(&str, &str)> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        assert_eq!(types.len(), 18, "one has no sample here: {types:?}");
        for (name, kind) in types {
            let row = format!("| `{name}` | {kind} |");
            assert!(docs.contains(&row), "{row}");
        }
    }
}

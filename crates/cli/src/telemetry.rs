//! OpenTelemetry: the spans of runs and the figures of Prometheus' metrics, sent to a collector.
//!
//! Sending has a runtime of its own, so that it neither waits for a run nor is waited for; what does not fit
//! into the queue of spans is left out. At the end of the process, and for [`END`] at most, all that is left
//! is sent. What goes wrong is told once, as a warning; no run fails for it.

mod collector;
mod figures;
mod settings;
mod spans;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use report::{Document, Metrics};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;

use crate::error::CliError;
use crate::logging::{RUN_SPAN, SpanLayer};
use collector::{Collector, Trouble};
use figures::Exporter;

pub(crate) use settings::Settings;

/// How long the end of the process waits for the collector.
const END: Duration = Duration::from_secs(5);

/// What sends traces and metrics as long as the process lives.
#[derive(Default)]
pub(crate) struct Telemetry {
    runtime: Option<Runtime>,
    traces: Option<Traces>,
    metrics: Option<(Arc<Exporter>, JoinHandle<()>)>,
    trouble: Arc<Trouble>,
    /// For people.
    collectors: Vec<String>,
}

struct Traces {
    provider: SdkTracerProvider,
    count: Arc<spans::Count>,
}

impl Telemetry {
    /// Begins to export where a collector was named.
    ///
    /// # Errors
    /// A file of certificates that cannot be read, and what the system says.
    pub(crate) fn begin(settings: &Settings, metrics: &Metrics) -> Result<Self, CliError> {
        let mut begun = Self::default();
        if settings.traces.is_none() && settings.metrics.is_none() {
            return Ok(begun);
        }
        let started = SystemTime::now();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| {
            CliError::failed(format!("cannot start the runtime of OpenTelemetry: {error}"))
        })?;
        let trouble = &begun.trouble;
        if let Some(destination) = &settings.traces {
            let collector = Collector::new("traces", destination, trouble)?;
            begun.collectors.push(format!("traces go to {}", destination.host));
            let count = Arc::default();
            let exporter = spans::Exporter::new(collector, runtime.handle().clone(), &count);
            let provider = spans::provider(exporter, &count, &settings.resource);
            begun.traces = Some(Traces { provider, count });
        }
        if let Some(destination) = &settings.metrics {
            let collector = Collector::new("metrics", destination, trouble)?;
            begun.collectors.push(format!("metrics go to {}", destination.host));
            let resource = settings.resource.clone();
            let exporter = Exporter::new(collector, metrics.clone(), resource, started);
            let exporter = Arc::new(exporter);
            let periodic = runtime.spawn(periodically(Arc::clone(&exporter), settings.interval));
            begun.metrics = Some((exporter, periodic));
        }
        begun.runtime = Some(runtime);
        Ok(begun)
    }

    /// What turns spans into traces.
    pub(crate) fn layer(&self) -> Option<SpanLayer> {
        let tracer = self.traces.as_ref()?.provider.tracer("image-syncer");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false);
        // No events: logs are for them.
        let ours = filter_fn(|metadata| {
            metadata.is_span() && [RUN_SPAN, registry::SPANS].contains(&metadata.target())
        });
        Some(layer.with_filter(ours).boxed())
    }

    /// Logs what becomes of the settings.
    pub(crate) fn tell(&self) {
        for collector in &self.collectors {
            tracing::debug!("OpenTelemetry: {collector}");
        }
    }

    /// Sends all that is left, and waits for it for [`END`] at most. Not to be called from within a runtime.
    pub(crate) fn end(&self) {
        let Some(runtime) = &self.runtime else { return };
        let end = Instant::now() + END;
        self.trouble.ends();
        let last = self.metrics.as_ref().map(|(exporter, periodic)| {
            periodic.abort();
            let exporter = Arc::clone(exporter);
            runtime.spawn(async move { exporter.export().await })
        });
        if let Some(traces) = &self.traces {
            let _what_is_wrong_was_told = traces.provider.shutdown_with_timeout(END);
            self.trouble.lost(traces.count.lost());
        }
        if let Some(last) = last {
            let _taken = runtime.block_on(async { tokio::time::timeout_at(end, last).await });
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn periodically(exporter: Arc<Exporter>, interval: Duration) {
    let mut turns = tokio::time::interval_at(Instant::now() + interval, interval);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        exporter.export().await;
    }
}

/// Describes a run's span by how the run ended.
pub(crate) fn describe(span: &Span, document: &Document) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let (run, summary) = (&document.run, &document.summary);
    span.set_attribute("image_syncer.run.id", run.id.clone());
    span.set_attribute("image_syncer.mode", run.mode.name());
    span.set_attribute("image_syncer.exit_code", i64::from(summary.exit_code));
    for (outcome, items) in &summary.outcomes {
        let items = number(*items as u64);
        span.set_attribute(format!("image_syncer.items.{}", outcome.name()), items);
    }
    let bytes = summary.bytes;
    for (way, bytes) in
        [("copied", bytes.copied), ("mounted", bytes.mounted), ("present", bytes.present)]
    {
        span.set_attribute(format!("image_syncer.bytes.{way}"), number(bytes));
    }
    if summary.exit_code != 0 {
        span.set_status(opentelemetry::trace::Status::error(format!(
            "the run ended with the exit code {}",
            summary.exit_code
        )));
    }
}

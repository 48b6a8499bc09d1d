//! Traces: spans on their way from the SDK's queue to the collector.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, OTEL_BSP_MAX_QUEUE_SIZE, SdkTracerProvider, Span,
    SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::Handle;

use super::collector::Collector;
use super::settings::Attributes;

/// How many spans wait for the collector, unless a variable says otherwise: some MiB, and some seconds of a
/// run with nothing to copy.
const QUEUE: usize = 8192;

/// How many spans ended, and how many of them the collector took.
#[derive(Debug, Default)]
pub(super) struct Count {
    ended: AtomicU64,
    taken: AtomicU64,
}

impl Count {
    /// Those that ended and were not taken.
    pub(super) fn lost(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        self.ended.load(Ordering::Relaxed).saturating_sub(taken)
    }
}

/// What makes spans and has them exported. Sampling, limits and the queue are set by the variables of
/// OpenTelemetry, which the SDK reads itself.
pub(super) fn provider(
    exporter: Exporter,
    count: &Arc<Count>,
    resource: &Attributes,
) -> SdkTracerProvider {
    let mut config = BatchConfigBuilder::default();
    if std::env::var_os(OTEL_BSP_MAX_QUEUE_SIZE).is_none() {
        config = config.with_max_queue_size(QUEUE);
    }
    let queue = BatchSpanProcessor::builder(exporter).with_batch_config(config.build()).build();
    let attributes = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().with_attributes(attributes).build())
        .with_span_processor(Counting { queue, count: Arc::clone(count) })
        .build()
}

/// The queue, counted at its entry.
#[derive(Debug)]
struct Counting {
    queue: BatchSpanProcessor,
    count: Arc<Count>,
}

impl SpanProcessor for Counting {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.count.ended.fetch_add(1, Ordering::Relaxed);
        self.queue.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}

/// Sends spans. The SDK calls it from a thread of its own, which has no runtime.
pub(super) struct Exporter {
    collector: Arc<Collector>,
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
    count: Arc<Count>,
}

impl Exporter {
    pub(super) fn new(collector: Collector, runtime: Handle, count: &Arc<Count>) -> Self {
        let (collector, resource) = (Arc::new(collector), ResourceAttributesWithSchema::default());
        Self { collector, runtime, resource, count: Arc::clone(count) }
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let collector = Arc::clone(&self.collector);
        let sent = self.runtime.spawn(async move {
            collector.take(&ExportTraceServiceRequest { resource_spans }).await
        });
        if sent.await.unwrap_or_default() {
            self.count.taken.fetch_add(spans, Ordering::Relaxed);
            return Ok(());
        }
        Err(OTelSdkError::InternalFailure("the collector did not take them".to_owned()))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exporter")
    }
}

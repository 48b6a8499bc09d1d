//! The arguments that say where metrics and traces go.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Where metrics for Prometheus go: docs/metrics.md. And where OpenTelemetry's go: docs/opentelemetry.md.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricsArguments {
    /// Serve metrics at `http://ADDRESS/metrics` as long as the run lasts; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Write metrics into this file at the end, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_file: Option<PathBuf>,
    /// Push metrics to this Pushgateway at the end, `https://HOST` or with a path
    /// `/metrics/job/NAME/…`
    #[arg(long, value_name = "URL")]
    pub(crate) metrics_push: Option<String>,
    /// Send traces and metrics to this OpenTelemetry collector, by OTLP over HTTP, such as
    /// `http://localhost:4318`; in builds that have it
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
}

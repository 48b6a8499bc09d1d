//! The arguments of `watch`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use schedule::{Cron, Interval};
use watch::lease::Lease;

use super::{CopyingArguments, ListArguments};

/// Go on copying: on a schedule, when sync files change, and when a registry tells of a push
///
/// The first run is at once; later ones are when each sync file says (`schedule`), or --interval or
/// --cron. Files are read again when they change; one that is wrong keeps the one from before. Runs
/// are what `sync` does, one at a time. SIGTERM or SIGINT let what is under way be finished.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  image-syncer watch -i lists/ -r registry.example.com/mirror/ --interval 15m
  image-syncer watch -i images.yaml --cron '0 3 * * *' --listen 127.0.0.1:8080
  image-syncer watch -i images.yaml --listen 0.0.0.0:8080 --webhook-secret-file /run/secrets/webhook
  image-syncer watch -i images.yaml --lease mirror/image-syncer --listen 0.0.0.0:8080")]
pub(crate) struct WatchArguments {
    #[command(flatten)]
    pub(crate) list: ListArguments,
    /// Begin a run each time so much time has passed, such as `10m` or `1h30m`; for files without a
    /// `schedule` [default: 10m]
    #[arg(long, value_name = "TIME", conflicts_with = "cron", help_heading = "The watch")]
    pub(crate) interval: Option<Interval>,
    /// Begin a run at these times in UTC, `MINUTE HOUR DAY MONTH WEEKDAY`; for files without a
    /// `schedule`
    #[arg(long, value_name = "EXPRESSION", help_heading = "The watch")]
    pub(crate) cron: Option<Cron>,
    /// Answer on this address: /healthz, /readyz, /metrics, the last report at / and /report.json,
    /// and /hooks/KIND; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", help_heading = "The watch")]
    pub(crate) listen: Option<SocketAddr>,
    /// Take webhooks of registries from those who know the secret in this file; SYNCER_WEBHOOK_SECRET
    /// is the secret itself
    #[arg(long, value_name = "FILE", help_heading = "The watch")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// Make runs only while this replica has the lease: `NAMESPACE/NAME` in Kubernetes, or `file:PATH`
    #[arg(long, value_name = "LEASE", help_heading = "The watch")]
    pub(crate) lease: Option<Lease>,
    /// The folder with `token` and `ca.crt` for --lease
    /// [default: /var/run/secrets/kubernetes.io/serviceaccount]
    #[arg(long, value_name = "DIR", help_heading = "The watch")]
    pub(crate) lease_service_account: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) copying: CopyingArguments,
}

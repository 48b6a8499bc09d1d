//! [`Status`]: how the watch is doing, for health checks, metrics and people.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

/// How the watch is doing.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The files that are used now.
    pub files: Vec<FileStatus>,
    /// Whether these are the ones that are there now. If not, those are wrong, and the ones from
    /// before are used.
    pub files_are_current: bool,
    /// How often files that had changed were used.
    pub reloads: u64,
    /// How often files that had changed were wrong.
    pub reload_failures: u64,
    /// Whether this replica makes the runs of schedules.
    pub leads: bool,
    /// Whether a run is under way.
    pub running: bool,
    /// How many runs have ended.
    pub runs: u64,
    /// How many of them did not end well.
    pub failed_runs: u64,
    /// When the last run ended.
    pub last_run_ended: Option<Timestamp>,
    /// How many pushes wait for their run.
    pub pushes_waiting: usize,
    /// How many messages of registries were taken.
    pub hooks_accepted: u64,
    /// How many were not: without the secret, or no event.
    pub hooks_refused: u64,
    /// Whether the end was asked for.
    pub stopping: bool,
}

/// A file that is watched.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileStatus {
    /// Its name.
    pub file: String,
    /// When it has its turn, in words.
    pub schedule: String,
    /// Its next turn; none while it is due or under way.
    pub next: Option<Timestamp>,
}

impl Status {
    /// The same as metrics, in Prometheus' text format 0.0.4.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, value: u64| {
            let name = format!("image_syncer_watch_{name}");
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let ended = self.last_run_ended.map_or(0, |ended| ended.as_second().unsigned_abs());
        add("files", "gauge", "Sync files in use.", self.files.len() as u64);
        add(
            "files_current",
            "gauge",
            "1 if the files in use are those that are there, 0 if those are wrong.",
            self.files_are_current.into(),
        );
        add("reloads_total", "counter", "Changed files that were used.", self.reloads);
        add(
            "reload_failures_total",
            "counter",
            "Changed files that were wrong.",
            self.reload_failures,
        );
        add("leads", "gauge", "1 if this replica makes the runs of schedules.", self.leads.into());
        add("running", "gauge", "1 while a run is under way.", self.running.into());
        add("runs_total", "counter", "Runs that ended.", self.runs);
        add("failed_runs_total", "counter", "Runs that did not end well.", self.failed_runs);
        add("last_run_timestamp_seconds", "gauge", "When the last run ended; 0 before.", ended);
        add(
            "pushes_waiting",
            "gauge",
            "Pushes that wait for their run.",
            self.pushes_waiting as u64,
        );
        add("hooks_accepted_total", "counter", "Webhooks that were taken.", self.hooks_accepted);
        add("hooks_refused_total", "counter", "Webhooks that were refused.", self.hooks_refused);
        text
    }
}

/// The status that the watcher keeps and the doors show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Mutex<Status>>);

impl Board {
    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        // What is written under the lock cannot panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

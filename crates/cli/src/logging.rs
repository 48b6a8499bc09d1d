//! Logs: which events are shown, how, and where. They go to standard error, around the progress
//! bars where there are some.

use std::io::{self, Write};
use std::sync::Arc;

use report::Progress;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::arguments::{LogFormat, LogLevel};
use crate::terminal::Terminal;

/// The crates of this program, and the audit log, whose events have a target of their own; the binary's
/// own target is its name with an underscore.
const OWN: [&str; 16] = [
    "audit",
    "image_syncer",
    "charts",
    "credentials",
    "ecr",
    "layout",
    "oci",
    "registry",
    "report",
    "schedule",
    "server",
    "signing",
    "sync",
    "syncfile",
    "tagrules",
    "watch",
];

/// The target of the span around a run, which puts the run's id into each JSON line. People who read
/// plain lines are told it once, at `debug`.
pub(crate) const RUN_SPAN: &str = "run_id";

/// How logs are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Logging {
    /// The least important level that is shown of this program's own events.
    pub(crate) level: LogLevel,
    /// How an event looks.
    pub(crate) format: LogFormat,
}

/// Someone who wants spans, and says which.
pub(crate) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to log, and to tell of spans who wants them; a second call in one process changes nothing.
pub(crate) fn begin(
    logging: Logging,
    terminal: &Terminal,
    progress: Option<Arc<Progress>>,
    spans: Option<SpanLayer>,
) {
    let debugging = logging.level >= LogLevel::Debug;
    let lines = fmt::layer().with_writer(Around { progress }).with_target(debugging);
    let subscriber = tracing_subscriber::registry().with(spans);
    let _already_begun = match logging.format {
        LogFormat::Json => {
            let lines = lines.with_ansi(false).json().with_span_list(false);
            tracing::subscriber::set_global_default(
                subscriber.with(lines.with_filter(filter(logging))),
            )
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(terminal.colour_messages);
            tracing::subscriber::set_global_default(
                subscriber.with(lines.with_filter(filter(logging))),
            )
        }
    };
}

/// Own events from the level on. Of other crates only what is wrong, whatever the level: HTTP
/// libraries show headers at `trace`, and headers hold credentials. AWS's SDK warns of each place where
/// it finds no credentials, with all of the answer; that there are none at all is said anyway.
fn filter(Logging { level, format }: Logging) -> EnvFilter {
    let others = LogLevel::Warn.min(level).directive();
    let own = OWN.map(|name| format!("{name}={}", level.directive())).join(",");
    let run = match format {
        LogFormat::Json => "error",
        LogFormat::Text => "off",
    };
    EnvFilter::new(format!("{others},aws_config=error,{RUN_SPAN}={run},{own}"))
}

/// Writes whole events to standard error while the bars are out of the way.
#[derive(Clone)]
struct Around {
    progress: Option<Arc<Progress>>,
}

impl MakeWriter<'_> for Around {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Around {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(bytes);
        match &self.progress {
            Some(progress) => progress.suspend(write)?,
            None => write()?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_crate_of_the_program_is_known() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let crates = std::fs::read_dir(crates).unwrap();
        let crates: BTreeSet<String> =
            crates.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let known = OWN.iter().filter(|name| !["audit", "image_syncer"].contains(name));
        let known: BTreeSet<String> = known.map(|name| (*name).to_owned()).collect();
        let missing: Vec<&String> = crates.symmetric_difference(&known).collect();
        assert_eq!(missing, ["cli", "testkit"], "the binary, and what only tests have");
    }

    #[test]
    fn other_crates_are_never_shown_below_warn() {
        for level in [LogLevel::Info, LogLevel::Debug, LogLevel::Trace] {
            let filter = filter(Logging { level, format: LogFormat::Json }).to_string();
            assert!(filter.split(',').any(|directive| directive == "warn"), "{filter}");
            assert!(filter.contains(&format!("registry={}", level.directive())), "{filter}");
        }
        let quiet = Logging { level: LogLevel::Error, format: LogFormat::Text };
        assert!(filter(quiet).to_string().split(',').any(|part| part == "error"));
    }
}

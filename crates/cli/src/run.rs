//! One run of the engine, from its wanted items to its report: what `sync`, `plan`, `verify` and
//! `copy` share. Its walks are in `run/walks.rs`.

mod walks;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use indicatif::ProgressDrawTarget;
use report::{
    Document, ExitStatus, Lines, Metrics, PlanDocument, PlanFacts, Progress, RunFacts, Signal,
};
use sync::{Event, Fence, Listener, Locks, Mode, RunReport, Stop, TagSelection, Wanted};
use syncfile::EcrRepository;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use walks::walk_once;
pub(crate) use walks::{Run, Walk, Walked};

use crate::arguments::{LogFormat, LoggingArguments};
use crate::environment::Environment;
use crate::error::CliError;
use crate::logging::RUN_SPAN;
use crate::metrics;
use crate::settings::{self, RunSettings};
use crate::signals::Signals;
use crate::telemetry::Telemetry;
use crate::terminal::Terminal;
use crate::wiring::Peers;

/// What every command has at hand.
pub(crate) struct Context<'a> {
    /// The variables.
    pub(crate) environment: &'a Environment,
    /// The streams.
    pub(crate) terminal: &'a Terminal,
    /// How to log, as it was typed.
    pub(crate) logging: &'a LoggingArguments,
    /// What all runs of this process do, counted.
    pub(crate) metrics: Metrics,
    /// What exports them and the traces, from when logging begins.
    pub(crate) telemetry: OnceLock<Telemetry>,
}

impl Context<'_> {
    /// Begins to log, with lines and no bars.
    pub(crate) fn log_lines(&self) -> Result<(), CliError> {
        let logging = settings::logging(self.logging, self.environment, false)?;
        crate::logging::begin(logging, self.terminal, None, None);
        Ok(())
    }

    /// Writes a result.
    pub(crate) fn result(&self, text: &str) -> Result<(), CliError> {
        self.terminal.result(text).map_err(|error| {
            CliError::failed(format!("cannot write the result to standard output: {error}"))
        })
    }

    /// Writes a warning, in the form of the logs.
    pub(crate) fn warn(&self, text: &str) {
        let json = settings::logging(self.logging, self.environment, false)
            .is_ok_and(|logging| logging.format == LogFormat::Json);
        if json {
            tracing::warn!("{text}");
        } else {
            self.terminal.message(&format!("{} {text}\n", self.terminal.painted("warning:")));
        }
    }
}

/// A run that is to be made.
pub(crate) struct Job<'a> {
    /// What is done with decisions.
    pub(crate) mode: Mode,
    /// The tags that are wanted by name.
    pub(crate) wanted: Vec<Wanted>,
    /// The tags that are wanted by rules.
    pub(crate) selections: Vec<TagSelection>,
    /// The ECR repositories that are made what they are to be before anything is pushed.
    pub(crate) repositories: &'a [EcrRepository],
    /// Who is told of the run.
    pub(crate) notices: &'a [syncfile::Notice],
    /// Who is asked.
    pub(crate) peers: Peers<'a>,
    /// Whether a plan with something to do has an exit code of its own.
    pub(crate) pending_has_code: bool,
    /// How it goes about it.
    pub(crate) settings: &'a RunSettings,
    /// What is shown meanwhile.
    pub(crate) show: Show,
    /// What it is held to.
    pub(crate) held: HeldTo,
}

/// What a run is held to besides what is wanted.
#[derive(Clone, Default)]
pub(crate) struct HeldTo {
    /// The locks.
    pub(crate) locks: Locks,
    /// What alone may be written, where a plan is carried out.
    pub(crate) fence: Option<Arc<Fence>>,
    /// Whether a plan finds out all that would be written.
    pub(crate) foresees: bool,
}

impl Job<'_> {
    /// What it is called in metrics and in the audit log.
    fn command(&self) -> &'static str {
        match self.mode {
            Mode::Sync if self.held.fence.is_some() => "apply",
            Mode::Sync => "sync",
            Mode::Plan => "plan",
            Mode::Verify => "verify",
        }
    }

    /// Makes the run, which signals and its deadline stop, and tells what became of it.
    ///
    /// # Errors
    /// Only what keeps it from running, or its result from being told.
    pub(crate) async fn run(self, context: &Context<'_>) -> Result<ExitStatus, CliError> {
        let settings = self.settings;
        let ended = self.end(context).await?;
        ended.tell(settings, context)?;
        Ok(ended.status)
    }

    /// Makes the run, which signals and its deadline stop, and tells nobody.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(crate) async fn end(self, context: &Context<'_>) -> Result<Ended, CliError> {
        self.end_by(context, walk_once).await
    }

    /// The same for a run that is made in a way of its own.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(crate) async fn end_by<T>(
        self,
        context: &Context<'_>,
        way: impl AsyncFnOnce(Run<'_>, Walk) -> T,
    ) -> Result<T, CliError> {
        let deadline = self.settings.deadline.map(|time| Instant::now() + time);
        let stop = Stop::default();
        let signals = Signals::stopping(stop.clone(), deadline)
            .map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))?;
        let stopped = Stopped { stop: &stop, deadline, by: &|| signals.first() };
        let _serving = metrics::begin(&self.settings.metrics, &context.metrics).await?;
        self.run_by(&stopped, context, way).await
    }

    /// Makes the run, which has an id of its own in everything that it logs.
    ///
    /// # Errors
    /// What keeps it from running.
    pub(crate) async fn run_until(
        self,
        stopped: &Stopped<'_>,
        context: &Context<'_>,
    ) -> Result<Ended, CliError> {
        self.run_by(stopped, context, walk_once).await
    }

    async fn run_by<T>(
        self,
        stopped: &Stopped<'_>,
        context: &Context<'_>,
        way: impl AsyncFnOnce(Run<'_>, Walk) -> T,
    ) -> Result<T, CliError> {
        let id = Uuid::now_v7().to_string();
        let span = tracing::error_span!(target: RUN_SPAN, "run", id);
        let run = async {
            let (run, walk) = Run::begin(self, id, stopped, context).await?;
            Ok(way(run, walk).await)
        };
        // On the heap: what is in it is deeper than what the compiler looks through.
        Box::pin(run).instrument(span).await
    }
}

/// How a run is stopped before its end.
pub(crate) struct Stopped<'a> {
    pub(crate) stop: &'a Stop,
    /// When it has to be done.
    pub(crate) deadline: Option<Instant>,
    /// The signal that stopped it, if one did.
    pub(crate) by: &'a (dyn Fn() -> Option<Signal> + Sync),
}

/// A run that is over.
pub(crate) struct Ended {
    pub(crate) document: Document,
    pub(crate) report: RunReport,
    pub(crate) facts: RunFacts,
    pub(crate) status: ExitStatus,
}

impl Ended {
    /// Writes what a plan has foreseen.
    pub(crate) fn write_plan(&self, plan: PlanFacts, file: &Path) -> Result<(), CliError> {
        if self.report.interrupted {
            return Err(CliError::failed("the run was stopped, so there is no plan to write")
                .with_status(self.status));
        }
        let json = PlanDocument::new(plan, &self.facts, &self.report);
        let json = json.and_then(|plan| plan.to_json());
        let json = json
            .map_err(|error| CliError::failed(format!("cannot write the plan as JSON: {error}")))?;
        std::fs::write(file, json).map_err(|error| {
            CliError::failed(format!("cannot write the plan into `{}`: {error}", file.display()))
        })
    }
}

/// What is shown while a run goes on.
pub(crate) enum Show {
    Bars(Arc<Progress>),
    Lines(Arc<Lines>),
    Nothing,
}

impl Show {
    /// Begins to log, around bars where they can be drawn and lines of their own where not.
    pub(crate) fn begin(settings: &RunSettings, context: &Context<'_>) -> Result<Self, CliError> {
        let bars = settings.progress && context.terminal.draws;
        let logging = settings::logging(context.logging, context.environment, bars)?;
        let telemetry = Telemetry::begin(&settings.telemetry, &context.metrics)?;
        let spans = telemetry.layer();
        let shown = if bars {
            let progress = Arc::new(Progress::new(ProgressDrawTarget::stderr()));
            crate::logging::begin(logging, context.terminal, Some(Arc::clone(&progress)), spans);
            Self::Bars(progress)
        } else {
            crate::logging::begin(logging, context.terminal, None, spans);
            Self::Lines(Arc::new(Lines::default()))
        };
        telemetry.tell();
        let _a_process_has_one = context.telemetry.set(telemetry);
        Ok(shown)
    }

    fn listener(&self) -> Arc<dyn Listener> {
        match self {
            Self::Bars(progress) => Arc::clone(progress) as Arc<dyn Listener>,
            Self::Lines(lines) => Arc::clone(lines) as Arc<dyn Listener>,
            Self::Nothing => Arc::new(|_: &Event| {}),
        }
    }

    fn end(&self) {
        if let Self::Bars(progress) = self {
            progress.vanish();
        }
    }
}

//! [`Run`]: a run that has begun for all who follow it. It walks over what is wanted, mostly once, and ends
//! once, whatever it did.

use std::sync::Arc;

use jiff::Timestamp;
use report::{ExitStatus, RepositoryReport, Rules, RunFacts, Timeline, Timing};
use sync::{Engine, Listener, Listeners, Mode, Options, RunReport, TagSelection, Wanted, Witness};
use syncfile::EcrRepository;
use tokio::time::Instant;
use tracing::Span;

use super::{Context, Ended, HeldTo, Job, Show, Stopped};
use crate::charts;
use crate::error::CliError;
use crate::observers::{Beginning, Observers};
use crate::repositories::Reconciliation;
use crate::settings::RunSettings;
use crate::signatures;
use crate::telemetry;
use crate::wiring::{self, Clients, Limits, Peers};

/// A run that has begun, for all who follow it: it walks, mostly once, and ends.
pub(crate) struct Run<'a> {
    id: String,
    mode: Mode,
    repositories: &'a [EcrRepository],
    peers: Peers<'a>,
    pending_has_code: bool,
    settings: &'a RunSettings,
    clients: Clients,
    observers: Observers<'a>,
    started_at: Timestamp,
    began: Instant,
    stopped: &'a Stopped<'a>,
    context: &'a Context<'a>,
}

/// One walk of a run over what is wanted.
pub(crate) struct Walk {
    /// What is done with decisions.
    pub(crate) mode: Mode,
    /// The tags that are wanted by name.
    pub(crate) wanted: Vec<Wanted>,
    /// The tags that are wanted by rules.
    pub(crate) selections: Vec<TagSelection>,
    /// What is shown meanwhile.
    pub(crate) show: Show,
    /// What it is held to.
    pub(crate) held: HeldTo,
}

/// What was found and done on a walk.
pub(crate) struct Walked {
    /// What was done with decisions.
    pub(crate) mode: Mode,
    pub(crate) report: RunReport,
    /// What became of the repositories that are desired state.
    pub(crate) repositories: Vec<RepositoryReport>,
    /// When things happened to each item of the report.
    pub(crate) timings: Vec<Option<Timing>>,
}

/// Walks once, and ends.
pub(super) async fn walk_once(run: Run<'_>, walk: Walk) -> Ended {
    let walked = run.walk(walk).await;
    let status = run.status(&walked);
    run.end(walked, status).await
}

impl<'a> Run<'a> {
    pub(super) async fn begin(
        job: Job<'a>,
        id: String,
        stopped: &'a Stopped<'a>,
        context: &'a Context<'a>,
    ) -> Result<(Self, Walk), CliError> {
        let command = job.command();
        let Job {
            mode,
            wanted,
            selections,
            repositories,
            notices,
            peers,
            pending_has_code,
            settings,
            show,
            held,
        } = job;
        tracing::debug!(%id, ?mode, "run begins");
        let (started_at, began) = (Timestamp::now(), Instant::now());
        let limits = Limits { concurrency: settings.concurrency, deadline: stopped.deadline };
        let clients = Clients::new(&peers, mode == Mode::Sync, limits, context.environment)?;
        let beginning = Beginning {
            id: &id,
            command,
            mode,
            wanted: &wanted,
            selections: &selections,
            repositories,
            notices,
            clients: &clients,
        };
        let observers = Observers::begin(&beginning, settings, context).await?;
        let run = Self {
            id,
            mode,
            repositories,
            peers,
            pending_has_code,
            settings,
            clients,
            observers,
            started_at,
            began,
            stopped,
            context,
        };
        Ok((run, Walk { mode, wanted, selections, show, held }))
    }

    /// Who has each act on record before it is told.
    pub(crate) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.observers.witness()
    }

    /// Walks over all that is wanted. A look before a run that writes is not counted in metrics: they have what
    /// was done.
    pub(crate) async fn walk(&self, walk: Walk) -> Walked {
        let Walk { mode, wanted, selections, show, held } = walk;
        let Self { settings, clients, context, .. } = self;
        let stop = self.stopped.stop;
        let is_look = mode != self.mode;
        let witness = self.witness();
        let asked = || {
            let wanted = wanted.iter().map(|one| (&one.signatures, one.origin.as_ref()));
            wanted.chain(selections.iter().map(|one| (&one.signatures, one.origin.as_ref())))
        };
        let keys = signatures::keys(asked().map(|(asked, _)| asked), context.environment);
        let provenance = signatures::provenance(asked());
        let charts = charts::of(&wanted, &selections);
        let charts = charts::repositories(charts, &clients.web, &clients.credentials).await;
        let reconciled = Reconciliation {
            credentials: &clients.credentials,
            settings: &settings.ecr,
            mode,
            fail_fast: settings.fail_fast,
            // Each of them is looked at again, and has one end.
            witness: if is_look { None } else { witness.as_ref() },
            stop,
        };
        let reconciled = reconciled.of(self.repositories).await;
        let defaults = Options::default();
        let options = Options {
            mode,
            concurrency: settings.concurrency.unwrap_or(defaults.concurrency),
            copies: settings.concurrency.unwrap_or(defaults.copies),
            fail_fast: settings.fail_fast,
            referrers: settings.referrers.clone(),
            late_referrers: settings.late_referrers,
            foreign_layers: settings.foreign_layers,
            keys,
            provenance,
            charts: Arc::new(charts),
            failed_before: reconciled.has_failed,
            blocked: reconciled.blocked,
            witness,
            locks: held.locks,
            foresees: held.foresees,
            fence: held.fence,
            ..defaults
        };
        let (source, target) = (clients.source.clone(), clients.target.clone());
        let timeline = Arc::new(Timeline::since(self.began.into_std()));
        let listeners = [show.listener(), Arc::clone(&timeline) as Arc<dyn Listener>];
        let counted = (!is_look).then(|| self.observers.counted());
        let listeners = Listeners(listeners.into_iter().chain(counted).collect());
        let engine = Engine::new(source, target, options, Arc::new(listeners));
        let report = engine.run_selecting(wanted, selections, stop).await;
        show.end();
        let timings = timeline.timings(&report);
        Walked { mode, report, repositories: reconciled.reports, timings }
    }

    /// How it would end with this.
    pub(crate) fn status(&self, walked: &Walked) -> ExitStatus {
        let rules = Rules {
            mode: self.mode,
            source_lost: self.settings.source_lost,
            pending_has_code: self.pending_has_code,
            signal: (self.stopped.by)(),
        };
        ExitStatus::of(&walked.report, &walked.repositories, &rules)
    }

    /// Ends, and tells all who follow it.
    pub(crate) async fn end(self, walked: Walked, status: ExitStatus) -> Ended {
        let Self { id, mode, peers, settings, clients, observers, started_at, .. } = self;
        let Walked { mode: walked_in, report, repositories, timings } = walked;
        let facts = RunFacts {
            id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode,
            started_at,
            finished_at: Timestamp::now(),
            registries: wiring::registries(&clients, (mode == Mode::Plan).then_some(&report)),
            repositories,
            source_lost: settings.source_lost,
            timings,
        };
        // A run that writes nothing pushes nothing.
        let pushes = (walked_in == Mode::Sync).then_some(&peers);
        let (document, status) = observers.end(&facts, &report, status, &clients, pushes).await;
        telemetry::describe(&Span::current(), &document);
        Ended { document, report, facts, status }
    }
}

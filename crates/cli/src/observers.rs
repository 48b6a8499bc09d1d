//! Who follows a run besides the terminal: the audit log, metrics, the times of what happens, and those who
//! get notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use report::{Document, ExitStatus, RunFacts, RunMetrics, RunPlan, Timeline};
use sync::{Listener, Mode, RunReport, TagSelection, Wanted, Witness};
use syncfile::{EcrRepository, Notice};

use crate::audit::{self, Audit};
use crate::error::CliError;
use crate::metrics;
use crate::notices::Notices;
use crate::run::Context;
use crate::settings::RunSettings;
use crate::wiring::{self, Clients, Peers};

/// What they are told at the beginning.
pub(crate) struct Beginning<'a> {
    pub(crate) id: &'a str,
    pub(crate) mode: Mode,
    pub(crate) wanted: &'a [Wanted],
    pub(crate) selections: &'a [TagSelection],
    pub(crate) repositories: &'a [EcrRepository],
    pub(crate) notices: &'a [Notice],
    pub(crate) clients: &'a Clients,
}

/// Those of one run.
pub(crate) struct Observers<'a> {
    settings: &'a RunSettings,
    context: &'a Context<'a>,
    mode: Mode,
    notices: Notices,
    counted: RunMetrics,
    timeline: Arc<Timeline>,
    audit: Option<Audit<'a>>,
}

impl<'a> Observers<'a> {
    /// Prepares them all. The audit log is the last: a run that has begun there has an end there.
    ///
    /// # Errors
    /// A notice that cannot be made, and an audit log that cannot be written.
    pub(crate) async fn begin(
        beginning: &Beginning<'_>,
        settings: &'a RunSettings,
        context: &'a Context<'a>,
    ) -> Result<Self, CliError> {
        let Beginning { id, mode, wanted, selections, repositories, notices, clients } = *beginning;
        let notices = Notices::new(notices, context.environment)?;
        let counted = context.metrics.begin(RunPlan {
            mode: mode.into(),
            groups: beginning.groups(),
            registries: wiring::live_registries(clients),
        });
        let files = files(wanted, selections, repositories);
        let files = files.iter().map(String::as_str).collect();
        let audit = Audit::begin(&settings.audit, id, mode_name(mode), files, context).await?;
        let timeline = Arc::new(Timeline::starting_now());
        Ok(Self { settings, context, mode, notices, counted, timeline, audit })
    }

    /// Who has each act on record before it is told.
    pub(crate) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.audit.as_ref().map(Audit::witness)
    }

    /// Those who hear what happens.
    pub(crate) fn listeners(&self) -> [Arc<dyn Listener>; 2] {
        [Arc::clone(&self.timeline) as Arc<dyn Listener>, Arc::new(self.counted.clone())]
    }

    /// Tells them what became of the run, and returns the report of it and how it ends: not well where the
    /// audit log has no proper end.
    pub(crate) async fn end(
        self,
        facts: &mut RunFacts,
        report: &RunReport,
        mut status: ExitStatus,
        clients: &Clients,
        peers: &Peers<'_>,
    ) -> (Document, ExitStatus) {
        let Self { settings, context, mode, notices, counted, timeline, audit } = self;
        facts.timings = timeline.timings(report);
        let mut document = Document::new(facts, report, status);
        if let Some(audit) = audit {
            // A run that writes nothing pushes nothing.
            let pushes = (mode == Mode::Sync).then_some(peers);
            let audited = audit.end(audit::outcomes(&document), status, pushes, context).await;
            if audited != status {
                status = audited;
                document = Document::new(facts, report, status);
            }
        }
        counted.end(&document, settings.source_lost);
        let (web, credentials) = (&clients.web, &clients.credentials);
        document.notices = notices.send(&document, web, credentials).await;
        context.metrics.notices(&document.notices);
        metrics::keep(&settings.metrics, &context.metrics, web, credentials).await;
        (document, status)
    }
}

impl Beginning<'_> {
    /// The groups that metrics are told by: the files, or else the registries of the targets.
    fn groups(&self) -> Vec<String> {
        let mut groups = report::groups_of(self.wanted, self.selections);
        groups.extend(self.repositories.iter().map(|one| one.origin.file.display().to_string()));
        groups.sort();
        groups.dedup();
        groups
    }
}

/// The files that ask for all of this.
fn files(
    wanted: &[Wanted],
    selections: &[TagSelection],
    repositories: &[EcrRepository],
) -> BTreeSet<String> {
    let wanted = wanted.iter().filter_map(|one| one.origin.as_ref());
    let selected = selections.iter().filter_map(|one| one.origin.as_ref());
    let of_images = wanted.chain(selected).map(|origin| origin.file.clone());
    let of_repositories = repositories.iter().map(|one| one.origin.file.display().to_string());
    of_images.chain(of_repositories).collect()
}

/// What a run is called in its audit log.
fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Sync => "sync",
        Mode::Plan => "plan",
        Mode::Verify => "verify",
    }
}

//! Who follows a run besides the terminal, from its one begin to its one end: the audit log, metrics, and
//! those who get notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use report::{Document, ExitStatus, RunFacts, RunMetrics, RunPlan};
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
    /// What the run is called.
    pub(crate) command: &'static str,
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
    notices: Notices,
    counted: RunMetrics,
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
        let Beginning { id, command, mode, wanted, selections, repositories, notices, clients } =
            *beginning;
        let notices = Notices::new(notices, context.environment)?;
        let counted = context.metrics.begin(RunPlan {
            command,
            writes: mode == Mode::Sync,
            groups: beginning.groups(),
            registries: wiring::live_registries(clients),
        });
        let files = files(wanted, selections, repositories);
        let files = files.iter().map(String::as_str).collect();
        let audit = Audit::begin(&settings.audit, id, command, files, context).await?;
        Ok(Self { settings, context, notices, counted, audit })
    }

    /// Who has each act on record before it is told.
    pub(crate) fn witness(&self) -> Option<Arc<dyn Witness>> {
        self.audit.as_ref().map(Audit::witness)
    }

    /// Who counts what happens.
    pub(crate) fn counted(&self) -> Arc<dyn Listener> {
        Arc::new(self.counted.clone())
    }

    /// Tells them what became of the run, and returns the report of it and how it ends: not well where the
    /// audit log has no proper end.
    pub(crate) async fn end(
        self,
        facts: &RunFacts,
        report: &RunReport,
        mut status: ExitStatus,
        clients: &Clients,
        pushes: Option<&Peers<'_>>,
    ) -> (Document, ExitStatus) {
        let Self { settings, context, notices, counted, audit } = self;
        let mut document = Document::new(facts, report, status);
        if let Some(audit) = audit {
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

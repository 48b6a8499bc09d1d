//! `sync`: copies what the target does not have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oci::Host;
use report::{ExitStatus, PlanFacts, PlanFile, Template};
use sync::{Mode, Shard, TagSelection, Wanted};
use syncfile::{Defaults, Diagnostics, Input, Loaded, ReadFile, SyncFile};

use crate::arguments::{
    CopyingArguments, ListArguments, LoginArguments, ReferrersArguments, RunArguments,
    SigningArguments, SyncArguments,
};
use crate::environment;
use crate::error::CliError;
use crate::logins::Logins;
use crate::run::{Context, HeldTo, Job, Show};
use crate::settings::{
    ListSettings, RunSettings, SigningSettings, TargetLogin, flag, key_reference, record,
};
use crate::signatures::Signatures;
use crate::wiring::{self, Peers};
use crate::{charts, locks, repositories};

pub(crate) async fn execute(
    typed: &SyncArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let dry_run = flag(typed.dry_run, context.environment, environment::DRY_RUN)?;
    let mode = if dry_run { Mode::Plan } else { Mode::Sync };
    let list = List::copying(&typed.list, &typed.copying);
    list.run(mode, false, context).await
}

/// What `sync`, `plan` and `verify` are given alike.
pub(crate) struct List<'a> {
    pub(crate) list: &'a ListArguments,
    pub(crate) login: &'a LoginArguments,
    pub(crate) referrers: Option<&'a ReferrersArguments>,
    pub(crate) signing: &'a SigningArguments,
    pub(crate) run: &'a RunArguments,
}

impl<'a> List<'a> {
    /// A list whose images are copied so.
    pub(crate) fn copying(list: &'a ListArguments, copying: &'a CopyingArguments) -> Self {
        let CopyingArguments { referrers, signing, login, run } = copying;
        Self { list, login, referrers: Some(referrers), signing, run }
    }

    /// Loads the sync files and runs the engine over them.
    pub(crate) async fn run(
        &self,
        mode: Mode,
        pending_has_code: bool,
        context: &Context<'_>,
    ) -> Result<ExitStatus, CliError> {
        self.run_and(mode, pending_has_code, None, context).await
    }

    /// The same, and writes what a plan has foreseen into a file.
    pub(crate) async fn run_and(
        &self,
        mode: Mode,
        pending_has_code: bool,
        plan_file: Option<&Path>,
        context: &Context<'_>,
    ) -> Result<ExitStatus, CliError> {
        let settings =
            RunSettings::new(self.run, self.referrers, Some(&self.list.ecr), context.environment)?;
        let show = Show::begin(&settings, context)?;
        let list = ListSettings::new(self.list, context.environment)?;
        let login = target_login(self.login, context)?;
        let signing = SigningSettings::new(self.signing, context.environment)?;
        let asked = ask(&list, &signing, context)?;
        let held = locks::held(&list.lock, &asked.files)?;
        locks::check(&held.locks, asked.wanted.iter())?;
        let login_hosts = asked.login_hosts(&list, login.as_ref(), context)?;
        let Asked { sync_file, files, wanted, selections } = asked;
        let peers = peers(&sync_file, login.as_ref(), login_hosts);
        let (repositories, notices) = (&sync_file.repositories, &sync_file.notices);
        let settings = &settings;
        let locks::Held { locks, files: lock_files } = held;
        let held = HeldTo { locks, foresees: plan_file.is_some(), fence: None };
        let job = Job {
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
        };
        let Some(file) = plan_file else { return job.run(context).await };
        let plan = PlanFacts {
            sync_files: files.iter().map(plan_file_of).collect(),
            locks: lock_files,
            settings: record(&list, &signing, settings),
        };
        let ended = job.end(context).await?;
        ended.tell(settings, context)?;
        ended.write_plan(plan, file)?;
        Ok(ended.status)
    }
}

/// What sync files ask for.
pub(crate) struct Asked {
    pub(crate) sync_file: SyncFile,
    /// The files, in the order in which they were read.
    pub(crate) files: Vec<ReadFile>,
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) selections: Vec<TagSelection>,
}

/// Loads the sync files, and shows what should be looked at in them.
pub(crate) fn ask(
    list: &ListSettings,
    signing: &SigningSettings,
    context: &Context<'_>,
) -> Result<Asked, CliError> {
    let Loaded { sync_file, files, .. } = load(list, signing, context)?;
    charts::warnings(&sync_file).iter().for_each(|warning| context.warn(warning));
    Asked::new(sync_file, files, list.shard, signing)
}

pub(crate) fn peers<'a>(
    sync_file: &'a SyncFile,
    login: Option<&'a TargetLogin>,
    login_hosts: BTreeSet<Host>,
) -> Peers<'a> {
    Peers { registries: &sync_file.registries, login, login_hosts }
}

pub(crate) fn plan_file_of(file: &ReadFile) -> PlanFile {
    PlanFile { path: file.path.display().to_string(), digest: file.digest }
}

impl Asked {
    /// What these files ask for, or of it the share of one process.
    pub(crate) fn new(
        mut sync_file: SyncFile,
        files: Vec<ReadFile>,
        shard: Option<Shard>,
        signing: &SigningSettings,
    ) -> Result<Self, CliError> {
        let signatures = Signatures::new(signing, &sync_file)?;
        let mut wanted = wiring::wanted(&sync_file, &signatures)?;
        let mut selections = wiring::selections(&sync_file, &signatures)?;
        selections.extend(charts::selections(&sync_file, &signatures)?);
        if let Some(shard) = shard {
            tracing::info!(%shard, "doing one share of the list");
            wanted.retain(|one| shard.has(&one.target.location));
            selections.retain(|one| shard.has(&one.target));
            sync_file.repositories.retain(|one| shard.has(&one.location()));
        }
        Ok(Self { sync_file, files, wanted, selections })
    }

    /// The hosts that may be shown the credential of the target. What is shown to several, or not where
    /// it may be thought to be, is told.
    pub(crate) fn login_hosts(
        &self,
        list: &ListSettings,
        login: Option<&TargetLogin>,
        context: &Context<'_>,
    ) -> Result<BTreeSet<Host>, CliError> {
        let Self { sync_file, wanted, selections, .. } = self;
        let target_hosts = wiring::target_hosts(wanted, selections);
        let login_hosts = wiring::login_hosts(&list.prefixes, &target_hosts);
        let logins = Logins::of(context.environment)?;
        if logins.source.is_some() {
            let sources = wiring::source_hosts(wanted, selections);
            let without_own = |host: &&Host| {
                sync_file.registries.get(*host).is_none_or(|entry| entry.auth.is_none())
            };
            let shown: Vec<String> =
                sources.iter().filter(without_own).map(ToString::to_string).collect();
            if shown.len() > 1 {
                context.warn(&format!(
                    "the user and password of the sources are shown to each of {} that asks for a \
                     login; give those that they are not for an `auth` of their own, such as \
                     `anonymous`",
                    shown.join(", ")
                ));
            }
        }
        if login.is_some() || logins.target.is_some() {
            for host in target_hosts.difference(&login_hosts) {
                context.warn(&format!(
                    "the credential given for the target is not shown to {host}, which is the host \
                     of no --target-repo-prefix; docker config is asked instead"
                ));
            }
        }
        Ok(login_hosts)
    }
}

/// The credential that was given for the target; a secret that others can see earns a warning.
pub(crate) fn target_login(
    typed: &LoginArguments,
    context: &Context<'_>,
) -> Result<Option<TargetLogin>, CliError> {
    let login = TargetLogin::new(typed, context.environment)?;
    if typed.access_token.is_some() {
        context.warn(
            "the access token stands on the command line, where every user of this machine can \
             read it; SYNCER_ACCESS_TOKEN or docker config keep it to yourself",
        );
    }
    Ok(login)
}

/// Loads sync files and shows what should be looked at in them.
pub(crate) fn load(
    list: &ListSettings,
    signing: &SigningSettings,
    context: &Context<'_>,
) -> Result<Loaded, CliError> {
    let inputs = inputs(&list.files)?;
    let defaults = Defaults { target_repo_prefixes: list.prefixes.clone(), ecr: list.ecr.clone() };
    let colours = context.terminal.colour_messages;
    let wrong = |found: Diagnostics| CliError::finished(found.render(colours));
    let loaded = syncfile::load(&inputs, &defaults).map_err(wrong)?;
    let read = |text: &str| key_reference(text).map(|_| ());
    loaded.sync_file.check_keys(signing.outside(), read).map_err(wrong)?;
    let template = |text: &str| Template::new(text).map(drop).map_err(|error| error.to_string());
    loaded.sync_file.check_templates(template).map_err(wrong)?;
    repositories::check(&loaded.sync_file)?;
    let warnings: Vec<String> =
        loaded.warnings.iter().map(|warning| warning.render(colours)).collect();
    if !warnings.is_empty() {
        context.terminal.message(&format!("{}\n\n", warnings.join("\n\n")));
    }
    if !loaded.sync_file.signs(signing.sign()) {
        warn_of_idle(signing, "or write `sign: true` into the sync file", context);
    }
    let has_runtime = context.environment.get(environment::CONTAINER_RUNTIME).is_some();
    if has_runtime && !loaded.sync_file.repositories.is_empty() {
        context.warn(
            "the variable CONTAINER_RUNTIME is no longer needed: image-syncer copies by itself, \
             without podman or docker",
        );
    }
    Ok(loaded)
}

/// Where nothing is signed: tells of flags that say how. `remedy` is what would help besides `--sign`.
pub(crate) fn warn_of_idle(signing: &SigningSettings, remedy: &str, context: &Context<'_>) {
    let idle = signing.typed_how();
    if !idle.is_empty() {
        let flags = idle.join(", ");
        context.warn(&format!(
            "nothing is signed, so this has no effect: {flags}; give --sign, {remedy}"
        ));
    }
}

/// What these files hold; `-` is standard input.
pub(crate) fn inputs(files: &[PathBuf]) -> Result<Vec<Input>, CliError> {
    let stdin = |file: &std::path::Path| file.as_os_str() == "-";
    files
        .iter()
        .map(|file| match stdin(file) {
            true => std::io::read_to_string(std::io::stdin()).map(Input::Stdin).map_err(|error| {
                CliError::usage(format!("cannot read the sync file from standard input: {error}"))
            }),
            false => Ok(Input::Path(file.clone())),
        })
        .collect()
}

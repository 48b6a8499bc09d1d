//! `copy`: one image, by the same engine and with the same promises as a list.

use std::collections::BTreeMap;

use report::ExitStatus;
use sync::Mode;

use super::sync::{target_login, warn_of_idle};
use crate::arguments::{CopyArguments, CopyingArguments};
use crate::environment;
use crate::error::CliError;
use crate::run::{Context, HeldTo, Job, Show};
use crate::settings::{RunSettings, SigningSettings, flag, single};
use crate::signatures::{Logs, sign_with};
use crate::wiring::{self, Peers};

pub(crate) async fn execute(
    typed: &CopyArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let dry_run = flag(typed.dry_run, context.environment, environment::DRY_RUN)?;
    let mode = if dry_run { Mode::Plan } else { Mode::Sync };
    let CopyingArguments { referrers, signing, login, run } = &typed.copying;
    let settings = RunSettings::new(run, Some(referrers), None, context.environment)?;
    let signing = SigningSettings::new(signing, context.environment)?;
    let signed = signing.of_copy()?;
    if signed.is_none() {
        warn_of_idle(&signing, "and a key with --kms-key", context);
    }
    let show = Show::begin(&settings, context)?;
    let mut wanted = single(typed, context.environment)?;
    wanted.signatures.sign = signed.map(|it| sign_with(it, &Logs::default())).transpose()?;
    let wanted = vec![wanted];
    let login = target_login(login, context)?;
    let login_hosts = wiring::target_hosts(&wanted, &[]);
    let peers = Peers { registries: &BTreeMap::new(), login: login.as_ref(), login_hosts };
    let selections = Vec::new();
    let (pending_has_code, settings) = (false, &settings);
    let job = Job {
        mode,
        wanted,
        selections,
        repositories: &[],
        notices: &[],
        peers,
        pending_has_code,
        settings,
        show,
        held: HeldTo::default(),
    };
    job.run(context).await
}

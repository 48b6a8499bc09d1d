//! What is meant with the flags of `watch`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use schedule::{Cron, Interval, Schedule, Slots};
use secrecy::{ExposeSecret, SecretString};
use watch::Secret;
use watch::lease::Lease;

use crate::arguments::WatchArguments;
use crate::environment::{self, Environment};
use crate::error::CliError;

/// How often there is a run where nothing else is said.
const INTERVAL: &str = "10m";

/// Where a pod has its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The least that is a secret, in bytes: what is shorter is guessed by who may try for ever.
const SHORTEST_SECRET: usize = 16;

/// How the watch goes about it.
pub(crate) struct WatchSettings {
    /// The schedule of files without one.
    pub(crate) schedule: Schedule,
    /// Where health, reports and hooks are, if anywhere.
    pub(crate) listen: Option<SocketAddr>,
    /// What those must know who send hooks.
    pub(crate) webhook_secret: Option<Secret>,
    /// Which lease, if any.
    pub(crate) lease: Option<Lease>,
    /// Where we are told who we are in a cluster.
    pub(crate) service_account: PathBuf,
}

impl WatchSettings {
    pub(crate) fn new(typed: &WatchArguments, environment: &Environment) -> Result<Self, CliError> {
        let listen = match typed.listen {
            Some(typed) => Some(typed),
            None => environment.parsed(environment::LISTEN, |text| {
                text.parse().map_err(|_| "it must be an address such as `0.0.0.0:8080`".into())
            })?,
        };
        let lease = match &typed.lease {
            Some(typed) => Some(typed.clone()),
            None => environment.parsed(environment::LEASE, parsed)?,
        };
        let webhook_secret = webhook_secret(typed, environment)?;
        if webhook_secret.is_some() && listen.is_none() {
            return Err(CliError::usage("there is a secret for webhooks, but no address for them")
                .hint("say where to listen, such as --listen 0.0.0.0:8080"));
        }
        let folder = typed.lease_service_account.clone().or_else(|| {
            let found = environment.os_text(environment::LEASE_SERVICE_ACCOUNT);
            found.map(|found| found.value.into())
        });
        Ok(Self {
            schedule: schedule(typed, environment)?,
            listen,
            webhook_secret,
            lease,
            service_account: folder.unwrap_or_else(|| SERVICE_ACCOUNT.into()),
        })
    }
}

/// What was typed goes before variables; two at the same level exclude each other.
fn schedule(typed: &WatchArguments, environment: &Environment) -> Result<Schedule, CliError> {
    let (interval, cron) = match (typed.interval, typed.cron.clone()) {
        (None, None) => {
            let interval = environment.parsed(environment::INTERVAL, parsed::<Interval>)?;
            (interval, environment.parsed(environment::CRON, parsed::<Cron>)?)
        }
        typed => typed,
    };
    match (interval, cron) {
        (Some(_), Some(_)) => Err(CliError::usage(format!(
            "the variables {} and {} are both set",
            environment::INTERVAL.name,
            environment::CRON.name
        ))
        .hint("a schedule is an interval or a cron expression; leave one of them out")),
        (Some(interval), None) => Ok(Schedule::new(Slots::Every(interval))),
        (None, Some(cron)) => Ok(Schedule::new(Slots::At(cron))),
        (None, None) => parsed::<Interval>(INTERVAL)
            .map(|interval| Schedule::new(Slots::Every(interval)))
            .map_err(CliError::failed),
    }
}

fn parsed<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The secret, which is read now, so that one that is missing is found before anything begins. A file
/// is read again for each message: mounted secrets rotate.
fn webhook_secret(
    typed: &WatchArguments,
    environment: &Environment,
) -> Result<Option<Secret>, CliError> {
    let file = typed.webhook_secret_file.clone().or_else(|| {
        let found = environment.os_text(environment::WEBHOOK_SECRET_FILE);
        found.map(|found| found.value.into())
    });
    let (name, secret): (String, Secret) = match file {
        Some(file) => {
            std::fs::File::open(&file).map_err(|error| {
                CliError::usage(format!(
                    "cannot read the secret for webhooks in `{}`: {error}",
                    file.display()
                ))
            })?;
            (format!("in `{}`", file.display()), Arc::new(move || read(&file)))
        }
        None => {
            let Some(text) = environment.get(environment::WEBHOOK_SECRET) else { return Ok(None) };
            let text = text.to_string_lossy().into_owned();
            if text.is_empty() {
                return Ok(None);
            }
            let secret = SecretString::from(text);
            (format!("in {}", environment::WEBHOOK_SECRET), Arc::new(move || Some(secret.clone())))
        }
    };
    let is_long = |secret: SecretString| secret.expose_secret().len() >= SHORTEST_SECRET;
    if !secret().is_some_and(is_long) {
        return Err(CliError::usage(format!(
            "the secret for webhooks {name} has fewer than {SHORTEST_SECRET} bytes, so it can be guessed"
        ))
        .hint("`openssl rand -hex 32` makes a good one"));
    }
    Ok(Some(secret))
}

/// One that was emptied or is too short by now is no secret.
fn read(file: &std::path::Path) -> Option<SecretString> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        tracing::warn!(%error, "cannot read the secret for webhooks in `{}`", file.display());
    });
    let text = text.ok()?.trim().to_owned();
    Some(SecretString::from(text)).filter(|text| text.expose_secret().len() >= SHORTEST_SECRET)
}

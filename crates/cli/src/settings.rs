//! What is meant: what was typed, then variables, then defaults, checked and with nothing left to
//! ask. Pure but for one look at the files that must be there.

mod audit;
mod locks;
mod metrics;
mod planned;
mod reports;
mod repositories;
mod signing;
mod watch;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::{Extent, Platform, Platforms};
use report::SourceLost;
use secrecy::{ExposeSecret, SecretString};
use sync::{ForeignLayers, Shard};
use syncfile::EcrDefaults;

use crate::arguments::{
    self, CheckArguments, CopyArguments, EcrArguments, ListArguments, LogFormat, LogLevel,
    LoggingArguments, LoginArguments, PrefixArguments, ReferrersArguments, RunArguments, RunOutput,
    Share, Switch,
};
use crate::environment::{self, Environment, Found};
use crate::error::CliError;
use crate::logging::Logging;
use crate::telemetry;

pub(crate) use audit::AuditSettings;
pub(crate) use locks::LockChoice;
pub(crate) use metrics::{MetricsSettings, Push, host_of};
pub(crate) use planned::{check_file, list_of, record, run_of};
pub(crate) use reports::ReportFile;
pub(crate) use repositories::EcrSettings;
pub(crate) use signing::{ImageSigning, LogSettings, SigningSettings, key_of_file, key_reference};
pub(crate) use watch::WatchSettings;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct ListSettings {
    /// The sync files and folders, at least one; `-` is standard input.
    pub(crate) files: Vec<PathBuf>,
    /// Where images without a destination of their own go.
    pub(crate) prefixes: Vec<String>,
    /// What holds for the ECR repositories of all files.
    pub(crate) ecr: EcrDefaults,
    /// Which lock they are held to.
    pub(crate) lock: LockChoice,
    /// The share of it that is this process's; all without one.
    pub(crate) shard: Option<Shard>,
}

/// Who we are at the target, where that was said.
#[derive(Debug)]
pub(crate) enum TargetLogin {
    /// A JSON key file.
    Key(PathBuf),
    /// A bearer token.
    Token(SecretString),
}

/// How a run goes about it, and what it tells.
#[derive(Debug)]
pub(crate) struct RunSettings {
    /// How many images are walked at once, and how many requests of a kind a registry gets at
    /// once, where that was said.
    pub(crate) concurrency: Option<usize>,
    /// How long the run may take.
    pub(crate) deadline: Option<Duration>,
    /// Whether the first item that does not end well keeps later ones from beginning.
    pub(crate) fail_fast: bool,
    /// What is done with layers that registries need not hold.
    pub(crate) foreign_layers: ForeignLayers,
    /// What a lost source counts as.
    pub(crate) source_lost: SourceLost,
    /// What travels with an image.
    pub(crate) referrers: sync::Referrers,
    /// Whether an image that is up to date is looked at for referrers that came later.
    pub(crate) late_referrers: bool,
    /// How ECR repositories become what they are to be.
    pub(crate) ecr: EcrSettings,
    /// How the result is printed.
    pub(crate) output: RunOutput,
    /// Files for the report.
    pub(crate) report_files: Vec<ReportFile>,
    /// Whether a job of GitHub Actions is told.
    pub(crate) github: bool,
    /// What is kept of acts.
    pub(crate) audit: AuditSettings,
    /// Whether every item is listed.
    pub(crate) verbose: bool,
    /// Whether bars may be drawn.
    pub(crate) progress: bool,
    /// Where metrics go.
    pub(crate) metrics: MetricsSettings,
    /// Where OpenTelemetry's traces and metrics go.
    pub(crate) telemetry: telemetry::Settings,
}

/// Where ecr-sync's lists are if nobody says otherwise.
const ECR_SYNC_FOLDER: &str = "./repositories";

impl ListSettings {
    pub(crate) fn new(typed: &ListArguments, environment: &Environment) -> Result<Self, CliError> {
        let mut files = files(&typed.images_file, environment);
        files.extend(named(&typed.config, environment, environment::CONFIG));
        let is_for_ecr = typed.ecr.repositories.ecr_account_id.is_some()
            || environment.os_text(environment::ECR_ACCOUNT_ID).is_some();
        if files.is_empty() && is_for_ecr && Path::new(ECR_SYNC_FOLDER).is_dir() {
            files.push(ECR_SYNC_FOLDER.into());
        }
        if files.is_empty() {
            return Err(CliError::usage("no sync file was given")
                .hint("name one with -i/--images-file or the variable SYNCER_IMAGES_FILE")
                .hint("or a folder of ECR repositories with --config or the variable REPOSITORIES_DIR")
                .hint("`image-syncer --help` lists commands and flags"));
        }
        let ecr = repositories::defaults(&typed.ecr.repositories, environment)?;
        let lock = locks::choice(&typed.lock, environment)?;
        let prefixes = prefixes(&typed.prefixes, environment)?;
        Ok(Self { files, prefixes, ecr, lock, shard: shard(typed.shard, environment)? })
    }

    pub(crate) fn of_check(
        typed: &CheckArguments,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let ecr = repositories::defaults(&typed.repositories, environment)?;
        let prefixes = prefixes(&typed.prefixes, environment)?;
        let files = typed.files.clone();
        Ok(Self { files, prefixes, ecr, lock: LockChoice::None, shard: None })
    }
}

/// The share that was asked for, its number perhaps by Kubernetes.
fn shard(typed: Option<Share>, environment: &Environment) -> Result<Option<Shard>, CliError> {
    let typed = match typed {
        Some(typed) => Some(typed),
        None => environment.parsed(environment::SHARD, arguments::share)?,
    };
    let Some(Share { index, count }) = typed else { return Ok(None) };
    let name = environment::JOB_COMPLETION_INDEX;
    let of_job = || environment.get(name)?.to_str()?.parse().ok();
    let shard = index.or_else(of_job).and_then(|index| Shard::new(index, count));
    let Some(shard) = shard else {
        return Err(CliError::usage(format!("which of the {count} shares it is, is not said"))
            .hint(format!("give --shard I/{count}, or set {name} to a number below {count}")));
    };
    Ok(Some(shard))
}

/// The sync files that were typed, else the one that the variable names.
pub(crate) fn files(typed: &[PathBuf], environment: &Environment) -> Vec<PathBuf> {
    named(typed, environment, environment::IMAGES_FILE)
}

fn named(
    typed: &[PathBuf],
    environment: &Environment,
    variable: environment::Variable,
) -> Vec<PathBuf> {
    if !typed.is_empty() {
        return typed.to_vec();
    }
    environment.os_text(variable).map(|found| PathBuf::from(found.value)).into_iter().collect()
}

fn prefixes(typed: &PrefixArguments, environment: &Environment) -> Result<Vec<String>, CliError> {
    let prefixes = match typed.target_repo_prefix.is_empty() {
        false => typed.target_repo_prefix.clone(),
        true => environment
            .text(environment::TARGET_REPO_PREFIX)?
            .map(|found| found.value)
            .into_iter()
            .collect(),
    };
    match prefixes.iter().any(String::is_empty) {
        true => Err(CliError::usage("the value of --target-repo-prefix is empty")
            .hint("leave the flag out to use the `targetRepoPrefix` of the sync file")),
        false => Ok(prefixes),
    }
}

impl TargetLogin {
    /// What was typed goes before variables; two at the same level exclude each other.
    pub(crate) fn new(
        typed: &LoginArguments,
        environment: &Environment,
    ) -> Result<Option<Self>, CliError> {
        if let Some(both) = both(&typed.target_repo_auth_key, &typed.access_token) {
            return exclusive("--target-repo-auth-key and --access-token were both given", both);
        }
        if let Some(file) = &typed.target_repo_auth_key {
            return Self::key("--target-repo-auth-key", file.clone()).map(Some);
        }
        if let Some(token) = &typed.access_token {
            if token.expose_secret().trim().is_empty() {
                return Err(CliError::usage("the value of --access-token is empty")
                    .hint("check the step that should have filled it, or leave the flag out"));
            }
            return Ok(Some(Self::Token(token.clone())));
        }
        let key = environment.os_text(environment::TARGET_REPO_AUTH_KEY);
        let token = environment.text(environment::ACCESS_TOKEN)?;
        if let Some(both) = both(&key, &token) {
            let (key, token) = (environment::TARGET_REPO_AUTH_KEY, environment::ACCESS_TOKEN);
            let message = format!("the variables {} and {} are both set", key.name, token.name);
            return exclusive(&message, both);
        }
        if let Some(Found { name, value }) = key {
            return Self::key(&format!("the variable {name}"), value.into()).map(Some);
        }
        Ok(token.map(|found| Self::Token(SecretString::from(found.value))))
    }

    fn key(name: &str, file: PathBuf) -> Result<Self, CliError> {
        match File::open(&file) {
            Ok(_) => Ok(Self::Key(file)),
            Err(error) => Err(CliError::usage(format!(
                "cannot read the key file `{}` that {name} names: {error}",
                file.display()
            ))),
        }
    }
}

fn both<A, B>(one: &Option<A>, other: &Option<B>) -> Option<()> {
    one.as_ref().and(other.as_ref()).map(|_| ())
}

fn exclusive<T>(message: &str, (): ()) -> Result<T, CliError> {
    Err(CliError::usage(message).hint("a target has one credential; leave one of them out"))
}

impl RunSettings {
    /// `referrers` are none for a command that copies nothing, `ecr` for one without a sync file.
    pub(crate) fn new(
        typed: &RunArguments,
        referrers: Option<&ReferrersArguments>,
        ecr: Option<&EcrArguments>,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let (referrers, late_referrers) = match referrers {
            Some(typed) => self::referrers(typed, environment)?,
            None => (sync::Referrers::default(), false),
        };
        let source_lost = match typed.source_lost {
            Some(typed) => Some(typed),
            None => environment.choice(environment::SOURCE_LOST)?,
        };
        let concurrency = match typed.concurrency {
            Some(typed) => Some(typed),
            None => environment.parsed(environment::CONCURRENCY, arguments::positive)?,
        };
        let deadline = match typed.deadline {
            Some(typed) => Some(typed),
            None => environment.parsed(environment::DEADLINE, arguments::time)?,
        };
        let output = match typed.output {
            Some(typed) => Some(typed),
            None => environment.choice(environment::OUTPUT)?,
        };
        let github = match typed.github {
            Some(typed) => Some(typed),
            None => environment.choice(environment::GITHUB)?,
        };
        let foreign = flag(typed.foreign_layers, environment, environment::FOREIGN_LAYERS)?;
        let no_progress = flag(typed.no_progress, environment, environment::NO_PROGRESS)?;
        Ok(Self {
            concurrency,
            deadline,
            fail_fast: flag(typed.fail_fast, environment, environment::FAIL_FAST)?,
            foreign_layers: if foreign { ForeignLayers::Include } else { ForeignLayers::LeaveOut },
            source_lost: match source_lost {
                Some(arguments::SourceLost::Fail) => SourceLost::Fail,
                Some(arguments::SourceLost::Warn) | None => SourceLost::Warn,
            },
            referrers,
            late_referrers,
            ecr: EcrSettings::new(ecr, concurrency, environment)?,
            output: output.unwrap_or(RunOutput::Table),
            report_files: reports::files(&typed.report, environment)?,
            github: github != Some(Switch::Off),
            audit: AuditSettings::new(&typed.audit, environment)?,
            verbose: flag(typed.verbose, environment, environment::VERBOSE)?,
            progress: !no_progress,
            metrics: MetricsSettings::new(&typed.metrics, environment)?,
            telemetry: telemetry::Settings::new(
                typed.metrics.otlp_endpoint.as_deref(),
                environment,
            )?,
        })
    }
}

/// What travels with an image, and whether one that is up to date is looked at for more.
fn referrers(
    typed: &ReferrersArguments,
    environment: &Environment,
) -> Result<(sync::Referrers, bool), CliError> {
    let which = match &typed.referrers {
        Some(typed) => Some(typed.clone()),
        None => environment.parsed(environment::REFERRERS, arguments::which)?,
    };
    let required = flag(typed.referrers_required, environment, environment::REFERRERS_REQUIRED)?;
    let late = match typed.late_referrers {
        Some(typed) => Some(typed),
        None => environment.choice(environment::LATE_REFERRERS)?,
    };
    let referrers = sync::Referrers { which: which.unwrap_or_default(), required };
    Ok((referrers, late != Some(Switch::Off)))
}

/// A boolean flag: typed, else its variable, else false.
pub(crate) fn flag(
    typed: Option<bool>,
    environment: &Environment,
    variable: environment::Variable,
) -> Result<bool, CliError> {
    match typed {
        Some(typed) => Ok(typed),
        None => Ok(environment.boolean(variable)?.unwrap_or_default()),
    }
}

/// How to log; `bars` says whether bars will be drawn instead of lines.
pub(crate) fn logging(
    typed: &LoggingArguments,
    environment: &Environment,
    bars: bool,
) -> Result<Logging, CliError> {
    let level = match typed.log_level {
        Some(typed) => Some(typed),
        None => environment.choice(environment::LOG_LEVEL)?,
    };
    let format = match typed.log_format {
        Some(typed) => Some(typed),
        None => environment.choice(environment::LOG_FORMAT)?,
    };
    let default = if bars { LogLevel::Warn } else { LogLevel::Info };
    let level = level.unwrap_or(default);
    let debug = flag(typed.debug, environment, environment::DEBUG)?;
    Ok(Logging {
        level: if debug { level.max(LogLevel::Debug) } else { level },
        format: format.unwrap_or(LogFormat::Text),
    })
}

/// One image and where it goes; both sides as they were typed.
pub(crate) fn single(
    typed: &CopyArguments,
    environment: &Environment,
) -> Result<sync::Wanted, CliError> {
    let invalid = |error: oci::InvalidName| CliError::usage(error.to_string());
    let source: oci::Reference = typed.source.parse().map_err(invalid)?;
    let mut target: oci::Reference = typed.target.parse().map_err(invalid)?;
    if target.tag.is_none() && target.digest.is_none() {
        let tag = source.tag.clone().ok_or_else(|| {
            CliError::usage(format!("neither `{}` nor `{}` has a tag", typed.source, typed.target))
                .hint(format!("say which tag is to hold it, such as `{}:1.0`", typed.target))
        })?;
        target.tag = Some(tag);
    }
    let platforms = match typed.platform.is_empty() {
        false => typed.platform.clone(),
        true => environment.parsed(environment::PLATFORM, platforms)?.unwrap_or_default(),
    };
    Ok(sync::Wanted {
        source: source.try_into().map_err(invalid)?,
        written: typed.source.clone(),
        extent: Platforms::new(platforms).map_or(Extent::Whole, Extent::Platforms),
        target: target.try_into().map_err(invalid)?,
        lists_images: false,
        signatures: sync::WantedSignatures::default(),
        origin: None,
    })
}

/// Reads platforms with commas between them.
fn platforms(text: &str) -> Result<Vec<Platform>, String> {
    let platforms = text.split(',').map(|platform| platform.trim().parse());
    platforms.collect::<Result<_, oci::InvalidName>>().map_err(|error| error.to_string())
}

//! `watch`: `sync` on a schedule, when files change and when something was pushed. When that is, crate
//! `watch` decides; here it gets files, runs, a lease and doors.

mod part;

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use report::{Document, ExitStatus, Exposition, Format, Lines, Metrics, Signal};
use sync::{Mode, Stop};
use syncfile::{Input, Loaded, ReadFile, SyncFile};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use watch::lease::{Cluster, Keeper, Lease};
use watch::{Clock, Halt, Moved, Page, Pages, Prints, Request, Runner, Text, WatchedFile};

use super::sync::{Asked, load, target_login};
use crate::arguments::{CopyingArguments, WatchArguments};
use crate::error::{CliError, with_causes};
use crate::run::{Context, HeldTo, Job, Show, Stopped};
use crate::settings::{ListSettings, RunSettings, SigningSettings, TargetLogin, WatchSettings};
use crate::signals::{DRAIN, Signals, reached};
use crate::signatures::Signatures;
use crate::wiring::{self, Peers};
use crate::{charts, locks, metrics};

pub(crate) async fn execute(
    typed: &WatchArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let environment = context.environment;
    let CopyingArguments { referrers, signing, login, run } = &typed.copying;
    let settings = RunSettings::new(run, Some(referrers), Some(&typed.list.ecr), environment)?;
    // Bars are of one run.
    let settings = RunSettings { progress: false, ..settings };
    Show::begin(&settings, context)?;
    let watch = WatchSettings::new(typed, environment)?;
    let list = ListSettings::new(&typed.list, environment)?;
    if list.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(CliError::usage("standard input cannot be watched: it is read once")
            .hint("name a file or a folder with -i/--images-file"));
    }
    let last = Last::default();
    let stop = Stop::default();
    let signals = Signals::stopping(stop.clone(), None)
        .map_err(|error| CliError::failed(format!("cannot listen for signals: {error}")))?;
    let runs = Runs {
        inputs: list.files.iter().cloned().map(Input::Path).collect(),
        list,
        login: target_login(login, context)?,
        signing: SigningSettings::new(signing, environment)?,
        settings,
        context,
        signals,
        used: RefCell::default(),
        last: last.clone(),
    };
    let (door, inbox) = watch::doors();
    let _serving = metrics::begin(&runs.settings.metrics, &context.metrics).await?;
    let pages = pages(&last, &watch, context.metrics.clone());
    let doors = Doors::open(&watch, watch::router(door, pages)).await?;
    let lease = lease(&watch, context)?;
    // Without a lease we always lead; the sender lives as long as the watch.
    let always = tokio::sync::watch::Sender::new(true);
    let leads = lease.as_ref().map_or_else(|| always.subscribe(), Keeper::leads);
    let halt = Halt { begin_nothing: stop.begin_nothing.clone(), give_up: stop.give_up.clone() };
    let settings = watch::Settings::new(watch.schedule);
    let watched = watch::run(&runs, settings, clock(), inbox, leads, halt).await;
    if let Some(keeper) = lease {
        keeper.release().await;
    }
    doors.close().await;
    watched?;
    Ok(match runs.signals.first() {
        Some(Signal::Interrupt) => ExitStatus::Interrupted,
        Some(Signal::Terminate) => ExitStatus::Terminated,
        None => ExitStatus::Success,
    })
}

/// The time, and what chance says.
fn clock() -> Clock {
    let chance = || {
        let (high, _) = Uuid::new_v4().as_u64_pair();
        high as f64 / u64::MAX as f64
    };
    Clock { now: Arc::new(Timestamp::now), chance: Arc::new(chance) }
}

/// Begins to ask for the lease, where one was named.
fn lease(watch: &WatchSettings, context: &Context<'_>) -> Result<Option<Keeper>, CliError> {
    let Some(lease) = &watch.lease else { return Ok(None) };
    let variable = |name: &str| {
        context.environment.get(name).map(|value| value.to_string_lossy().into_owned())
    };
    // Two processes may have one host name, and a pod that is made anew has the old one's.
    let host = variable("HOSTNAME").unwrap_or_else(|| "image-syncer".to_owned());
    let identity = format!("{host}_{}", Uuid::new_v4());
    let keeper = match lease {
        Lease::File(path) => Keeper::of_file(path.clone(), &identity).map_err(|error| {
            CliError::usage(format!("cannot make the lease `{}`: {error}", path.display()))
        })?,
        Lease::Kubernetes { namespace, name } => {
            let cluster = Cluster::around_us(variable, &watch.service_account).map_err(|error| {
                CliError::usage(format!("the lease `{lease}` cannot be had: {}", with_causes(&error)))
                    .hint("outside of Kubernetes, `--lease file:PATH` locks a file that all replicas see")
            })?;
            Keeper::of_cluster(cluster, namespace, name, &identity, watch::lease::DURATION)
        }
    };
    Ok(Some(keeper))
}

/// The report of the last run; of earlier ones nothing is kept.
type Last = Arc<Mutex<Option<Arc<Document>>>>;

fn pages(last: &Last, watch: &WatchSettings, metrics: Metrics) -> Pages {
    let page = |content_type, write: fn(&Document) -> Option<String>| -> Page {
        let last = Arc::clone(last);
        Arc::new(move || {
            let document = last.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            Some(Text { content_type, body: write(&document)? })
        })
    };
    let json = |document: &Document| document.to_json().ok();
    Pages {
        metrics: Arc::new(move || {
            let exposition = Exposition::Text;
            let body = metrics.encode(exposition);
            Some(Text { content_type: exposition.content_type(), body })
        }),
        report: page("text/html; charset=utf-8", |document| document.written_as(Format::Html).ok()),
        report_json: page("application/json", json),
        webhook_secret: watch.webhook_secret.clone(),
    }
}

/// What answers on `--listen`.
struct Doors(Option<(CancellationToken, JoinHandle<()>)>);

impl Doors {
    async fn open(watch: &WatchSettings, router: axum::Router) -> Result<Self, CliError> {
        let Some(address) = watch.listen else { return Ok(Self(None)) };
        let failed = |error| {
            CliError::failed(format!("cannot listen on {address}: {error}"))
                .hint("choose another address with --listen; port 0 takes a free one")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        tracing::info!("answering at http://{local}/");
        let end = CancellationToken::new();
        let ended = end.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            if let Err(error) = server::serve(listener, router, None, ended).await {
                tracing::error!(
                    "health, reports and hooks are no longer there: {}",
                    with_causes(&error)
                );
            }
        });
        Ok(Self(Some((end, serving))))
    }

    /// Lets answers that are under way be finished, for as long as a short one takes.
    async fn close(self) {
        let Some((end, serving)) = self.0 else { return };
        end.cancel();
        let abort = serving.abort_handle();
        if tokio::time::timeout(std::time::Duration::from_secs(2), serving).await.is_err() {
            abort.abort();
        }
    }
}

/// What files ask for, and which these are.
#[derive(Default)]
struct Used {
    sync_file: SyncFile,
    files: Vec<ReadFile>,
}

/// Loads files and makes runs.
struct Runs<'a> {
    list: ListSettings,
    inputs: Vec<Input>,
    login: Option<TargetLogin>,
    signing: SigningSettings,
    settings: RunSettings,
    context: &'a Context<'a>,
    signals: Signals,
    /// The files that are used.
    used: RefCell<Arc<Used>>,
    last: Last,
}

impl Runner for Runs<'_> {
    type Error = CliError;

    fn prints(&self) -> Prints {
        let print = |(path, print): (_, syncfile::Fingerprint)| {
            let print = print.map_or_else(|kind| kind.to_string(), |digest| digest.to_string());
            (path, print)
        };
        syncfile::fingerprints(&self.inputs).into_iter().map(print).collect()
    }

    fn load(&self) -> Result<Vec<WatchedFile>, CliError> {
        let Loaded { sync_file, files, .. } = load(&self.list, &self.signing, self.context)?;
        charts::warnings(&sync_file).iter().for_each(|warning| self.context.warn(warning));
        // What cannot be made of it is found now, and not when its turn has come.
        Signatures::new(&self.signing, &sync_file)?;
        locks::held(&self.list.lock, &files)?;
        let watched = |file: &ReadFile| WatchedFile {
            path: file.path.clone(),
            schedule: file.schedule.clone(),
        };
        let watched = files.iter().map(watched).collect();
        *self.used.borrow_mut() = Arc::new(Used { sync_file, files });
        Ok(watched)
    }

    fn wants(&self, moved: &Moved) -> bool {
        part::wants(&self.used.borrow().sync_file, moved)
    }

    async fn run(&self, request: Request, halt: Halt) -> watch::Ended {
        let made = self.make(&request, halt).await;
        match made {
            Ok(ExitStatus::Success) => watch::Ended::Well,
            Ok(_) => watch::Ended::NotWell,
            Err(error) => {
                tracing::error!("the run could not be made: {}", error.to_string().trim_end());
                watch::Ended::NotWell
            }
        }
    }
}

impl Runs<'_> {
    async fn make(&self, request: &Request, halt: Halt) -> Result<ExitStatus, CliError> {
        let used = Arc::clone(&self.used.borrow());
        let part = part::of(&used.sync_file, request);
        let asked = Asked::new(part, used.files.clone(), self.list.shard, &self.signing)?;
        let Asked { sync_file, wanted, selections, .. } = asked;
        // What is locked now, whenever that was written.
        let locks::Held { locks, .. } = locks::held(&self.list.lock, &used.files)?;
        locks::check(&locks, wanted.iter())?;
        let target_hosts = wiring::target_hosts(&wanted, &selections);
        let login_hosts = wiring::login_hosts(&self.list.prefixes, &target_hosts);
        let job = Job {
            mode: Mode::Sync,
            wanted,
            selections,
            repositories: &sync_file.repositories,
            notices: &sync_file.notices,
            held: HeldTo { locks, ..HeldTo::default() },
            peers: Peers {
                registries: &sync_file.registries,
                login: self.login.as_ref(),
                login_hosts,
            },
            pending_has_code: false,
            settings: &self.settings,
            show: Show::Lines(Arc::new(Lines::default())),
        };
        let deadline = self.settings.deadline.map(|time| Instant::now() + time);
        let mut stop = Stop::default();
        stop.begin_nothing = halt.begin_nothing;
        stop.give_up = halt.give_up;
        let signals = &self.signals;
        let stopped = Stopped { stop: &stop, deadline, by: &|| signals.first() };
        let ended = tokio::select! {
            ended = job.run_until(&stopped, self.context) => ended?,
            never = stop_at(deadline, &stop) => match never {},
        };
        let told = ended.tell(&self.settings, self.context);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(ended.document));
        told.map(|()| ended.status)
    }
}

/// Stops a run whose deadline has come, as [`Signals::stopping`] does for the process.
async fn stop_at(deadline: Option<Instant>, stop: &Stop) -> Infallible {
    reached(deadline).await;
    tracing::warn!("the deadline of the run has come: finishing what is under way");
    stop.reach_deadline();
    tokio::time::sleep(DRAIN).await;
    stop.give_up.cancel();
    std::future::pending().await
}

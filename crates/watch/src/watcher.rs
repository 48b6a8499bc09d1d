//! [`run`]: the event loop. Files that change, slots that come, pushes, the lease and the end meet
//! here, in one task; a run goes on beside them.
//!
//! One run is made at a time, for all that is due by then: two at once would be twice as rude to a
//! registry, because each has its own pace, and would bring the same blobs twice. What comes meanwhile
//! waits, each once, so nothing grows.
//!
//! Files are read every second and compared by content. Events of the file system would be cheaper,
//! but there are none on network file systems, and of a ConfigMap they tell of links in a folder beside
//! the one that is watched. A change counts once two looks agree, so that a file is not read while it
//! is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schedule::Schedule;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agenda::{Agenda, Request, WatchedFile};
use crate::status::Board;
use crate::web::Door;
use crate::{Moved, Status};

/// What the files hold now, by name; what is equal has not changed.
pub type Prints = BTreeMap<PathBuf, String>;

/// Loads sync files and makes runs.
pub trait Runner {
    /// Why files cannot be used.
    type Error: std::fmt::Display;

    /// What the files hold now.
    fn prints(&self) -> Prints;

    /// Loads the files and uses them from now on, also for [`Runner::wants`] and [`Runner::run`].
    ///
    /// # Errors
    /// What is wrong with them; the ones from before are used further.
    fn load(&self) -> Result<Vec<WatchedFile>, Self::Error>;

    /// Whether something that is wanted comes from there.
    fn wants(&self, moved: &Moved) -> bool;

    /// Makes a run of what is asked for, and tells what became of it.
    fn run(&self, request: Request, halt: Halt) -> impl Future<Output = Ended>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The targets are as wanted.
    Well,
    /// Something is to be looked at.
    NotWell,
}

/// How a run, or the watch, is stopped.
#[derive(Clone, Debug, Default)]
pub struct Halt {
    /// Begin nothing new; what is under way is finished.
    pub begin_nothing: CancellationToken,
    /// Give up what is under way as well.
    pub give_up: CancellationToken,
}

impl Halt {
    fn child(&self) -> Self {
        Self {
            begin_nothing: self.begin_nothing.child_token(),
            give_up: self.give_up.child_token(),
        }
    }

    fn at_once(&self) {
        self.begin_nothing.cancel();
        self.give_up.cancel();
    }
}

/// How the watch goes about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The schedule of files without one.
    pub schedule: Schedule,
    /// How often files are looked at.
    pub poll: Duration,
    /// How long the first push of a burst waits for others.
    pub settle: Duration,
}

impl Settings {
    /// With this schedule for files without one: a look each second, bursts of two.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, poll: Duration::from_secs(1), settle: Duration::from_secs(2) }
    }
}

/// What time it is, and what chance says.
#[derive(Clone)]
pub struct Clock {
    /// The time.
    pub now: Arc<dyn Fn() -> Timestamp>,
    /// A number from 0 to 1, another one each time.
    pub chance: Arc<dyn Fn() -> f64>,
}

/// What the doors give to the watch.
pub struct Inbox {
    pub(crate) moved: mpsc::Receiver<Moved>,
    pub(crate) pings: mpsc::Receiver<oneshot::Sender<()>>,
    pub(crate) board: Board,
}

/// So many pushes may be on their way to the loop, which takes them at once.
const ON_THEIR_WAY: usize = 1024;

/// Two ends: one for [`crate::router`], one for [`run`].
pub fn doors() -> (Door, Inbox) {
    let (push, moved) = mpsc::channel(ON_THEIR_WAY);
    let (ping, pings) = mpsc::channel(64);
    let board = Board::default();
    (Door { push, ping, board: board.clone() }, Inbox { moved, pings, board })
}

/// Watches until `halt` says to begin nothing more, and the run that is under way by then has ended.
///
/// `leads` says whether this replica makes the runs of schedules; a push is synced by the replica that
/// heard of it.
///
/// # Errors
/// What is wrong with the files when it begins; later that keeps nothing from going on.
pub async fn run<R: Runner>(
    runner: &R,
    settings: Settings,
    clock: Clock,
    inbox: Inbox,
    leads: watch::Receiver<bool>,
    halt: Halt,
) -> Result<(), R::Error> {
    let Inbox { mut moved, mut pings, board } = inbox;
    let mut leads = leads;
    let mut watch = Watch::begin(runner, settings, clock, board)?;
    let mut leading = *leads.borrow_and_update();
    let mut has_lease_keeper = true;
    let mut stopping = false;
    let mut running: Option<Running<'_>> = None;
    let mut look_at = Instant::now() + watch.settings.poll;
    loop {
        watch.tick();
        if running.is_none() && !stopping {
            running = watch.begin_run(leading, &halt);
        }
        watch.tell(leading, running.is_some(), stopping);
        if running.is_none() && stopping {
            return Ok(());
        }
        let wake = watch.wake(look_at);
        tokio::select! {
            // An end that was asked for goes before all that might begin.
            biased;
            () = halt.begin_nothing.cancelled(), if !stopping => stopping = true,
            changed = leads.changed(), if has_lease_keeper => {
                has_lease_keeper = changed.is_ok();
                let now_leading = changed.is_ok() && *leads.borrow_and_update();
                if now_leading && !leading {
                    watch.agenda.all_due();
                }
                if let Some(running) = running.as_mut().filter(|_| leading && !now_leading) {
                    running.lease_is_lost();
                }
                leading = now_leading;
            }
            ended = over(&mut running) => {
                if let Some(running) = running.take() {
                    watch.run_ended(running, ended);
                }
            }
            Some(pong) = pings.recv() => {
                // Who asked may have gone away.
                let _ = pong.send(());
            }
            Some(one) = moved.recv(), if !stopping => watch.moved(one),
            () = tokio::time::sleep_until(wake) => {
                if Instant::now() >= look_at {
                    if !stopping {
                        watch.look();
                    }
                    look_at = Instant::now() + watch.settings.poll;
                }
            }
        }
    }
}

/// The run that is under way, to its end; without one, for ever.
async fn over(running: &mut Option<Running<'_>>) -> Ended {
    match running {
        Some(running) => running.future.as_mut().await,
        None => std::future::pending().await,
    }
}

struct Running<'r> {
    request: Request,
    halt: Halt,
    lost_lease: bool,
    future: Pin<Box<dyn Future<Output = Ended> + 'r>>,
}

impl Running<'_> {
    /// Another replica may have begun what this run does, so it ends at once. One of pushes alone is
    /// nobody else's.
    fn lease_is_lost(&mut self) {
        if !self.request.files.is_empty() {
            tracing::warn!("the lease was lost: the run is stopped");
            self.lost_lease = true;
            self.halt.at_once();
        }
    }
}

struct Watch<'r, R> {
    runner: &'r R,
    settings: Settings,
    clock: Clock,
    board: Board,
    agenda: Agenda,
    files: Files,
}

/// What is known of the files.
struct Files {
    /// Those that are used.
    used: Prints,
    /// Those that were loaded last, in vain or not.
    tried: Prints,
    /// Those that were there at the last look.
    seen: Prints,
}

impl<'r, R: Runner> Watch<'r, R> {
    fn begin(
        runner: &'r R,
        settings: Settings,
        clock: Clock,
        board: Board,
    ) -> Result<Self, R::Error> {
        // Looked at before they are loaded: what changes in between is seen at the next look.
        let prints = runner.prints();
        let files = runner.load()?;
        let known = Files { used: prints.clone(), tried: prints.clone(), seen: prints };
        let agenda = Agenda::default();
        let mut watch = Self { runner, settings, clock, board, agenda, files: known };
        watch.agenda.replace(watch.scheduled(files), &BTreeSet::new());
        watch.board.status().files_are_current = true;
        Ok(watch)
    }

    fn now(&self) -> Timestamp {
        (self.clock.now)()
    }

    /// Also while a run is under way: a turn that has come must not be waited for any more.
    fn tick(&mut self) {
        let now = self.now();
        self.agenda.tick(now);
    }

    fn scheduled(&self, files: Vec<WatchedFile>) -> Vec<(PathBuf, Schedule)> {
        let schedule = |file: WatchedFile| {
            (file.path, file.schedule.unwrap_or_else(|| self.settings.schedule.clone()))
        };
        files.into_iter().map(schedule).collect()
    }

    fn begin_run(&mut self, leading: bool, halt: &Halt) -> Option<Running<'r>> {
        let now = self.now();
        let request = self.agenda.begin(leading, now, self.settings.settle);
        if request.is_empty() {
            return None;
        }
        let halt = halt.child();
        let future = Box::pin(self.runner.run(request.clone(), halt.clone()));
        Some(Running { request, halt, lost_lease: false, future })
    }

    fn run_ended(&mut self, running: Running<'_>, ended: Ended) {
        let now = self.now();
        match running.lost_lease {
            true => self.agenda.put_back(running.request, now),
            false => self.agenda.ended(&running.request, now, || (self.clock.chance)()),
        }
        let mut status = self.board.status();
        status.runs += 1;
        status.failed_runs += u64::from(ended == Ended::NotWell);
        status.last_run_ended = Some(now);
    }

    fn moved(&mut self, moved: Moved) {
        if self.runner.wants(&moved) {
            self.agenda.moved(moved, self.now());
        }
    }

    /// Loads the files again where they have changed and stay as they are.
    fn look(&mut self) {
        let prints = self.runner.prints();
        let has_settled = prints == self.files.seen;
        self.files.seen = prints;
        if !has_settled || self.files.seen == self.files.tried {
            return;
        }
        self.files.tried = self.files.seen.clone();
        match self.runner.load() {
            Ok(files) => {
                let is_new =
                    |(path, print): &(&PathBuf, &String)| self.files.used.get(*path) != Some(print);
                let seen = self.files.seen.iter().filter(is_new);
                let changed: BTreeSet<PathBuf> = seen.map(|(path, _)| path.clone()).collect();
                tracing::info!(
                    changed = changed.len(),
                    "the sync files changed and are used as they are now"
                );
                let files = self.scheduled(files);
                self.agenda.replace(files, &changed);
                self.files.used = self.files.seen.clone();
                let mut status = self.board.status();
                status.reloads += 1;
                status.files_are_current = true;
            }
            Err(error) => {
                tracing::error!(
                    "the sync files changed and are wrong; those from before are used further:\n{error}"
                );
                let mut status = self.board.status();
                status.reload_failures += 1;
                status.files_are_current = false;
            }
        }
    }

    /// When to look at things again: at the next look at the files, or the next turn before it. A long
    /// sleep would not hear of it where the clock is set.
    fn wake(&self, look_at: Instant) -> Instant {
        let turn = self.agenda.next().map(|next| {
            let wait = Duration::try_from(next.duration_since(self.now()));
            Instant::now() + wait.unwrap_or_default().min(self.settings.poll)
        });
        turn.map_or(look_at, |turn| turn.min(look_at))
    }

    fn tell(&self, leads: bool, running: bool, stopping: bool) {
        let mut status = self.board.status();
        *status = Status {
            files: self.agenda.files(),
            leads,
            running,
            stopping,
            pushes_waiting: self.agenda.waiting_pushes(),
            ..std::mem::take(&mut *status)
        };
    }
}

#[cfg(test)]
mod tests;

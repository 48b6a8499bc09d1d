//! [`AuditLog`]: an audit log that a run writes. It goes on where the file ends, or where the file
//! before it ended if that was moved away.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use oci::Digest;
use sync::{Act, Room, Unrecorded, Witness};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

use super::chain::{self, Chain, Link};
use super::head::Head;
use super::line::{AuditAct, AuditEvidence, AuditFile, AuditLine, Finished, SCHEMA, Started, Who};
use super::tail::{self, Tail};
use super::writer::{Order, Reach, Writer};

/// What is known of a run when it begins.
#[derive(Clone, Debug)]
pub struct AuditRun {
    /// Its id.
    pub id: String,
    /// The command.
    pub command: String,
    /// The program and its version.
    pub tool: String,
    /// By whom.
    pub who: Who,
    /// Its sync files.
    pub files: Vec<AuditFile>,
    /// Whether the cryptography is that of a FIPS module.
    pub fips: bool,
}

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// How many items had each outcome, by the report's words.
    pub outcomes: BTreeMap<String, u64>,
    /// The code that the process ends with.
    pub exit_code: u8,
}

/// An audit log that this process, and no other, writes.
pub struct AuditLog {
    path: PathBuf,
    run: AuditRun,
    config: Option<String>,
    /// None only while it is dropped.
    orders: Option<UnboundedSender<Order>>,
    writer: Option<JoinHandle<()>>,
    reach: Arc<Reach>,
    /// Where the lines of this run begin, in bytes.
    begin: u64,
    acts: Mutex<BTreeMap<AuditAct, u64>>,
    problem: Mutex<Option<Unrecorded>>,
}

/// Why there is no audit log to write.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Another process writes it.
    #[error("another run writes the audit log `{0}`")]
    Busy(PathBuf),
    /// It holds something else.
    #[error("`{0}` is no audit log; nothing was added to it")]
    NoLog(PathBuf),
    /// It was changed.
    #[error(
        "the last line of the audit log `{0}` is not as it was written; nothing was added to it"
    )]
    Changed(PathBuf),
    /// Lines are missing at its end.
    #[error(
        "the audit log `{path}` ends with line {there}, but line {known} had been written; nothing was \
         added to it"
    )]
    Cut {
        /// The log.
        path: PathBuf,
        /// The number of the last line that is there.
        there: u64,
        /// The number of the last line that was written.
        known: u64,
    },
    /// It cannot be written.
    #[error("cannot write the audit log `{path}`: {error}")]
    Io {
        /// The log.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The first line could not be written.
    #[error("{0}")]
    Unrecorded(Unrecorded),
}

impl AuditError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Busy(_) => "wait for it, or give each run an audit log of its own".to_owned(),
            Self::NoLog(_) => "name a new file, or one that image-syncer wrote".to_owned(),
            Self::Changed(path) => format!(
                "`image-syncer audit verify {0}` says more; keep it as it is and move it away to begin \
                 a new file",
                path.display()
            ),
            Self::Cut { path, .. } => format!(
                "lines were removed, or an older copy was put back; if that was meant, remove `{}`",
                Chain::path(path).display()
            ),
            Self::Io { .. } => "nothing is done without its audit log".to_owned(),
            Self::Unrecorded(problem) => problem.hint.clone().unwrap_or_default(),
        }
    }
}

impl AuditLog {
    /// Opens a log, or begins one, and records that the run has begun.
    ///
    /// # Errors
    /// It cannot be written, is no audit log, or is not as it was written.
    pub async fn open(path: &Path, run: AuditRun) -> Result<Self, AuditError> {
        let io = |error| AuditError::Io { path: path.to_owned(), error };
        let (chain, known) = Chain::open(path).map_err(|problem| match problem {
            chain::Problem::Busy => AuditError::Busy(path.to_owned()),
            chain::Problem::Io(error) => io(error),
        })?;
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(AuditError::NoLog(path.to_owned()));
        }
        if is_new {
            sync_folder(path).map_err(io)?;
        }
        let Tail { last, torn, lacks_end } =
            Tail::of(&mut file).map_err(|problem| match problem {
                tail::Problem::NoLog => AuditError::NoLog(path.to_owned()),
                tail::Problem::Changed => AuditError::Changed(path.to_owned()),
                tail::Problem::Io(error) => io(error),
            })?;
        let last = match (last, known) {
            (Some(there), Some(known)) if there.sequence < known.sequence => {
                let (there, known) = (there.sequence, known.sequence);
                return Err(AuditError::Cut { path: path.to_owned(), there, known });
            }
            (Some(there), _) => there,
            (None, Some(known)) => known,
            (None, None) => Link::before_all(),
        };
        let mut end = file.seek(SeekFrom::End(0)).map_err(io)?;
        if lacks_end {
            file.write_all(b"\n").map_err(io)?;
            end += 1;
        }
        let reach = Arc::new(Reach::default());
        reach.end.store(end, Ordering::SeqCst);
        let mut writer = Writer {
            path: path.to_owned(),
            file,
            chain,
            last,
            reach: Arc::clone(&reach),
            can_reserve: true,
        };
        writer.reserve().map_err(AuditError::Unrecorded)?;
        let (orders, ordered) = mpsc::unbounded_channel();
        let spawned = thread::Builder::new().name("audit".to_owned());
        let writer = spawned.spawn(move || writer.work(ordered)).map_err(io)?;
        let log = Self {
            path: path.to_owned(),
            config: config(&run.files),
            run,
            orders: Some(orders),
            writer: Some(writer),
            reach,
            begin: end,
            acts: Mutex::default(),
            problem: Mutex::default(),
        };
        let started = Started {
            command: log.run.command.clone(),
            who: log.run.who.clone(),
            files: log.run.files.clone(),
            torn,
        };
        let line = AuditLine { started: Some(started), ..log.line(AuditAct::RunStarted) };
        log.write(line).await.map_err(AuditError::Unrecorded)?;
        Ok(log)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kept something from being recorded, if anything did.
    pub fn problem(&self) -> Option<Unrecorded> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that the run has ended, and returns what its last line vouches for.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn finish(&self, ending: Ending) -> Result<Head, Unrecorded> {
        let finished = Finished {
            outcomes: ending.outcomes,
            acts: self.acts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            exit_code: ending.exit_code,
            problem: self.problem().map(|problem| problem.problem),
        };
        let line = AuditLine { finished: Some(finished), ..self.line(AuditAct::RunFinished) };
        let time = line.time;
        let Link { sequence, hash } = self.write(line).await?;
        Ok(Head::new(self.run.id.clone(), time, sequence, hash))
    }

    /// The lines of this run, as far as they are written.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn lines(&self) -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.begin))?;
        let length = self.reach.end.load(Ordering::SeqCst).saturating_sub(self.begin);
        let mut lines = Vec::new();
        file.take(length).read_to_end(&mut lines)?;
        Ok(lines)
    }

    fn line(&self, act: AuditAct) -> AuditLine {
        AuditLine {
            schema: SCHEMA.to_owned(),
            sequence: 0,
            time: Timestamp::now(),
            run: self.run.id.clone(),
            act,
            who: self.run.who.name.clone(),
            tool: self.run.tool.clone(),
            config: self.config.clone(),
            fips: self.run.fips,
            source: None,
            target: None,
            from: None,
            to: None,
            decision: None,
            evidence: AuditEvidence::default(),
            started: None,
            finished: None,
            previous: String::new(),
            hash: String::new(),
        }
    }

    /// The line is on its way when this returns.
    fn write(
        &self,
        line: AuditLine,
    ) -> impl Future<Output = Result<Link, Unrecorded>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Line(Box::new(line), answer));
        answered.map(|answer| answer.unwrap_or_else(|_| Err(gone())))
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _if_gone_then_no_answer = orders.send(order);
        }
    }

    fn failed(&self, problem: &Unrecorded) {
        let mut first = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| problem.clone());
    }
}

impl Witness for AuditLog {
    fn ready(&self) -> BoxFuture<'_, Result<Room, Unrecorded>> {
        let room = Room::take(&self.reach.taken);
        async move {
            if let Some(problem) = self.problem() {
                return Err(problem);
            }
            if self.reach.is_enough() {
                return Ok(room);
            }
            let (answer, answered) = oneshot::channel();
            self.order(Order::Reserve(answer));
            let reserved = answered.await.unwrap_or_else(|_| Err(gone()));
            reserved.inspect_err(|problem| self.failed(problem)).map(|()| room)
        }
        .boxed()
    }

    fn record(&self, act: Act) -> BoxFuture<'_, Result<(), Unrecorded>> {
        let kind = AuditAct::from(act.kind);
        let written = self.write(self.line(kind).about(act));
        // Counted as it is handed over: nobody may wait for the answer. What was not written makes the
        // run one with a problem, and then the count says what was to be written.
        *self.acts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
        async move {
            written.await.map(drop).inspect_err(|problem| {
                self.failed(problem);
                let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
                acts.entry(kind).and_modify(|count| *count = count.saturating_sub(1));
            })
        }
        .boxed()
    }
}

/// All is written, and the file is free for others, when it is dropped.
impl Drop for AuditLog {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!(target: "audit", "the thread that writes the audit log broke off");
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.path).finish_non_exhaustive()
    }
}

fn gone() -> Unrecorded {
    let problem = "the thread that writes it is gone, which is a fault of this program".to_owned();
    Unrecorded { problem, hint: None }
}

/// One digest for all sync files: of the lines that `sha256sum` prints of them, in order.
fn config(files: &[AuditFile]) -> Option<String> {
    let line = |file: &AuditFile| {
        let hex = file.digest.strip_prefix("sha256:").unwrap_or(&file.digest);
        format!("{hex}  {}\n", file.path)
    };
    let lines: String = files.iter().map(line).collect();
    (!lines.is_empty()).then(|| Digest::sha256(lines.as_bytes()).to_string())
}

/// A file that was made survives the loss of power when its folder was synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

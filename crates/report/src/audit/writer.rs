//! [`Writer`]: the one who writes an audit log, on a thread of its own. What comes while it writes is
//! written together next, and synced once.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sync::Unrecorded;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::chain::{Chain, Link};
use super::line::{AuditAct, AuditLine, LINE_ROOM};
use super::room;

/// How much room is taken at once where there is enough, in bytes.
const CHUNK: u64 = 1024 * 1024;

/// Room that acts do not get, in bytes: for what failed at the end of a run, and for the end itself.
const END_ROOM: u64 = 8 * LINE_ROOM as u64;

/// What the writer is asked to do.
pub(super) enum Order {
    /// Write a line.
    Line(Box<AuditLine>, oneshot::Sender<Result<Link, Unrecorded>>),
    /// Take room for all acts that may be recorded.
    Reserve(oneshot::Sender<Result<(), Unrecorded>>),
}

/// How far the file and its room reach, for whoever asks.
#[derive(Default)]
pub(super) struct Reach {
    /// The end of the last whole line, in bytes.
    pub(super) end: AtomicU64,
    /// The end of the room that was taken.
    pub(super) reserved: AtomicU64,
    /// How many acts have room.
    pub(super) taken: Arc<AtomicUsize>,
}

impl Reach {
    /// Up to where room is needed: for all acts that have it, and for the end of the run.
    fn needed(&self) -> u64 {
        let lines = self.taken.load(Ordering::SeqCst) as u64;
        self.end.load(Ordering::SeqCst) + lines * LINE_ROOM as u64 + END_ROOM
    }

    pub(super) fn is_enough(&self) -> bool {
        self.needed() <= self.reserved.load(Ordering::SeqCst)
    }
}

/// Who writes the file.
pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) chain: Chain,
    pub(super) last: Link,
    pub(super) reach: Arc<Reach>,
    /// Whether the file system can take room.
    pub(super) can_reserve: bool,
}

impl Writer {
    /// Works until nobody is left who could ask for something.
    pub(super) fn work(mut self, mut orders: UnboundedReceiver<Order>) {
        let mut batch = Vec::new();
        while let Some(first) = orders.blocking_recv() {
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Line(line, answer) => batch.push((*line, answer)),
                    Order::Reserve(answer) => {
                        let _nobody_waits = answer.send(self.reserve());
                    }
                }
                next = orders.try_recv().ok();
            }
            self.write(std::mem::take(&mut batch));
        }
        self.give_back();
    }

    /// Gives back the room that was taken and not needed, and the file to others.
    fn give_back(&self) {
        if self.can_reserve {
            let _ = self.file.set_len(self.reach.end.load(Ordering::SeqCst));
        }
        self.chain.unlock();
    }

    /// Takes room for all that may come.
    pub(super) fn reserve(&mut self) -> Result<(), Unrecorded> {
        if !self.can_reserve || self.reach.is_enough() {
            return Ok(());
        }
        let begin = self.reach.end.load(Ordering::SeqCst);
        let needed = self.reach.needed();
        let reserved = room::reserve(&self.file, begin, needed + CHUNK)
            .map(|can| can.then_some(needed + CHUNK))
            // The last of the room is enough for some more acts.
            .or_else(|_| room::reserve(&self.file, begin, needed).map(|can| can.then_some(needed)))
            .map_err(|error| self.problem("there is no room for another line", &error))?;
        match reserved {
            Some(end) => self.reach.reserved.store(end, Ordering::SeqCst),
            None => {
                tracing::debug!(target: "audit", "the file system cannot take room before it is used");
                self.can_reserve = false;
                self.reach.reserved.store(u64::MAX, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    fn write(&mut self, lines: Vec<(AuditLine, oneshot::Sender<Result<Link, Unrecorded>>)>) {
        if lines.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        let mut last = self.last.clone();
        let mut written = Vec::new();
        let is_over = lines.iter().any(|(line, _)| line.act == AuditAct::RunFinished);
        for (mut line, answer) in lines {
            line.sequence = last.sequence + 1;
            let sequence = line.sequence;
            match line.sealed(&last.hash) {
                Ok((line, hash)) => {
                    bytes.extend_from_slice(&line);
                    last = Link { sequence, hash };
                    written.push((last.clone(), answer));
                }
                Err(error) => {
                    let _ =
                        answer.send(Err(self.problem("a line cannot be written", &error.into())));
                }
            }
        }
        match self.append(&bytes) {
            Ok(()) => {
                self.last = last;
                // It is a help for rotation; the log itself is what counts.
                if let Err(error) = self.chain.set(&self.last) {
                    tracing::warn!(target: "audit", "cannot write where the chain ends: {error}");
                }
                if is_over {
                    self.give_back();
                }
                for (link, answer) in written {
                    let _nobody_waits = answer.send(Ok(link));
                }
            }
            Err(error) => {
                let problem = self.problem("it cannot be written", &error);
                for (_, answer) in written {
                    let _nobody_waits = answer.send(Err(problem.clone()));
                }
            }
        }
    }

    /// Writes at the end and syncs. What could not be written whole is taken back.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.reach.end.load(Ordering::SeqCst);
        self.file.seek(SeekFrom::Start(end))?;
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.reach.end.store(end + bytes.len() as u64, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => {
                // The room that was taken goes with it.
                let _ = self.file.set_len(end);
                if self.can_reserve {
                    self.reach.reserved.store(end, Ordering::SeqCst);
                }
                Err(error)
            }
        }
    }

    fn problem(&self, what: &str, error: &io::Error) -> Unrecorded {
        let hint = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room on the disk of the audit log, and run again: what is done is not done twice"
            }
            _ => "see to it that the audit log can be written, and run again",
        };
        Unrecorded {
            problem: format!("{what}: `{}`: {error}", self.path.display()),
            hint: Some(hint.to_owned()),
        }
    }
}

//! Signals and the deadline: the first SIGINT or SIGTERM, or the deadline, lets what is under way be
//! finished, for a while; a further signal ends it at once.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use report::Signal;
use sync::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long a transfer may go on after the first signal. Kubernetes kills after 30 seconds, and the
/// report is still to be written.
pub(crate) const DRAIN: Duration = Duration::from_secs(25);

/// Listens while it lives.
pub(crate) struct Signals {
    first: Arc<OnceLock<Signal>>,
    listener: JoinHandle<()>,
}

impl Signals {
    /// Begins to listen, and stops the run when a signal comes, or the deadline.
    ///
    /// # Errors
    /// What the system says, where it does not let us listen.
    pub(crate) fn stopping(stop: Stop, deadline: Option<Instant>) -> io::Result<Self> {
        let mut incoming = Incoming::new()?;
        let first = Arc::new(OnceLock::new());
        let seen = Arc::clone(&first);
        let listener = tokio::spawn(async move {
            tokio::select! {
                signal = incoming.next() => {
                    let _only_once = seen.set(signal);
                    stop.begin_nothing.cancel();
                    tracing::warn!(
                        "{} received: finishing what is under way, for {} seconds at most; \
                         a second signal ends it at once",
                        name(signal),
                        DRAIN.as_secs()
                    );
                }
                () = reached(deadline) => {
                    stop.reach_deadline();
                    tracing::warn!(
                        "the deadline has come: finishing what is under way, for {} seconds at \
                         most; a signal ends it at once",
                        DRAIN.as_secs()
                    );
                }
            }
            tokio::select! {
                signal = incoming.next() => {
                    let again = if seen.set(signal).is_err() { " again" } else { "" };
                    tracing::warn!("{} received{again}", name(signal));
                }
                () = tokio::time::sleep(DRAIN) => {
                    tracing::warn!("what is under way did not end in time and is given up");
                }
            }
            stop.give_up.cancel();
        });
        Ok(Self { first, listener })
    }

    /// The first signal that came, if one did.
    pub(crate) fn first(&self) -> Option<Signal> {
        self.first.get().copied()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Both signals, in the order they come.
pub(crate) struct Incoming {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Incoming {
    /// Begins to catch signals, which from now on do not end the process.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

/// Waits for the deadline; without one, for ever.
pub(crate) async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Interrupt => "SIGINT",
        Signal::Terminate => "SIGTERM",
    }
}

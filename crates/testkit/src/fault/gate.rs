//! [`Gate`] and [`Release`]: something is held until the test says go. No clock decides anything.

use std::fmt;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::log::PATIENCE;

/// Where something is held.
#[derive(Clone)]
pub(crate) struct Gate {
    open: watch::Receiver<bool>,
    arrived: watch::Sender<u64>,
}

/// Lets go what a stalling fault holds, when [`Release::release`] is called or it is dropped.
#[must_use = "dropping it releases what is held"]
pub struct Release {
    open: watch::Sender<bool>,
    arrived: watch::Receiver<u64>,
}

impl Gate {
    pub(crate) fn new() -> (Self, Release) {
        let (open, opened) = watch::channel(false);
        let (arrived, arrivals) = watch::channel(0);
        (Self { open: opened, arrived }, Release { open, arrived: arrivals })
    }

    /// Waits until the gate is open.
    pub(crate) async fn pass(mut self) {
        self.arrived.send_modify(|count| *count += 1);
        // An error means that the test let the handle go, which opens the gate as well.
        let _ = self.open.wait_for(|open| *open).await;
    }
}

impl Release {
    /// Lets go what is held, and what comes later.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// Waits until at least `count` requests came to where they are held.
    ///
    /// # Panics
    /// After half a minute, with how many came.
    pub async fn reached(&self, count: u64) {
        let mut arrived = self.arrived.clone();
        // An error means that the fault is gone: then nothing will come any more.
        if timeout(PATIENCE, arrived.wait_for(|arrived| *arrived >= count)).await.is_err() {
            let came = *self.arrived.borrow();
            panic!("waited {PATIENCE:?} for {count} requests to be held; {came} came");
        }
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release").field("held", &*self.arrived.borrow()).finish_non_exhaustive()
    }
}

//! [`Item`]: one wanted tag on its walk.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::Instant;
use tracing::Span;

use crate::spans;
use crate::{Failure, ItemId, ItemReport, Outcome, SignatureReport, Wanted};

/// One wanted tag on its walk.
pub(crate) struct Item {
    pub(crate) id: ItemId,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) span: Span,
    started: Instant,
    report: Mutex<ItemReport>,
    has_moved: OnceLock<()>,
    end: OnceLock<Result<Outcome, Failure>>,
}

impl Item {
    /// An item whose turn has come.
    pub(crate) fn new(id: ItemId, wanted: Arc<Wanted>) -> Self {
        let report = Mutex::new(ItemReport::new(Arc::clone(&wanted), Outcome::Failed));
        let (has_moved, end) = (OnceLock::new(), OnceLock::new());
        let span = spans::item(&wanted);
        Self { id, wanted, span, started: Instant::now(), report, has_moved, end }
    }

    /// What is known of it so far. Not to be held for long.
    pub(crate) fn report(&self) -> MutexGuard<'_, ItemReport> {
        // What is written under the lock cannot panic.
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of its signature so far.
    pub(crate) fn signature_is(&self, signature: SignatureReport) {
        self.report().signature = Some(signature);
    }

    /// The source's tag no longer points at the pinned digest.
    pub(crate) fn source_has_moved(&self) {
        let _ = self.has_moved.set(());
    }

    /// What it is when it has been copied.
    pub(crate) fn copied(&self) -> Outcome {
        match self.has_moved.get() {
            Some(()) => Outcome::SourceMoved,
            None => Outcome::Copied,
        }
    }

    /// Whether it came to an end.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.get().is_some()
    }

    /// What became of it. The first end counts.
    pub(crate) fn ends(&self, end: Result<Outcome, Failure>) {
        let _ = self.end.set(end);
    }

    /// The report of what became of it, `otherwise` if it came to no end.
    pub(crate) fn into_report(self, otherwise: impl FnOnce() -> Failure) -> ItemReport {
        let mut report = self.report.into_inner().unwrap_or_else(PoisonError::into_inner);
        match self.end.into_inner().unwrap_or_else(|| Err(otherwise())) {
            Ok(outcome) => report.outcome = outcome,
            Err(failure) => report.fail(failure),
        }
        report.duration = self.started.elapsed();
        report
    }
}

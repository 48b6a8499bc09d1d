//! [`Severity`]: how much an item matters to who reads of its run. Every format takes it from here, so that
//! none calls a failure what another one calls a warning.

use super::{Item, Mode, Outcome, Run};

/// How much an item matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// It is as it should be.
    Fine,
    /// Something is to be done, and nothing was written because nothing was to be.
    Pending,
    /// It is not as it should be, and that is no failure.
    Warning,
    /// The run failed for it.
    Error,
}

impl Severity {
    pub(super) fn of(item: &Item, run: &Run) -> Self {
        match item.outcome {
            // What was to be verified is not there.
            Outcome::WouldCopy | Outcome::WouldCreate | Outcome::WouldUpdate
                if run.mode == Mode::Verify =>
            {
                Self::Error
            }
            Outcome::Copied
            | Outcome::UpToDate
            | Outcome::Created
            | Outcome::Updated
            | Outcome::WouldCopy
            | Outcome::WouldCreate
            | Outcome::WouldUpdate => match item.is_pending() {
                true => Self::Pending,
                false => Self::Fine,
            },
            Outcome::SourceLost if run.source_lost_fails => Self::Error,
            Outcome::SourceMoved | Outcome::SourceLost | Outcome::Deferred => Self::Warning,
            Outcome::Drift | Outcome::SourceMissing | Outcome::Refused | Outcome::Failed => {
                Self::Error
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, ExitStatus, Rules, SourceLost, sample};

    /// Reports and exit codes are read side by side: what is an error in one is none without the other.
    #[test]
    fn an_error_is_what_the_run_fails_for() {
        use sync::Outcome as O;
        let outcomes = [
            O::Copied,
            O::WouldCopy,
            O::UpToDate,
            O::Drift,
            O::SourceMoved,
            O::SourceMissing,
            O::SourceLost,
            O::Refused,
            O::Failed,
        ];
        for mode in [sync::Mode::Sync, sync::Mode::Plan, sync::Mode::Verify] {
            for source_lost in [SourceLost::Warn, SourceLost::Fail] {
                for outcome in outcomes {
                    let report = sample::report_of(vec![sample::item("a:1", 1, outcome)]);
                    let rules = Rules { mode, source_lost, pending_has_code: false, signal: None };
                    let status = ExitStatus::of(&report, &[], &rules);
                    let facts = crate::RunFacts { mode, source_lost, ..sample::facts() };
                    let document = Document::new(&facts, &report, status);
                    let severity = document.severity(&document.items[0]);
                    let fails = status != ExitStatus::Success;
                    assert_eq!(severity == Severity::Error, fails, "{outcome:?} {rules:?}");
                }
            }
        }
    }
}

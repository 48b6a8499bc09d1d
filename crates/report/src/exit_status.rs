//! [`ExitStatus`]: the exit codes, which are an API, and the one rule that picks one of them.

use sync::{Class, Failure, ItemReport, Mode, Outcome, RunReport};

use crate::{Item, RepositoryOutcome, RepositoryReport};

/// What the process tells its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExitStatus {
    /// The target is as wanted.
    Success,
    /// At least one item failed.
    ItemFailed,
    /// The command line, the environment or the sync file is wrong.
    Usage,
    /// At least one target tag holds other content.
    Drift,
    /// Credentials were refused.
    Credentials,
    /// A policy refused at least one item.
    Refused,
    /// A plan has something to do.
    ChangesPending,
    /// A rate limit or the deadline put something off.
    RateLimited,
    /// SIGINT stopped the run.
    Interrupted,
    /// SIGTERM stopped the run.
    Terminated,
}

/// A signal that asks a run to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM, as supervisors send it.
    Terminate,
}

/// What an item counts as that the source has lost and the target still has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SourceLost {
    /// Something to know.
    #[default]
    Warn,
    /// A failure.
    Fail,
}

/// What a run's end is judged by, besides its report.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What the run did with what it decided.
    pub mode: Mode,
    /// What a lost source counts as.
    pub source_lost: SourceLost,
    /// Whether a plan with something to do has a code of its own.
    pub pending_has_code: bool,
    /// The first signal that came.
    pub signal: Option<Signal>,
}

impl ExitStatus {
    /// Every status, by code.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::ItemFailed,
        Self::Usage,
        Self::Drift,
        Self::Credentials,
        Self::Refused,
        Self::ChangesPending,
        Self::RateLimited,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Of several, what a person should look at first.
    const PRECEDENCE: [Self; 6] = [
        Self::Refused,
        Self::Drift,
        Self::Credentials,
        Self::ItemFailed,
        Self::RateLimited,
        Self::ChangesPending,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ItemFailed => 1,
            Self::Usage => 2,
            Self::Drift => 3,
            Self::Credentials => 4,
            Self::Refused => 5,
            Self::ChangesPending => 6,
            // EX_TEMPFAIL of sysexits.h: a temporary failure, try again later.
            Self::RateLimited => 75,
            // 128 + the signal's number, as shells have it.
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The status with this number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "the target is as wanted (for `plan`: the plan was made)",
            Self::ItemFailed => "at least one item failed (network, server, missing source)",
            Self::Usage => {
                "the command line, a variable or the sync file is wrong; no registry was asked"
            }
            Self::Drift => "drift: at least one target tag holds other content",
            Self::Credentials => "a registry or a key refused the credentials",
            Self::Refused => "a policy or signature verification refused at least one item",
            Self::ChangesPending => "`plan --exit-code`, `lock --check`: changes are pending",
            Self::RateLimited => "put off by a rate limit or the deadline; run again later",
            Self::Interrupted => {
                "interrupted (SIGINT); what was under way was finished, the report written"
            }
            Self::Terminated => {
                "terminated (SIGTERM); what was under way was finished, the report written"
            }
        }
    }

    /// Of several, the one that a person should look at first.
    pub fn first_of(statuses: impl IntoIterator<Item = Self>) -> Self {
        let statuses: Vec<Self> = statuses.into_iter().collect();
        Self::PRECEDENCE
            .into_iter()
            .find(|status| statuses.contains(status))
            .unwrap_or(Self::Success)
    }

    /// The status of a run that ended with this report.
    ///
    /// A signal decides only where something was left undone because of it.
    pub fn of(report: &RunReport, repositories: &[RepositoryReport], rules: &Rules) -> Self {
        let of_items = report.items.iter().map(|item| &item.failure);
        let mut failures = of_items.chain(repositories.iter().map(|one| &one.failure)).flatten();
        let stopped = failures.any(|failure| failure.class == Class::Interrupted);
        if report.interrupted && stopped {
            return match rules.signal {
                Some(Signal::Terminate) => Self::Terminated,
                Some(Signal::Interrupt) | None => Self::Interrupted,
            };
        }
        let items = report.items.iter().map(|item| of_item(item, rules));
        Self::first_of(items.chain(repositories.iter().map(|one| of_repository(one, rules))))
    }
}

impl ExitStatus {
    /// The status of a command that this failure ends.
    pub fn of_failure(failure: &Failure) -> Self {
        match failure.class {
            Class::Credentials | Class::Denied | Class::KeyDenied => Self::Credentials,
            Class::Signature => Self::Refused,
            Class::RateLimited | Class::Deadline => Self::RateLimited,
            _ => Self::ItemFailed,
        }
    }
}

fn of_item(item: &ItemReport, rules: &Rules) -> ExitStatus {
    match item.outcome {
        // What was to be verified is not there.
        Outcome::WouldCopy if rules.mode == Mode::Verify => ExitStatus::ItemFailed,
        Outcome::Copied | Outcome::UpToDate | Outcome::SourceMoved | Outcome::WouldCopy => {
            pending_or_fine(|| Item::from(item), rules)
        }
        Outcome::SourceLost => match rules.source_lost {
            SourceLost::Warn => ExitStatus::Success,
            SourceLost::Fail => ExitStatus::ItemFailed,
        },
        Outcome::Drift => ExitStatus::Drift,
        Outcome::Refused => ExitStatus::Refused,
        Outcome::SourceMissing => ExitStatus::ItemFailed,
        Outcome::Failed | Outcome::Deferred => {
            undone(item.failure.as_ref(), item.outcome == Outcome::Deferred)
        }
    }
}

fn of_repository(report: &RepositoryReport, rules: &Rules) -> ExitStatus {
    match report.outcome {
        RepositoryOutcome::Created | RepositoryOutcome::Updated | RepositoryOutcome::UpToDate => {
            ExitStatus::Success
        }
        RepositoryOutcome::WouldCreate | RepositoryOutcome::WouldUpdate => match rules.mode {
            Mode::Verify if report.outcome == RepositoryOutcome::WouldCreate => {
                ExitStatus::ItemFailed
            }
            Mode::Verify => ExitStatus::Drift,
            Mode::Plan | Mode::Sync => pending_or_fine(|| Item::from(report), rules),
        },
        RepositoryOutcome::Drift => ExitStatus::Drift,
        RepositoryOutcome::Failed | RepositoryOutcome::Deferred => {
            undone(report.failure.as_ref(), report.outcome == RepositoryOutcome::Deferred)
        }
    }
}

/// The status of what did not go wrong.
fn pending_or_fine(item: impl FnOnce() -> Item, rules: &Rules) -> ExitStatus {
    let has_code = rules.mode == Mode::Plan && rules.pending_has_code;
    match has_code && item().is_pending() {
        true => ExitStatus::ChangesPending,
        false => ExitStatus::Success,
    }
}

fn undone(failure: Option<&Failure>, is_deferred: bool) -> ExitStatus {
    match failure {
        // Its turn never came: what stopped the run has the say.
        Some(failure) if failure.class == Class::Interrupted && is_deferred => ExitStatus::Success,
        // What rules match besides what is locked is news.
        Some(failure) if failure.class == Class::NotLocked && is_deferred => ExitStatus::Success,
        Some(failure) => ExitStatus::of_failure(failure),
        None => ExitStatus::ItemFailed,
    }
}

#[cfg(test)]
mod tests {
    use sync::Side;

    use super::*;
    use crate::sample::{failure, item, report_of};

    const RULES: Rules = Rules {
        mode: Mode::Sync,
        source_lost: SourceLost::Warn,
        pending_has_code: false,
        signal: None,
    };

    fn one(outcome: Outcome) -> ItemReport {
        item("nginx:1", 1, outcome)
    }

    fn failed(class: Class) -> ItemReport {
        ItemReport { failure: Some(failure(Side::Target, class)), ..one(Outcome::Failed) }
    }

    fn put_off(class: Class) -> ItemReport {
        ItemReport { failure: Some(failure(Side::Source, class)), ..one(Outcome::Deferred) }
    }

    #[test]
    fn every_item_has_its_status() {
        use ExitStatus as E;
        use Outcome as O;
        let verify = Rules { mode: Mode::Verify, ..RULES };
        let plan = Rules { mode: Mode::Plan, ..RULES };
        let plan_with_code = Rules { pending_has_code: true, ..plan };
        let strict = Rules { source_lost: SourceLost::Fail, ..RULES };
        let table = [
            (one(O::Copied), RULES, E::Success),
            (one(O::UpToDate), RULES, E::Success),
            (one(O::SourceMoved), RULES, E::Success),
            (one(O::Drift), RULES, E::Drift),
            (one(O::Drift), plan, E::Drift),
            (one(O::Drift), verify, E::Drift),
            (one(O::Refused), RULES, E::Refused),
            (one(O::SourceMissing), RULES, E::ItemFailed),
            (one(O::SourceMissing), plan, E::ItemFailed),
            (one(O::SourceLost), RULES, E::Success),
            (one(O::SourceLost), strict, E::ItemFailed),
            (one(O::WouldCopy), plan, E::Success),
            (one(O::WouldCopy), plan_with_code, E::ChangesPending),
            (one(O::WouldCopy), verify, E::ItemFailed),
            (put_off(Class::RateLimited), RULES, E::RateLimited),
            (put_off(Class::Interrupted), RULES, E::Success),
            (put_off(Class::Deadline), RULES, E::RateLimited),
            (put_off(Class::NotLocked), RULES, E::Success),
            (failed(Class::NotLocked), RULES, E::ItemFailed),
            (put_off(Class::NotPlanned), RULES, E::ItemFailed),
            (failed(Class::RateLimited), RULES, E::RateLimited),
            (failed(Class::Credentials), RULES, E::Credentials),
            (failed(Class::Denied), RULES, E::Credentials),
            (failed(Class::KeyDenied), RULES, E::Credentials),
            (failed(Class::Key), RULES, E::ItemFailed),
            (failed(Class::Network), RULES, E::ItemFailed),
            (failed(Class::Content), RULES, E::ItemFailed),
            (failed(Class::Storage), RULES, E::ItemFailed),
        ];
        for (item, rules, expected) in table {
            let case = format!("{:?} {:?} {rules:?}", item.outcome, item.failure);
            assert_eq!(ExitStatus::of(&report_of(vec![item]), &[], &rules), expected, "{case}");
        }
        assert_eq!(ExitStatus::of(&report_of(Vec::new()), &[], &RULES), E::Success);
    }

    #[test]
    fn every_repository_has_its_status() {
        use {ExitStatus as E, RepositoryOutcome as O};
        let plan = Rules { mode: Mode::Plan, ..RULES };
        let pending = Rules { pending_has_code: true, ..plan };
        let verify = Rules { mode: Mode::Verify, ..RULES };
        let table = [
            (O::Created, RULES, E::Success),
            (O::Updated, RULES, E::Success),
            (O::UpToDate, verify, E::Success),
            (O::WouldCreate, plan, E::Success),
            (O::WouldCreate, pending, E::ChangesPending),
            (O::WouldUpdate, pending, E::ChangesPending),
            (O::WouldCreate, verify, E::ItemFailed),
            (O::WouldUpdate, verify, E::Drift),
            (O::Drift, RULES, E::Drift),
            (O::Failed, RULES, E::Credentials),
        ];
        for (outcome, rules, expected) in table {
            let failure = (outcome == O::Failed).then(|| failure(Side::Target, Class::Denied));
            let one = RepositoryReport { outcome, failure, ..sample_repository() };
            let status = ExitStatus::of(&report_of(Vec::new()), &[one], &rules);
            assert_eq!(status, expected, "{outcome:?} {rules:?}");
        }
    }

    fn sample_repository() -> RepositoryReport {
        crate::sample::repositories().remove(0)
    }

    #[test]
    fn nothing_wanted_is_a_success() {
        assert_eq!(ExitStatus::of(&report_of(Vec::new()), &[], &RULES), ExitStatus::Success);
    }

    #[test]
    fn of_several_the_first_to_look_at_wins() {
        use ExitStatus as E;
        let mut items = vec![
            one(Outcome::Copied),
            put_off(Class::RateLimited),
            failed(Class::Server),
            failed(Class::Denied),
            one(Outcome::Drift),
            one(Outcome::Refused),
        ];
        let by_last =
            [E::Refused, E::Drift, E::Credentials, E::ItemFailed, E::RateLimited, E::Success];
        for expected in by_last {
            assert_eq!(ExitStatus::of(&report_of(items.clone()), &[], &RULES), expected);
            items.rotate_left(1);
            assert_eq!(
                ExitStatus::of(&report_of(items.clone()), &[], &RULES),
                expected,
                "any order"
            );
            items.rotate_right(1);
            items.pop();
        }
    }

    #[test]
    fn a_signal_decides_where_it_left_something_undone() {
        let stopped = vec![one(Outcome::Drift), put_off(Class::Interrupted)];
        let all_done = vec![one(Outcome::Copied)];
        let table = [
            (stopped.clone(), Some(Signal::Interrupt), 130),
            (stopped, Some(Signal::Terminate), 143),
            (all_done, Some(Signal::Terminate), 0),
        ];
        for (items, signal, code) in table {
            let report = RunReport { interrupted: true, ..report_of(items) };
            assert_eq!(ExitStatus::of(&report, &[], &Rules { signal, ..RULES }).code(), code);
        }
    }

    #[test]
    fn codes_are_unique_and_sorted() {
        let codes: Vec<u8> = ExitStatus::ALL.into_iter().map(ExitStatus::code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }
}

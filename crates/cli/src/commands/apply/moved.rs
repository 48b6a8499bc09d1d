//! [`HasMoved`]: how the world is not any more what a plan was made of, and what becomes of everything then:
//! nothing is done, and reports, notices and the audit log say why.

use std::sync::Arc;

use report::{ExitStatus, PlanDocument, RepositoryOutcome, RepositoryReport};
use sync::{
    Act, Class, Failure, ItemReport, Moved, Outcome, RunReport, Side, Unrecorded, Witness, compare,
};

use super::Item;
use crate::error::CliError;
use crate::repository_acts;
use crate::run::Walked;

/// What of the world is not as the plan needs it.
pub(super) struct HasMoved {
    problems: Vec<String>,
    statuses: Vec<ExitStatus>,
    /// Whether all of it is that something could not be looked at.
    is_only_unseen: bool,
}

impl HasMoved {
    /// Compares a plan with what was seen; nothing where it can be carried out. What differs is a failure of its
    /// item from here on.
    pub(super) fn since(plan: &PlanDocument, items: &[Item], seen: &mut Walked) -> Option<Self> {
        let mut all = Self { problems: Vec::new(), statuses: Vec::new(), is_only_unseen: true };
        for (item, report) in items.iter().zip(&mut seen.report.items) {
            if let Some(moved) = compare(item.planned, report) {
                all.is_only_unseen &= matches!(moved, Moved::NotSeen);
                let (problem, status) = tell(moved, report);
                all.problems.push(format!("{}: {problem}", item.wanted.target));
                all.statuses.push(status);
                if !says_so_itself(report.outcome) {
                    report.outcome = Outcome::Failed;
                    report.failure = Some(failure(Class::NotPlanned, problem));
                }
            }
        }
        for planned in &plan.repositories {
            let now = seen.repositories.iter_mut().find(|one| one.name == planned.name);
            let (problem, status) = match now {
                None => ("the sync file does not ask for it".to_owned(), ExitStatus::ItemFailed),
                Some(RepositoryReport { failure: Some(failure), .. }) => {
                    all.is_only_unseen &= failure.class != Class::NotPlanned;
                    (failure.to_string(), ExitStatus::of_failure(failure))
                }
                Some(now) if now.changes.is_empty() || now.changes == planned.changes => continue,
                Some(now) => {
                    all.is_only_unseen = false;
                    let changes = std::mem::take(&mut now.changes).join("\n").replace('\n', "\n  ");
                    let problem =
                        format!("what would be changed is not what is planned:\n  {changes}");
                    now.outcome = RepositoryOutcome::Failed;
                    now.failure = Some(failure(Class::NotPlanned, problem.clone()));
                    (problem, ExitStatus::ItemFailed)
                }
            };
            all.problems.push(format!("{}: {problem}", planned.name));
            all.statuses.push(status);
        }
        (!all.problems.is_empty()).then_some(all)
    }

    /// How the run ends for it.
    pub(super) fn status(&self) -> ExitStatus {
        ExitStatus::first_of(self.statuses.iter().copied())
    }

    /// Everything that differs, for who applies the plan.
    pub(super) fn error(&self) -> CliError {
        let problems = self.problems.join("\n");
        if self.is_only_unseen {
            let message = "not everything could be looked at; nothing was written";
            return CliError::failed(format!("{message}\n{problems}"))
                .hint("the plan can still be applied, where that is mended");
        }
        CliError::failed(format!("{HAS_MOVED}\n{problems}"))
            .hint("make a new plan, and look at what it says")
    }
}

const HAS_MOVED: &str = "the world has moved since the plan was made; nothing was written";

/// Puts off what would have been done if the look had found nothing, and has on record what it found beyond
/// what the walk has recorded itself.
pub(super) async fn leave_undone(seen: &mut Walked, witness: Option<&Arc<dyn Witness>>) {
    let why = why_undone(&seen.report);
    for report in &mut seen.report.items {
        if report.outcome == Outcome::WouldCopy {
            report.outcome = Outcome::Deferred;
            report.failure = Some(why.clone());
        }
        let is_news = report.failure.as_ref().is_some_and(|why| why.class == Class::NotPlanned);
        if let (true, Some(witness), Some(act)) = (is_news, witness, Act::of_end(report))
            && let Err(problem) = witness.record(act).await
        {
            report.notes.push(unrecorded(&problem));
        }
    }
    for report in &mut seen.repositories {
        if matches!(report.outcome, RepositoryOutcome::WouldCreate | RepositoryOutcome::WouldUpdate)
        {
            report.outcome = RepositoryOutcome::Deferred;
            report.failure = Some(why.clone());
            report.changes.clear();
        }
        repository_acts::ended(witness, report).await;
    }
}

/// Why nothing is done: what stopped the look, or what it found.
fn why_undone(seen: &RunReport) -> Failure {
    let stops = |failure: &&Failure| matches!(failure.class, Class::Interrupted | Class::Deadline);
    let stopped = seen.items.iter().filter_map(|item| item.failure.as_ref()).find(stops);
    match (stopped, seen.interrupted) {
        (Some(failure), _) => failure.clone(),
        (None, true) => failure(Class::Interrupted, "the run was stopped before its turn came"),
        (None, false) => Failure {
            hint: Some("make a new plan, and look at what it says".to_owned()),
            ..failure(Class::Interrupted, HAS_MOVED)
        },
    }
}

fn unrecorded(problem: &Unrecorded) -> String {
    format!("this could not be recorded in the audit log: {problem}")
}

/// Whether an item that ended so was not done for a reason of its own.
fn says_so_itself(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Drift
        | Outcome::Refused
        | Outcome::Failed
        | Outcome::SourceMissing
        | Outcome::Deferred => true,
        Outcome::Copied
        | Outcome::WouldCopy
        | Outcome::UpToDate
        | Outcome::SourceMoved
        | Outcome::SourceLost => false,
    }
}

fn tell(moved: Moved, report: &ItemReport) -> (String, ExitStatus) {
    let failure = || match &report.failure {
        Some(failure) => failure.to_string(),
        None => "there is no reason, which is a fault of this program".to_owned(),
    };
    match moved {
        Moved::TargetChanged { planned, there } => {
            let there = there.map_or("something else".to_owned(), |digest| digest.to_string());
            (format!("the target holds {there}, planned is {planned}"), ExitStatus::Drift)
        }
        Moved::TargetLost => {
            ("the target does not have it any more".to_owned(), ExitStatus::ItemFailed)
        }
        Moved::SourceGone => (failure(), ExitStatus::ItemFailed),
        Moved::Refused => (failure(), ExitStatus::Refused),
        Moved::NotSeen => {
            let of = |failure: &Failure| ExitStatus::of_failure(failure);
            (failure(), report.failure.as_ref().map_or(ExitStatus::ItemFailed, of))
        }
    }
}

fn failure(class: Class, message: impl Into<String>) -> Failure {
    Failure::new(Side::Target, class, message)
}

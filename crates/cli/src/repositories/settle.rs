//! What becomes of one repository, or of the one setting of a whole registry: the difference, what is done
//! about it, and the report.

use std::sync::Arc;
use std::time::Duration;

use ecr::{Applied, Client, Difference, Incomplete, Observed, Wanted};
use report::{RepositoryOutcome, RepositoryReport};
use sync::{Class, Failure, Mode, Side, Witness};
use syncfile::EcrRepository;
use tokio::time::Instant;

use crate::repository_acts;
use crate::wiring::origin;

/// What becomes of a repository that was looked at.
pub(super) async fn settle(
    client: &Client,
    wanted: &Wanted,
    found: Option<&Observed>,
    mode: Mode,
    witness: Option<&Arc<dyn Witness>>,
    report: &mut RepositoryReport,
) {
    let Difference { changes, mut notes, .. } =
        ecr::diff(wanted, found, client.options().prune_policies);
    report.changes = changes.iter().map(ToString::to_string).collect();
    report.outcome = match (changes.is_empty(), found) {
        (true, _) => RepositoryOutcome::UpToDate,
        (false, None) => RepositoryOutcome::WouldCreate,
        (false, Some(_)) => RepositoryOutcome::WouldUpdate,
    };
    if mode == Mode::Sync && !changes.is_empty() {
        let _room = match repository_acts::begin(witness, changes.len()).await {
            Ok(room) => room,
            Err(failure) => return end(report, failure),
        };
        let (applied, error) = match client.writer().apply(wanted, &changes).await {
            Ok(applied) => (applied, None),
            Err(Incomplete { applied, error }) => (applied, Some(error)),
        };
        did(report, &applied);
        if let Err(failure) = repository_acts::done(witness, report, report.changes.clone()).await {
            end(report, failure);
        }
        notes.extend(applied.notes);
        if let Some(error) = error {
            end(report, failure_of(&error));
        }
    }
    if report.failure.is_none() && notes.iter().any(ecr::Note::is_unmet) {
        report.outcome = RepositoryOutcome::Drift;
    }
    report.notes = notes.iter().map(ToString::to_string).collect();
}

fn did(report: &mut RepositoryReport, applied: &Applied) {
    report.changes = applied.changes.iter().map(ToString::to_string).collect();
    report.policies = applied.policies();
    report.outcome = match (applied.is_created(), applied.changes.is_empty()) {
        (true, _) => RepositoryOutcome::Created,
        (false, false) => RepositoryOutcome::Updated,
        (false, true) => RepositoryOutcome::UpToDate,
    };
}

/// The one setting of a whole registry, where a repository wants it.
pub(super) async fn blob_mounting(
    client: &Client,
    wanted: &[Wanted],
    mode: Mode,
    witness: Option<&Arc<dyn Witness>>,
) -> Option<RepositoryReport> {
    // That they agree was checked with the file.
    let enabled = ecr::wanted_blob_mounting(wanted).ok()??;
    let started = Instant::now();
    let mut report = RepositoryReport {
        name: client.registry().host().to_string(),
        origin: None,
        outcome: RepositoryOutcome::UpToDate,
        changes: Vec::new(),
        policies: 0,
        notes: Vec::new(),
        failure: None,
        duration: Duration::ZERO,
    };
    match client.blob_mounting(enabled).await {
        Ok(None) => {}
        Ok(Some(change)) => {
            report.changes.push(change.to_string());
            report.outcome = RepositoryOutcome::WouldUpdate;
            if mode == Mode::Sync {
                let changed = change_blob_mounting(client, change, witness, &mut report).await;
                changed.unwrap_or_else(|failure| end(&mut report, failure));
            }
        }
        Err(error) => end(&mut report, failure_of(&error)),
    }
    repository_acts::ended(witness, &mut report).await;
    report.duration = started.elapsed();
    Some(report)
}

async fn change_blob_mounting(
    client: &Client,
    change: ecr::BlobMounting,
    witness: Option<&Arc<dyn Witness>>,
    report: &mut RepositoryReport,
) -> Result<(), Failure> {
    let _room = repository_acts::begin(witness, 1).await?;
    let applied = client.writer().apply_blob_mounting(change).await;
    applied.map_err(|error| failure_of(&error))?;
    report.outcome = RepositoryOutcome::Updated;
    repository_acts::done(witness, report, report.changes.clone()).await
}

/// Ends a repository with a failure. The deadline, a rate limit or a stop before its turn puts it off.
pub(super) fn end(report: &mut RepositoryReport, failure: Failure) {
    report.outcome = match failure.class {
        Class::RateLimited | Class::Deadline => RepositoryOutcome::Deferred,
        Class::Interrupted if report.changes.is_empty() => RepositoryOutcome::Deferred,
        _ => RepositoryOutcome::Failed,
    };
    report.failure = Some(failure);
}

/// A report of which nothing is known yet: a failure, if it stays so.
pub(super) fn report(repository: &EcrRepository, duration: Duration) -> RepositoryReport {
    RepositoryReport {
        name: repository.location().to_string(),
        origin: Some(origin(&repository.origin)),
        outcome: RepositoryOutcome::Failed,
        changes: Vec::new(),
        policies: 0,
        notes: Vec::new(),
        failure: None,
        duration,
    }
}

pub(super) fn failure_of(error: &ecr::Error) -> Failure {
    let class = match error.class() {
        ecr::ErrorClass::Denied => Class::Denied,
        ecr::ErrorClass::Throttled => Class::RateLimited,
        ecr::ErrorClass::Failed => Class::Server,
    };
    Failure { hint: error.hint().map(str::to_owned), ..failed(class, error.to_string()) }
}

pub(super) fn failed(class: Class, message: impl Into<String>) -> Failure {
    Failure::new(Side::Target, class, message)
}

pub(super) fn again(failure: Failure) -> Failure {
    Failure { hint: Some("run again: what is done is not done twice".to_owned()), ..failure }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ecr::{Change, PolicyKind};

    use super::*;
    use crate::repositories::tests::repository;

    #[test]
    fn what_was_done_is_what_is_told() {
        let create = Change::Create {
            mutability: None,
            scan_on_push: None,
            encryption: None,
            resource_tags: BTreeMap::new(),
        };
        let policy = Change::PutPolicy {
            policy: PolicyKind::Lifecycle,
            from: None,
            to: serde_json::Value::Null,
            diff: Vec::new(),
        };
        for (changes, outcome, policies) in [
            (vec![], RepositoryOutcome::UpToDate, 0),
            (vec![policy.clone()], RepositoryOutcome::Updated, 1),
            (vec![create, policy], RepositoryOutcome::Created, 1),
        ] {
            let mut told = report(&repository("111111111111", "a"), Duration::ZERO);
            told.changes = vec!["foreseen".into(); 9];
            let count = changes.len();
            did(&mut told, &Applied { changes, notes: Vec::new() });
            assert_eq!((told.outcome, told.policies), (outcome, policies));
            assert_eq!(told.changes.len(), count);
        }
    }
}

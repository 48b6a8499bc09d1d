//! Acts at ECR repositories, for whoever witnesses a run: room before each change, a record after it, and
//! one for what failed or drifted.

use std::sync::Arc;

use report::{RepositoryOutcome, RepositoryReport};
use sync::{Act, ActKind, Evidence, Failure, Room, Witness};

/// Asks for room for so many changes; nobody is asked where nobody witnesses.
pub(crate) async fn begin(
    witness: Option<&Arc<dyn Witness>>,
    changes: usize,
) -> Result<Vec<Room>, Failure> {
    let Some(witness) = witness else { return Ok(Vec::new()) };
    let mut rooms = Vec::new();
    for _ in 0..changes {
        let room = witness.ready().await;
        rooms.push(room.map_err(|problem| problem.failure(ActKind::RepositoryChanged, false))?);
    }
    Ok(rooms)
}

/// Records the changes that were made.
pub(crate) async fn done(
    witness: Option<&Arc<dyn Witness>>,
    report: &RepositoryReport,
    changes: impl IntoIterator<Item = String>,
) -> Result<(), Failure> {
    let Some(witness) = witness else { return Ok(()) };
    let recorded = changes.into_iter().map(|change| {
        let mut act = act(ActKind::RepositoryChanged, "change", report);
        act.evidence.changes = vec![change];
        witness.record(act)
    });
    for recorded in futures::future::join_all(recorded).await {
        recorded.map_err(|problem| problem.failure(ActKind::RepositoryChanged, true))?;
    }
    Ok(())
}

/// Records that a repository could not be made what it is to be.
pub(crate) async fn ended(witness: Option<&Arc<dyn Witness>>, report: &mut RepositoryReport) {
    let Some(witness) = witness else { return };
    let mut act = match report.outcome {
        RepositoryOutcome::Failed => act(ActKind::Failed, "fail", report),
        RepositoryOutcome::Drift => act(ActKind::DriftLeftAlone, "drift", report),
        _ => return,
    };
    act.evidence.failure.clone_from(&report.failure);
    act.evidence.changes = match report.outcome {
        RepositoryOutcome::Drift => report.notes.clone(),
        _ => report.changes.clone(),
    };
    if let Err(problem) = witness.record(act).await {
        let note = format!("this could not be recorded in the audit log: {problem}");
        report.notes.push(note);
    }
}

fn act(kind: ActKind, decision: &'static str, report: &RepositoryReport) -> Act {
    Act {
        kind,
        source: None,
        target: report.name.clone(),
        from: None,
        to: None,
        decision,
        evidence: Evidence { origin: report.origin.clone(), ..Evidence::default() },
    }
}

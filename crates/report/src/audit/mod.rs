//! The audit log: one JSON line for each act that changed or refused something, each holding the hash
//! of the line before it (docs/audit.md).
//!
//! What a line says is in `line`, how it is written and survives in `log`, and who finds out that one
//! was changed, cut, moved or added is [`verify()`]. Lines of many tasks are written together and synced
//! once.

mod chain;
mod head;
mod line;
mod log;
mod room;
mod tail;
#[cfg(test)]
mod tests;
mod verdict;
mod verify;
mod walk;
mod writer;

pub use head::{HEAD_TYPE, Head};
pub use line::{
    AuditAct, AuditEvidence, AuditFailure, AuditFile, AuditLine, Finished, Started, Torn, Who,
    audit_schema,
};
pub use log::{AuditError, AuditLog, AuditRun, Ending};
pub use verdict::{AuditPlace, AuditVerdict, audit_verdict_schema};
pub use verify::{Break, Expected, Remark, Verified, VerifyError, verify};

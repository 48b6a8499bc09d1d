//! Spans: one for each item, and below it one for each step that asks registries something. Those of
//! requests are made by crate `registry`.
//!
//! What items of one source have in common is done below the first of them; the others follow from it.

use registry::SPANS;
use tracing::{Span, field};

use crate::{ItemReport, Outcome, Wanted};

/// An item whose turn has come.
pub(crate) fn item(wanted: &Wanted) -> Span {
    tracing::debug_span!(
        target: SPANS,
        "item",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        image_syncer.source = %wanted.source,
        image_syncer.target = %wanted.target,
        image_syncer.outcome = field::Empty,
        image_syncer.bytes.copied = field::Empty,
    )
}

/// What became of it.
pub(crate) fn ended(span: &Span, report: &ItemReport) {
    span.record("image_syncer.outcome", name(report.outcome));
    // Unsigned numbers would be exported as text.
    let copied = i64::try_from(report.transferred.copied).unwrap_or(i64::MAX);
    span.record("image_syncer.bytes.copied", copied);
    let is_error = match report.outcome {
        Outcome::Copied
        | Outcome::WouldCopy
        | Outcome::UpToDate
        | Outcome::SourceMoved
        | Outcome::SourceLost
        | Outcome::Deferred => false,
        Outcome::Drift | Outcome::SourceMissing | Outcome::Refused | Outcome::Failed => true,
    };
    if is_error {
        span.record("otel.status_code", "ERROR");
        if let Some(failure) = &report.failure {
            span.record("otel.status_description", failure.message.as_str());
        }
    }
}

/// Looks at both sides.
pub(crate) fn observe() -> Span {
    tracing::debug_span!(target: SPANS, "observe")
}

/// Judges the signatures of a source.
pub(crate) fn verify() -> Span {
    tracing::debug_span!(target: SPANS, "verify")
}

/// Looks again at what is up to date: for late arrivals, signatures, or whether it is whole.
pub(crate) fn check(item: &Span) -> Span {
    tracing::debug_span!(target: SPANS, parent: item, "check")
}

/// Brings an image to its targets.
pub(crate) fn copy() -> Span {
    tracing::debug_span!(target: SPANS, "copy")
}

/// Brings manifests and blobs.
pub(crate) fn transfer() -> Span {
    tracing::debug_span!(target: SPANS, "transfer")
}

/// Looks for what belongs to an image.
pub(crate) fn companions() -> Span {
    tracing::debug_span!(target: SPANS, "companions")
}

/// Signs a copy.
pub(crate) fn sign(item: &Span) -> Span {
    tracing::debug_span!(target: SPANS, parent: item, "sign")
}

/// Sets a tag and reads it back.
pub(crate) fn publish(item: &Span) -> Span {
    tracing::debug_span!(target: SPANS, parent: item, "publish")
}

/// As in reports.
fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Copied => "copied",
        Outcome::WouldCopy => "would-copy",
        Outcome::UpToDate => "up-to-date",
        Outcome::Drift => "drift",
        Outcome::SourceMoved => "source-moved",
        Outcome::SourceMissing => "source-missing",
        Outcome::SourceLost => "source-lost",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Deferred => "deferred",
    }
}

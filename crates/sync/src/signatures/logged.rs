//! A transparency log's part in signing: what it would not take is not signed, and what it does not
//! prove is not published.

use signing::transparency_log::{LogForm, Logged, Proposal, TransparencyLog};
use signing::{SigningError, SigningErrorKind};

use super::ours::failed;
use super::publish::Publisher;
use crate::{Class, Failure, Side};

/// That the log takes signatures by the key in these forms. Asked before any is made.
pub(super) async fn takes(
    publisher: &Publisher<'_>,
    legacy: bool,
    bundle: bool,
) -> Result<(), Failure> {
    let Publisher { signer, log: Some(log) } = publisher else { return Ok(()) };
    let key_failed = |error| failed(Side::Target, signer.reference(), &error);
    let public = signer.public_key().await.map_err(key_failed)?;
    let algorithm = signer.algorithm().await.map_err(key_failed)?;
    for (_, form) in [(legacy, LogForm::Payload), (bundle, LogForm::Envelope)]
        .iter()
        .filter(|(wanted, _)| *wanted)
    {
        TransparencyLog::takes(*form, public.kind(), algorithm)
            .map_err(|error| refused(log, &error))?;
    }
    Ok(())
}

/// Tells the log, and returns what it proves.
pub(super) async fn logged(
    log: &TransparencyLog,
    proposal: Option<Proposal>,
) -> Result<Logged, Failure> {
    let Some(proposal) = proposal else {
        let message =
            "there is nothing to tell the transparency log, which is a fault of this program";
        return Err(Failure::new(Side::Target, Class::Key, message));
    };
    log.record(&proposal).await.map_err(|error| refused(log, &error))
}

/// What it means that a log has no entry for us.
fn refused(log: &TransparencyLog, error: &SigningError) -> Failure {
    let class = match error.kind() {
        SigningErrorKind::Denied => Class::Denied,
        SigningErrorKind::Unreachable => Class::Network,
        SigningErrorKind::Unsupported => Class::Unsupported,
        _ => Class::Key,
    };
    let failure = Failure::new(Side::Target, class, format!("{log}: {error}"));
    failure.with_hint(error.hint().unwrap_or(
        "nothing was published; run again when the log answers, or sign without `rekorUrl`",
    ))
}

//! How outcomes, digests, sizes and times are written for people.

use std::time::Duration;

use anstyle::AnsiColor;
use bytesize::ByteSize;
use oci::Digest;
use sync::{Outcome, SignatureState};

/// An outcome's name, the same as in the JSON report.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    crate::Outcome::from(outcome).name()
}

/// What became of a signature, the same as in the JSON report.
pub(crate) fn signature(state: SignatureState) -> &'static str {
    match state {
        SignatureState::Present => "present",
        SignatureState::Unchecked => "unchecked",
        SignatureState::WouldSign => "would-sign",
        SignatureState::Signed => "signed",
        SignatureState::Missing => "missing",
    }
}

/// An outcome's colour; none for what needs no attention.
pub(crate) fn colour(outcome: Outcome) -> Option<AnsiColor> {
    match outcome {
        Outcome::UpToDate => None,
        Outcome::Copied => Some(AnsiColor::Green),
        Outcome::WouldCopy => Some(AnsiColor::Cyan),
        Outcome::SourceMoved | Outcome::SourceLost | Outcome::Deferred => Some(AnsiColor::Yellow),
        Outcome::Drift | Outcome::SourceMissing | Outcome::Refused | Outcome::Failed => {
            Some(AnsiColor::Red)
        }
    }
}

/// Enough of a digest to tell it from others at a glance.
pub(crate) fn short_digest(digest: Digest) -> String {
    short(&digest.to_string())
}

/// The same of a digest as text.
pub(crate) fn short(digest: &str) -> String {
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("", digest));
    let shown: String = hex.chars().take(12).collect();
    format!("{algorithm}:{shown}")
}

/// A size such as `68.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// A time such as `210 ms`, `8.3 s` or `1 min 12 s`.
pub(crate) fn time(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        60_000..3_600_000 => {
            let seconds = duration.as_secs();
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        _ => {
            let minutes = duration.as_secs() / 60;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// A time in seconds, as [`time`] writes it.
pub(crate) fn seconds(seconds: f64) -> String {
    time(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// `1 item`, `2 items`, `2 repositories`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("1 {noun}"),
        Some(stem) => format!("{number} {stem}ies"),
        None => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_at_a_glance() {
        let table = [
            (0, "0 ms"),
            (999, "999 ms"),
            (8_340, "8.3 s"),
            (72_500, "1 min 12 s"),
            (7_380_000, "2 h 3 min"),
        ];
        for (milliseconds, expected) in table {
            assert_eq!(time(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn sizes_and_digests_are_short() {
        assert_eq!(size(71_303_168), "68.0 MiB");
        assert_eq!(size(0), "0 B");
        assert_eq!(short_digest(Digest::Sha256([0x5a; 32])), "sha256:5a5a5a5a5a5a");
    }
}

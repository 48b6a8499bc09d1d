//! [`Tail`]: how an audit log ends that somebody wants to go on with.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use oci::Digest;
use serde::Deserialize;

use super::chain::Link;
use super::line::{SCHEMA, Torn, hash_of};

/// The most that is read of the end of a file, in bytes.
const LOOK_BACK: u64 = 4 * 1024 * 1024;

/// How a log ends.
pub(super) struct Tail {
    /// Its last whole line; none where it has none.
    pub(super) last: Option<Link>,
    /// What stands after it, because whoever wrote it was killed.
    pub(super) torn: Option<Torn>,
    /// Whether a line end is missing before anything can be added.
    pub(super) lacks_end: bool,
}

/// Why nothing can be added to a file.
pub(super) enum Problem {
    /// It holds something else.
    NoLog,
    /// Its last line is not as it was written.
    Changed,
    Io(io::Error),
}

#[derive(Deserialize)]
struct Numbered {
    schema: String,
    sequence: u64,
}

impl Tail {
    /// Reads the end of a file.
    pub(super) fn of(file: &mut File) -> Result<Self, Problem> {
        let end = read_end(file).map_err(Problem::Io)?;
        let (whole, torn) = match end.iter().rposition(|byte| *byte == b'\n') {
            Some(line_end) => end.split_at(line_end + 1),
            None => (&[][..], &end[..]),
        };
        let torn = (!torn.is_empty()).then_some(torn);
        let lacks_end = torn.is_some();
        // Only its end was not written any more.
        if let Some(last) = torn.and_then(link) {
            return Ok(Self { last: Some(last), torn: None, lacks_end });
        }
        let last = match whole.strip_suffix(b"\n") {
            None => None,
            Some(lines) => {
                let begin = lines.iter().rposition(|byte| *byte == b'\n');
                let line = lines.get(begin.map_or(0, |line_end| line_end + 1)..);
                let line = line.unwrap_or_default();
                match (link(line), serde_json::from_slice::<Numbered>(line)) {
                    (Some(link), _) => Some(link),
                    (None, Ok(_)) => return Err(Problem::Changed),
                    (None, Err(_)) => return Err(Problem::NoLog),
                }
            }
        };
        // Half a line alone is the beginning of one, or no log at all.
        let first = format!("{{\"schema\":\"{SCHEMA}\",");
        if let (None, Some(torn)) = (&last, torn) {
            let known = first.as_bytes().iter().zip(torn).all(|(one, other)| one == other);
            if !known {
                return Err(Problem::NoLog);
            }
        }
        let torn =
            torn.map(|torn| Torn { bytes: torn.len() as u64, sha256: Digest::sha256(torn).hex() });
        Ok(Self { last, torn, lacks_end })
    }
}

/// What a line is in its chain, if it is as it was written.
fn link(line: &[u8]) -> Option<Link> {
    let Numbered { schema, sequence } = serde_json::from_slice(line).ok()?;
    let hash = hash_of(line).filter(|_| schema == SCHEMA)?;
    Some(Link { sequence, hash: hash.hex() })
}

fn read_end(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(LOOK_BACK);
    file.seek(SeekFrom::Start(begin))?;
    let mut end = Vec::new();
    file.take(length - begin).read_to_end(&mut end)?;
    Ok(end)
}

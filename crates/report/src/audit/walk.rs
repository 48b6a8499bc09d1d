//! [`Walk`]: which line may follow which, and what a log with these lines is. Who reads the lines is
//! [`verify()`](super::verify()).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::Deserialize;

use super::line::{NO_HASH, SCHEMA, Torn, hash_of};
use super::verify::{Break, Expected, Remark, Verified, VerifyError, count};

/// A walk along the lines of a log.
pub(super) struct Walk<'a> {
    expected: &'a Expected,
    /// The hash of the last whole line; `None` before the first one.
    last: Option<Digest>,
    sequence: u64,
    lines: u64,
    runs: u64,
    open: Option<Open>,
    fragment: Option<Fragment>,
    /// The hashes that must be there, and where the lines are that have them.
    sought: HashMap<Digest, Option<u64>>,
    remarks: Vec<Remark>,
}

/// What of a line is looked at.
#[derive(Deserialize)]
struct Looked<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    sequence: u64,
    #[serde(borrow)]
    run: Cow<'a, str>,
    /// Later versions may know more acts.
    #[serde(borrow)]
    act: Cow<'a, str>,
    #[serde(borrow)]
    previous: Cow<'a, str>,
    #[serde(default)]
    started: Option<LookedStart>,
    #[serde(default)]
    finished: Option<LookedEnd>,
}

#[derive(Deserialize)]
struct LookedEnd {
    acts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct LookedStart {
    #[serde(default)]
    torn: Option<Torn>,
}

/// A run that has begun and not ended.
struct Open {
    id: String,
    at: (PathBuf, u64),
    acts: BTreeMap<String, u64>,
}

/// Something that is no line, and may be what a killed run left behind.
struct Fragment {
    torn: Torn,
    wrong: Break,
    /// Whether it ends its file, so that the next line stands in another one.
    ends_file: bool,
}

const RUN_STARTED: &str = "run-started";
const RUN_FINISHED: &str = "run-finished";

const EDITED: &str = "compare it with a copy of the log, or with what was pushed beside the mirror; what \
    follows this line vouches for nothing before it";

const MISSING: &str = "look for the file or the copy that has them; files are named in order, the oldest \
    first";

impl<'a> Walk<'a> {
    pub(super) fn new(expected: &'a Expected) -> Self {
        let heads = expected.head.iter().map(|head| &head.hash);
        let sought = expected.hashes.iter().chain(heads).filter_map(|hash| digest(hash));
        Self {
            expected,
            last: None,
            sequence: 0,
            lines: 0,
            runs: 0,
            open: None,
            fragment: None,
            sought: sought.map(|hash| (hash, None)).collect(),
            remarks: Vec::new(),
        }
    }

    /// Takes the next line, with its end if it has one.
    pub(super) fn line(&mut self, path: &Path, number: u64, bytes: &[u8]) -> Result<(), Break> {
        let wrong = |problem: String, hint: &str| Break {
            file: path.to_owned(),
            line: number,
            problem,
            hint: hint.to_owned(),
        };
        let (line, is_ended) = match bytes.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (bytes, false),
        };
        let looked = serde_json::from_slice::<Looked<'_>>(line).ok();
        let looked = looked.filter(|looked| looked.schema == SCHEMA);
        let (Some(hash), Some(looked), true) = (hash_of(line), looked, is_ended) else {
            let problem = match is_ended {
                true => "the line is not as it was written: its hash does not fit it",
                false => "the line has no end: it was cut, or whoever wrote it was killed",
            };
            let fragment = Fragment {
                torn: Torn { bytes: line.len() as u64, sha256: Digest::sha256(line).hex() },
                wrong: wrong(problem.to_owned(), EDITED),
                ends_file: !is_ended,
            };
            // Of two, the first one is wrong: what a killed run left is one.
            return match self.fragment.replace(fragment) {
                Some(before) => Err(before.wrong),
                None => Ok(()),
            };
        };
        // A line that lost its end, at the end of a file, is missed by the first line of the next one.
        let before = self.fragment.as_ref().map(|fragment| fragment.wrong.clone());
        self.follows_fragment(&looked)?;
        self.follows(&looked, wrong).map_err(|wrong| before.unwrap_or(wrong))?;
        self.belongs(path, number, looked, wrong)?;
        self.last = Some(hash);
        self.lines += 1;
        if let Some(found) = self.sought.get_mut(&hash) {
            *found = Some(self.sequence);
        }
        Ok(())
    }

    /// What stands before the line and is none must be what the line says was left there.
    fn follows_fragment(&mut self, line: &Looked<'_>) -> Result<(), Break> {
        let told = line.started.as_ref().and_then(|started| started.torn.as_ref());
        let Some(fragment) = self.fragment.take() else { return Ok(()) };
        let is_told = told == Some(&fragment.torn);
        // Where the file was moved away before the next run, that run has not seen it.
        let was_moved = fragment.ends_file && line.act == RUN_STARTED;
        if !is_told && !was_moved {
            return Err(fragment.wrong);
        }
        self.remarks.push(Remark {
            file: fragment.wrong.file,
            line: fragment.wrong.line,
            text: format!(
                "{} bytes of a line that its run did not write to the end{}",
                fragment.torn.bytes,
                if is_told {
                    "; the next run vouches for them"
                } else {
                    "; nothing vouches for them"
                },
            ),
        });
        Ok(())
    }

    /// The line must be the one after the last.
    fn follows(
        &mut self,
        line: &Looked<'_>,
        wrong: impl Fn(String, &str) -> Break,
    ) -> Result<(), Break> {
        let is_first = self.last.is_none();
        let last = match self.last {
            Some(last) => Some(last),
            None => digest(self.expected.previous.as_deref().unwrap_or(NO_HASH)),
        };
        let fits = digest(&line.previous) == last;
        if is_first {
            let fits = fits && (line.sequence == 1 || self.expected.previous.is_some());
            return match fits {
                true => {
                    self.sequence = line.sequence;
                    Ok(())
                }
                false if self.expected.previous.is_some() => {
                    Err(wrong("the line before it is not the one expected".to_owned(), MISSING))
                }
                false => Err(wrong(
                    format!(
                        "the log begins with line {} of its chain: those before it are missing",
                        line.sequence
                    ),
                    "name the older files first, or give the hash of the line before with --previous",
                )),
            };
        }
        let wanted = self.sequence + 1;
        if line.sequence != wanted || !fits {
            let problem = match line.sequence.cmp(&wanted) {
                std::cmp::Ordering::Greater => {
                    format!("{} lines are missing before it", line.sequence - wanted)
                }
                std::cmp::Ordering::Less => {
                    format!(
                        "it is line {} of its chain, and line {wanted} belongs here",
                        line.sequence
                    )
                }
                std::cmp::Ordering::Equal => {
                    "the line before it is not the one it was written after".to_owned()
                }
            };
            return Err(wrong(problem, MISSING));
        }
        self.sequence = wanted;
        Ok(())
    }

    /// The line must belong to the run that is under way, and what a run says of itself must be so.
    fn belongs(
        &mut self,
        path: &Path,
        number: u64,
        line: Looked<'_>,
        wrong: impl Fn(String, &str) -> Break,
    ) -> Result<(), Break> {
        if line.act == RUN_STARTED {
            if let Some(killed) = self.open.take() {
                self.remarks.push(Remark {
                    file: killed.at.0,
                    line: killed.at.1,
                    text: format!(
                        "run {} was killed: it has no `run-finished`, and what it was doing last may \
                         have no line",
                        killed.id
                    ),
                });
            }
            self.runs += 1;
            let (id, at) = (line.run.into_owned(), (path.to_owned(), number));
            self.open = Some(Open { id, at, acts: BTreeMap::new() });
            return Ok(());
        }
        let Some(open) = self.open.as_mut().filter(|open| open.id == line.run) else {
            return Err(wrong(
                format!("run {} is not under way here", line.run.escape_debug()),
                EDITED,
            ));
        };
        if line.act != RUN_FINISHED {
            match open.acts.get_mut(&*line.act) {
                Some(count) => *count += 1,
                None => _ = open.acts.insert(line.act.into_owned(), 1),
            }
            return Ok(());
        }
        let said = line.finished.map(|finished| finished.acts).unwrap_or_default();
        let is_so = said == open.acts;
        self.open = None;
        match is_so {
            true => Ok(()),
            false => {
                Err(wrong("the run counts other acts than it has recorded".to_owned(), EDITED))
            }
        }
    }

    /// What the log is, now that all its lines were taken.
    pub(super) fn end(mut self, last_file: &Path) -> Result<Verified, VerifyError> {
        if let Some(fragment) = self.fragment.take() {
            return Err(VerifyError::Broken(fragment.wrong));
        }
        let at_end = |problem: String, hint: &str| {
            let (file, line) = (last_file.to_owned(), count(last_file)?);
            Err(VerifyError::Broken(Break { file, line, problem, hint: hint.to_owned() }))
        };
        let Some(last) = self.last else {
            return at_end("the log has no line".to_owned(), MISSING);
        };
        if let Some(open) = &self.open {
            return at_end(
                format!(
                    "the log ends in the middle of run {}: it was cut here, or the run was killed, or \
                     is still under way",
                    open.id
                ),
                "if the run was killed, the next one goes on after this line, and then the log is \
                 whole again",
            );
        }
        let head = self.expected.head.as_ref();
        let at =
            |hash: &str| digest(hash).and_then(|hash| self.sought.get(&hash).copied().flatten());
        for hash in self.expected.hashes.iter().chain(head.map(|head| &head.hash)) {
            match at(hash) {
                Some(sequence) if sequence < self.sequence => self.remarks.push(Remark {
                    file: last_file.to_owned(),
                    line: count(last_file)?,
                    text: format!(
                        "the expected head is line {sequence} of the chain; {} lines came after it",
                        self.sequence - sequence
                    ),
                }),
                Some(_) => {}
                None => {
                    return at_end(
                        format!("the line with the expected hash {hash} is not there"),
                        "lines were removed at the end, or the head is that of another log",
                    );
                }
            }
        }
        if let Some(head) = head.filter(|head| at(&head.hash) != Some(head.sequence)) {
            return at_end(
                format!("the expected head is not line {} of the chain", head.sequence),
                "the head is that of another log",
            );
        }
        Ok(Verified {
            lines: self.lines,
            runs: self.runs,
            sequence: self.sequence,
            hash: last.hex(),
            remarks: self.remarks,
        })
    }
}

/// 64 hex digits.
fn digest(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

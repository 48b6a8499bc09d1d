//! [`verify()`]: whether an audit log is as it was written, read line by line with little memory.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::Deserialize;

use super::head::Head;
use super::line::{NO_HASH, SCHEMA, Torn, hash_of};

/// The longest line that is read, in bytes. Only a run's first line comes near it, with thousands of
/// sync files.
const LINE_AT_MOST: u64 = 16 * 1024 * 1024;

/// What is known of a log from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The hash of the line before the first one, 64 hex digits, where older files are gone.
    pub previous: Option<String>,
    /// Hashes of lines that must be there.
    pub hashes: Vec<String>,
    /// What was signed at the end of a run: its line must be there.
    pub head: Option<Head>,
}

/// What an unbroken log is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verified {
    /// How many whole lines it has.
    pub lines: u64,
    /// How many runs.
    pub runs: u64,
    /// The number of its last line.
    pub sequence: u64,
    /// The hash of its last line, 64 hex digits.
    pub hash: String,
    /// What a reader should know.
    pub remarks: Vec<Remark>,
}

/// Something to know of an unbroken log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What there is to know.
    pub text: String,
}

/// Where a log is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Break {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// Why a log is not as it should be.
#[derive(Debug)]
pub enum VerifyError {
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is not as it was written.
    Broken(Break),
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.problem)
    }
}

/// Whether these files, the oldest first, are the lines of one chain, each as it was written.
///
/// # Errors
/// The first thing that is not so, or a file cannot be read.
pub fn verify(files: &[PathBuf], expected: &Expected) -> Result<Verified, VerifyError> {
    let mut walk = Walk::new(expected);
    for file in files {
        walk.file(file)?;
    }
    walk.end(files.last().map(PathBuf::as_path).unwrap_or(Path::new("")))
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

struct Walk<'a> {
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

const RUN_STARTED: &str = "run-started";
const RUN_FINISHED: &str = "run-finished";

const EDITED: &str = "compare it with a copy of the log, or with what was pushed beside the mirror; what \
    follows this line vouches for nothing before it";

const MISSING: &str = "look for the file or the copy that has them; files are named in order, the oldest \
    first";

impl<'a> Walk<'a> {
    fn new(expected: &'a Expected) -> Self {
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

    fn file(&mut self, path: &Path) -> Result<(), VerifyError> {
        let unreadable = |error| VerifyError::Unreadable(path.to_owned(), error);
        let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(unreadable)?);
        let (mut bytes, mut number) = (Vec::new(), 0);
        loop {
            bytes.clear();
            let mut limited = (&mut reader).take(LINE_AT_MOST);
            limited.read_until(b'\n', &mut bytes).map_err(unreadable)?;
            if bytes.is_empty() {
                return Ok(());
            }
            number += 1;
            self.line(path, number, &bytes).map_err(VerifyError::Broken)?;
        }
    }

    fn line(&mut self, path: &Path, number: u64, bytes: &[u8]) -> Result<(), Break> {
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

    fn end(mut self, last_file: &Path) -> Result<Verified, VerifyError> {
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

/// How many lines a file has. Only asked where something is wrong at its end.
fn count(path: &Path) -> Result<u64, VerifyError> {
    let unreadable = |error| VerifyError::Unreadable(path.to_owned(), error);
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let (mut lines, mut bytes) = (0, Vec::new());
    loop {
        bytes.clear();
        let mut limited = (&mut reader).take(LINE_AT_MOST);
        if limited.read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            return Ok(lines);
        }
        lines += 1;
    }
}

//! [`verify()`]: whether an audit log is as it was written, read line by line with little memory.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::head::Head;
use super::walk::Walk;

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
        read(file, &mut walk)?;
    }
    walk.end(files.last().map(PathBuf::as_path).unwrap_or(Path::new("")))
}

fn read(path: &Path, walk: &mut Walk<'_>) -> Result<(), VerifyError> {
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
        walk.line(path, number, &bytes).map_err(VerifyError::Broken)?;
    }
}

/// How many lines a file has. Only asked where something is wrong at its end.
pub(super) fn count(path: &Path) -> Result<u64, VerifyError> {
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

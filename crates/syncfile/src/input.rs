//! [`Input`]: where sync files come from, and their texts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::text::Text;

/// A sync file, or a folder of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// A file, or a folder whose `*.yaml` and `*.yml` files are taken in the order of their names.
    Path(PathBuf),
    /// The text that came from standard input; its paths begin at the working directory.
    Stdin(String),
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

/// The largest file that is read, in bytes: a hundred thousand images and more.
const LARGEST: u64 = 16 << 20;

/// Reads all files. What cannot be read is noted, the others are read all the same.
pub(crate) fn read(inputs: &[Input], found: &mut Vec<Diagnostic>) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs {
        let path = match input {
            Input::Stdin(content) => {
                texts.push(text("<stdin>".into(), PathBuf::new(), content));
                continue;
            }
            Input::Path(path) => path,
        };
        let files = match files_of(path) {
            Ok(files) => files,
            Err(error) => {
                found.push(*unreadable(path, &error));
                continue;
            }
        };
        if files.is_empty() {
            let message = "the folder has no file with a name that ends in `.yaml` or `.yml`";
            found.push(Diagnostic::error(Code::NoFiles, Some(Place::file(path.clone())), message));
        }
        for file in files {
            // Two names of one file have one canonical path.
            let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
            if !seen.insert(canonical) {
                let place = Some(Place::file(file));
                let message = "the file is given twice; it is read once";
                found.push(Diagnostic::warning(Code::DuplicateFile, place, message));
                continue;
            }
            match read_file(&file) {
                Ok(content) => {
                    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
                    texts.push(text(file, folder, &content));
                }
                Err(diagnostic) => found.push(*diagnostic),
            }
        }
    }
    texts
}

/// The path itself, or the sync files in it where it is a folder.
fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        // Hidden ones are no lists: editors and Kubernetes volumes keep theirs there.
        let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_yaml = file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if is_yaml && !hidden && fs::metadata(&file)?.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(file: &Path) -> Result<String, Box<Diagnostic>> {
    let at = |line| Some(Place { line, ..Place::file(file.to_owned()) });
    let size = fs::metadata(file).map_err(|error| unreadable(file, &error))?.len();
    if size > LARGEST {
        let message = format!("the file has {size} bytes; more than {LARGEST} are no list");
        return Err(Box::new(Diagnostic::error(Code::TooLarge, at(0), message)));
    }
    let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = "the file is not UTF-8 text";
        let error = Diagnostic::error(Code::UnreadableFile, at(line), message);
        Box::new(error.help("save it as UTF-8"))
    })
}

fn text(name: PathBuf, folder: PathBuf, content: &str) -> Text {
    // A byte order mark is no content (YAML 1.2.2, 5.2).
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    Text::new(name, folder, content.to_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> Box<Diagnostic> {
    let message = format!("cannot read the sync file: {error}");
    Box::new(Diagnostic::error(Code::UnreadableFile, Some(Place::file(path.to_owned())), message))
}

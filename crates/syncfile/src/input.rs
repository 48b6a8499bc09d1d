//! [`Input`]: where sync files come from, and their texts.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use oci::Digest;

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

/// What a file is now: its content, or why there is none to be had.
pub type Fingerprint = Result<Digest, io::ErrorKind>;

/// What the files are now, by name; two answers that are equal mean that nothing has changed.
///
/// Contents are compared, not times: a ConfigMap's file is a link into a folder that is swapped, and
/// neither its own time nor an event of its own tells that.
pub fn fingerprints(inputs: &[Input]) -> BTreeMap<PathBuf, Fingerprint> {
    let mut prints = BTreeMap::new();
    for input in inputs {
        let Input::Path(path) = input else { continue };
        match files_of(path) {
            Ok(files) => prints.extend(files.into_iter().map(|file| {
                let print = fingerprint(&file).map_err(|error| error.kind());
                (file, print)
            })),
            Err(error) => {
                prints.insert(path.clone(), Err(error.kind()));
            }
        }
    }
    prints
}

fn fingerprint(file: &Path) -> io::Result<Digest> {
    if fs::metadata(file)?.len() > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(file).map(|content| Digest::sha256(&content))
}

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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// As the kubelet keeps a ConfigMap: files are links to `..data/FILE`, and `..data` is a link that is
    /// swapped (<https://kubernetes.io/docs/concepts/configuration/configmap/>).
    #[test]
    fn a_swapped_link_is_a_change_and_a_new_time_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("..one", "images: []"), ("..two", "images: [ ]")] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("a.yaml"), text).unwrap();
        }
        symlink("..one", at("..data")).unwrap();
        symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let inputs = [Input::Path(folder.path().to_owned())];
        let first = fingerprints(&inputs);
        assert_eq!(first.keys().collect::<Vec<_>>(), [&at("a.yaml")]);
        fs::write(at("..one/a.yaml"), "images: []").unwrap();
        assert_eq!(fingerprints(&inputs), first);
        symlink("..two", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        let swapped = fingerprints(&inputs);
        assert_ne!(swapped, first);
        fs::remove_file(at("a.yaml")).unwrap();
        assert!(fingerprints(&inputs).is_empty());
        fs::remove_dir_all(folder.path()).unwrap();
        let gone = BTreeMap::from([(folder.path().to_owned(), Err(io::ErrorKind::NotFound))]);
        assert_eq!(fingerprints(&inputs), gone);
    }
}

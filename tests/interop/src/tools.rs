//! [`Tools`]: the programs that a suite needs, or the word that it is skipped.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where programs are that do not belong to this project.
#[derive(Debug)]
pub(crate) struct Tools {
    found: BTreeMap<String, PathBuf>,
}

impl Tools {
    /// The programs with these names; none, and a line that says so, if one of them is missing.
    pub(crate) fn find(suite: &str, names: &[&str]) -> Option<Self> {
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for name in names {
            match locate(name) {
                Some(path) => {
                    found.insert((*name).to_owned(), path);
                }
                None => missing.push(*name),
            }
        }
        if missing.is_empty() {
            return Some(Self { found });
        }
        skip(suite, &format!("{} not found; run tests/tools/install", missing.join(", ")));
        None
    }

    /// The program's path.
    pub(crate) fn path(&self, name: &str) -> &Path {
        self.found.get(name).unwrap_or_else(|| panic!("the suite did not ask for `{name}`"))
    }
}

/// Says that a suite is skipped, or fails where nothing may be.
pub fn skip(suite: &str, reason: &str) {
    let line = format!("SKIPPED interop {suite}: {reason}");
    if std::env::var("IMAGE_SYNCER_REQUIRE_TOOLS").is_ok_and(|value| value == "1") {
        panic!("{line}");
    }
    // Not `eprintln!`: the test runner would keep it to itself.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The folder below the user's cache where `tests/tools/install` puts what it builds, and where
/// images that take long to make are kept.
pub(crate) fn cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    folder("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| folder("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("image-syncer")
}

/// What `tests/tools/install` built goes before what the system has: its version is pinned.
fn locate(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(cache().join("tools"))
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

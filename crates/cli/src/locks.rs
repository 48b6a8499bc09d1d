//! Lock files: which is for which sync file, and what stands in them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::Digest;
use report::PlanFile;
use sync::{Lock, Locks, Wanted};
use syncfile::ReadFile;

use crate::error::CliError;
use crate::settings::LockChoice;

/// The locks that a run is held to.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) locks: Locks,
    /// The files that they stand in.
    pub(crate) files: Vec<PlanFile>,
}

/// Where the lock of a sync file is; standard input has none of its own.
pub(crate) fn place(choice: &LockChoice, sync_file: &Path) -> Option<PathBuf> {
    match choice {
        LockChoice::None => None,
        LockChoice::File(file) => Some(file.clone()),
        LockChoice::Beside if sync_file.as_os_str() == "<stdin>" => None,
        LockChoice::Beside => Some(sync_file.with_extension("lock")),
    }
}

/// The locks that are there, of these sync files.
pub(crate) fn held(choice: &LockChoice, sync_files: &[ReadFile]) -> Result<Held, CliError> {
    let mut read: BTreeMap<PathBuf, Option<(Arc<Lock>, Digest)>> = BTreeMap::new();
    let mut locks = Vec::new();
    for ReadFile { path, .. } in sync_files {
        let Some(file) = place(choice, path) else { continue };
        if !read.contains_key(&file) {
            let found = self::read(&file)?;
            if found.is_none() && matches!(choice, LockChoice::File(_)) {
                let message = format!("there is no lock file `{}`", file.display());
                return Err(CliError::usage(message).hint("`image-syncer lock` makes it"));
            }
            let found = found.map(|(lock, digest)| (Arc::new(lock), digest));
            read.insert(file.clone(), found);
        }
        if let Some(Some((lock, _))) = read.get(&file) {
            locks.push((path.display().to_string(), Arc::clone(lock)));
        }
    }
    let files = read.into_iter().filter_map(|(file, found)| {
        Some(PlanFile { path: file.display().to_string(), digest: found?.1 })
    });
    Ok(Held { locks: locks.into_iter().collect(), files: files.collect() })
}

/// A lock file, if it is there, and the digest of its text.
pub(crate) fn read(file: &Path) -> Result<Option<(Lock, Digest)>, CliError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("cannot read the lock file `{}`: {error}", file.display());
            return Err(CliError::usage(message));
        }
    };
    let lock = text.parse::<Lock>().map_err(|error| {
        let problem = format!("{}: {error}", file.display());
        CliError::usage(problem).hint("`image-syncer lock` writes a lock file; what git could not merge has to be decided by hand")
    })?;
    Ok(Some((lock, Digest::sha256(text.as_bytes()))))
}

/// A pin in a sync file and a lock that say different things are a mistake in one of them.
pub(crate) fn check<'a>(
    locks: &Locks,
    wanted: impl Iterator<Item = &'a Wanted>,
) -> Result<(), CliError> {
    let mut problems = Vec::new();
    for one in wanted {
        let lock = locks.of(one.origin.as_ref());
        if let (Some(locked), Some(origin)) =
            (lock.and_then(|lock| lock.contradicts(&one.source)), &one.origin)
        {
            problems.push(format!("{origin}: `{}` is locked to {locked}", one.written));
        }
    }
    problems.dedup();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(CliError::usage(problems.join("\n"))
            .hint("`image-syncer lock --update` takes the digest that the sync file pins")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sync_file_has_a_lock_beside_it() {
        let place = |choice: &LockChoice, file: &str| super::place(choice, Path::new(file));
        let one = LockChoice::File("one.lock".into());
        let table = [
            (&LockChoice::Beside, "lists/images.yaml", Some("lists/images.lock")),
            (&LockChoice::Beside, "a.b.yml", Some("a.b.lock")),
            (&LockChoice::Beside, "<stdin>", None),
            (&one, "lists/images.yaml", Some("one.lock")),
            (&one, "<stdin>", Some("one.lock")),
            (&LockChoice::None, "images.yaml", None),
        ];
        for (choice, file, expected) in table {
            assert_eq!(place(choice, file), expected.map(PathBuf::from), "{choice:?} {file}");
        }
    }
}

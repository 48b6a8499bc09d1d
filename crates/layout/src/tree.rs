//! A tree of layouts: each repository of a registry in the folder of its name.

use std::fs;
use std::path::Path;

use oci::Repository;

use crate::durable::{blocking, is_absent};
use crate::{Error, Layout};

/// Names within the folder of a layout that a repository's component could have too.
const FILES_OF_A_LAYOUT: [&str; 3] = ["blobs", "index.json", "oci-layout"];

impl Layout {
    /// The layout of a repository in a tree of layouts below `folder`.
    ///
    /// # Errors
    /// [`Error::Name`] for a name such as `a/blobs`, whose layout would lie among the files of
    /// that of `a`.
    pub fn below(folder: &Path, repository: &Repository) -> Result<Self, Error> {
        let mut components = repository.as_str().split('/');
        if components.clone().skip(1).any(|name| FILES_OF_A_LAYOUT.contains(&name)) {
            return Err(Error::Name { name: repository.to_string() });
        }
        let first = folder.join(components.next().unwrap_or_default());
        Ok(Self::at(components.fold(first, |path, component| path.join(component))))
    }

    /// The repositories in a tree of layouts below `folder`, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn repositories(folder: &Path) -> Result<Vec<Repository>, Error> {
        let folder = folder.to_owned();
        blocking(move || {
            let mut found = Vec::new();
            collect(&folder, "", &mut found)?;
            found.sort();
            Ok(found)
        })
        .await
    }
}

/// Adds the repositories in `folder`, whose own name is `prefix`. The depth is bounded by the
/// length that a repository's name may have.
fn collect(folder: &Path, prefix: &str, found: &mut Vec<Repository>) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        let component = entry.file_name();
        let Some(component) = component.to_str() else { continue };
        let path = entry.path();
        if !prefix.is_empty() && FILES_OF_A_LAYOUT.contains(&component) || !path.is_dir() {
            continue;
        }
        let name =
            if prefix.is_empty() { component.to_owned() } else { format!("{prefix}/{component}") };
        let Ok(repository) = name.parse::<Repository>() else { continue };
        if path.join("oci-layout").is_file() {
            found.push(repository);
        }
        // A link may lead back up.
        if !path.is_symlink() {
            collect(&path, &name, found)?;
        }
    }
    Ok(())
}

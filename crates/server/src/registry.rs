//! Where the repositories of the server lie, and the upload sessions that it has open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use layout::Layout;
use oci::Repository;

use crate::errors::{Code, Refusal};
use crate::uploads::Sessions;

/// How many layouts are kept at hand with what was read from them.
const AT_HAND: usize = 4096;

/// What the endpoints work on.
#[derive(Debug)]
pub(crate) struct Registry {
    place: Place,
    layouts: Mutex<HashMap<Repository, Layout>>,
    /// The uploads that are open now.
    pub(crate) sessions: Sessions,
    /// Whether a manifest may name blobs and manifests that are not here.
    pub(crate) sparse: bool,
}

#[derive(Debug)]
enum Place {
    Tree(PathBuf),
    One(Repository, Layout),
}

impl Registry {
    pub(crate) fn new(folder: &Path, sparse: bool) -> Self {
        let name = name_of(folder).filter(|_| folder.join("oci-layout").is_file());
        let place = match name {
            Some(name) => Place::One(name, Layout::at(folder)),
            None => Place::Tree(folder.to_owned()),
        };
        Self { place, layouts: Mutex::default(), sessions: Sessions::default(), sparse }
    }

    /// The layout of a repository, which need not exist.
    pub(crate) fn layout(&self, repository: &Repository) -> Result<Layout, Refusal> {
        let folder = match &self.place {
            Place::Tree(folder) => folder,
            Place::One(name, layout) if name == repository => return Ok(layout.clone()),
            Place::One(name, _) => {
                let message = format!("there is only one repository here, `{name}`");
                return Err(Refusal::new(Code::NameUnknown, message));
            }
        };
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = layouts.get(repository) {
            return Ok(layout.clone());
        }
        let layout = Layout::below(folder, repository)?;
        if layouts.len() >= AT_HAND {
            layouts.clear();
        }
        layouts.insert(repository.clone(), layout.clone());
        Ok(layout)
    }

    /// All repositories, sorted.
    pub(crate) async fn repositories(&self) -> Result<Vec<Repository>, Refusal> {
        match &self.place {
            Place::Tree(folder) => Ok(Layout::repositories(folder).await?),
            Place::One(name, _) => Ok(vec![name.clone()]),
        }
    }
}

/// A folder's name made into that of a repository.
fn name_of(folder: &Path) -> Option<Repository> {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if let Ok(repository) = name.parse() {
        return Some(repository);
    }
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Some(name.trim_matches('-')).filter(|name| !name.is_empty()).unwrap_or("layout").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_name() {
        for (folder, name) in [
            ("/x/nginx", "nginx"),
            ("/x/My App!", "my-app"),
            ("/x/a_b.c", "a_b.c"),
            ("/", "layout"),
        ] {
            assert_eq!(name_of(Path::new(folder)).unwrap().as_str(), name, "{folder}");
        }
    }
}

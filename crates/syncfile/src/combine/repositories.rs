//! ECR repositories of all files together: each is described once. What an image asks for with `ecr`
//! comes last, because a repository that is listed has its own description.

use std::collections::HashMap;

use oci::{Location, Repository};

use super::{At, Joined};
use crate::diagnostic::{Code, Diagnostic};
use crate::repository::{self, Creation, EcrRepository, RepositoryEntry};
use crate::sync_file::Origin;

/// A repository, by whichever of its registry's names it is called.
type Name = (String, String, Repository);

#[derive(Default)]
pub(super) struct Known {
    listed: HashMap<Name, At>,
    /// For a whole registry: the first word on the mounting of blobs.
    mounting: HashMap<(String, String), (At, bool)>,
    /// What images ask for.
    creations: Vec<(EcrRepository, At)>,
}

impl Joined<'_> {
    pub(super) fn add_repository(
        &mut self,
        found: &mut Vec<Diagnostic>,
        text: usize,
        entry: RepositoryEntry,
    ) {
        let at = At { text, span: entry.span };
        let key = name(&entry.repository);
        if let Some(first) = self.repositories.listed.get(&key) {
            let name = &entry.repository.name;
            let message = format!("the ECR repository `{name}` is listed twice");
            let error = Diagnostic::error(Code::DuplicateRepository, Some(self.place(at)), message);
            found.push(
                error
                    .label("again here")
                    .related(self.place(*first), "first here")
                    .help("a repository is one entry, with at most one image and one chart"),
            );
            return;
        }
        self.repositories.listed.insert(key, at);
        found.extend(self.other_mounting(&entry.repository, at));
        for image in entry.images {
            self.add_entry(found, text, image);
        }
        if let Some(chart) = entry.chart {
            self.add_chart(found, text, chart);
        }
        self.sync_file.repositories.push(entry.repository);
    }

    /// Notes what an image asks for: the repositories of its targets that are in ECR.
    pub(super) fn note_creations<'l>(
        &mut self,
        text: usize,
        asked: Option<&Creation>,
        origin: &Origin,
        targets: impl Iterator<Item = &'l Location>,
    ) {
        let Some(Creation { settings, span }) = asked else { return };
        for (registry, name) in targets.filter_map(repository::of_location) {
            let (settings, origin) = (settings.clone(), origin.clone());
            let repository =
                EcrRepository { registry, name, settings, creation_only: true, origin };
            self.repositories.creations.push((repository, At { text, span: *span }));
        }
    }

    /// Adds what images ask for, each repository once.
    pub(super) fn add_creations(&mut self, all_found: &mut [Vec<Diagnostic>]) {
        let mut asked: HashMap<Name, (EcrRepository, At)> = HashMap::new();
        for (repository, at) in std::mem::take(&mut self.repositories.creations) {
            let Some(found) = all_found.get_mut(at.text) else { continue };
            let (key, place) = (name(&repository), Some(self.place(at)));
            if let Some(listed) = self.repositories.listed.get(&key) {
                let message = format!(
                    "the ECR repository `{}` is listed, and this `ecr` changes nothing",
                    repository.name
                );
                let warning = Diagnostic::warning(Code::IgnoredSetting, place, message);
                found.push(warning.related(self.place(*listed), "it is described here"));
                continue;
            }
            match asked.get(&key) {
                Some((first, _)) if first.settings == repository.settings => {}
                Some((_, first)) => {
                    let message = format!(
                        "the ECR repository `{}` is to be made in different ways",
                        repository.name
                    );
                    let error = Diagnostic::error(Code::DuplicateRepository, place, message);
                    found.push(
                        error
                            .label("in this way")
                            .related(self.place(*first), "and in another one")
                            .help("images of one repository have the same `ecr`"),
                    );
                }
                None => {
                    found.extend(self.other_mounting(&repository, at));
                    asked.insert(key, (repository.clone(), at));
                    self.sync_file.repositories.push(repository);
                }
            }
        }
    }

    /// The error where another repository of the registry says otherwise.
    fn other_mounting(&mut self, repository: &EcrRepository, at: At) -> Option<Diagnostic> {
        let said = repository.settings.blob_mounting?;
        let registry = &repository.registry;
        let key = (registry.account().to_owned(), registry.region().to_owned());
        let (first, known) = *self.repositories.mounting.entry(key).or_insert((at, said));
        if known == said {
            return None;
        }
        let message = "`blobMounting` is a setting of the whole registry, and said differently";
        let error = Diagnostic::error(Code::DuplicateRepository, Some(self.place(at)), message);
        Some(
            error
                .label(format!("`{said}` here"))
                .related(self.place(first), format!("`{known}` here")),
        )
    }
}

fn name(repository: &EcrRepository) -> Name {
    let EcrRepository { registry, name, .. } = repository;
    (registry.account().to_owned(), registry.region().to_owned(), name.clone())
}

//! All files together: a target has one source and is signed in one way, a registry and an ECR
//! repository have one description, and a rule of one file is for the sources of all.

mod charts;
mod repositories;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use oci::{Extent, Host, Location, Source, Tag, Target};

use crate::chart_source::ChartSource;
use crate::diagnostic::{Code, Diagnostic};
use crate::document::Document;
use crate::image::{Entry, Wants};
use crate::registry::RegistryEntry;
use crate::signing::Signing;
use crate::sync_file::{SyncFile, TagSelection};
use crate::text::Text;
use crate::yaml::Span;

/// Where something stands: in which text, and where in it.
#[derive(Clone, Copy)]
struct At {
    text: usize,
    span: Span,
}

/// Joins what the texts say, and notes what they say twice.
///
/// The diagnostics come file by file, in the order of each text.
pub(crate) fn combine(texts: &[Text], documents: Vec<Document>) -> (SyncFile, Vec<Diagnostic>) {
    let mut joined = Joined { texts, ..Joined::default() };
    let mut all_found: Vec<Vec<Diagnostic>> = Vec::new();
    let mut rules: Vec<At> = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let mut found = document.found;
        for (rule, span) in document.verify {
            joined.sync_file.verify.push(rule);
            rules.push(At { text: index, span });
        }
        for notice in document.notices {
            // Files that are whole by themselves may all tell the same people.
            if !joined.sync_file.notices.iter().any(|known| known.is_same(&notice)) {
                joined.sync_file.notices.push(notice);
            }
        }
        for (host, span, entry) in document.registries {
            joined.add_registry(&mut found, At { text: index, span }, host, entry);
        }
        for entry in document.images {
            joined.add_entry(&mut found, index, entry);
        }
        for entry in document.repositories {
            joined.add_repository(&mut found, index, entry);
        }
        for entry in document.charts {
            joined.add_chart(&mut found, index, entry);
        }
        all_found.push(found);
    }
    joined.add_creations(&mut all_found);
    joined.refuse_plain_http(&mut all_found);
    joined.note_unmatched_rules(&mut all_found, &rules);
    for found in &mut all_found {
        found.sort_by_key(|diagnostic| {
            diagnostic.place.as_ref().map(|place| (place.line, place.column))
        });
    }
    (joined.sync_file, all_found.into_iter().flatten().collect())
}

/// What a target is to hold, and how that is signed.
#[derive(Clone)]
struct Content {
    what: What,
    signing: Signing,
}

#[derive(Clone, Eq, PartialEq)]
enum What {
    Image { source: Box<Source>, extent: Extent },
    Chart { sources: Vec<ChartSource>, version: String },
}

#[derive(Default)]
struct Joined<'t> {
    texts: &'t [Text],
    sync_file: SyncFile,
    targets: HashMap<(Location, Tag), (At, Content)>,
    /// Where each of `sync_file.selections` stands.
    selections: Vec<At>,
    registries: HashMap<Host, At>,
    repositories: repositories::Known,
    /// Where each of `sync_file.charts` stands.
    charts: Vec<At>,
}

impl Joined<'_> {
    fn add_entry(&mut self, found: &mut Vec<Diagnostic>, text: usize, entry: Entry) {
        let at = At { text, span: entry.span };
        let mut image = match entry.wants {
            Wants::Image(image) => image,
            Wants::Tags(selection) => {
                let locations = selection.targets.iter();
                self.note_creations(text, entry.ecr.as_ref(), &selection.origin, locations);
                self.add_selection(found, at, selection);
                return;
            }
        };
        let locations = image.targets.iter().map(|target| &target.location);
        self.note_creations(text, entry.ecr.as_ref(), &image.origin, locations);
        let mut spans = entry.target_spans.into_iter();
        let content = Content {
            what: What::Image {
                source: Box::new(Source {
                    location: comparable(&image.source.location),
                    selection: image.source.selection.clone(),
                }),
                extent: image.extent.clone(),
            },
            signing: image.signing.clone(),
        };
        image.targets.retain(|target| {
            let span = spans.next().unwrap_or(at.span);
            self.add_target(found, At { text, span }, target, &content)
        });
        if !image.targets.is_empty() {
            self.sync_file.images.push(image);
        }
    }

    /// Whether the target is new.
    fn add_target(
        &mut self,
        found: &mut Vec<Diagnostic>,
        at: At,
        target: &Target,
        content: &Content,
    ) -> bool {
        let key = (comparable(&target.location), target.tag.clone());
        let Some((first, known)) = self.targets.get(&key) else {
            self.targets.insert(key, (at, content.clone()));
            return true;
        };
        let (place, first_place) = (self.place(at), self.place(*first));
        let error = |message: String| {
            Diagnostic::error(Code::DuplicateTarget, Some(place.clone()), message)
        };
        let help = "give one of them another `tag` or `destination`";
        let is_signed_alike = known.signing.is_same(&content.signing);
        found.push(match (&known.what, &content.what) {
            (known, what) if known == what && is_signed_alike => {
                let message = format!("`{target}` is wanted twice from the same source");
                Diagnostic::warning(Code::DuplicateImage, Some(place.clone()), message)
                    .label("again here; it is copied once")
                    .related(first_place, "first here")
            }
            (known, what) if known == what => {
                error(format!("`{target}` is to be signed in different ways"))
                    .label("in this way")
                    .related(first_place, "and in another one")
                    .help("an image has its own `sign` and `key`, or those of the top of its file")
            }
            (What::Image { source: known, .. }, What::Image { source, .. }) if known == source => {
                error(format!("`{target}` is wanted with different platforms"))
                    .label("with these")
                    .related(first_place, "and with others")
                    .help(help)
            }
            (What::Image { .. }, What::Image { .. }) | (What::Chart { .. }, What::Chart { .. }) => {
                error(format!("`{target}` is wanted from two different sources"))
                    .label("from this source")
                    .related(first_place, "and from this one")
                    .help(help)
            }
            (known, _) => {
                let (this, other) = match known {
                    What::Image { .. } => ("by a chart", "by an image"),
                    What::Chart { .. } => ("by an image", "by a chart"),
                };
                error(format!("`{target}` is wanted by an image and by a chart"))
                    .label(format!("{this} here"))
                    .related(first_place, format!("{other} here"))
                    .help("the tag of a chart is its version; give the image another one")
            }
        });
        false
    }

    /// Selections of one source may overlap, also at the target: what they give is not known here.
    /// Only the very same is said to be there twice.
    fn add_selection(&mut self, found: &mut Vec<Diagnostic>, at: At, selection: TagSelection) {
        let is_same = |one: &TagSelection| {
            comparable(&one.source) == comparable(&selection.source)
                && (&one.rules, &one.extent) == (&selection.rules, &selection.extent)
                && one.targets == selection.targets
        };
        match self.sync_file.selections.iter().position(is_same) {
            Some(first) => {
                let same = self.sync_file.selections.get(first);
                let is_same_signing =
                    same.is_none_or(|first| first.signing.is_same(&selection.signing));
                let first = self.place(self.selections.get(first).copied().unwrap_or(at));
                let place = Some(self.place(at));
                found.push(if is_same_signing {
                    let message = "the same tags are selected twice from the same source";
                    Diagnostic::warning(Code::DuplicateImage, place, message)
                        .label("again here; they are copied once")
                        .related(first, "first here")
                } else {
                    let message = "the same tags are to be signed in different ways";
                    Diagnostic::error(Code::DuplicateTarget, place, message)
                        .label("in this way")
                        .related(first, "and in another one")
                });
            }
            None => {
                self.sync_file.selections.push(selection);
                self.selections.push(at);
            }
        }
    }

    /// Warns of rules that are for no source: a misspelt one would verify nothing, and say nothing.
    fn note_unmatched_rules(&self, found: &mut [Vec<Diagnostic>], rules: &[At]) {
        // What is wrong elsewhere may be what a rule is for; without any source, there is nothing to
        // be for.
        let is_error = |found: &Diagnostic| found.severity == crate::Severity::Error;
        if self.sync_file.is_empty() || found.iter().flatten().any(is_error) {
            return;
        }
        let images = self.sync_file.images.iter().map(|image| &image.source.location);
        let selections = self.sync_file.selections.iter().map(|one| &one.source);
        let charts = self.sync_file.charts.iter().flat_map(|chart| &chart.sources);
        let charts = charts.filter_map(|source| match source {
            ChartSource::Registry(location) => Some(location),
            ChartSource::Repository { .. } => None,
        });
        let sources: Vec<&Location> = images.chain(selections).chain(charts).collect();
        for (rule, at) in self.sync_file.verify.iter().zip(rules) {
            if !sources.iter().any(|source| rule.source.matches(source))
                && let Some(found) = found.get_mut(at.text)
            {
                let message = format!("`{}` is for no source", rule.source);
                let warning =
                    Diagnostic::warning(Code::UnmatchedRule, Some(self.place(*at)), message);
                found.push(warning.help(
                    "it must match the whole of `HOST/REPOSITORY`; a name of Docker Hub is \
                     `docker.io/library/nginx`",
                ));
            }
        }
    }

    fn add_registry(
        &mut self,
        found: &mut Vec<Diagnostic>,
        at: At,
        host: Host,
        entry: RegistryEntry,
    ) {
        if let Some(first) = self.registries.get(&host) {
            // Files that are whole by themselves may all describe the registry they share.
            if self.sync_file.registries.get(&host) != Some(&entry) {
                let message = format!("two files describe the registry `{host}` differently");
                found.push(
                    Diagnostic::error(Code::DuplicateRegistry, Some(self.place(at)), message)
                        .label("this way here")
                        .related(self.place(*first), "another way here"),
                );
            }
            return;
        }
        self.registries.insert(host.clone(), at);
        self.sync_file.registries.insert(host, entry);
    }

    fn place(&self, at: At) -> crate::Place {
        match self.texts.get(at.text) {
            Some(text) => text.place(at.span),
            None => crate::Place::file(PathBuf::new()),
        }
    }
}

/// A location in which two spellings of a path are one, as far as that can be told from the text.
fn comparable(location: &Location) -> Location {
    let plain = |path: &Path| -> PathBuf {
        path.components().filter(|part| *part != Component::CurDir).collect()
    };
    match location {
        Location::Layout(folder) => Location::Layout(plain(folder)),
        Location::Archive(file) => Location::Archive(plain(file)),
        same @ (Location::Registry { .. } | Location::Chart(_)) => same.clone(),
    }
}

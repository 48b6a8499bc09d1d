//! One file: its top level, read into images and registries whose places are still known.

use std::collections::HashMap;
use std::sync::Arc;

use oci::{EcrRegistry, Host};

use crate::chart::{self, ChartEntry};
use crate::diagnostic::{Code, Diagnostic};
use crate::ecr_registry::{self, NoRegistry};
use crate::image::{self, Entry, Surroundings};
use crate::mapping::Mapping;
use crate::notice::{self, Notice};
use crate::reader::{Field, Reader};
use crate::registry::{self, RegistryEntry};
use crate::repository::{self, RepositoryEntry};
use crate::schedule;
use crate::signing::{self, SigningDefaults};
use crate::target_name::Prefix;
use crate::text::Text;
use crate::verify::{self, VerifyRule};
use crate::yaml::{self, Content, Node, Span};

/// What a file says.
#[derive(Default)]
pub(crate) struct Document {
    pub(crate) images: Vec<Entry>,
    pub(crate) registries: Vec<(Host, Span, RegistryEntry)>,
    /// With where the source of each stands.
    pub(crate) verify: Vec<(VerifyRule, Span)>,
    pub(crate) repositories: Vec<RepositoryEntry>,
    pub(crate) charts: Vec<ChartEntry>,
    pub(crate) notices: Vec<Notice>,
    /// When the file has its turn, where it says so.
    pub(crate) schedule: Option<::schedule::Schedule>,
    pub(crate) found: Vec<Diagnostic>,
}

/// What was said outside of the files.
pub(crate) struct Given<'a> {
    /// The prefixes of the command line, which beat those of a file.
    pub(crate) prefixes: Option<&'a [Prefix]>,
    /// The registry of ECR repositories that name none.
    pub(crate) registry: Result<&'a EcrRegistry, &'a NoRegistry>,
}

/// Reads a file.
pub(crate) fn read(text: &mut Text, given: &Given<'_>) -> Document {
    let parsed = yaml::parse(text.content());
    // After a syntax error there is no tree that tells which values are secret.
    if let Some(root) = &parsed.root {
        text.hide_secrets_of(root);
    }
    let mut reader = Reader::new(text);
    let is_yaml = parsed.root.is_some() || parsed.problems.is_empty();
    for problem in parsed.problems {
        let mut diagnostic = reader.error(problem.code, problem.span, problem.message);
        if line_has_slash_comment(text, problem.span) {
            diagnostic = diagnostic.help("`//` is no comment in YAML, `#` is");
        }
        reader.push(problem.help.into_iter().fold(diagnostic, Diagnostic::help));
    }
    let mut document = match &parsed.root {
        Some(root) if !root.is_null() => top_level(&mut reader, root, given),
        _ if is_yaml => {
            let start = Span::default();
            reader.push(reader.warning(Code::EmptyList, start, "the file is empty"));
            Document::default()
        }
        _ => Document::default(),
    };
    document.found = reader.found;
    document
}

fn line_has_slash_comment(text: &Text, span: Span) -> bool {
    let content = text.content();
    let (before, after) = content.split_at_checked(span.start).unwrap_or((content, ""));
    let start = before.lines().next_back().filter(|_| !before.ends_with('\n')).unwrap_or_default();
    let line = format!("{start}{}", after.lines().next().unwrap_or_default());
    line.contains(" //") || line.trim_start().starts_with("//")
}

fn top_level(reader: &mut Reader<'_>, root: &Node, given: &Given<'_>) -> Document {
    if let Content::List(items) = &root.content {
        let repositories = bare_list(reader, root, items, given);
        return Document { repositories, ..Document::default() };
    }
    let Some(mut keys) = Mapping::open(reader, root, "a sync file") else {
        return Document::default();
    };
    let own = keys.get("targetRepoPrefix").map(|field| image::read_prefixes(reader, field));
    let signing = Arc::new(signing::read_defaults(reader, &mut keys));
    let verify = keys.get("verify");
    let images = keys.get("images");
    let registries = keys.get("registries");
    let repositories = keys.get("repositories");
    let charts = keys.get("charts");
    let notices = keys.get("notices");
    let schedule = keys.get("schedule").and_then(|field| schedule::read(reader, field));
    let complete = keys.close(reader);
    let prefixes = given.prefixes.or(own.as_deref());

    let mut document = Document { schedule, ..Document::default() };
    if let Some(field) = registries {
        document.registries = read_registries(reader, field);
    }
    if let Some(field) = notices {
        document.notices = notice::read(reader, field);
    }
    if let Some(field) = verify {
        document.verify = verify::read(reader, field);
    }
    let has_others =
        [registries, repositories, charts, verify, notices].iter().any(Option::is_some);
    match images {
        Some(field) => {
            let signing = Arc::clone(&signing);
            let (images, without_target) = read_images(reader, field, prefixes, signing);
            document.images = images;
            // An unknown key may well be a misspelt prefix.
            if complete {
                image::report_without_target(reader, &without_target);
            }
        }
        // A typing error in `images`, or a file of registries or rules alone, is no empty list.
        None if complete && !has_others => {
            let message = "the file has no `images`";
            reader.push(reader.warning(Code::EmptyList, Span::default(), message));
        }
        None => {}
    }
    if let Some(field) = repositories {
        let items = list(reader, field);
        let signing = Arc::clone(&signing);
        document.repositories = read_repositories(reader, field.key_span, items, given, signing);
    }
    if let Some(field) = charts {
        let around = chart::Around { prefixes, signing };
        let charts = list(reader, field).iter();
        document.charts = charts.filter_map(|item| chart::read(reader, item, &around)).collect();
    }
    document
}

/// A list at the top is ecr-sync's form of `repositories`.
fn bare_list(
    reader: &mut Reader<'_>,
    root: &Node,
    items: &[Node],
    given: &Given<'_>,
) -> Vec<RepositoryEntry> {
    let is_image = |item: &Node| match &item.content {
        Content::Mapping(entries) => entries.iter().any(
            |(key, _)| matches!(&key.content, Content::Scalar { text, .. } if text == "source"),
        ),
        Content::Scalar { .. } | Content::List(_) => true,
    };
    if items.iter().any(is_image) {
        let message = "a list of images belongs under the key `images`";
        let error = reader.error(Code::WrongType, root.span, message);
        reader.push(error.help("write `images:` above the list"));
    } else if items.is_empty() {
        reader.push(reader.warning(Code::EmptyList, root.span, "the list is empty"));
    } else {
        return read_repositories(reader, root.span, items, given, Arc::default());
    }
    Vec::new()
}

/// The repositories that are right; `at` is where the list begins.
fn read_repositories(
    reader: &mut Reader<'_>,
    at: Span,
    items: &[Node],
    given: &Given<'_>,
    signing: Arc<SigningDefaults>,
) -> Vec<RepositoryEntry> {
    let registry = given.registry.ok();
    let mut around = repository::Around { registry, signing, without_registry: false };
    let repositories = items.iter().filter_map(|item| repository::read(reader, item, &mut around));
    let repositories = repositories.collect();
    if around.without_registry
        && let Err(problem) = given.registry
    {
        let place = reader.place(at);
        reader.push(ecr_registry::describe(problem, place));
    }
    repositories
}

/// The items of a list, and a warning where there is none.
fn list<'n>(reader: &mut Reader<'_>, field: Field<'n>) -> &'n [Node] {
    let items = reader.list(field);
    if items.is_some_and(<[Node]>::is_empty) {
        reader.push(reader.warning(Code::EmptyList, field.key_span, "the list is empty"));
    }
    items.unwrap_or_default()
}

/// The images that are right, and the sources of those that have nowhere to go.
fn read_images(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    prefixes: Option<&[Prefix]>,
    signing: Arc<SigningDefaults>,
) -> (Vec<Entry>, Vec<Span>) {
    let items = list(reader, field);
    let mut surroundings = Surroundings { prefixes, signing, without_target: Vec::new() };
    let images = items.iter().filter_map(|item| image::read(reader, item, &mut surroundings));
    let images = images.collect();
    (images, surroundings.without_target)
}

fn read_registries(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<(Host, Span, RegistryEntry)> {
    if field.node.is_null() {
        return Vec::new();
    }
    let Some(mut keys) = Mapping::open(reader, field.node, "`registries`") else {
        return Vec::new();
    };
    let mut registries = Vec::new();
    let mut seen: HashMap<Host, Span> = HashMap::new();
    for (name, node) in keys.rest() {
        let host = match registry::parse_host(name.value) {
            Ok(host) => host,
            Err((message, label)) => {
                let error = reader.error(Code::InvalidHost, name.span, message);
                reader.push(error.label(label));
                continue;
            }
        };
        if let Some(first) = seen.insert(host.clone(), name.span) {
            let message = format!("the registry `{host}` is described twice");
            let error = reader.error(Code::DuplicateRegistry, name.span, message);
            let first = reader.text.place(first);
            reader.push(error.label("again here").related(first, "first here"));
            continue;
        }
        if let Some(entry) = registry::read(reader, &host, node) {
            registries.push((host, name.span, entry));
        }
    }
    registries
}

//! One file: its top level, read into images and registries whose places are still known.

use std::collections::HashMap;
use std::sync::Arc;

use oci::Host;

use crate::diagnostic::{Code, Diagnostic};
use crate::image::{self, Entry, Surroundings};
use crate::pending;
use crate::reader::{Field, Mapping, Reader};
use crate::registry::{self, RegistryEntry};
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
    pub(crate) found: Vec<Diagnostic>,
}

/// Reads a file; `given` are the prefixes of the command line, which beat its own.
pub(crate) fn read(text: &mut Text, given: Option<&[Prefix]>) -> Document {
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

fn top_level(reader: &mut Reader<'_>, root: &Node, given: Option<&[Prefix]>) -> Document {
    if let Content::List(items) = &root.content {
        bare_list(reader, root, items);
        return Document::default();
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
    let complete = keys.close(reader);
    let prefixes = given.or(own.as_deref());

    let mut document = Document::default();
    if let Some(field) = registries {
        document.registries = read_registries(reader, field);
    }
    if let Some(field) = verify {
        document.verify = verify::read(reader, field);
    }
    let has_others = registries.is_some() || repositories.is_some() || verify.is_some();
    match images {
        Some(field) => {
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
        let items = reader.list(field).unwrap_or_default();
        pending::repositories(reader, items);
        reader.not_supported(field, "list the images under `images:` with a `destination`");
    }
    document
}

/// A list at the top is ecr-sync's form of `repositories`.
fn bare_list(reader: &mut Reader<'_>, root: &Node, items: &[Node]) {
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
        pending::repositories(reader, items);
        let message = "a list of ECR repositories is not supported yet";
        let error = reader.error(Code::NotSupportedYet, root.span, message);
        reader.push(error.help("list the images under `images:` with a `destination`"));
    }
}

/// The images that are right, and the sources of those that have nowhere to go.
fn read_images(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    prefixes: Option<&[Prefix]>,
    signing: Arc<SigningDefaults>,
) -> (Vec<Entry>, Vec<Span>) {
    let Some(items) = reader.list(field) else { return (Vec::new(), Vec::new()) };
    if items.is_empty() {
        reader.push(reader.warning(Code::EmptyList, field.key_span, "the list is empty"));
    }
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

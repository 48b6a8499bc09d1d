//! One entry of `images`: a source, and where it goes.

use std::sync::Arc;

use oci::{InvalidName, Location, Reference, Selection, Source, Tag, Target, Written};

use crate::diagnostic::{Code, Diagnostic};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};
use crate::repository::{self, Creation};
use crate::signing::{self, SigningDefaults};
use crate::sync_file::{Image, Origin, TagSelection};
use crate::tag_selection::{self, Around};
use crate::target_name::{self, Prefix};
use crate::yaml::{Content, Node, Span};
use crate::{extent, text};

/// What an entry wants, and where each of its targets stands.
pub(crate) struct Entry {
    pub(crate) wants: Wants,
    pub(crate) span: Span,
    pub(crate) target_spans: Vec<Span>,
    /// How the ECR repositories of its targets are made, where that is asked for.
    pub(crate) ecr: Option<Creation>,
}

/// What an entry wants.
pub(crate) enum Wants {
    Image(Image),
    Tags(TagSelection),
}

/// What an entry needs to know of its file.
pub(crate) struct Surroundings<'a> {
    /// Where images without a destination go; nothing where that is not said at all.
    pub(crate) prefixes: Option<&'a [Prefix]>,
    /// What it says of signing all its images.
    pub(crate) signing: Arc<SigningDefaults>,
    /// The sources that have nowhere to go, reported once for the file.
    pub(crate) without_target: Vec<Span>,
}

/// Reads an entry; nothing where it is wrong.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    surroundings: &mut Surroundings<'_>,
) -> Option<Entry> {
    if let Content::Scalar { .. } = node.content {
        let error = reader.error(Code::WrongType, node.span, "an image must be a mapping of keys");
        reader.push(error.label("write `source:` before it"));
        return None;
    }
    let mut keys = Mapping::open(reader, node, "an image")?;
    let span = keys.span();
    let source = keys.require("source").and_then(|field| reader.text(field));
    let tag = keys.get("tag").and_then(|field| reader.text_or_null(field));
    let destinations = destinations(reader, &mut keys);
    let selects = keys.get("tags");
    let signing = signing::read(reader, &mut keys, &surroundings.signing);
    let ecr = keys.get("ecr").and_then(|field| repository::read_creation(reader, field));
    let extent = extent::read(reader, &mut keys);
    keys.close(reader);

    let before = reader.found.len();
    let source = source?;
    let reference = parse_reference(reader, &source);
    if let Some(field) = selects {
        let tag = tag.map(|tag| tag.span);
        let around =
            Around { span, source: &source, reference, tag, extent, destinations, signing };
        let (selection, target_spans) = tag_selection::read(reader, field, around, surroundings)?;
        check_ecr(reader, &ecr, selection.targets.iter())?;
        return Some(Entry { wants: Wants::Tags(selection), span, target_spans, ecr });
    }
    let tag = tag.map(|tag| (parse_tag(reader, &tag), tag.span));
    let reference = reference?;
    let Some(selection) = selection(&reference) else {
        let error = match tag {
            Some((_, tag_span)) => tag_without_source_tag(reader, &source, tag_span),
            None => no_tag_or_digest(reader, &source),
        };
        reader.push(error);
        return None;
    };
    let name = match tag {
        Some((tag, _)) => Name { tag: Some(tag?), renames: true },
        None => Name { tag: selection.tag().cloned(), renames: false },
    };
    let targets = match destinations {
        Destinations::Said(said) => said
            .iter()
            .filter_map(|text| {
                destination(reader, text, &name, source.span).map(|target| (target, text.span))
            })
            .collect(),
        Destinations::Wrong => return None,
        Destinations::None => by_prefix(reader, &source, &reference, &name, surroundings),
    };
    let (targets, target_spans): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
    let written = source.value;
    let source = Source { location: in_file(reader.text, reference.location), selection };
    for (target, at) in targets.iter().zip(&target_spans) {
        if target.location == source.location && source.selection.tag() == Some(&target.tag) {
            let error = reader.error(Code::SourceIsTarget, *at, "source and target are the same");
            reader.push(error);
        }
    }
    // Warnings were pushed before: what came since can only be errors.
    if reader.found.len() > before || targets.is_empty() {
        return None;
    }
    check_ecr(reader, &ecr, targets.iter().map(|target| &target.location))?;
    let origin = origin(reader, span);
    let image = Image { source, written, extent: extent?, targets, signing, origin };
    Some(Entry { wants: Wants::Image(image), span, target_spans, ecr })
}

/// Of several targets one in ECR is enough; none is a mistake.
fn check_ecr<'t>(
    reader: &mut Reader<'_>,
    ecr: &Option<Creation>,
    mut targets: impl Iterator<Item = &'t Location>,
) -> Option<()> {
    let Some(ecr) = ecr else { return Some(()) };
    if targets.any(|target| repository::of_location(target).is_some()) {
        return Some(());
    }
    let message = "`ecr` makes the repository of the target in ECR, and no target is there";
    let error = reader.error(Code::NotEcr, ecr.span, message);
    let form = "`123456789012.dkr.ecr.us-east-1.amazonaws.com/REPOSITORY`";
    reader.push(error.help(format!("a target in ECR is written as {form}")));
    None
}

pub(crate) fn origin(reader: &Reader<'_>, span: Span) -> Origin {
    let place = reader.text.place(span);
    Origin { file: place.file, line: place.line, column: place.column }
}

/// What the target is called: `tag`, else the source's tag.
struct Name {
    tag: Option<Tag>,
    renames: bool,
}

/// What an image says about where it goes.
pub(crate) enum Destinations {
    None,
    Said(Vec<Spanned<String>>),
    Wrong,
}

pub(crate) fn destinations(reader: &mut Reader<'_>, keys: &mut Mapping<'_>) -> Destinations {
    let field = match (keys.get("destination"), keys.get("target")) {
        (None, None) => return Destinations::None,
        (Some(field), None) | (None, Some(field)) => field,
        (Some(destination), Some(target)) => {
            let message = "`destination` and `target` are the same key; an image has one of them";
            let error = reader.error(Code::ConflictingKeys, target.key_span, message);
            let first = reader.text.place(destination.key_span);
            reader.push(error.related(first, "the other one").help(
                "several destinations are a list: `destination: [a.example/x, b.example/x]`",
            ));
            return Destinations::Wrong;
        }
    };
    reader.one_or_more(field).map_or(Destinations::Wrong, Destinations::Said)
}

fn selection(reference: &Reference) -> Option<Selection> {
    Some(match (reference.tag.clone(), reference.digest) {
        (Some(tag), Some(digest)) => Selection::Pinned { tag, digest },
        (Some(tag), None) => Selection::Tag(tag),
        (None, Some(digest)) => Selection::Digest(digest),
        (None, None) => return None,
    })
}

fn no_tag_or_digest(reader: &Reader<'_>, source: &Spanned<String>) -> Diagnostic {
    reader
        .error(Code::NoTagOrDigest, source.span, "the source has neither a tag nor a digest")
        .label("which version?")
        .help(format!("if the newest is meant, say so: `{}:latest`", source.value))
}

fn tag_without_source_tag(reader: &Reader<'_>, source: &Spanned<String>, tag: Span) -> Diagnostic {
    let message = "`tag` names the target, but the source has neither a tag nor a digest";
    let error = reader.error(Code::TagWithoutSourceTag, source.span, message);
    let written = reader.raw(tag).trim_matches(['"', '\'']);
    let error = error.label("which version?").related(reader.text.place(tag), "the target's tag");
    match written.parse::<Tag>() {
        Ok(tag) => error.help(format!("write the tag into the source: `{}:{tag}`", source.value)),
        Err(_) => error,
    }
}

/// The targets below the prefixes of the file or of the command line.
fn by_prefix(
    reader: &mut Reader<'_>,
    source: &Spanned<String>,
    reference: &Reference,
    name: &Name,
    surroundings: &mut Surroundings<'_>,
) -> Vec<(Target, Span)> {
    let is_named = matches!(reference.location, Location::Registry { .. });
    if is_named && target_tag(reader, name, source.span).is_none() {
        return Vec::new();
    }
    locations_by_prefix(reader, source, reference, surroundings)
        .into_iter()
        .filter_map(|(location, span)| Some((Target { location, tag: name.tag.clone()? }, span)))
        .collect()
}

/// The repositories below the prefixes of the file or of the command line.
pub(crate) fn locations_by_prefix(
    reader: &mut Reader<'_>,
    source: &Spanned<String>,
    reference: &Reference,
    surroundings: &mut Surroundings<'_>,
) -> Vec<(Location, Span)> {
    if !matches!(reference.location, Location::Registry { .. }) {
        let message = "an image from a layout or an archive has no name to make a target from";
        let error = reader.error(Code::NoTarget, source.span, message);
        reader.push(error.help("add `destination: HOST/REPOSITORY`"));
        return Vec::new();
    }
    let Some(prefixes) = surroundings.prefixes else {
        surroundings.without_target.push(source.span);
        return Vec::new();
    };
    let path = target_name::name(&Written::split(&source.value));
    let mut targets = Vec::new();
    for prefix in prefixes {
        match prefix.target(&path) {
            Ok(location) => targets.push((location, source.span)),
            Err(error) => {
                let message = "the target's name would not be valid";
                let problem = reader.error(Code::InvalidTarget, source.span, message);
                reader.push(problem.label(error.to_string()).help("give it a `destination`"));
            }
        }
    }
    targets
}

/// A destination that is said, with or without a tag.
pub(crate) fn destination_reference(
    reader: &mut Reader<'_>,
    text: &Spanned<String>,
) -> Option<Reference> {
    let reference = parse_reference(reader, text)?;
    if reference.digest.is_some() {
        let error = reader.error(
            Code::DigestInDestination,
            text.span,
            "a destination has no digest: it has the content of the source",
        );
        reader.push(error.help("name the content by `source: NAME@DIGEST`"));
        return None;
    }
    let first = text.value.split('/').next().unwrap_or_default();
    if matches!(reference.location, Location::Registry { .. })
        && !(text.value.contains('/') && target_name::names_registry(first))
    {
        let error = reader.error(
            Code::NoRegistry,
            text.span,
            "the destination does not begin with a registry",
        );
        reader
            .push(error.help(format!("if Docker Hub is meant, write `docker.io/{}`", text.value)));
        return None;
    }
    Some(reference)
}

/// A destination that is said.
fn destination(
    reader: &mut Reader<'_>,
    text: &Spanned<String>,
    name: &Name,
    source: Span,
) -> Option<Target> {
    let reference = destination_reference(reader, text)?;
    let tag = match (reference.tag, &name.tag) {
        (Some(tag), Some(renamed)) if name.renames && tag != *renamed => {
            let message = format!("the destination's tag is `{tag}`, but `tag` says `{renamed}`");
            let error = reader.error(Code::ConflictingTags, text.span, message);
            reader.push(error.help("remove one of them"));
            return None;
        }
        (Some(tag), _) => tag,
        (None, _) => target_tag(reader, name, source)?,
    };
    Some(Target { location: in_file(reader.text, reference.location), tag })
}

fn target_tag(reader: &mut Reader<'_>, name: &Name, source: Span) -> Option<Tag> {
    if name.tag.is_none() {
        let message = "the source has a digest, but the target has no tag";
        let error = reader.error(Code::DigestWithoutTag, source, message);
        reader.push(error.help("add `tag: \"…\"`, or write the source as `NAME:TAG@DIGEST`"));
    }
    name.tag.clone()
}

pub(crate) fn parse_reference(
    reader: &mut Reader<'_>,
    text: &Spanned<String>,
) -> Option<Reference> {
    match text.value.parse() {
        Ok(reference) => Some(reference),
        Err(error) => {
            // A URL may have a password, which no message may quote.
            let (message, label) = match text.value.split_once("://") {
                Some((scheme, _)) => (
                    "a URL is not an image reference".to_owned(),
                    format!("write it without `{scheme}://`"),
                ),
                None => described(&error),
            };
            reader.push(reader.error(Code::InvalidReference, text.span, message).label(label));
            None
        }
    }
}

/// An error's two halves: what is wrong, and why.
fn described(error: &InvalidName) -> (String, String) {
    let what = match error.input() {
        "" => format!("the {} is empty", error.what()),
        input => format!("`{}` is not a valid {}", input.escape_debug(), error.what()),
    };
    (what, error.problem().to_owned())
}

pub(crate) fn parse_tag(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<Tag> {
    match text.value.parse() {
        Ok(tag) => Some(tag),
        Err(error) => {
            let (message, label) = described(&error);
            let error = reader.error(Code::InvalidTag, text.span, message).label(label);
            reader.push(if text.value.contains(':') {
                error.help("a digest belongs in the source: `source: NAME@DIGEST`")
            } else if let Some(tag) = nearest_tag(&text.value) {
                error.help(format!("a valid one would be `{tag}`"))
            } else {
                error
            });
            None
        }
    }
}

/// The text with everything that no tag may have replaced by `-`.
fn nearest_tag(text: &str) -> Option<Tag> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let replaced: String = text.chars().map(|c| if good(c) { c } else { '-' }).collect();
    replaced.trim_matches(['-', '.']).parse().ok()
}

/// A place that the file names: its paths begin at the file's folder.
pub(crate) fn in_file(text: &text::Text, location: Location) -> Location {
    match location {
        Location::Layout(folder) => Location::Layout(text.resolve(&folder)),
        Location::Archive(file) => Location::Archive(text.resolve(&file)),
        same @ (Location::Registry { .. } | Location::Chart(_)) => same,
    }
}

/// Reports, once for a file, the images that have nowhere to go.
pub(crate) fn report_without_target(reader: &mut Reader<'_>, sources: &[Span]) {
    let Some((first, rest)) = sources.split_first() else { return };
    let message = match rest.len() {
        0 => "this image has nowhere to go".to_owned(),
        1 => "this image and another one have nowhere to go".to_owned(),
        more => format!("this image and {more} others have nowhere to go"),
    };
    let error = reader.error(Code::NoTarget, *first, message);
    reader.push(error.help(
        "give `--target-repo-prefix`, or `targetRepoPrefix` at the top of the file, \
         or `destination` in the image",
    ));
}

/// Reads the prefixes of a file, whether or not those of the command line replace them.
pub(crate) fn read_prefixes(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    for text in reader.one_or_more(field).unwrap_or_default() {
        match Prefix::parse(&text.value, |folder| reader.text.resolve(folder)) {
            Ok(prefix) => prefixes.push(prefix),
            Err(error) => {
                let place = reader.place(text.span);
                reader.push(target_name::describe(&error, place));
            }
        }
    }
    prefixes
}

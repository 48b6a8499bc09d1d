//! An entry of `images` with `tags`: rules that select tags of its source.

use std::num::NonZeroUsize;

use oci::{Extent, Location, Reference};
use tagrules::{Latest, Part, Pattern, Range, Rules};

use crate::diagnostic::{Code, Diagnostic};
use crate::image::{self, Destinations, Surroundings};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};
use crate::signing::Signing;
use crate::sync_file::TagSelection;
use crate::yaml::{Content, Span};

/// What an entry with `tags` has besides them.
pub(crate) struct Around<'a> {
    pub(crate) span: Span,
    pub(crate) source: &'a Spanned<String>,
    /// Nothing where it is wrong.
    pub(crate) reference: Option<Reference>,
    /// Where `tag` stands, which has no place here.
    pub(crate) tag: Option<Span>,
    /// Nothing where it is wrong.
    pub(crate) extent: Option<Extent>,
    pub(crate) destinations: Destinations,
    pub(crate) signing: Signing,
}

/// The selection of an entry, and where each of its targets stands; nothing where it is wrong.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    tags: Field<'_>,
    around: Around<'_>,
    surroundings: &mut Surroundings<'_>,
) -> Option<(TagSelection, Vec<Span>)> {
    let before = reader.found.len();
    let Around { span, source, reference, tag, extent, destinations, signing } = around;
    let rules = read_rules(reader, tags);
    if let Some(tag) = tag {
        let message = "`tag` names one tag of the target, but `tags` selects many";
        let error = reader.error(Code::TagWithTags, tag, message);
        reader.push(error.help("each selected tag keeps its name; remove `tag`"));
    }
    let reference = reference?;
    if let Some(named) = selector(&reference) {
        let message = format!("the source names {named}, but `tags` selects tags");
        let error = reader.error(Code::TagWithTags, source.span, message);
        let help = format!("remove `tags`, or write `source: {}`", without_selector(&source.value));
        reader.push(error.help(help));
    }
    let targets = match destinations {
        Destinations::Said(said) => {
            said.iter().filter_map(|text| destination(reader, text)).collect()
        }
        Destinations::Wrong => return None,
        Destinations::None => image::locations_by_prefix(reader, source, &reference, surroundings),
    };
    let location = image::in_file(reader.text, reference.location);
    for (target, at) in &targets {
        if *target == location {
            let error = reader.error(Code::SourceIsTarget, *at, "source and target are the same");
            reader.push(error);
        }
    }
    if reader.found.len() > before || targets.is_empty() {
        return None;
    }
    let (targets, spans): (Vec<Location>, Vec<Span>) = targets.into_iter().unzip();
    let origin = image::origin(reader, span);
    let written = source.value.clone();
    let (rules, extent) = (rules?, extent?);
    let source = location;
    Some((TagSelection { source, written, rules, extent, targets, signing, origin }, spans))
}

fn destination(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<(Location, Span)> {
    let reference = image::destination_reference(reader, text)?;
    if let Some(tag) = reference.tag {
        let message = format!("the destination has the tag `{tag}`, but `tags` selects many");
        let error = reader.error(Code::TagWithTags, text.span, message);
        let help =
            format!("each selected tag keeps its name: write `{}`", without_selector(&text.value));
        reader.push(error.help(help));
        return None;
    }
    Some((image::in_file(reader.text, reference.location), text.span))
}

fn selector(reference: &Reference) -> Option<String> {
    match (&reference.tag, &reference.digest) {
        (Some(tag), _) => Some(format!("the tag `{tag}`")),
        (None, Some(_)) => Some("a digest".to_owned()),
        (None, None) => None,
    }
}

/// `NAME` of `NAME:TAG@DIGEST`.
pub(crate) fn without_selector(text: &str) -> &str {
    let text = text.split('@').next().unwrap_or(text);
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => text,
    }
}

fn read_rules(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Rules> {
    if let Content::List(_) = field.node.content {
        let error = reader.error(
            Code::WrongType,
            field.key_span,
            "`tags` of an image are rules, not a list of tags",
        );
        reader.push(error.help("write an entry for each tag: `- source: NAME:TAG`"));
        return None;
    }
    let mut keys = Mapping::open(reader, field.node, "`tags`")?;
    let before = reader.found.len();
    let rules = Rules {
        semver: keys.get("semver").and_then(|field| range(reader, field)),
        include: keys.get("include").map(|field| patterns(reader, field)).unwrap_or_default(),
        exclude: keys.get("exclude").map(|field| patterns(reader, field)).unwrap_or_default(),
        latest: latest(reader, &mut keys),
        max_tags: keys.get("maxTags").and_then(|field| count(reader, field)),
        allow_empty: keys
            .get("allowEmpty")
            .and_then(|field| reader.boolean(field))
            .unwrap_or(false),
    };
    let complete = keys.close(reader);
    if complete && reader.found.len() == before && rules.want_all() {
        let message = "`tags` has no rule that selects";
        let error = reader.error(Code::NoValue, field.key_span, message);
        reader.push(error.help("if every tag is meant, say so: `tags: { include: \"*\" }`"));
        return None;
    }
    Some(rules)
}

fn range(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Range> {
    let text = reader.text(field)?;
    match text.value.parse::<Range>() {
        Ok(range) => Some(range),
        Err(error) => {
            let message = format!("`{}` is not a version range", text.value.escape_debug());
            let error = reader
                .error(Code::InvalidRange, text.span, message)
                .label(error.problem().to_owned());
            reader.push(
                error.help("such as `>=2.0, <3`, `^1.2`, `~1.2`, `1.x` or `1.2 - 1.4 || >=2`"),
            );
            None
        }
    }
}

fn patterns(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for text in reader.one_or_more(field).unwrap_or_default() {
        match text.value.parse::<Pattern>() {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let message = format!("`{}` is not a pattern", text.value.escape_debug());
                let found = reader
                    .error(Code::InvalidPattern, text.span, message)
                    .label(error.problem().to_owned());
                reader.push(error.hint().into_iter().fold(found, Diagnostic::help));
            }
        }
    }
    patterns
}

fn latest(reader: &mut Reader<'_>, keys: &mut Mapping<'_>) -> Option<Latest> {
    let latest = keys.get("latest");
    let per = keys.get("per");
    let part = per.and_then(|field| part(reader, field));
    match (latest, per) {
        (Some(field), _) => count(reader, field).map(|count| Latest { count, per: part }),
        (None, Some(per)) => {
            let message = "`per` says what the latest are counted for, but there is no `latest`";
            let error = reader.error(Code::MissingKey, per.key_span, message);
            reader.push(error.help("add `latest`, such as `latest: 1`"));
            None
        }
        (None, None) => None,
    }
}

fn part(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Part> {
    let text = reader.text(field)?;
    let part = text.value.parse();
    if part.is_err() {
        let message = "`per` must be `major`, `minor` or `patch`";
        reader.push(reader.error(Code::WrongType, text.span, message));
    }
    part.ok()
}

fn count(reader: &mut Reader<'_>, field: Field<'_>) -> Option<NonZeroUsize> {
    reader.count(field).and_then(NonZeroUsize::new)
}

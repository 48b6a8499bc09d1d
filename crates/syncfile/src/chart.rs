//! One entry of `charts`, and `chart` of an entry of `repositories`: a Helm chart in some versions, and
//! where it goes.

use std::sync::Arc;

use oci::{Location, Reference, Tag};
use tagrules::{Part, Range, Version};

use crate::chart_source::{self, ChartSource, Named, Naming};
use crate::diagnostic::{Code, Diagnostic};
use crate::image::{self, Destinations};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};
use crate::signing::{self, Signing, SigningDefaults};
use crate::sync_file::Origin;
use crate::target_name::Prefix;
use crate::yaml::{Content, Node, Span};

/// A Helm chart in some versions, and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chart {
    /// Where it comes from: the first of these that has it. At least one; there are two where an entry
    /// of `repositories` does not tell whether its URL ends with the chart's name or without it.
    pub sources: Vec<ChartSource>,
    /// The source as it stands in the file.
    pub written: String,
    /// Which versions.
    pub versions: ChartVersions,
    /// Where they go, at least one place, each version under its own tag.
    pub targets: Vec<Location>,
    /// Whether a plan lists the images that the chart names.
    pub list_images: bool,
    /// Whether and how each is signed at its targets.
    pub signing: Signing,
    /// Where it is asked for.
    pub origin: Origin,
}

/// Which versions of a chart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChartVersions {
    /// These, each once and at least one, as the chart has them: with `+`, not `_`.
    Exact(Vec<String>),
    /// Every version in this range.
    Range(Range),
}

/// A chart, and where its parts stand.
pub(crate) struct ChartEntry {
    pub(crate) chart: Chart,
    pub(crate) span: Span,
    /// Of exact versions.
    pub(crate) version_spans: Vec<Span>,
}

/// What an entry of `charts` needs to know of its file.
pub(crate) struct Around<'a> {
    /// Where charts without a destination go; nothing where that is not said at all.
    pub(crate) prefixes: Option<&'a [Prefix]>,
    /// What it says of signing.
    pub(crate) signing: Arc<SigningDefaults>,
}

/// The tag that holds a version: what no tag may have is replaced as Helm does it
/// (<https://helm.sh/docs/topics/registries/>).
pub(crate) fn version_tag(version: &str) -> Option<Tag> {
    version.replace('+', "_").parse().ok()
}

/// Reads an entry of `charts`; nothing where it is wrong.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    around: &Around<'_>,
) -> Option<ChartEntry> {
    let mut keys = Mapping::open(reader, node, "a chart")?;
    let span = keys.span();
    let source = keys.require("source").and_then(|field| reader.text(field));
    let name = keys.get("name").map(|field| name(reader, field));
    let versions_field = keys.get("versions");
    let versions = versions_field.map(|field| versions(reader, field));
    let destinations = image::destinations(reader, &mut keys);
    let list_images = keys.get("images").map(|field| reader.boolean(field));
    let signing = signing::read(reader, &mut keys, &around.signing);
    keys.close(reader);

    let source = source?;
    let naming = match &name {
        Some(Some(name)) => Naming::After(name),
        Some(None) => return None,
        None => Naming::InUrl,
    };
    let named = chart_source::read(reader, &source, naming)?;
    let versions = match versions {
        Some(versions) => Some(versions?),
        None => None,
    };
    let versions = with_tag(reader, &named, versions, source.span, versions_field)?;
    let targets = match destinations {
        Destinations::Said(said) => {
            said.iter().filter_map(|text| destination(reader, text)).collect()
        }
        Destinations::Wrong => return None,
        Destinations::None => by_prefix(reader, &named, source.span, around.prefixes)?,
    };
    let is_same = |target: &&Location| {
        named.sources.iter().any(|one| matches!(one, ChartSource::Registry(it) if it == *target))
    };
    if targets.iter().any(|target| is_same(&target)) {
        let message = "source and target are the same";
        reader.push(reader.error(Code::SourceIsTarget, source.span, message));
        return None;
    }
    let list_images = list_images.map_or(Some(false), |said| said)?;
    if targets.is_empty() {
        return None;
    }
    let origin = image::origin(reader, span);
    let written = source.value;
    let sources = named.sources;
    let (versions, version_spans) = versions;
    let chart = Chart { sources, written, versions, targets, list_images, signing, origin };
    Some(ChartEntry { chart, span, version_spans })
}

/// `chart` of an entry of `repositories`, with nothing wrong in it.
pub(crate) struct RepositoryChart {
    written: String,
    sources: Vec<ChartSource>,
    versions: Vec<String>,
    spans: Vec<Span>,
    span: Span,
}

/// Reads it; nothing where it is wrong. The chart may have the `name` of the repository.
pub(crate) fn of_repository(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    name: &str,
) -> Option<RepositoryChart> {
    let mut keys = Mapping::open(reader, field.node, "`chart`")?;
    let span = keys.span();
    let url = keys.require("pull_url").and_then(|field| reader.text(field));
    let tags_field = keys.get("tags");
    let tags = tags_field.map(|field| match reader.list(field) {
        // No tag at all is the same as an empty list.
        Some([]) => Some(None),
        Some(_) => exact_versions(reader, field).map(Some),
        None => None,
    });
    keys.close(reader);
    let url = url?;
    let named = chart_source::read(reader, &url, Naming::Either(name))?;
    let tags = tags.unwrap_or(Some(None))?;
    let versions = tags.map(|(versions, spans)| (ChartVersions::Exact(versions), spans));
    let (versions, spans) = with_tag(reader, &named, versions, url.span, tags_field)?;
    let ChartVersions::Exact(versions) = versions else { return None };
    let (sources, written) = (named.sources, url.value);
    Some(RepositoryChart { written, sources, versions, spans, span })
}

impl RepositoryChart {
    /// The chart with this repository as its target.
    pub(crate) fn entry(
        self,
        reader: &Reader<'_>,
        repository: Location,
        signing: Signing,
    ) -> ChartEntry {
        let chart = Chart {
            sources: self.sources,
            written: self.written,
            versions: ChartVersions::Exact(self.versions),
            targets: vec![repository],
            list_images: false,
            signing,
            origin: image::origin(reader, self.span),
        };
        ChartEntry { chart, span: self.span, version_spans: self.spans }
    }
}

type Versions = (ChartVersions, Vec<Span>);

/// The versions that are said, or the one whose tag the URL has; both must agree.
fn with_tag(
    reader: &mut Reader<'_>,
    named: &Named,
    versions: Option<Versions>,
    url: Span,
    field: Option<Field<'_>>,
) -> Option<Versions> {
    let key = field.map_or("versions", |field| field.key);
    let of_url = named.tag.as_ref().map(|tag| tag.replace('_', "+"));
    match (versions, of_url) {
        (Some(versions), None) => Some(versions),
        (Some(versions), Some(version)) => match &versions.0 {
            ChartVersions::Exact(all) if all.contains(&version) => Some(versions),
            _ => {
                let message = format!("the URL names the version {version}, but `{key}` others");
                let error = reader.error(Code::ConflictingTags, url, message);
                reader.push(error.help("a chart keeps its version; write the URL without it"));
                None
            }
        },
        (None, Some(version)) if is_exact(&version) => {
            Some((ChartVersions::Exact(vec![version]), vec![url]))
        }
        (None, _) => {
            let message = "it is not said which versions of the chart are wanted";
            let error = reader.error(Code::NoTagOrDigest, url, message);
            let error = error.label("which version?");
            reader.push(match key {
                "tags" => error.help("such as `tags: [\"1.2.3\"]`"),
                _ => {
                    error.help("such as `versions: [\"1.2.3\"]`, or a range: `versions: \"^1.2\"`")
                }
            });
            None
        }
    }
}

fn name(reader: &mut Reader<'_>, field: Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if !chart_source::is_chart_name(&text.value) {
        let message = format!("`{}` is not the name of a chart", text.value.escape_debug());
        let error = reader.error(Code::InvalidReference, text.span, message);
        reader.push(error.label("letters, digits, `.`, `_` and `-`"));
        return None;
    }
    Some(text.value)
}

/// Exact versions, or one range.
fn versions(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Versions> {
    if let Content::List(_) = field.node.content {
        let (versions, spans) = exact_versions(reader, field)?;
        return Some((ChartVersions::Exact(versions), spans));
    }
    let text = reader.one_or_more(field)?.pop()?;
    if is_exact(&text.value) {
        return Some((ChartVersions::Exact(vec![text.value]), vec![text.span]));
    }
    match text.value.parse::<Range>() {
        Ok(range) => Some((ChartVersions::Range(range), Vec::new())),
        Err(error) => {
            let message = format!(
                "`{}` is neither a version nor a range of versions",
                text.value.escape_debug()
            );
            let found = reader.error(Code::InvalidRange, text.span, message);
            let found = found.label(error.problem().to_owned());
            reader.push(found.help("such as `1.2.3`, `^1.2`, `~1.2` or `>=1.2, <2`"));
            None
        }
    }
}

/// Each version of a list once.
fn exact_versions(reader: &mut Reader<'_>, field: Field<'_>) -> Option<(Vec<String>, Vec<Span>)> {
    let (mut versions, mut spans) = (Vec::new(), Vec::new());
    let texts = reader.one_or_more(field)?;
    let count = texts.len();
    let mut repeated = 0;
    for text in texts {
        if !is_exact(&text.value) {
            reader.push(not_exact(reader, &text));
        } else if versions.contains(&text.value) {
            repeated += 1;
            let message = format!("the version `{}` is listed twice", text.value.escape_debug());
            reader.push(reader.warning(Code::DuplicateValue, text.span, message));
        } else {
            versions.push(text.value);
            spans.push(text.span);
        }
    }
    // A text of the list that is none was noted by who read it.
    let is_whole = match &field.node.content {
        Content::List(items) => items.len() == count,
        Content::Scalar { .. } | Content::Mapping(_) => true,
    };
    (is_whole && versions.len() + repeated == count).then_some((versions, spans))
}

fn not_exact(reader: &Reader<'_>, text: &Spanned<String>) -> Diagnostic {
    let message = format!("`{}` is not the version of a chart", text.value.escape_debug());
    let error = reader.error(Code::InvalidVersion, text.span, message);
    if text.value.contains('_') && is_exact(&text.value.replace('_', "+")) {
        error.label("the version itself has a `+` there")
    } else if text.value.parse::<Range>().is_ok() {
        error
            .label("this is a range; a version has three numbers")
            .help("a range stands alone, in an entry of `charts`: `versions: \"^1.2\"`")
    } else {
        error.label("it has three numbers, such as `1.2.3`")
    }
}

/// Whether it is one version, and no range: Helm's charts have all three numbers.
fn is_exact(text: &str) -> bool {
    Version::of(text).is_some_and(|version| version.named() == Part::Patch)
        && !text.contains('_')
        && version_tag(text).is_some()
}

fn destination(reader: &mut Reader<'_>, text: &Spanned<String>) -> Option<Location> {
    let reference: Reference = image::destination_reference(reader, text)?;
    if let Some(tag) = reference.tag {
        let message = format!("the destination has the tag `{tag}`, but a chart's is its version");
        let error = reader.error(Code::TagWithTags, text.span, message);
        reader.push(error.help("write it without the tag"));
        return None;
    }
    Some(image::in_file(reader.text, reference.location))
}

/// As `helm push` does it: the chart's name below the prefix.
fn by_prefix(
    reader: &mut Reader<'_>,
    named: &Named,
    source: Span,
    prefixes: Option<&[Prefix]>,
) -> Option<Vec<Location>> {
    let Some(prefixes) = prefixes else {
        let error = reader.error(Code::NoTarget, source, "this chart has nowhere to go");
        reader.push(error.help(
            "give `--target-repo-prefix`, or `targetRepoPrefix` at the top of the file, or \
             `destination` in the chart",
        ));
        return None;
    };
    let name = named.sources.first().map(ChartSource::chart).unwrap_or_default();
    let mut targets = Vec::new();
    for prefix in prefixes {
        match prefix.target(name) {
            Ok(location) => targets.push(location),
            Err(error) => {
                let message = "the target's name would not be valid";
                let problem = reader.error(Code::InvalidTarget, source, message);
                reader.push(problem.label(error.to_string()).help("give it a `destination`"));
                return None;
            }
        }
    }
    Some(targets)
}

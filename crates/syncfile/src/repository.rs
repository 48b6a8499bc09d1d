//! One entry of `repositories`, an ECR repository that is to be and what it holds; and `ecr` of an
//! image, which asks for the repository of its target.

use std::sync::Arc;

use oci::{EcrRegistry, InvalidName, Location, Repository};

use crate::chart::{self, ChartEntry};
use crate::diagnostic::Code;
use crate::image::{self, Entry};
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::registry::parse_host;
use crate::repository_image;
use crate::repository_settings::{self, RepositorySettings};
use crate::signing::{self, SigningDefaults};
use crate::sync_file::Origin;
use crate::yaml::{Content, Node, Span};

/// An ECR repository that is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcrRepository {
    /// The registry it is in.
    pub registry: EcrRegistry,
    /// Its name there.
    pub name: Repository,
    /// How it is to be.
    pub settings: RepositorySettings,
    /// Whether one that exists is left as it is: asked for by `ecr: { create: true }` of an image.
    pub creation_only: bool,
    /// Where it is asked for.
    pub origin: Origin,
}

impl EcrRepository {
    /// Where its images and its chart are.
    pub fn location(&self) -> Location {
        Location::Registry { host: self.registry.host(), repository: self.name.clone() }
    }
}

/// An ECR repository, what it holds, and where its name stands.
pub(crate) struct RepositoryEntry {
    pub(crate) repository: EcrRepository,
    pub(crate) images: Vec<Entry>,
    pub(crate) chart: Option<ChartEntry>,
    pub(crate) span: Span,
}

/// What an entry needs to know of its file.
pub(crate) struct Around<'a> {
    /// The registry of entries that name none.
    pub(crate) registry: Option<&'a EcrRegistry>,
    /// What it says of signing.
    pub(crate) signing: Arc<SigningDefaults>,
    /// Whether an entry has no registry, reported once for the file.
    pub(crate) without_registry: bool,
}

/// Reads an entry; nothing where it is wrong.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    around: &mut Around<'_>,
) -> Option<RepositoryEntry> {
    if let Content::Scalar { .. } = node.content {
        let message = "an ECR repository must be a mapping of keys";
        let error = reader.error(Code::WrongType, node.span, message);
        reader.push(error.label("write `name:` before it"));
        return None;
    }
    let mut keys = Mapping::open(reader, node, "an ECR repository")?;
    let (before, span) = (reader.found.len(), keys.span());
    let name_field = keys.require("name");
    let name = name_field.and_then(|field| name(reader, field));
    let own_registry = keys.get("registry");
    let registry = match own_registry {
        Some(field) => registry(reader, field),
        None => around.registry.cloned(),
    };
    around.without_registry |= own_registry.is_none() && registry.is_none();
    let image = keys.get("image").map(|field| repository_image::read(reader, field));
    // Where the name is wrong, the chart is looked at all the same.
    let last = name.as_ref().and_then(|name| name.as_str().rsplit('/').next()).unwrap_or("name");
    let chart = keys.get("chart").map(|field| chart::of_repository(reader, field, last));
    let settings = repository_settings::read(reader, &mut keys);
    let signing = signing::read(reader, &mut keys, &around.signing);
    keys.close(reader);

    let (name, registry) = (name?, registry?);
    let origin = image::origin(reader, span);
    let repository = EcrRepository { registry, name, settings, creation_only: false, origin };
    let location = repository.location();
    let images =
        image.map_or(Some(Vec::new()), |image| Some(image?.entries(reader, &location, &signing)));
    let chart = match chart {
        Some(chart) => Some(chart?.entry(reader, location, signing)),
        None => None,
    };
    let is_error = |found: &crate::Diagnostic| found.severity == crate::Severity::Error;
    if reader.found.get(before..).unwrap_or_default().iter().any(is_error) {
        return None;
    }
    let span = name_field.map_or(span, |field| field.node.span);
    Some(RepositoryEntry { repository, images: images?, chart, span })
}

fn name(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Repository> {
    let text = reader.text(field)?;
    let problem = match text.value.parse::<Repository>() {
        Ok(name) if is_ecr_name(&name) => return Some(name),
        Ok(_) => {
            "it must have 2 to 256 characters: lower-case letters and digits, with one `.`, `_` or \
                  `-` at a time between them, and `/`"
                .to_owned()
        }
        Err(error) => {
            let error: InvalidName = error;
            error.problem().to_owned()
        }
    };
    let message = format!("`{}` is not the name of an ECR repository", text.value.escape_debug());
    reader.push(reader.error(Code::InvalidTarget, text.span, message).label(problem));
    None
}

/// What ECR asks of a name besides what every registry does:
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>
fn is_ecr_name(name: &Repository) -> bool {
    let name = name.as_str();
    let is_separator = |byte: &u8| b"._-".contains(byte);
    let bytes = name.as_bytes();
    let two_in_a_row = bytes.windows(2).any(|two| two.iter().all(is_separator));
    (2..=256).contains(&name.len()) && !two_in_a_row
}

fn registry(reader: &mut Reader<'_>, field: Field<'_>) -> Option<EcrRegistry> {
    let text = reader.text(field)?;
    let (message, label) = match parse_host(&text.value) {
        Ok(host) => match EcrRegistry::of_host(&host) {
            Some(registry) => return Some(registry),
            None => (
                format!("`{host}` is not a private registry of ECR"),
                "it is written as `123456789012.dkr.ecr.us-east-1.amazonaws.com`".to_owned(),
            ),
        },
        Err(wrong) => wrong,
    };
    reader.push(reader.error(Code::InvalidHost, text.span, message).label(label));
    None
}

/// `ecr` of an image: how the repositories of its targets are made.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    pub(crate) settings: RepositorySettings,
    pub(crate) span: Span,
}

/// Reads it; nothing where it is wrong or asks for nothing.
pub(crate) fn read_creation(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Creation> {
    let mut keys = Mapping::open(reader, field.node, "`ecr`")?;
    let create = keys.require("create").and_then(|field| reader.boolean(field));
    let settings = repository_settings::read(reader, &mut keys);
    keys.close(reader);
    (create == Some(true)).then_some(Creation { settings, span: field.key_span })
}

/// The repository of ECR that a place is, where it is one.
pub(crate) fn of_location(location: &Location) -> Option<(EcrRegistry, Repository)> {
    match location {
        Location::Registry { host, repository } => {
            Some((EcrRegistry::of_host(host)?, repository.clone()))
        }
        Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_ecr_takes() {
        for good in ["ab", "nginx-app", "team/a.b_c-d/e", "a/b", &"a".repeat(255)] {
            assert!(is_ecr_name(&good.parse().expect(good)), "{good}");
        }
        for bad in ["a", "a__b", "a--b", "team/a---b"] {
            assert!(!is_ecr_name(&bad.parse().expect(bad)), "{bad}");
        }
    }
}

//! [`Reference`]: the full name of a manifest, in a registry or an OCI layout.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::name::serde_as_text;
use crate::{ChartLocation, Digest, Host, InvalidName, Repository, Tag};

/// A place that holds the manifests and blobs of one repository.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Location {
    /// A repository of a registry, `host/repository`.
    Registry {
        /// The registry.
        host: Host,
        /// The repository in it.
        repository: Repository,
    },
    /// An OCI image layout in a folder, `oci:FOLDER`.
    Layout(PathBuf),
    /// An OCI image layout in a tar archive, `oci-archive:FILE`.
    Archive(PathBuf),
    /// A chart in a classic Helm repository, whose versions are its tags. A source only; no
    /// [`Reference`] is read as one.
    Chart(ChartLocation),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { host, repository } => write!(f, "{host}/{repository}"),
            Self::Layout(folder) => write!(f, "{LAYOUT}{}", folder.display()),
            Self::Archive(file) => write!(f, "{ARCHIVE}{}", file.display()),
            Self::Chart(chart) => chart.fmt(f),
        }
    }
}

/// What picks one manifest out of a repository; the distribution spec's `<reference>`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Selector {
    /// The manifest that the tag points at now.
    Tag(Tag),
    /// The manifest with this digest.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Selector {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Selector {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

const LAYOUT: &str = "oci:";
const ARCHIVE: &str = "oci-archive:";

/// The name of a manifest: where it is, and its tag, its digest or both.
///
/// `nginx` is read as Docker does, `docker.io/library/nginx`; no tag is ever added.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Reference {
    /// The repository.
    pub location: Location,
    /// The tag, where one is written.
    pub tag: Option<Tag>,
    /// The digest, where one is written.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let invalid = |problem: String| InvalidName::new("image reference", input, problem);
        let caused = |error: &InvalidName| {
            // The part is quoted only where it is not the whole.
            if error.input() == input {
                invalid(error.problem().to_owned())
            } else {
                invalid(error.to_string())
            }
        };
        if input.is_empty() {
            return Err(invalid("it is empty".into()));
        }
        if let Some(bad) = input.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid(format!("it contains `{}`", bad.escape_debug())));
        }
        let archive = input.strip_prefix(ARCHIVE);
        if let Some(rest) = archive.or_else(|| input.strip_prefix(LAYOUT)) {
            let (path, tag, digest) = split_selectors(rest);
            if path.is_empty() {
                return Err(invalid("the path is missing".into()));
            }
            let location = if archive.is_some() { Location::Archive } else { Location::Layout };
            return Ok(Self {
                location: location(PathBuf::from(path)),
                tag: tag.map(str::parse).transpose().map_err(|error| caused(&error))?,
                digest: digest.map(str::parse).transpose().map_err(|error| caused(&error))?,
            });
        }
        if let Some((scheme, rest)) = input.split_once("://") {
            return Err(invalid(format!("it is written without `{scheme}://`; try `{rest}`")));
        }
        let written = Written::split(input);
        let host: Host = written
            .host
            .unwrap_or(Host::DOCKER_HUB)
            .parse()
            .map_err(|error: InvalidName| caused(&error))?;
        let repository = if host.is_docker_hub() && !written.path.contains('/') {
            format!("library/{}", written.path).parse()
        } else {
            written.path.parse()
        };
        // What `library/` was put before is quoted as it was written.
        let repository = repository.or_else(|_: InvalidName| written.path.parse::<Repository>());
        Ok(Self {
            location: Location::Registry {
                host,
                repository: repository.map_err(|error| caused(&error))?,
            },
            tag: written.tag.map(str::parse).transpose().map_err(|error| caused(&error))?,
            digest: written.digest.map(str::parse).transpose().map_err(|error| caused(&error))?,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.location)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

serde_as_text!(Reference);

/// The parts of a registry reference as they are written, none of them checked and none added:
/// what target names are made from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Written<'a> {
    /// The first component, where it can only be a host: it has a dot or a port, or is `localhost`.
    pub host: Option<&'a str>,
    /// The repository's path.
    pub path: &'a str,
    /// The tag.
    pub tag: Option<&'a str>,
    /// The digest.
    pub digest: Option<&'a str>,
}

impl<'a> Written<'a> {
    /// Splits a reference at its separators.
    pub fn split(text: &'a str) -> Self {
        let (name, tag, digest) = split_selectors(text);
        let (host, path) = match name.split_once('/') {
            Some((first, rest))
                if first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost") =>
            {
                (Some(first), rest)
            }
            _ => (None, name),
        };
        Self { host, path, tag, digest }
    }
}

/// Splits `NAME[:TAG][@DIGEST]`; a colon before a slash belongs to the name.
fn split_selectors(text: &str) -> (&str, Option<&str>, Option<&str>) {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag), digest),
        _ => (rest, None, digest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const D: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn reads_registry_references_as_docker_does() {
        let with_digest = format!("quay.io/a/b@{D}");
        let with_both = format!("nginx:1.25@{D}");
        let table = [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("index.docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("localhost/a:1", "localhost/a:1"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1"),
            ("ghcr.io/g/n/1.10.0/driver:590-1", "ghcr.io/g/n/1.10.0/driver:590-1"),
            (with_digest.as_str(), with_digest.as_str()),
            (with_both.as_str(), &format!("docker.io/library/{with_both}")),
        ];
        for (input, expected) in table {
            assert_eq!(input.parse::<Reference>().unwrap().to_string(), expected, "{input}");
        }
    }

    #[test]
    fn reads_layouts() {
        let table = [
            ("oci:./mirror/library/nginx:1.27", Location::Layout("./mirror/library/nginx".into())),
            ("oci:/tmp/a:b/c", Location::Layout("/tmp/a:b/c".into())),
            ("oci-archive:x.tar:1", Location::Archive("x.tar".into())),
        ];
        for (input, location) in table {
            let reference = input.parse::<Reference>().unwrap();
            assert_eq!(reference.location, location);
            assert_eq!(reference.to_string(), input);
        }
    }

    #[test]
    fn errors_quote_the_input_and_say_what_would_be_right() {
        let table = [
            ("", "`` is not an image reference: it is empty"),
            ("nginx:", "`` is not a tag"),
            ("Nginx:1", "try `nginx`"),
            ("https://ghcr.io/a/b:1", "try `ghcr.io/a/b:1`"),
            ("a b", "contains ` `"),
            ("nginx@sha256:abc", "has 64 lower-case hex digits"),
            ("host:99999/a:1", "not a port"),
            ("oci:", "the path is missing"),
        ];
        for (input, expected) in table {
            let error = input.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(expected), "{input}: {error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(input in ".{0,60}") {
            let _ = input.parse::<Reference>();
        }

        #[test]
        fn what_was_read_reads_the_same_again(
            input in "([a-z]{1,5}\\.io(:[1-9][0-9]{0,3})?/)?[a-z0-9]{1,8}(/[a-z0-9._-]{1,8}){0,2}(:[A-Za-z0-9._-]{1,9})?"
        ) {
            if let Ok(reference) = input.parse::<Reference>() {
                let again = reference.to_string().parse::<Reference>();
                prop_assert_eq!(again, Ok(reference));
            }
        }
    }
}

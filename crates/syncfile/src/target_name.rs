//! What an image is called at the target: the prefix, then the name of the source.
//!
//! The rules are those of kyma's image-syncer, whose published names must not change. A path is
//! made from the source as it is written, so `docker.io/nginx` and `nginx` have different targets.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic, Place};
use oci::{Host, InvalidName, Location, Repository, Written};

/// What all targets without a destination of their own begin with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Prefix {
    /// A registry and, where there is one, a path in it.
    Registry(Host, Option<Repository>),
    /// A folder of OCI layouts, as seen from the working directory.
    Layouts(PathBuf),
}

/// Why a text is no prefix.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidPrefix {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("a prefix is written without `{0}://`")]
    Scheme(String),
    #[error("the prefix names no registry")]
    NoRegistry,
    #[error("an archive holds one repository and cannot be a prefix")]
    Archive,
    #[error("the prefix has no folder")]
    NoFolder,
}

impl Prefix {
    /// Reads `HOST[/PATH][/]` or `oci:FOLDER`; `resolve` finds a folder from the working directory.
    pub(crate) fn parse(
        text: &str,
        resolve: impl FnOnce(&Path) -> PathBuf,
    ) -> Result<Self, InvalidPrefix> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(InvalidPrefix::Scheme(scheme.to_owned()));
        }
        if text.starts_with("oci-archive:") {
            return Err(InvalidPrefix::Archive);
        }
        if let Some(folder) = text.strip_prefix("oci:") {
            return match folder {
                "" => Err(InvalidPrefix::NoFolder),
                _ => Ok(Self::Layouts(resolve(Path::new(folder)))),
            };
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        let (host, path) = match text.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (text, None),
        };
        if !names_registry(host) {
            return Err(InvalidPrefix::NoRegistry);
        }
        Ok(Self::Registry(host.parse()?, path.map(str::parse).transpose()?))
    }

    /// Where the image with this [`name`] goes.
    pub(crate) fn target(&self, name: &str) -> Result<Location, InvalidName> {
        // Checked for a layout as well: what it holds can be served by a registry.
        let repository: Repository = name.parse()?;
        Ok(match self {
            Self::Registry(host, path) => Location::Registry {
                host: host.clone(),
                repository: match path {
                    Some(path) => format!("{path}/{repository}").parse()?,
                    None => repository,
                },
            },
            Self::Layouts(folder) => Location::Layout(folder.join(repository.as_str())),
        })
    }
}

/// The error for a prefix of a file, or of the command line where there is no place.
pub(crate) fn describe(error: &InvalidPrefix, place: Option<Place>) -> Diagnostic {
    let code = match error {
        InvalidPrefix::NoRegistry => Code::NoRegistry,
        _ => Code::InvalidTarget,
    };
    let diagnostic = match place {
        Some(_) => Diagnostic::error(code, place, "`targetRepoPrefix` is not valid")
            .label(error.to_string()),
        None => {
            Diagnostic::error(code, None, format!("`--target-repo-prefix` is not valid: {error}"))
        }
    };
    diagnostic.help("it is `HOST/PATH/`, such as `registry.example.com/mirror/`, or `oci:FOLDER`")
}

/// Whether the first component of a name can only be a registry. Docker reads any other name as
/// one of Docker Hub, which is never meant where something is written to.
pub(crate) fn names_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost")
}

/// The path of a source below the prefix: its host is kept (a port's `:` becomes `_`), and a name
/// without host and namespace is one of Docker's `library/`.
pub(crate) fn name(source: &Written<'_>) -> String {
    match source.host {
        Some(host) => format!("{}/{}", host.to_ascii_lowercase().replace(':', "_"), source.path),
        None if source.path.contains('/') => source.path.to_owned(),
        None => format!("library/{}", source.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(prefix: &str, source: &str) -> String {
        let prefix = Prefix::parse(prefix, Path::to_path_buf).expect("a prefix");
        prefix.target(&name(&Written::split(source))).expect("a target").to_string()
    }

    #[test]
    fn prefixes_end_with_one_slash_written_or_not() {
        for prefix in ["reg.example/ext/", "reg.example/ext"] {
            assert_eq!(target(prefix, "nginx:1"), "reg.example/ext/library/nginx");
        }
        for prefix in ["localhost:5000/", "localhost:5000"] {
            assert_eq!(target(prefix, "quay.io/a/b:1"), "localhost:5000/quay.io/a/b");
        }
        for prefix in ["oci:./mirror/", "oci:./mirror"] {
            assert_eq!(target(prefix, "nginx:1"), "oci:./mirror/library/nginx");
        }
    }

    #[test]
    fn hosts_are_lower_case_and_their_ports_do_not_break_the_path() {
        assert_eq!(target("r.example", "Quay.IO:443/a/b:1"), "r.example/quay.io_443/a/b");
        assert_eq!(target("r.example", "localhost/a:1"), "r.example/localhost/a");
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        let cases = [
            ("mirror/", "the prefix names no registry"),
            ("", "the prefix names no registry"),
            ("https://reg.example/", "a prefix is written without `https://`"),
            ("oci:", "the prefix has no folder"),
            ("oci-archive:a.tar", "an archive holds one repository and cannot be a prefix"),
        ];
        for (text, message) in cases {
            let error = Prefix::parse(text, Path::to_path_buf).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
        for text in ["reg.example/a//", "reg.example/A/", "reg.example/a:1/", "re g.example/a"] {
            let error = Prefix::parse(text, Path::to_path_buf).expect_err(text);
            assert!(matches!(error, InvalidPrefix::Name(_)), "{text}: {error}");
        }
    }

    #[test]
    fn a_host_that_cannot_be_a_path_has_no_target() {
        let prefix = Prefix::parse("reg.example", Path::to_path_buf).expect("a prefix");
        assert!(prefix.target(&name(&Written::split("[::1]:5000/a:1"))).is_err());
    }
}

//! Where a chart comes from: the URL of a classic repository, or `oci://`.

use oci::{Location, Reference};
use url::Url;

use crate::diagnostic::{Code, Diagnostic};
use crate::image;
use crate::reader::{Reader, Spanned};
use crate::target_name::names_registry;

/// Where a chart comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ChartSource {
    /// A repository with an `index.yaml`.
    Repository {
        /// The folder of the `index.yaml`, https or http; without a slash at its end, a query, a fragment
        /// or a user.
        url: Url,
        /// The chart's name.
        chart: String,
    },
    /// A repository of an OCI registry that holds this chart alone.
    Registry(Location),
}

impl ChartSource {
    /// The chart's name: of a registry, the last part of the repository's.
    pub fn chart(&self) -> &str {
        match self {
            Self::Repository { chart, .. } => chart,
            Self::Registry(Location::Registry { repository, .. }) => last(repository.as_str()),
            Self::Registry(Location::Layout(path) | Location::Archive(path)) => {
                path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
            }
            Self::Registry(Location::Chart(chart)) => chart.chart(),
        }
    }
}

/// How the chart's name is told.
#[derive(Clone, Copy)]
pub(crate) enum Naming<'a> {
    /// The URL ends with it.
    InUrl,
    /// It comes after the URL.
    After(&'a str),
    /// The URL ends with one, or else this one comes after it.
    Either(&'a str),
}

/// What a URL says.
#[derive(Debug)]
pub(crate) struct Named {
    /// Where the chart may be, in the order in which that is tried.
    pub(crate) sources: Vec<ChartSource>,
    /// The tag after the name in an OCI registry.
    pub(crate) tag: Option<String>,
}

/// Reads a URL; nothing where it is wrong. It is not quoted, because it may have a password.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    text: &Spanned<String>,
    naming: Naming<'_>,
) -> Option<Named> {
    if let Some(name) = text.value.strip_prefix("oci://") {
        return of_registry(reader, text, name.trim_end_matches('/'), naming);
    }
    match of_repository(&text.value, naming) {
        Ok(sources) => Some(Named { sources, tag: None }),
        Err(problem) => {
            let message = "this is not the URL of a chart";
            let error = reader.error(Code::InvalidUrl, text.span, message).label(problem.label);
            reader.push(problem.help.into_iter().fold(error, Diagnostic::help));
            None
        }
    }
}

struct Problem {
    label: &'static str,
    help: Option<&'static str>,
}

fn of_repository(text: &str, naming: Naming<'_>) -> Result<Vec<ChartSource>, Problem> {
    let says = |label| Problem { label, help: None };
    let forms =
        "such as `https://charts.example.com/stable/nginx` or `oci://r.example/charts/nginx`";
    let no_url =
        || Problem { help: Some(forms), ..says("it must begin with `https://` or `oci://`") };
    let mut url = Url::parse(text).map_err(|_| no_url())?;
    if !matches!(url.scheme(), "https" | "http") || !text.contains("://") {
        return Err(no_url());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = Some("write them into `auth` of an entry of `registries`");
        return Err(Problem { help, ..says("it must not have a user or a password") });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(says("it must not have a query or a fragment"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if path.ends_with(".tgz") || path.ends_with("/index.yaml") {
        let label = "write the URL of the repository, and after it the chart's name";
        return Err(Problem { help: Some(forms), ..says(label) });
    }
    url.set_path(&path);
    let whole = |chart: &str| ChartSource::Repository { url: url.clone(), chart: chart.to_owned() };
    let ends_with_chart = || {
        let (folder, chart) = path.rsplit_once('/')?;
        let mut url = url.clone();
        url.set_path(folder);
        is_chart_name(chart).then(|| ChartSource::Repository { url, chart: chart.to_owned() })
    };
    Ok(match naming {
        Naming::After(name) => vec![whole(name)],
        Naming::Either(name) => ends_with_chart().into_iter().chain([whole(name)]).collect(),
        Naming::InUrl => match ends_with_chart() {
            Some(source) => vec![source],
            None => {
                let help = Some("write it after the URL, or as `name` beside it");
                return Err(Problem { help, ..says("it does not end with the name of a chart") });
            }
        },
    })
}

/// The name of an OCI repository, which may have the chart's tag after it.
fn of_registry(
    reader: &mut Reader<'_>,
    text: &Spanned<String>,
    name: &str,
    naming: Naming<'_>,
) -> Option<Named> {
    let registry = name.split('/').next().unwrap_or_default();
    if !names_registry(registry) || name.contains('@') {
        let label = match (registry.contains('@'), name.contains('@')) {
            (true, _) => "it must not have a user or a password",
            (false, true) => "a chart is wanted by version, not by digest",
            (false, false) => "it does not begin with a registry",
        };
        let message = "this is not the URL of a chart";
        reader.push(reader.error(Code::InvalidUrl, text.span, message).label(label));
        return None;
    }
    let below = |chart: &str| match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && name.contains('/') => {
            format!("{name}/{chart}:{tag}")
        }
        _ => format!("{name}/{chart}"),
    };
    let names = match naming {
        Naming::InUrl => vec![name.to_owned()],
        Naming::After(chart) => vec![below(chart)],
        Naming::Either(chart) if name.contains('/') => vec![name.to_owned(), below(chart)],
        Naming::Either(chart) => vec![below(chart)],
    };
    let mut sources = Vec::new();
    let mut tag = None;
    for name in names {
        let name = Spanned { value: name, span: text.span };
        let reference: Reference = image::parse_reference(reader, &name)?;
        sources.push(ChartSource::Registry(reference.location));
        tag = reference.tag.map(|tag| tag.to_string());
    }
    Some(Named { sources, tag })
}

/// What Helm takes as the name of a chart.
pub(crate) fn is_chart_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !text.is_empty() && text.len() <= 250 && text.bytes().all(is_good) && !text.starts_with('.')
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;
    use crate::yaml::Span;

    /// What a URL says, or the label of what is wrong.
    fn told(url: &str, naming: Naming<'_>) -> Result<Vec<String>, String> {
        let text = Text::new("a.yaml".into(), "".into(), url.to_owned());
        let mut reader = Reader::new(&text);
        let span = Span { start: 0, end: url.len() };
        let named = read(&mut reader, &Spanned { value: url.to_owned(), span }, naming);
        let Some(named) = named else {
            let found = reader.found.first().expect("what is wrong");
            return Err(found.label.clone().unwrap_or_default());
        };
        let tag = named.tag.map(|tag| format!(":{tag}")).unwrap_or_default();
        let told = named.sources.iter().map(|source| match source {
            ChartSource::Repository { url, chart } => format!("{url} {chart}"),
            ChartSource::Registry(location) => format!("{location}{tag} {}", source.chart()),
        });
        Ok(told.collect())
    }

    #[test]
    fn a_url_names_a_repository_and_a_chart() {
        use Naming::{After, Either, InUrl};
        let table: [(&str, Naming<'_>, &[&str]); 14] = [
            ("https://a.io/stable/nginx", InUrl, &["https://a.io/stable nginx"]),
            ("https://a.io/stable/nginx/", InUrl, &["https://a.io/stable nginx"]),
            ("https://a.io/nginx", InUrl, &["https://a.io/ nginx"]),
            ("http://127.0.0.1:8080/nginx", InUrl, &["http://127.0.0.1:8080/ nginx"]),
            ("https://a.io/stable", After("nginx"), &["https://a.io/stable nginx"]),
            ("https://a.io", After("nginx"), &["https://a.io/ nginx"]),
            (
                "https://charts.bitnami.com/bitnami/nginx",
                Either("nginx-app"),
                &[
                    "https://charts.bitnami.com/bitnami nginx",
                    "https://charts.bitnami.com/bitnami/nginx nginx-app",
                ],
            ),
            ("https://charts.jetstack.io", Either("x"), &["https://charts.jetstack.io/ x"]),
            ("oci://r.io/charts/nginx", InUrl, &["r.io/charts/nginx nginx"]),
            ("oci://r.io/charts/nginx:1.2.3_a", InUrl, &["r.io/charts/nginx:1.2.3_a nginx"]),
            ("oci://r.io/charts", After("nginx"), &["r.io/charts/nginx nginx"]),
            (
                "oci://registry-1.docker.io/bitnamicharts",
                Either("nginx"),
                &[
                    "docker.io/library/bitnamicharts bitnamicharts",
                    "docker.io/bitnamicharts/nginx nginx",
                ],
            ),
            (
                "oci://r.io:5000/a/b:1.0.0",
                Either("c"),
                &["r.io:5000/a/b:1.0.0 b", "r.io:5000/a/b/c:1.0.0 c"],
            ),
            ("oci://r.io:5000", Either("c"), &["r.io:5000/c c"]),
        ];
        for (url, naming, expected) in table {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(told(url, naming), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_names_no_chart_is_told() {
        let table = [
            ("", "it must begin with `https://` or `oci://`"),
            ("nginx", "it must begin with `https://` or `oci://`"),
            ("localhost:8080/nginx", "it must begin with `https://` or `oci://`"),
            ("ftp://a.io/nginx", "it must begin with `https://` or `oci://`"),
            ("https://u:hunter2@a.io/nginx", "it must not have a user or a password"),
            ("https://a.io/nginx?token=x", "it must not have a query or a fragment"),
            ("https://a.io", "it does not end with the name of a chart"),
            ("https://a.io/a%20b", "it does not end with the name of a chart"),
            (
                "https://a.io/nginx-1.2.3.tgz",
                "write the URL of the repository, and after it the chart's name",
            ),
            ("oci://charts/nginx", "it does not begin with a registry"),
            ("oci://u:hunter2@r.io/nginx", "it must not have a user or a password"),
            ("oci://r.io/nginx@sha256:0", "a chart is wanted by version, not by digest"),
            ("oci://r.io/Nginx", "repository names are lower case; try `nginx`"),
        ];
        for (url, label) in table {
            let told = told(url, Naming::InUrl).expect_err(url);
            assert!(told.contains(label), "{url}: {told}");
        }
    }
}

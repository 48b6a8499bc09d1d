//! Joins the crate `charts` to the engine: which charts are wanted of which repositories, and how these
//! are reached.

use std::collections::{BTreeMap, BTreeSet};

use charts::{ChartRepository, Login};
use credentials::{Credential, Credentials};
use oci::{ChartLocation, Extent, Host, Location};
use registry::Settings;
use sync::{Charts, Choice, Class, Failure, Side, TagSelection, Wanted};
use syncfile::{Chart, ChartSource, ChartVersions, SyncFile};
use url::Url;

use crate::error::{CliError, with_causes};
use crate::signatures::Signatures;
use crate::wiring::origin;

/// One for each target of each chart: which versions there are, or in which of two places they are, is
/// known when the source was asked.
pub(crate) fn selections(
    sync_file: &SyncFile,
    signatures: &Signatures<'_>,
) -> Result<Vec<TagSelection>, CliError> {
    let mut selections = Vec::new();
    for chart in &sync_file.charts {
        let mut sources = locations(chart)?.into_iter();
        let Some(source) = sources.next() else { continue };
        let signatures = signatures.of(&chart.signing, &source)?;
        let choice = match &chart.versions {
            ChartVersions::Exact(versions) => {
                let tags = versions.iter().map(|version| charts::version_tag(version));
                let tags = tags.collect::<Result<_, _>>();
                Choice::Named(tags.map_err(|error| CliError::usage(error.to_string()))?)
            }
            ChartVersions::Range(range) => Choice::Versions(range.clone()),
        };
        let otherwise = sources.next();
        selections.extend(chart.targets.iter().map(|target| TagSelection {
            source: source.clone(),
            otherwise: otherwise.clone(),
            written: chart.written.clone(),
            choice: choice.clone(),
            extent: Extent::Chart,
            target: target.clone(),
            lists_images: chart.list_images,
            signatures: signatures.clone(),
            origin: Some(origin(&chart.origin)),
        }));
    }
    Ok(selections)
}

/// What Helm will not be able to do with charts that go where the file says.
pub(crate) fn warnings(sync_file: &SyncFile) -> Vec<String> {
    let mut warnings = Vec::new();
    for chart in &sync_file.charts {
        for target in &chart.targets {
            let problems = chart
                .sources
                .iter()
                .map(|source| charts::pull_name_problem(target, source.chart()));
            // Where the name is not known for sure, one that fits is enough.
            let problems: Option<Vec<String>> = problems.collect();
            if let Some(problem) = problems.and_then(|problems| problems.into_iter().next()) {
                warnings.push(format!("{}: {problem}", origin(&chart.origin)));
            }
        }
    }
    warnings
}

/// The charts in classic repositories that are wanted by name or by rules.
pub(crate) fn of(wanted: &[Wanted], selections: &[TagSelection]) -> BTreeSet<ChartLocation> {
    let all = selections.iter().flat_map(|one| [Some(&one.source), one.otherwise.as_ref()]);
    let named = wanted.iter().map(|one| &one.source.location);
    all.flatten()
        .chain(named)
        .filter_map(|location| match location {
            Location::Chart(chart) => Some(chart.clone()),
            Location::Registry { .. } | Location::Layout(_) | Location::Archive(_) => None,
        })
        .collect()
}

/// The repositories of these charts, with who we are there.
pub(crate) async fn repositories(
    wanted: BTreeSet<ChartLocation>,
    settings: &Settings,
    credentials: &Credentials,
) -> Charts {
    let mut clients: BTreeMap<&str, Result<ChartRepository, Failure>> = BTreeMap::new();
    for location in &wanted {
        let url = location.repository();
        if !clients.contains_key(url) {
            clients.insert(url, repository(url, settings, credentials).await);
        }
    }
    Charts::new(wanted.iter().cloned(), |url| {
        let none = || Err(unusable(Class::Unsupported, url, "it is not known"));
        clients.get(url).cloned().unwrap_or_else(none)
    })
}

async fn repository(
    text: &str,
    settings: &Settings,
    credentials: &Credentials,
) -> Result<ChartRepository, Failure> {
    let invalid =
        |problem: &dyn std::fmt::Display| unusable(Class::Unsupported, text, &problem.to_string());
    let url: Url = text.parse().map_err(|error| invalid(&error))?;
    let name = url.host_str().unwrap_or_default();
    let name = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let host: Host = name.parse().map_err(|error| invalid(&error))?;
    let client = registry::web_client(settings, &host);
    let client = client.map_err(|error| unusable(Class::Tls, text, &with_causes(&error)))?;
    let credential = credentials.credential(&host, None).await.map_err(|error| {
        let failure = unusable(Class::Credentials, text, &with_causes(&error));
        Failure { hint: Some(error.hint()), ..failure }
    })?;
    let login = match credential {
        Credential::Anonymous => None,
        Credential::Basic { username, password } => Some(Login::Basic { username, password }),
        Credential::IdentityToken(token) | Credential::Bearer(token) => Some(Login::Bearer(token)),
    };
    ChartRepository::new(&url, client, login).map_err(|error| invalid(&error))
}

/// What keeps the charts of one repository from being had, and no others.
fn unusable(class: Class, url: &str, problem: &str) -> Failure {
    Failure {
        side: Side::Source,
        class,
        message: format!("the chart repository {url} cannot be used: {problem}"),
        hint: None,
        temporary: false,
        content_unknown: false,
    }
}

fn locations(chart: &Chart) -> Result<Vec<Location>, CliError> {
    let location = |source: &ChartSource| match source {
        ChartSource::Repository { url, chart } => {
            ChartLocation::new(url.as_str(), chart).map(Location::Chart)
        }
        ChartSource::Registry(location) => Ok(location.clone()),
    };
    let all: Result<_, _> = chart.sources.iter().map(location).collect();
    all.map_err(|error| CliError::usage(format!("{}: {error}", origin(&chart.origin))))
}

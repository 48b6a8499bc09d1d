//! `doctor`: what a registry is like, and whether we get on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use oci::{Host, InvalidName, Location, Reference, Repository};
use report::{Diagnosis, ExitStatus};
use syncfile::{Defaults, EcrDefaults, RegistryEntry};

use super::sync::{inputs, target_login};
use crate::arguments::{DoctorArguments, OutputFormat};
use crate::diagnosis;
use crate::environment;
use crate::error::CliError;
use crate::run::Context;
use crate::settings::{files, flag};
use crate::wiring::{Peers, Prober};

pub(crate) async fn execute(
    typed: &DoctorArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let output = match typed.output {
        Some(typed) => typed,
        None => context.environment.choice(environment::OUTPUT)?.unwrap_or(OutputFormat::Table),
    };
    let push = flag(typed.push, context.environment, environment::PUSH)?;
    let (host, repository) = registry(&typed.registry)?;
    if push && repository.is_none() {
        return Err(CliError::usage("--push needs a repository to begin an upload in")
            .hint(format!("name one: `{host}/REPOSITORY`")));
    }
    let login = target_login(&typed.login, context)?;
    let registries = registries(&typed.images_file, context)?;
    let login_hosts = BTreeSet::from([host.clone()]);
    let peers = Peers { registries: &registries, login: login.as_ref(), login_hosts };
    let prober = Prober::new(&peers, context.environment)?;

    let probe = prober.client.probe(&host, repository.as_ref(), push).await;
    let place = prober.credentials.place(&host, repository.as_ref()).await.ok().flatten();
    let findings = diagnosis::of(&probe, repository.as_ref(), place.as_deref());
    let diagnosis = Diagnosis::new(
        host.to_string(),
        repository.map(|repository| repository.to_string()),
        probe.profile.kind.to_string(),
        findings.checks,
        findings.status,
    );
    context.result(&match output {
        OutputFormat::Table => diagnosis.to_text(context.terminal.colour_results),
        OutputFormat::Json => diagnosis.to_json().map_err(|error| {
            CliError::failed(format!("cannot write the diagnosis as JSON: {error}"))
        })?,
    })?;
    Ok(findings.status)
}

/// A registry, or one of its repositories. A word with a `.`, a `:` or of the name `localhost` is a
/// registry, as in references; Docker Hub is `docker.io`.
fn registry(text: &str) -> Result<(Host, Option<Repository>), CliError> {
    let wrong = |problem: String| {
        CliError::usage(format!("`{}` is no registry: {problem}", text.escape_debug()))
            .hint("write `HOST` or `HOST/REPOSITORY`; Docker Hub is `docker.io`")
    };
    let Some((first, _)) = text.split_once('/') else {
        let is_host = text.contains(['.', ':']) || text == "localhost";
        return match text.parse() {
            Ok(host) if is_host => Ok((host, None)),
            Ok(_) => Err(wrong("its name has neither a dot nor a port".to_owned())),
            Err(error) => Err(wrong(InvalidName::to_string(&error))),
        };
    };
    let _: Host = first.parse().map_err(|error: InvalidName| wrong(error.to_string()))?;
    let reference: Reference =
        text.parse().map_err(|error: InvalidName| wrong(error.to_string()))?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(wrong("a repository is named without a tag or a digest".to_owned()));
    }
    match reference.location {
        Location::Registry { host, repository } => Ok((host, Some(repository))),
        Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => {
            Err(wrong("it is no registry's".to_owned()))
        }
    }
}

/// How registries are reached, as far as sync files say.
pub(super) fn registries(
    images_files: &[PathBuf],
    context: &Context<'_>,
) -> Result<BTreeMap<Host, RegistryEntry>, CliError> {
    let files = files(images_files, context.environment);
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let inputs = inputs(&files)?;
    // Where images go does not matter here; with a prefix and a registry, nothing lacks a destination.
    let (account, region) = (Some("000000000000".to_owned()), Some("us-east-1".to_owned()));
    let ecr = EcrDefaults { account, region, ..EcrDefaults::default() };
    let defaults = Defaults { target_repo_prefixes: vec!["registry.invalid/".to_owned()], ecr };
    let loaded = syncfile::load(&inputs, &defaults).map_err(|diagnostics| {
        CliError::finished(diagnostics.render(context.terminal.colour_messages))
    })?;
    Ok(loaded.sync_file.registries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_told_from_its_repository() {
        let read = |text: &str| match registry(text) {
            Ok((host, None)) => host.to_string(),
            Ok((host, Some(repository))) => format!("{host} + {repository}"),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(read("docker.io"), "docker.io");
        assert_eq!(read("docker.io/nginx"), "docker.io + library/nginx");
        assert_eq!(read("r.example:5000/team/app"), "r.example:5000 + team/app");
        assert_eq!(read("localhost/app"), "localhost + app");
        assert_eq!(read("localhost:5000"), "localhost:5000");
        for wrong in
            ["nginx", "https://r.example", "oci:a/b", "r.example/UPPER", "r.example/a:1", ""]
        {
            assert!(read(wrong).contains("is no registry"), "{wrong}: {}", read(wrong));
        }
    }
}

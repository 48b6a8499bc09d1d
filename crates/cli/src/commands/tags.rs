//! `tags`: which tags of a repository rules select, and why. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use oci::{Location, Reference};
use report::{TagsDocument, tags_table};
use tagrules::{Latest, Rules};

use crate::arguments::{self, OutputFormat, RulesArguments, TagsArguments};
use crate::environment::{self, Environment};
use crate::error::CliError;
use crate::run::Context;
use crate::settings::flag;
use crate::wiring::{Clients, Limits, Peers};

pub(crate) async fn execute(
    typed: &TagsArguments,
    context: &Context<'_>,
) -> Result<report::ExitStatus, CliError> {
    context.log_lines()?;
    let location = repository(&typed.repository)?;
    let rules = rules(&typed.rules, context.environment)?;
    let output = match typed.output {
        Some(typed) => Some(typed),
        None => context.environment.choice(environment::OUTPUT)?,
    };
    let peers = Peers { registries: &BTreeMap::new(), login: None, login_hosts: BTreeSet::new() };
    let limits = Limits { concurrency: None, deadline: None };
    let source = Clients::new(&peers, false, limits, context.environment)?.source;
    let tags = sync::tags(&source, &location).await.map_err(|failure| CliError::of(&failure))?;

    let judged = tagrules::judge(&rules, tags);
    let error = tagrules::check(&rules, &judged).err();
    let result = match output.unwrap_or(OutputFormat::Table) {
        OutputFormat::Table => {
            tags_table(&judged, context.terminal.width, context.terminal.colour_results)
        }
        OutputFormat::Json => {
            let error = error.as_ref().map(ToString::to_string);
            let document = TagsDocument::new(location.to_string(), &rules, &judged, error);
            document.to_json().map_err(|error| {
                CliError::failed(format!("cannot write the tags as JSON: {error}"))
            })?
        }
    };
    context.result(&result)?;
    match error {
        Some(error) => Err(CliError::failed(error.to_string())),
        None => Ok(report::ExitStatus::Success),
    }
}

fn repository(text: &str) -> Result<Location, CliError> {
    let reference: Reference =
        text.parse().map_err(|error: oci::InvalidName| CliError::usage(error.to_string()))?;
    if reference.tag.is_some() || reference.digest.is_some() {
        let location = &reference.location;
        return Err(CliError::usage(format!("`{text}` names one image, not a repository"))
            .hint(format!("write it without a tag and a digest: `{location}`")));
    }
    Ok(reference.location)
}

fn rules(typed: &RulesArguments, environment: &Environment) -> Result<Rules, CliError> {
    let semver = match &typed.semver {
        Some(typed) => Some(typed.clone()),
        None => environment.parsed(environment::SEMVER, arguments::range)?,
    };
    let patterns = |typed: &[tagrules::Pattern], variable| match typed {
        [] => {
            let found = environment.parsed(variable, arguments::pattern)?;
            Ok::<_, CliError>(found.into_iter().collect())
        }
        typed => Ok(typed.to_vec()),
    };
    let count = |typed: Option<usize>, variable| {
        let found = match typed {
            Some(typed) => Some(typed),
            None => environment.parsed(variable, arguments::positive)?,
        };
        Ok::<_, CliError>(found.and_then(NonZeroUsize::new))
    };
    let per = match typed.per {
        Some(typed) => Some(typed),
        None => environment.parsed(environment::PER, arguments::part)?,
    };
    let latest = count(typed.latest, environment::LATEST)?;
    if latest.is_none() && per.is_some() {
        return Err(CliError::usage("`--per` goes with `--latest`, which is not there")
            .hint("add it, such as `--latest 1`"));
    }
    Ok(Rules {
        semver,
        include: patterns(&typed.include, environment::INCLUDE)?,
        exclude: patterns(&typed.exclude, environment::EXCLUDE)?,
        latest: latest.map(|count| Latest { count, per }),
        max_tags: count(typed.max_tags, environment::MAX_TAGS)?,
        allow_empty: flag(typed.allow_empty, environment, environment::ALLOW_EMPTY)?,
    })
}

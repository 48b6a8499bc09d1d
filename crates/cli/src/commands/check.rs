//! `check`: are the sync files right? Asks no registry.

use report::ExitStatus;
use syncfile::{Chart, ChartVersions, SyncFile};

use super::sync::load;
use crate::arguments::CheckArguments;
use crate::error::CliError;
use crate::run::Context;
use crate::settings::{ListSettings, SigningSettings};

pub(crate) fn execute(
    typed: &CheckArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let list = ListSettings::of_check(typed, context.environment)?;
    let signing = SigningSettings::of_check(&typed.key, context.environment)?;
    let loaded = load(&list, &signing, context)?;
    let SyncFile { images, selections, repositories, charts, .. } = &loaded.sync_file;
    let targets = images.iter().map(|image| image.targets.len());
    let targets = targets.chain(selections.iter().map(|one| one.targets.len()));
    let targets: usize = targets.chain(charts.iter().map(targets_of_chart)).sum();
    let counted = [
        (images.len(), "image", "images"),
        (selections.len(), "tag selection", "tag selections"),
        (repositories.len(), "ECR repository", "ECR repositories"),
        (charts.len(), "chart", "charts"),
        (targets, "target", "targets"),
        (loaded.warnings.len(), "warning", "warnings"),
    ];
    let counted = counted.into_iter().filter_map(|(number, one, many)| match number {
        // What every file has is told also where this one has none.
        0 if !matches!(one, "image" | "target") => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{number} {many}")),
    });
    context.result(&format!("ok: {}\n", counted.collect::<Vec<_>>().join(", ")))?;
    Ok(ExitStatus::Success)
}

/// As many as its versions have, where these are known without asking.
fn targets_of_chart(chart: &Chart) -> usize {
    match &chart.versions {
        ChartVersions::Exact(versions) => versions.len() * chart.targets.len(),
        ChartVersions::Range(_) => chart.targets.len(),
    }
}

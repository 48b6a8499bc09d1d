//! `check`: are the sync files right? Asks no registry.

use report::ExitStatus;
use syncfile::SyncFile;

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
    let SyncFile { images, selections, .. } = &loaded.sync_file;
    let targets = images.iter().map(|image| image.targets.len());
    let targets: usize = targets.chain(selections.iter().map(|one| one.targets.len())).sum();
    let count = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    let warnings = match loaded.warnings.len() {
        0 => String::new(),
        number => format!(", {}", count(number, "warning")),
    };
    let selections = match selections.len() {
        0 => String::new(),
        number => format!(", {}", count(number, "tag selection")),
    };
    context.result(&format!(
        "ok: {}{selections}, {}{warnings}\n",
        count(images.len(), "image"),
        count(targets, "target")
    ))?;
    Ok(ExitStatus::Success)
}

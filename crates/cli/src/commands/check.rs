//! `check`: are the sync files right? Asks no registry.

use report::ExitStatus;

use super::sync::load;
use crate::arguments::CheckArguments;
use crate::error::CliError;
use crate::run::Context;
use crate::settings::ListSettings;

pub(crate) fn execute(
    typed: &CheckArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let list = ListSettings::of_check(typed, context.environment)?;
    let loaded = load(&list, context)?;
    let images = loaded.sync_file.images.len();
    let targets: usize = loaded.sync_file.images.iter().map(|image| image.targets.len()).sum();
    let count = |number: usize, noun: &str| match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    };
    let warnings = match loaded.warnings.len() {
        0 => String::new(),
        number => format!(", {}", count(number, "warning")),
    };
    context.result(&format!(
        "ok: {}, {}{warnings}\n",
        count(images, "image"),
        count(targets, "target")
    ))?;
    Ok(ExitStatus::Success)
}

//! `convert`: prints a sync file made of another tool's file.

use report::ExitStatus;
use syncfile::{Converted, ForeignFormat};

use crate::arguments::{ConvertArguments, Foreign};
use crate::error::CliError;
use crate::run::Context;

pub(crate) fn execute(
    typed: &ConvertArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    context.log_lines()?;
    let file = typed.file.display();
    let text = std::fs::read_to_string(&typed.file)
        .map_err(|error| CliError::usage(format!("cannot read {file}: {error}")))?;
    let format = match typed.format {
        Foreign::Regsync => ForeignFormat::Regsync,
        Foreign::Skopeo => ForeignFormat::Skopeo,
    };
    let Converted { text, notes } = syncfile::convert(format, &text)
        .map_err(|error| CliError::usage(format!("cannot convert {file}: {error}")))?;
    for note in notes {
        context.warn(&format!("not in the list: {note}"));
    }
    context.result(&text)?;
    Ok(ExitStatus::Success)
}

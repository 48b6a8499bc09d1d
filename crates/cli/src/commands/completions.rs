//! `completions`: prints a completion script for a shell.

use report::ExitStatus;

use crate::arguments::CompletionsArguments;
use crate::error::CliError;
use crate::help;
use crate::run::Context;

pub(crate) fn execute(
    typed: &CompletionsArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let mut command = help::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(typed.shell, &mut command, name, &mut script);
    context.result(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Success)
}

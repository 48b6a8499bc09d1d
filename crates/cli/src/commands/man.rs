//! `man`: prints a manual page.

use clap_mangen::Man;
use report::ExitStatus;

use crate::arguments::ManArguments;
use crate::error::CliError;
use crate::help;
use crate::run::Context;

pub(crate) fn execute(typed: &ManArguments, context: &Context<'_>) -> Result<ExitStatus, CliError> {
    let mut root = help::command();
    root.build();
    let command = match &typed.command {
        None => root,
        Some(name) => root
            .find_subcommand(name)
            .ok_or_else(|| {
                CliError::usage(format!("there is no command `{}`", name.escape_debug()))
                    .hint("`image-syncer --help` lists them")
            })?
            .clone(),
    };
    let mut page = Vec::new();
    Man::new(command)
        .render(&mut page)
        .map_err(|error| CliError::failed(format!("cannot write the manual page: {error}")))?;
    context.result(&String::from_utf8_lossy(&page))?;
    Ok(ExitStatus::Success)
}

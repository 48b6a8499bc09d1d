//! `schema`: prints the JSON Schema of a format.

use report::ExitStatus;

use crate::arguments::{Format, SchemaArguments};
use crate::error::CliError;
use crate::run::Context;

pub(crate) fn execute(
    typed: &SchemaArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let schema = match typed.format {
        Format::SyncFile => syncfile::schema().to_owned(),
        Format::Report => serde_json::to_string_pretty(&report::json_schema())
            .map_err(|error| CliError::failed(format!("cannot write the schema: {error}")))?,
    };
    context.result(&format!("{}\n", schema.trim_end()))?;
    Ok(ExitStatus::Success)
}

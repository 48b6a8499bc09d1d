//! `schema`: prints the JSON Schema of a format.

use report::ExitStatus;

use crate::arguments::{Format, SchemaArguments};
use crate::error::CliError;
use crate::run::Context;

pub(crate) fn execute(
    typed: &SchemaArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let json = |schema| {
        serde_json::to_string_pretty(&schema)
            .map_err(|error| CliError::failed(format!("cannot write the schema: {error}")))
    };
    let schema = match typed.format {
        Format::SyncFile => syncfile::schema().to_owned(),
        Format::Report => json(report::json_schema())?,
        Format::Notice => json(report::notice_schema())?,
        Format::Doctor => json(report::diagnosis_schema())?,
        Format::Tags => json(report::tags_json_schema())?,
        Format::Audit => json(report::audit_schema())?,
        Format::AuditVerdict => json(report::audit_verdict_schema())?,
        Format::Plan => json(report::plan_schema())?,
        Format::Signature => json(report::signature_schema())?,
    };
    context.result(&format!("{}\n", schema.trim_end()))?;
    Ok(ExitStatus::Success)
}

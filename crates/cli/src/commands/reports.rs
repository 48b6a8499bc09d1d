//! `report`: makes one report of several.

use report::{Document, ExitStatus};

use crate::arguments::{ReportArguments, ReportWork};
use crate::error::CliError;
use crate::run::Context;

pub(crate) fn execute(
    typed: &ReportArguments,
    context: &Context<'_>,
) -> Result<ExitStatus, CliError> {
    let ReportWork::Merge = typed.work;
    let mut documents = Vec::new();
    for file in &typed.files {
        let shown = file.display();
        let text = std::fs::read(file)
            .map_err(|error| CliError::usage(format!("cannot read {shown}: {error}")))?;
        let document: Document = serde_json::from_slice(&text).map_err(|error| {
            CliError::usage(format!("{shown} is not a report: {error}"))
                .hint("`--report json=FILE` writes one")
        })?;
        documents.push(document);
    }
    let whole = Document::merge(documents)
        .map_err(|error| CliError::usage(format!("cannot join the reports: {error}")))?;
    let text = serde_json::to_string_pretty(&whole)
        .map_err(|error| CliError::failed(format!("cannot write the report: {error}")))?;
    context.result(&format!("{text}\n"))?;
    Ok(ExitStatus::Success)
}

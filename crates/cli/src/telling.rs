//! Where the report of a run is told: standard output, files, and GitHub where a job of its runs us.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use report::{Document, Format, FormatError, STEP_SUMMARY_LIMIT, View, summary};

use crate::arguments::RunOutput;
use crate::environment::{GITHUB_ACTIONS, GITHUB_STEP_SUMMARY, GITHUB_WORKSPACE};
use crate::error::CliError;
use crate::run::{Context, Ended};
use crate::settings::{ReportFile, RunSettings};

impl Ended {
    /// Writes the report everywhere it was asked for; one place that fails keeps none of the others
    /// from being written.
    ///
    /// # Errors
    /// The first place that could not be written to.
    pub(crate) fn tell(
        &self,
        settings: &RunSettings,
        context: &Context<'_>,
    ) -> Result<(), CliError> {
        let files = settings.report_files.iter().map(|file| write(file, &self.document));
        let told = files.fold(Ok(()), Result::and);
        let result = self.result(settings, context).and_then(|text| context.result(&text));
        if settings.github {
            tell_github(&self.document, context);
        }
        result.and(told)
    }

    fn result(&self, settings: &RunSettings, context: &Context<'_>) -> Result<String, CliError> {
        match settings.output {
            RunOutput::Json => {
                self.document.written_as(Format::Json).map_err(|error| unwritten(&error))
            }
            RunOutput::Markdown => {
                self.document.written_as(Format::Markdown).map_err(|error| unwritten(&error))
            }
            RunOutput::Table => {
                let view = View {
                    mode: self.facts.mode,
                    width: context.terminal.width,
                    colour: context.terminal.colour_results,
                    verbose: settings.verbose,
                };
                let repositories = report::repositories(&self.facts.repositories, &view);
                let items = summary(&self.report, &self.document, &view);
                Ok(format!("{repositories}{}{items}", report::ecr_summary(&self.document)))
            }
        }
    }
}

fn write(file: &ReportFile, document: &Document) -> Result<(), CliError> {
    let text = document.written_as(file.format).map_err(|error| unwritten(&error))?;
    std::fs::write(&file.path, text).map_err(|error| {
        CliError::failed(format!("cannot write the report into `{}`: {error}", file.path.display()))
    })
}

fn unwritten(error: &FormatError) -> CliError {
    CliError::failed(error.to_string())
}

/// Annotations and a summary for a job of GitHub Actions. They are an addition: that they cannot be written
/// is a warning.
fn tell_github(document: &Document, context: &Context<'_>) {
    let variable = |name| context.environment.get(name);
    if variable(GITHUB_ACTIONS).is_some_and(|value| value == "true") {
        let workspace = variable(GITHUB_WORKSPACE).and_then(|folder| folder.to_str());
        // Standard output is for the result, and GitHub reads both.
        context.terminal.message(&document.annotations(workspace));
    }
    if let Some(file) = variable(GITHUB_STEP_SUMMARY)
        && let Err(error) = append_summary(Path::new(file), document)
    {
        context.warn(&format!("cannot write the summary of the step: {error}"));
    }
}

/// A step may run us several times; all of it together has a limit.
fn append_summary(file: &Path, document: &Document) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    let written = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let room = STEP_SUMMARY_LIMIT.saturating_sub(written);
    let summary = document.step_summary(room);
    if summary.len() > room {
        return Err(std::io::Error::other("there is no room left in it"));
    }
    file.write_all(summary.as_bytes())
}

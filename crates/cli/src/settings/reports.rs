//! [`ReportFile`]: a file that the report is to be written into, and in which form.

use std::path::{Path, PathBuf};

use report::Format;

use crate::environment::{self, Environment};
use crate::error::CliError;

/// A file for the report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ReportFile {
    pub(crate) format: Format,
    pub(crate) path: PathBuf,
}

/// What was typed, else the one that the variable names.
pub(super) fn files(
    typed: &[String],
    environment: &Environment,
) -> Result<Vec<ReportFile>, CliError> {
    let reports = match typed.is_empty() {
        false => typed.to_vec(),
        true => {
            environment.text(environment::REPORT)?.map(|found| found.value).into_iter().collect()
        }
    };
    reports.iter().map(|text| file(text)).collect()
}

/// Reads `FORMAT=FILE` or `FILE`. A file that cannot be written is found out now, not after an hour's work.
fn file(text: &str) -> Result<ReportFile, CliError> {
    let formats = Format::ALL.map(Format::name).join(", ");
    let wrong = |problem: &str| {
        CliError::usage(format!("`{}` is not a report: {problem}", text.escape_debug()))
            .hint(format!("write `FORMAT=FILE` with one of the formats {formats}"))
            .hint("or a file that ends in .json, .xml (JUnit), .md, .html or .sarif")
    };
    let (format, path) = match text.split_once('=') {
        Some((format, path)) => {
            let known =
                format.parse().map_err(|()| wrong(&format!("there is no format `{format}`")))?;
            (Some(known), Path::new(path))
        }
        None => (None, Path::new(text)),
    };
    if path.file_name().is_none() || path.is_dir() {
        return Err(wrong("it names no file"));
    }
    let format = format
        .or_else(|| Format::of_file(path))
        .ok_or_else(|| wrong("its ending tells no format"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(wrong(&format!("the folder `{}` does not exist", folder.display())))
        }
        _ => Ok(ReportFile { format, path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_format_and_a_file() {
        let table = [
            ("json=a.txt", Ok((Format::Json, "a.txt"))),
            ("junit=a.json", Ok((Format::Junit, "a.json"))),
            ("a.sarif", Ok((Format::Sarif, "a.sarif"))),
            ("html=a=b.html", Ok((Format::Html, "a=b.html"))),
            ("report.md", Ok((Format::Markdown, "report.md"))),
            ("report", Err("its ending tells no format")),
            ("pdf=a.pdf", Err("there is no format `pdf`")),
            ("json=", Err("it names no file")),
            ("json=.", Err("it names no file")),
            ("", Err("it names no file")),
            ("missing/a.json", Err("the folder `missing` does not exist")),
        ];
        for (text, expected) in table {
            match (file(text), expected) {
                (Ok(found), Ok((format, path))) => {
                    assert_eq!(found, ReportFile { format, path: path.into() }, "{text}");
                }
                (Err(error), Err(problem)) => {
                    assert!(error.message().ends_with(problem), "{text}: {}", error.message());
                }
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }
}

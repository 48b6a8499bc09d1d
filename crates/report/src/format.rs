//! [`Format`]: the forms in which one [`Document`] is written. All are made of it and of nothing else, so
//! that their figures are the same.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Document, html, junit, markdown, sarif};

/// A form of the report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// The contract for programs.
    Json,
    /// Test results, as CI systems show them.
    Junit,
    /// For pull requests.
    Markdown,
    /// One page to look at.
    Html,
    /// Findings, as code scanning shows them.
    Sarif,
}

/// Why a report could not be written as text. A document causes none of these; serialisation is fallible by
/// its type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// JSON or SARIF.
    #[error("cannot write the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JUnit.
    #[error("cannot write the report as XML: {0}")]
    Xml(#[from] std::io::Error),
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Json, Self::Junit, Self::Markdown, Self::Html, Self::Sarif];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Sarif => "sarif",
        }
    }

    /// The form that a file's ending stands for.
    pub fn of_file(file: &Path) -> Option<Self> {
        Some(match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "xml" => Self::Junit,
            "md" => Self::Markdown,
            "html" => Self::Html,
            "sarif" => Self::Sarif,
            _ => return None,
        })
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Document {
    /// The document in this form, ending with a line end.
    ///
    /// # Errors
    /// None that a document can cause.
    pub fn written_as(&self, format: Format) -> Result<String, FormatError> {
        Ok(match format {
            Format::Json => self.to_json()?,
            Format::Junit => junit::junit(self)?,
            Format::Markdown => markdown::markdown(self, markdown::COMMENT),
            Format::Html => html::page(self).into_string(),
            Format::Sarif => sarif::sarif(self)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_goes_by_its_name_or_its_ending() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        assert_eq!("xml".parse::<Format>(), Err(()));
        let table = [
            ("a/report.json", Some(Format::Json)),
            ("report.xml", Some(Format::Junit)),
            ("report.md", Some(Format::Markdown)),
            ("report.HTML", Some(Format::Html)),
            ("report.sarif", Some(Format::Sarif)),
            ("report.txt", None),
            ("report", None),
            (".json", None),
        ];
        for (file, expected) in table {
            assert_eq!(Format::of_file(Path::new(file)), expected, "{file}");
        }
    }
}

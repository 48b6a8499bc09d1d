//! [`ChartName`]: what a chart is called in its repository.

use std::fmt;
use std::str::FromStr;

/// A chart's name: one path element, as Helm demands it (`chart.Metadata.Validate`).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChartName(String);

/// A text that is no chart's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidChartName {
    input: String,
    problem: &'static str,
}

impl InvalidChartName {
    /// Why it was refused, without the input.
    pub fn problem(&self) -> &str {
        self.problem
    }
}

impl fmt::Display for InvalidChartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a chart's name: {}", self.input.escape_debug(), self.problem)
    }
}

impl std::error::Error for InvalidChartName {}

impl ChartName {
    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChartName {
    type Err = InvalidChartName;

    fn from_str(input: &str) -> Result<Self, InvalidChartName> {
        let problem = match input {
            "" => "it is empty",
            "." | ".." => "it is a folder's name",
            _ if input.len() > 250 => "it has more than 250 characters",
            _ if input.contains(['/', '\\']) => "it has a `/` or `\\` in it",
            _ if input.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                "it has spaces or control characters in it"
            }
            _ => return Ok(Self(input.to_owned())),
        };
        Err(InvalidChartName { input: input.to_owned(), problem })
    }
}

impl fmt::Display for ChartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_path_element() {
        for good in ["nginx", "kube-prometheus-stack", "my.chart", "A_b"] {
            assert_eq!(good.parse::<ChartName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "a\nb", "x".repeat(251).as_str()] {
            let error = bad.parse::<ChartName>().unwrap_err().to_string();
            assert!(error.contains("is not a chart's name: it "), "{error}");
        }
    }
}

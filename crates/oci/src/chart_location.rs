//! [`ChartLocation`]: a Helm chart in a classic repository, which is no registry.

use std::fmt;

use crate::InvalidName;

/// A Helm chart in a classic repository: a folder on a web server with an `index.yaml`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChartLocation {
    repository: String,
    chart: String,
}

impl ChartLocation {
    /// The chart with this name in the repository at this URL, which is http or https.
    ///
    /// # Errors
    /// [`InvalidName`] for what is no such URL, or has a user in it, and for what is no name.
    pub fn new(repository: &str, chart: &str) -> Result<Self, InvalidName> {
        let rest =
            ["https://", "http://"].iter().find_map(|scheme| repository.strip_prefix(scheme));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if host.is_empty() || host.contains('@') || repository.contains(['?', '#', ' ']) {
            let problem = "it must be `https://HOST/PATH`, without user, query and fragment";
            return Err(InvalidName::new("URL of a chart repository", repository, problem));
        }
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if chart.is_empty() || chart.starts_with('.') || !chart.bytes().all(is_good) {
            let problem = "it must consist of letters, digits, `.`, `_` and `-`";
            return Err(InvalidName::new("name of a chart", chart, problem));
        }
        let repository = repository.trim_end_matches('/').to_owned();
        Ok(Self { repository, chart: chart.to_owned() })
    }

    /// The repository's URL, without a slash at its end.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The chart's name.
    pub fn chart(&self) -> &str {
        &self.chart
    }
}

impl fmt::Display for ChartLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.repository, self.chart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_shown_as_it_is_asked_for() {
        let chart = ChartLocation::new("https://charts.example.com/stable/", "nginx").unwrap();
        assert_eq!(chart.to_string(), "https://charts.example.com/stable/nginx");
        let chart = ChartLocation::new("http://127.0.0.1:8080", "a.b-c_D").unwrap();
        assert_eq!((chart.repository(), chart.chart()), ("http://127.0.0.1:8080", "a.b-c_D"));
    }

    #[test]
    fn what_is_none_is_told() {
        let table = [
            ("oci://r.io/charts", "nginx", "https://HOST/PATH"),
            ("https://", "nginx", "https://HOST/PATH"),
            ("https://u:p@r.io", "nginx", "without user"),
            ("https://r.io/a?b", "nginx", "query"),
            ("https://r.io", "", "letters"),
            ("https://r.io", "../nginx", "letters"),
            ("https://r.io", "a/b", "letters"),
        ];
        for (repository, chart, expected) in table {
            let error = ChartLocation::new(repository, chart).unwrap_err().to_string();
            assert!(error.contains(expected), "{repository} {chart}: {error}");
        }
    }
}

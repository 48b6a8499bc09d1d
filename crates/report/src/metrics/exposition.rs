//! [`Exposition`]: the two forms of text that metrics have, and reading one value back.
//!
//! `prometheus-client` writes OpenMetrics. What reads files and what takes pushes know the older form
//! only: there a counter's family is named like its samples, and units and the end are not marked.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::collections::HashSet;

/// A form of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4: for files, for pushes, and for who does not ask for the other.
    Text,
}

impl Exposition {
    /// The form for a request with this header `Accept`.
    pub fn accepted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// Its media type, for the header `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics as the older text format.
pub(super) fn as_text(open_metrics: &str) -> String {
    let counters: HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The groups in a text of ours, and when each last succeeded.
pub(super) fn last_successes(text: &str) -> Vec<(String, f64)> {
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("image_syncer_last_success_timestamp_seconds{group=\"")?;
        let (label, value) = rest.rsplit_once("\"} ")?;
        let seconds: f64 = value.trim().parse().ok()?;
        (seconds.is_finite() && seconds > 0.0).then(|| (unescaped(label), seconds))
    });
    lines.collect()
}

/// A label's value without the escapes of the text format.
pub(super) fn unescaped(label: &str) -> String {
    let mut text = String::with_capacity(label.len());
    let mut rest = label.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_names_families_like_their_samples() {
        let open_metrics = "# HELP a_bytes What.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
            a_bytes_total{x=\"# TYPE b counter\"} 1\n# HELP b Of b.\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(
            as_text(open_metrics),
            "# HELP a_bytes_total What.\n# TYPE a_bytes_total counter\n\
             a_bytes_total{x=\"# TYPE b counter\"} 1\n# HELP b Of b.\n# TYPE b gauge\nb 2\n"
        );
    }

    #[test]
    fn the_form_is_the_one_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
        assert_eq!(Exposition::accepted(Some(prometheus)), Exposition::OpenMetrics);
        assert_eq!(Exposition::accepted(Some("*/*")), Exposition::Text);
        assert_eq!(Exposition::accepted(None), Exposition::Text);
    }

    #[test]
    fn times_are_read_back() {
        let name = "image_syncer_last_success_timestamp_seconds";
        let text = format!(
            "# TYPE {name} gauge\n{name}{{group=\"a \\\"b\\\\.yaml\"}} 1764000000.5\n\
             {name}{{group=\"never\"}} 0\n{name}{{group=\"odd\"}} NaN\n{name}{{group=\"cut"
        );
        assert_eq!(last_successes(&text), [("a \"b\\.yaml".to_owned(), 1_764_000_000.5)]);
    }
}

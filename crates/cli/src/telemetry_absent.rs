//! What a program without the feature `otlp` has in the place of OpenTelemetry: words that say so.

use report::{Document, Metrics};
use tracing::Span;

use crate::environment::{self, Environment};
use crate::error::CliError;
use crate::logging::SpanLayer;

/// Where traces and metrics go: nowhere.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The variable of OpenTelemetry that names a collector, for nothing.
    ignored: Option<&'static str>,
}

impl Settings {
    pub(crate) fn new(typed: Option<&str>, environment: &Environment) -> Result<Self, CliError> {
        if typed.is_some() || environment.os_text(environment::OTLP_ENDPOINT).is_some() {
            return Err(CliError::usage("this image-syncer was built without OpenTelemetry")
                .hint("the container image has it; `cargo build --features otlp` builds it")
                .hint("or leave out --otlp-endpoint and the variable SYNCER_OTLP_ENDPOINT"));
        }
        // What is set for all programs of a machine is no reason to refuse.
        let endpoints = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ];
        let ignored = endpoints.into_iter().find(|name| environment.get(name).is_some());
        Ok(Self { ignored })
    }
}

/// Nothing that exports.
pub(crate) struct Telemetry {
    ignored: Option<&'static str>,
}

impl Telemetry {
    pub(crate) fn begin(settings: &Settings, _: &Metrics) -> Result<Self, CliError> {
        Ok(Self { ignored: settings.ignored })
    }

    pub(crate) fn layer(&self) -> Option<SpanLayer> {
        None
    }

    /// Logs what becomes of the settings.
    pub(crate) fn tell(&self) {
        if let Some(name) = self.ignored {
            tracing::debug!("{name} is ignored: this image-syncer was built without OpenTelemetry");
        }
    }

    pub(crate) fn end(&self) {}
}

/// Describes a run's span by how the run ended.
pub(crate) fn describe(_: &Span, _: &Document) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_refused_and_what_is_around_is_ignored() {
        let error = Settings::new(Some("http://localhost:4318"), &Environment::default());
        assert!(error.unwrap_err().message().contains("without OpenTelemetry"));
        let ours = [("SYNCER_OTLP_ENDPOINT", "http://localhost:4318")].into_iter().collect();
        assert!(Settings::new(None, &ours).is_err());
        let theirs = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "::")].into_iter().collect();
        let ignored = Settings::new(None, &theirs).unwrap().ignored;
        assert_eq!(ignored, Some("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
        assert_eq!(Settings::new(None, &Environment::default()).unwrap().ignored, None);
    }
}

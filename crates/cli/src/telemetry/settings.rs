//! Where traces and metrics go: a flag, and the variables that OpenTelemetry defines for all programs.
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::path::PathBuf;
use std::time::Duration;

use oci::Host;
use percent_encoding::percent_decode_str;
use registry::ClientCertificate;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::environment::{self, Environment};
use crate::error::CliError;
use crate::settings::host_of;

/// Names with their values.
pub(crate) type Attributes = Vec<(String, String)>;

const TIMEOUT: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(60);

/// Where traces and metrics go.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(super) traces: Option<Destination>,
    pub(super) metrics: Option<Destination>,
    /// What they are of.
    pub(super) resource: Attributes,
    /// How often metrics are sent.
    pub(super) interval: Duration,
}

/// Where one signal goes.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) url: Url,
    pub(super) host: Host,
    /// They may be secret, and are marked so.
    pub(super) headers: HeaderMap,
    /// For how long one message is tried to be sent.
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_certificate: Option<ClientCertificate>,
}

/// What is exported.
#[derive(Clone, Copy)]
enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    /// In variables.
    fn name(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }

    /// Below an endpoint that is for all signals.
    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
        }
    }
}

impl Settings {
    /// The flag, or its variable, goes before the variable of OpenTelemetry that is for all signals; those
    /// for one signal go before both.
    pub(crate) fn new(typed: Option<&str>, environment: &Environment) -> Result<Self, CliError> {
        let ours = match typed {
            Some(typed) => Some(("--otlp-endpoint".to_owned(), typed.to_owned())),
            None => {
                let found = environment.text(environment::OTLP_ENDPOINT)?;
                found.map(|found| (found.name.to_owned(), found.value))
            }
        };
        let variables = Variables { environment, ours };
        if variables.is_true("OTEL_SDK_DISABLED")? {
            return Ok(Self::default());
        }
        let (traces, metrics) =
            (variables.destination(Signal::Traces)?, variables.destination(Signal::Metrics)?);
        if traces.is_none() && metrics.is_none() {
            return Ok(Self::default());
        }
        let interval = variables.millis("OTEL_METRIC_EXPORT_INTERVAL")?.unwrap_or(INTERVAL);
        Ok(Self { traces, metrics, resource: variables.resource()?, interval })
    }
}

struct Variables<'a> {
    environment: &'a Environment,
    /// What the endpoint for all signals was given by, and what it is.
    ours: Option<(String, String)>,
}

impl Variables<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, CliError> {
        let Some(value) = self.environment.get(name) else { return Ok(None) };
        let value = value.clone().into_string();
        value.map(Some).map_err(|_| wrong(name, "it is not UTF-8"))
    }

    /// What an exporter's variable says: the one for the signal, or else the one for all.
    fn exporters(&self, signal: Signal, what: &str) -> Result<Option<(String, String)>, CliError> {
        let names = [
            format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name()),
            format!("OTEL_EXPORTER_OTLP_{what}"),
        ];
        for name in names {
            if let Some(value) = self.text(&name)? {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }

    fn is_true(&self, name: &str) -> Result<bool, CliError> {
        Ok(self.text(name)?.is_some_and(|value| value.eq_ignore_ascii_case("true")))
    }

    fn millis(&self, name: &str) -> Result<Option<Duration>, CliError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        positive_millis(name, &text).map(Some)
    }

    fn destination(&self, signal: Signal) -> Result<Option<Destination>, CliError> {
        // `none` is what the specification has against exporting; others are not among ours.
        let exporter = self.text(&format!("OTEL_{}_EXPORTER", signal.name()))?;
        if exporter.is_some_and(|names| names.split(',').all(|name| name.trim() != "otlp")) {
            return Ok(None);
        }
        let Some(url) = self.endpoint(signal)? else { return Ok(None) };
        let host = host_of(&url).ok_or_else(|| wrong("the OTLP endpoint", "it has no host"))?;
        if let Some((name, protocol)) = self.exporters(signal, "PROTOCOL")?
            && protocol != "http/protobuf"
        {
            return Err(wrong(&name, "only `http/protobuf` is spoken")
                .hint("collectors mostly take it at port 4318"));
        }
        let gzip = match self.exporters(signal, "COMPRESSION")? {
            None => false,
            Some((_, compression)) if compression == "none" => false,
            Some((_, compression)) if compression == "gzip" => true,
            Some((name, _)) => return Err(wrong(&name, "it must be `gzip` or `none`")),
        };
        let timeout = match self.exporters(signal, "TIMEOUT")? {
            Some((name, text)) => positive_millis(&name, &text)?,
            None => TIMEOUT,
        };
        let headers = match self.exporters(signal, "HEADERS")? {
            Some((name, text)) => headers(&text).map_err(|problem| wrong(&name, problem))?,
            None => HeaderMap::new(),
        };
        let file = |what| {
            let found = self.exporters(signal, what);
            found.map(|found| found.map(|(_, file)| PathBuf::from(file)))
        };
        let client_certificate = match (file("CLIENT_CERTIFICATE")?, file("CLIENT_KEY")?) {
            (Some(certificate_file), Some(key_file)) => {
                Some(ClientCertificate { certificate_file, key_file })
            }
            (None, None) => None,
            _ => {
                let problem = "it and OTEL_EXPORTER_OTLP_CLIENT_KEY belong together";
                return Err(wrong("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", problem));
            }
        };
        let ca_file = file("CERTIFICATE")?;
        Ok(Some(Destination { url, host, headers, timeout, gzip, ca_file, client_certificate }))
    }

    fn endpoint(&self, signal: Signal) -> Result<Option<Url>, CliError> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.name());
        if let Some(text) = self.text(&own)? {
            return endpoint(&own, &text).map(Some);
        }
        let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let found = match &self.ours {
            Some(ours) => Some(ours.clone()),
            None => self.text(all)?.map(|text| (all.to_owned(), text)),
        };
        let Some((name, text)) = found else { return Ok(None) };
        let mut url = endpoint(&name, &text)?;
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), signal.path()));
        Ok(Some(url))
    }

    fn resource(&self) -> Result<Attributes, CliError> {
        let name = "OTEL_RESOURCE_ATTRIBUTES";
        let given = self.text(name)?.unwrap_or_default();
        let given = pairs(&given).map_err(|problem| wrong(name, problem))?;
        let mut resource: Attributes = [
            ("service.name", "image-syncer"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.language", "rust"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let named = self.text("OTEL_SERVICE_NAME")?;
        let named = named.map(|value| ("service.name".to_owned(), value));
        for (key, value) in given.into_iter().chain(named) {
            resource.retain(|(known, _)| *known != key);
            resource.push((key, value));
        }
        Ok(resource)
    }
}

/// The text is not shown: it may hold a secret.
fn wrong(name: &str, problem: impl std::fmt::Display) -> CliError {
    CliError::usage(format!("{name} cannot be used: {problem}"))
}

fn endpoint(name: &str, text: &str) -> Result<Url, CliError> {
    let example = "an endpoint is like `http://localhost:4318`";
    let url = Url::parse(text).map_err(|error| wrong(name, error).hint(example))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(name, "it must begin with `https://` or `http://`").hint(example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(name, "it must not have a user or a password")
            .hint("set OTEL_EXPORTER_OTLP_HEADERS instead"));
    }
    Ok(url)
}

fn positive_millis(name: &str, text: &str) -> Result<Duration, CliError> {
    match text.trim().parse() {
        Ok(0) | Err(_) => Err(wrong(name, "it must be a number of milliseconds from 1")),
        Ok(millis) => Ok(Duration::from_millis(millis)),
    }
}

/// `key=value,key=value` with percent-encoded values, as in the header `baggage`
/// (<https://www.w3.org/TR/baggage/#header-content>).
fn pairs(text: &str) -> Result<Attributes, &'static str> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let (key, value) =
                entry.split_once('=').ok_or("it must be like `key=value,key=value`")?;
            let value = percent_decode_str(value.trim()).decode_utf8();
            let value = value.map_err(|_| "a value in it is not UTF-8")?;
            Ok((key.trim().to_owned(), value.into_owned()))
        })
        .collect()
}

fn headers(text: &str) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    for (key, value) in pairs(text)? {
        let name = HeaderName::try_from(key).map_err(|_| "it has a name that no header has")?;
        let mut value =
            HeaderValue::try_from(value).map_err(|_| "a value in it cannot be sent in a header")?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(typed: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let environment: Environment = variables.iter().copied().collect();
        Settings::new(typed, &environment).map_err(|error| error.message().to_owned())
    }

    fn urls(typed: Option<&str>, variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let settings = settings(typed, variables).unwrap();
        [settings.traces, settings.metrics].map(|one| one.map(|one| one.url.to_string()))
    }

    #[test]
    fn an_endpoint_is_found_as_the_specification_has_it() {
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let both =
            |base: &str| [Some(format!("{base}/v1/traces")), Some(format!("{base}/v1/metrics"))];
        assert_eq!(urls(None, &[]), [None, None]);
        assert_eq!(urls(None, &[(ALL, "")]), [None, None]);
        assert_eq!(urls(None, &[(ALL, "http://c:4318")]), both("http://c:4318"));
        assert_eq!(urls(None, &[(ALL, "https://c/base/")]), both("https://c/base"));
        assert_eq!(urls(Some("http://d:1"), &[(ALL, "http://c:4318")]), both("http://d:1"));
        let ours = ("SYNCER_OTLP_ENDPOINT", "http://e:1");
        assert_eq!(urls(None, &[(ALL, "http://c:4318"), ours]), both("http://e:1"));
        // The one for a signal is taken as it is.
        let own = (TRACES, "http://t:1/x");
        assert_eq!(urls(None, &[own]), [Some("http://t:1/x".to_owned()), None]);
        let [traces, metrics] = urls(Some("http://d:1"), &[own]);
        assert_eq!(traces.as_deref(), Some("http://t:1/x"));
        assert_eq!(metrics.as_deref(), Some("http://d:1/v1/metrics"));
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(urls(Some("http://d:1"), &[off])[0], None, "{off:?}");
        }
        let metrics = urls(Some("http://d:1"), &[("OTEL_TRACES_EXPORTER", "none")])[1].clone();
        assert_eq!(metrics.as_deref(), Some("http://d:1/v1/metrics"));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_its_text() {
        for (name, value, problem) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2:4318", "it must begin with"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2", "cannot be used"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://hunter2@c", "must not have a user"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://u:hunter2@c", "must not have a user"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only `http/protobuf`"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "only `http/protobuf`"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "`gzip` or `none`"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0", "milliseconds"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "key=value"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2", "a name that no header has"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0a", "cannot be sent"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "not UTF-8"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/hunter2", "belong together"),
        ] {
            let typed = (!name.ends_with("_ENDPOINT")).then_some("http://c:4318");
            let error = settings(typed, &[(name, value)]).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{name}: {error}");
        }
        let error = settings(Some("hunter2"), &[]).unwrap_err();
        assert!(error.starts_with("--otlp-endpoint cannot") && !error.contains("hunter2"));
        // Where nothing is exported, nobody has to know the variables.
        assert!(settings(None, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).is_ok());
    }

    #[test]
    fn headers_are_sent_and_never_shown() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2, x-tenant = one"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-tenant=two"),
        ];
        let settings = settings(Some("http://c:4318"), &variables).unwrap();
        let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
        assert_eq!(traces.headers["authorization"], "Bearer hunter2");
        assert_eq!(traces.headers["x-tenant"], "one");
        assert_eq!(
            (metrics.headers.len(), &metrics.headers["x-tenant"]),
            (1, &"two".parse().unwrap())
        );
        assert!(!format!("{traces:?}").contains("hunter2"));
    }

    #[test]
    fn a_resource_is_described_by_the_variables() {
        let described = |variables: &[(&str, &str)]| {
            let resource = settings(Some("http://c:4318"), variables).unwrap().resource;
            resource
                .into_iter()
                .filter(|(key, _)| !key.starts_with("telemetry."))
                .collect::<Vec<_>>()
        };
        let is = |expected: &[(&str, &str)]| -> Attributes {
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let version = ("service.version", env!("CARGO_PKG_VERSION"));
        assert_eq!(described(&[]), is(&[("service.name", "image-syncer"), version]));
        let attributes =
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%2Cb,service.name=x");
        let environment = ("deployment.environment.name", "a,b");
        assert_eq!(described(&[attributes]), is(&[version, environment, ("service.name", "x")]));
        let named = described(&[attributes, ("OTEL_SERVICE_NAME", "eu")]);
        assert_eq!(named, is(&[version, environment, ("service.name", "eu")]));
    }
}

//! Spans of requests: what was asked of whom, and what came back, by OpenTelemetry's conventions for HTTP
//! clients. Nothing of a query, a header or a body is in them.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client>

use http::{Method, StatusCode};
use tracing::{Span, field};
use url::Url;

/// The target of spans, of this crate and of those above it. It is no crate's name: logs have none of them.
pub const SPANS: &str = "spans";

/// A request that is about to be sent; it ends with the head of its answer.
pub(crate) fn request(method: &Method, url: &Url) -> Span {
    let template = template(url.path());
    let name = || match template {
        Some(template) => format!("{method} {template}"),
        None => method.to_string(),
    };
    tracing::debug_span!(
        target: SPANS,
        "request",
        otel.name = name(),
        otel.kind = "client",
        otel.status_code = field::Empty,
        http.request.method = method.as_str(),
        http.response.status_code = field::Empty,
        server.address = url.host_str(),
        server.port = url.port_or_known_default().map(i64::from),
        url.full = oci::shown_url(url),
        url.template = template,
        error.type = field::Empty,
    )
}

/// What came back. That something is not there, and that a registry wants to know who asks, is what it is
/// asked to find out, and no error.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    let is_expected = [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&status);
    if !is_expected && (status.is_client_error() || status.is_server_error()) {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "ERROR");
    }
}

/// Nothing came back.
pub(crate) fn not_answered(span: &Span, kind: &'static str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// What is asked of a registry, of all repositories alike; none for what is no path of a registry's.
fn template(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/v2/")?;
    if rest.is_empty() {
        return Some("/v2/");
    }
    // The last one counts: a repository may be named like any of them.
    let templates = [
        ("/manifests/", "/v2/{name}/manifests/{reference}"),
        ("/blobs/uploads/", "/v2/{name}/blobs/uploads/{session}"),
        ("/blobs/", "/v2/{name}/blobs/{digest}"),
        ("/tags/list", "/v2/{name}/tags/list"),
        ("/referrers/", "/v2/{name}/referrers/{digest}"),
    ];
    let found =
        templates.into_iter().filter_map(|(part, template)| Some((rest.rfind(part)?, template)));
    // Of two that begin at one place, the longer one stands first.
    let found = found.reduce(|one, other| if other.0 > one.0 { other } else { one });
    found.map(|(_, template)| template)
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn paths_are_named_by_what_is_asked() {
        for (path, expected) in [
            ("/v2/", Some("/v2/")),
            ("/v2/a/b/manifests/1.0", Some("/v2/{name}/manifests/{reference}")),
            ("/v2/a/blobs/sha256:1", Some("/v2/{name}/blobs/{digest}")),
            ("/v2/a/blobs/uploads/", Some("/v2/{name}/blobs/uploads/{session}")),
            ("/v2/a/blobs/uploads/9-8", Some("/v2/{name}/blobs/uploads/{session}")),
            ("/v2/blobs/x/manifests/1", Some("/v2/{name}/manifests/{reference}")),
            ("/v2/a/manifests/b/tags/list", Some("/v2/{name}/tags/list")),
            ("/v2/a/referrers/sha256:1", Some("/v2/{name}/referrers/{digest}")),
            ("/v2/_catalog", None),
            ("/token", None),
            ("/bucket/docker/registry/v2/blobs/data", None),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }
}

//! Metrics at the edge: served while a run lasts, and written and pushed when it ends. What goes wrong with
//! that is a warning; no run fails for it.

use std::fs;
use std::io;
use std::path::Path;

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use credentials::Credentials;
use registry::Settings;
use report::{Delivery, Exposition, Metrics, Patience, deliver};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::{CliError, with_causes};
use crate::settings::{MetricsSettings, Push};

/// The server of `/metrics`; it ends when this is dropped.
pub(crate) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves metrics where that was asked for, and takes over what an earlier process wrote.
pub(crate) async fn begin(
    settings: &MetricsSettings,
    metrics: &Metrics,
) -> Result<Option<Listening>, CliError> {
    if let Some(file) = &settings.file
        && let Ok(earlier) = fs::read_to_string(file)
    {
        metrics.recall(&earlier);
    }
    let Some(address) = settings.listen else { return Ok(None) };
    let wrong =
        |error: io::Error| CliError::usage(format!("cannot serve metrics at {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    tracing::info!("metrics are at http://{address}/metrics");
    let app = router(metrics.clone());
    Ok(Some(Listening(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::warn!(%error, "metrics are not served any more");
        }
    }))))
}

/// `GET /metrics`, in the form that is asked for.
pub(crate) fn router(metrics: Metrics) -> Router {
    let answer = move |headers: HeaderMap| async move {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let exposition = Exposition::accepted(accept);
        ([(header::CONTENT_TYPE, exposition.content_type())], metrics.encode(exposition))
            .into_response()
    };
    Router::new().route("/metrics", get(answer))
}

/// Writes and pushes metrics where that was asked for.
pub(crate) async fn keep(
    settings: &MetricsSettings,
    metrics: &Metrics,
    web: &Settings,
    credentials: &Credentials,
) {
    let text = || metrics.encode(Exposition::Text);
    if let Some(file) = &settings.file
        && let Err(error) = write(file, &text())
    {
        tracing::warn!(%error, "cannot write metrics into `{}`", file.display());
    }
    if let Some(push) = &settings.push
        && let Err(problem) = pushed(push, text(), web, credentials).await
    {
        tracing::warn!("cannot push metrics to {}: {problem}", push.host);
    }
}

/// Whoever collects the file finds the old one or the new one, and none by the name of the one that is made.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = file.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    if written.is_err() {
        let _there_is_none = fs::remove_file(&new);
    }
    written
}

/// Puts metrics in the place of all that were pushed for the same job before.
async fn pushed(
    push: &Push,
    body: String,
    web: &Settings,
    credentials: &Credentials,
) -> Result<(), String> {
    let client = registry::web_client(web, &push.host).map_err(|error| with_causes(&error))?;
    let mut headers = reqwest::header::HeaderMap::new();
    if let Some((username, password)) = &push.login {
        let password = credentials
            .reveal(password, "password of the Pushgateway")
            .await
            .map_err(|error| with_causes(&error))?;
        let pair = format!("{}:{}", username.expose_secret(), password.expose_secret());
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| "its password cannot be sent".to_owned())?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let delivery = Delivery {
        method: Method::PUT,
        url: push.url.clone(),
        headers,
        content_type: Exposition::Text.content_type(),
        body: body.into_bytes(),
    };
    let sent = deliver(&client, &delivery, &Patience::default()).await;
    sent.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_metrics_is_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image-syncer.prom");
        for text in ["one\n", "two\n"] {
            write(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("none/a.prom"), "").is_err());
        // A folder in its place: what was begun is taken away.
        fs::create_dir(folder.path().join("b.prom")).unwrap();
        assert!(write(&folder.path().join("b.prom"), "").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

//! The doors: health, metrics, the last report and the hooks, as a router. Whoever listens gives them
//! their texts, so nothing here knows what a report looks like.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oci::Host;
use tokio::sync::{mpsc, oneshot};
use url::form_urlencoded;

use crate::hooks::authentication::{Secret, is_authentic};
use crate::hooks::{self, Kind};
use crate::status::Board;
use crate::{Moved, Status};

/// A page as it is now; none while there is nothing to show.
pub type Page = Arc<dyn Fn() -> Option<Text> + Send + Sync>;

/// What is shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Text {
    /// Its media type.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

/// What the doors show besides health.
#[derive(Clone)]
pub struct Pages {
    /// `/metrics`; what the watch knows of itself is added to it.
    pub metrics: Page,
    /// `/`: the last report, for people.
    pub report: Page,
    /// `/report.json`: the same for machines.
    pub report_json: Page,
    /// What those must know who say that something was pushed; without one there are no hooks.
    pub webhook_secret: Option<Secret>,
}

/// The doors' end of the watch.
#[derive(Clone)]
pub struct Door {
    pub(crate) push: mpsc::Sender<Moved>,
    pub(crate) ping: mpsc::Sender<oneshot::Sender<()>>,
    pub(crate) board: Board,
}

impl Door {
    /// How the watch is doing.
    pub fn status(&self) -> Status {
        self.board.status().clone()
    }
}

/// The largest message of a registry that is read, in bytes. Envelopes have a few hundred for each push.
const LARGEST: usize = 1 << 20;

/// How long the event loop may take to answer before it counts as dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// The doors.
pub fn router(door: Door, pages: Pages) -> Router {
    let has_hooks = pages.webhook_secret.is_some();
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/", get(report))
        .route("/report.json", get(report_json));
    let router = match has_hooks {
        true => router
            .route("/hooks/{kind}", post(hook))
            .route("/hooks/{kind}/{secret}", post(hook_with_secret)),
        false => router,
    };
    router
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn(with_security_headers))
        .with_state(Rooms { door, pages })
}

#[derive(Clone)]
struct Rooms {
    door: Door,
    pages: Pages,
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// The headers of every answer. A report is one page with its own style and script, and asks for
/// nothing from elsewhere.
async fn with_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Alive is what answers: the event loop itself is asked.
async fn health(State(rooms): State<Rooms>) -> Response {
    match answers(&rooms.door).await {
        true => (StatusCode::OK, "ok\n").into_response(),
        false => {
            (StatusCode::SERVICE_UNAVAILABLE, "the event loop does not answer\n").into_response()
        }
    }
}

async fn answers(door: &Door) -> bool {
    let asked = async {
        let (pong, answer) = oneshot::channel();
        door.ping.send(pong).await.is_ok() && answer.await.is_ok()
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_default()
}

/// Ready is what has files and is not ending. A replica without the lease is ready: it syncs what it
/// hears of by a hook, and a rollout waits for the new replica while the old one still has the lease.
async fn ready(State(rooms): State<Rooms>) -> Response {
    let is_alive = answers(&rooms.door).await;
    let status = rooms.door.status();
    let is_ready = is_alive && !status.files.is_empty() && !status.stopping;
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&status).unwrap_or_default();
    (code, [(CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(rooms): State<Rooms>) -> Response {
    let own = rooms.door.status().metrics();
    let others = (rooms.pages.metrics)().map(|text| text.body).unwrap_or_default();
    // OpenMetrics ends with a mark, after which nothing may come.
    let others = others.trim_end_matches("# EOF\n");
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], format!("{others}{own}")).into_response()
}

async fn report(State(rooms): State<Rooms>) -> Response {
    let status = rooms.door.status();
    match (rooms.pages.report)() {
        Some(text) if status.files_are_current || !text.content_type.starts_with("text/html") => {
            page(text)
        }
        Some(text) => page(Text { body: with_notice(&text), ..text }),
        None => {
            let body = "No run has ended yet.\n".to_owned();
            page(Text { content_type: PLAIN, body })
        }
    }
}

/// What is said above a report while the files are wrong.
const OLD_FILES: &str =
    "The sync files have changed since and are wrong: this report is of those from before.";

fn with_notice(text: &Text) -> String {
    let body = &text.body;
    let opened = body.find("<body").and_then(|at| Some(at + body.get(at..)?.find('>')? + 1));
    match opened.and_then(|at| body.split_at_checked(at)) {
        Some((head, rest)) => format!("{head}<p role=\"alert\">{OLD_FILES}</p>{rest}"),
        None => body.clone(),
    }
}

async fn report_json(State(rooms): State<Rooms>) -> Response {
    match (rooms.pages.report_json)() {
        Some(text) => page(text),
        None => (StatusCode::NOT_FOUND, "no run has ended yet\n").into_response(),
    }
}

fn page(text: Text) -> Response {
    ([(CONTENT_TYPE, text.content_type)], Body::from(text.body)).into_response()
}

async fn hook(
    State(rooms): State<Rooms>,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(&rooms, &kind, None, query.as_deref(), &headers, &body)
}

async fn hook_with_secret(
    State(rooms): State<Rooms>,
    Path((kind, secret)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    take(&rooms, &kind, Some(&secret), query.as_deref(), &headers, &body)
}

fn take(
    rooms: &Rooms,
    kind: &str,
    in_path: Option<&str>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    let Some(kind) = Kind::of(kind) else { return StatusCode::NOT_FOUND.into_response() };
    let secret = rooms.pages.webhook_secret.as_ref().and_then(|secret| secret());
    if !secret.is_some_and(|secret| is_authentic(kind, &secret, headers, in_path, body)) {
        rooms.door.board.status().hooks_refused += 1;
        tracing::warn!(kind = kind.as_str(), "a webhook without the secret was refused");
        let header = [(WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, header, "the secret is missing or wrong\n")
            .into_response();
    }
    match parsed(kind, query, body) {
        Ok(moved) => pass_on(&rooms.door, kind, moved),
        Err(problem) => {
            rooms.door.board.status().hooks_refused += 1;
            tracing::warn!(kind = kind.as_str(), problem, "a webhook could not be read");
            (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response()
        }
    }
}

/// `?registry=HOST` beside a message is the registry's name in sync files, where the message has
/// another one.
fn parsed(kind: Kind, query: Option<&str>, body: &[u8]) -> Result<Vec<Moved>, String> {
    let mut beside = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let registry =
        beside.find(|(name, _)| name == "registry").map(|(_, value)| value.parse::<Host>());
    let host = registry.transpose().map_err(|error| error.to_string())?;
    hooks::parse(kind, body, host.as_ref()).map_err(|error| error.to_string())
}

/// The loop takes pushes at once; where it does not, whoever sent them is to send them again.
fn pass_on(door: &Door, kind: Kind, moved: Vec<Moved>) -> Response {
    let pushes = moved.len();
    if door.status().stopping || moved.into_iter().any(|one| door.push.try_send(one).is_err()) {
        let header = [(RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, header, "send it again later\n").into_response();
    }
    door.board.status().hooks_accepted += 1;
    tracing::debug!(kind = kind.as_str(), pushes, "a webhook was taken");
    StatusCode::ACCEPTED.into_response()
}

#[cfg(test)]
mod tests;

//! [`RequestLog`]: every request that a server was sent, in order, for tests to assert on.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::listener::Connection;
use crate::pattern::Pattern;

/// How long [`RequestLog::wait_until`] and [`crate::Release::reached`] wait before they call the test failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One request as the server saw it, and what became of it. Credentials are not kept.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the order of arrival, from 1.
    pub number: usize,
    /// When it came, after the server's start.
    pub at: Duration,
    /// The TCP connection it came over, from 1; each server counts its own.
    pub connection: u64,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: String,
    /// Its query, as it was written.
    pub query: Option<String>,
    /// Its headers, those with credentials left out.
    pub headers: HeaderMap,
    /// The scheme of its `Authorization` header, such as `Bearer`; never the value.
    pub authorization: Option<String>,
    /// The answer's status; none while there is no answer, or when there never was one.
    pub status: Option<StatusCode>,
    /// The bytes of its body that the server has read.
    pub bytes_in: u64,
    /// The bytes of the answer's body that were given to the connection.
    pub bytes_out: u64,
    /// Whether it is over: answered to the end, cut, or dropped.
    pub ended: bool,
}

impl Request {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it asks to change something: PUT, POST, PATCH or DELETE.
    pub fn is_write(&self) -> bool {
        [Method::PUT, Method::POST, Method::PATCH, Method::DELETE].contains(&self.method)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3} c{} {} {}", self.number, self.connection, self.method, self.path)?;
        self.query.iter().try_for_each(|query| write!(f, "?{query}"))?;
        match self.status {
            Some(status) => write!(f, " -> {}", status.as_u16())?,
            None => write!(f, " -> no answer")?,
        }
        write!(f, ", {} in, {} out", self.bytes_in, self.bytes_out)?;
        self.authorization.iter().try_for_each(|scheme| write!(f, ", {scheme}"))?;
        self.header("range").iter().try_for_each(|range| write!(f, ", {range}"))?;
        if self.ended { Ok(()) } else { write!(f, ", still open") }
    }
}

/// The requests of one server. A clone is the same log.
#[derive(Clone)]
pub struct RequestLog {
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    entries: Mutex<Entries>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Entries {
    requests: Vec<Request>,
    /// How many were cleared away; keeps numbers unique.
    cleared: usize,
    connections: u64,
    open: usize,
    peak: usize,
}

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                started: Instant::now(),
                entries: Mutex::default(),
                changes: watch::Sender::new(()),
            }),
        }
    }

    /// All requests so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.entries().requests.clone()
    }

    /// The requests with this method (`GET`, `PUT|POST`, `*`) and a path like this, in which `*`
    /// is any run of characters, slashes among them.
    pub fn matching(&self, methods: &str, path: &str) -> Vec<Request> {
        let pattern = Pattern::new(methods, path);
        let requests = self.requests().into_iter();
        requests.filter(|request| pattern.matches(&request.method, &request.path)).collect()
    }

    /// How many requests [`RequestLog::matching`] finds.
    pub fn count(&self, methods: &str, path: &str) -> usize {
        self.matching(methods, path).len()
    }

    /// The requests that ask to change something, tokens left out.
    pub fn writes(&self) -> Vec<Request> {
        let requests = self.requests().into_iter();
        requests.filter(|request| request.is_write() && request.path.starts_with("/v2/")).collect()
    }

    /// How many TCP connections were accepted; [`RequestLog::clear`] does not change it.
    pub fn connections(&self) -> u64 {
        self.entries().connections
    }

    /// The most requests that were open at once.
    pub fn peak(&self) -> usize {
        self.entries().peak
    }

    /// Forgets all requests so far.
    pub fn clear(&self) {
        let mut entries = self.entries();
        entries.cleared += entries.requests.len();
        entries.requests.clear();
        entries.peak = entries.open;
    }

    /// Waits until the condition holds; it is looked at again whenever a request comes, is
    /// answered or ends.
    ///
    /// # Panics
    /// After half a minute, with the log.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        let met = async {
            while !condition(self) {
                // The sender is in `self`, so it cannot be gone.
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(PATIENCE, met).await.is_err() {
            panic!("waited {PATIENCE:?} for a condition that never held; the requests:\n{self}");
        }
    }

    pub(crate) fn count_connection(&self) -> u64 {
        let mut entries = self.entries();
        entries.connections += 1;
        entries.connections
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, request: &axum::extract::Request) -> Entry {
        let mut headers = request.headers().clone();
        headers.remove(COOKIE);
        let authorization = headers.remove(AUTHORIZATION).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split(' ').next().unwrap_or_default().to_owned()
        });
        let connection = request.extensions().get::<Connection>().map_or(0, Connection::number);
        let mut entries = self.entries();
        let number = entries.cleared + entries.requests.len() + 1;
        entries.requests.push(Request {
            number,
            at: self.shared.started.elapsed(),
            connection,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers,
            authorization,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            ended: false,
        });
        entries.open += 1;
        entries.peak = entries.peak.max(entries.open);
        drop(entries);
        self.shared.changes.send_replace(());
        Entry { log: self.clone(), number }
    }
}

impl fmt::Display for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.requests().iter().try_for_each(|request| writeln!(f, "{request}"))
    }
}

impl fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The layer that writes the log: the outermost of all, so that it sees what the client sees.
pub(crate) async fn record(
    State(log): State<RequestLog>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let entry = Arc::new(log.begin(&request));
    let received = Arc::clone(&entry);
    let request = request.map(|body| {
        Body::new(Counted { body, count: move |bytes| received.update(|r| r.bytes_in += bytes) })
    });
    let response = next.run(request).await;
    entry.update(|request| request.status = Some(response.status()));
    response.map(|body| {
        Body::new(Counted { body, count: move |bytes| entry.update(|r| r.bytes_out += bytes) })
    })
}

/// A request in the log; when the last of it is dropped the request is over.
struct Entry {
    log: RequestLog,
    number: usize,
}

impl Entry {
    fn update(&self, change: impl FnOnce(&mut Request)) {
        let mut entries = self.log.entries();
        let index = self.number.checked_sub(entries.cleared + 1);
        if let Some(request) = index.and_then(|index| entries.requests.get_mut(index)) {
            change(request);
        }
        drop(entries);
        self.log.shared.changes.send_replace(());
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.entries().open -= 1;
        self.update(|request| request.ended = true);
    }
}

/// A body that tells how many bytes went through; its size hint stays, so that what had a
/// Content-Length keeps it.
struct Counted<F> {
    body: Body,
    count: F,
}

impl<F: Fn(u64) + Unpin> http_body::Body for Counted<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            (self.count)(data.len() as u64);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

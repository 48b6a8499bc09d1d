//! [`Limiter`]: a registry's front that answers 429 beyond so many requests a second, as Docker Hub
//! and the clouds do. It speaks TLS on both sides and passes everything else on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::error::{Context, Error, Result};

/// A running front. Dropped, it takes no more connections.
#[derive(Debug)]
pub(crate) struct Limiter {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    registry: String,
    client: reqwest::Client,
    bucket: Mutex<Bucket>,
    refused: AtomicU64,
}

/// A second's requests at most, refilled as time goes by.
#[derive(Debug)]
struct Bucket {
    each_second: f64,
    left: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) async fn start(
        registry: SocketAddr,
        limit: u32,
        authority: &Authority,
    ) -> Result<Self> {
        let tls = server::Tls::read(&authority.certificate, &authority.key);
        let tls = tls.context(|| "reading a certificate".to_owned())?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.context(|| "listening for a limit".to_owned())?;
        let address = listener.local_addr().context(|| "a limit's address".to_owned())?;
        let each_second = f64::from(limit);
        let shared = Arc::new(Shared {
            registry: format!("https://{registry}"),
            client: client(authority)?,
            bucket: Mutex::new(Bucket { each_second, left: each_second, at: Instant::now() }),
            refused: AtomicU64::new(0),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            let _ = server::serve(listener, router, Some(tls), std::future::pending()).await;
        });
        Ok(Self { address, shared, serving: serving.abort_handle() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it answered 429.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bucket {
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.at).as_secs_f64() * self.each_second;
        (self.left, self.at) = ((self.left + earned).min(self.each_second), now);
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

fn client(authority: &Authority) -> Result<reqwest::Client> {
    let doing = || "making a client".to_owned();
    let pem = std::fs::read(&authority.trusted).context(doing)?;
    let certificate = reqwest::Certificate::from_pem(&pem).context(doing)?;
    // Whoever was first has installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = reqwest::Client::builder().tls_certs_only([certificate]).no_proxy();
    builder.redirect(reqwest::redirect::Policy::none()).build().context(doing)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if !shared.bucket.lock().unwrap_or_else(PoisonError::into_inner).take() {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}"#;
        let headers = [(header::RETRY_AFTER, "1"), (header::CONTENT_TYPE, "application/json")];
        return (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response();
    }
    pass(&shared, request).await.unwrap_or_else(|error| {
        (StatusCode::BAD_GATEWAY, format!("the registry behind the limit: {error}")).into_response()
    })
}

async fn pass(shared: &Shared, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers;
    // The name is kept, so that addresses in answers lead back here.
    if let Some(authority) = parts.uri.authority()
        && let Ok(host) = authority.as_str().parse()
    {
        headers.insert(header::HOST, host);
    }
    remove_hop_by_hop(&mut headers);
    let url = format!("{}{path}", shared.registry);
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let sent = shared.client.request(parts.method, url).headers(headers).body(body).send().await;
    let answer = sent.map_err(|error| Error::new(error.to_string()))?;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    remove_hop_by_hop(&mut headers);
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn remove_hop_by_hop(headers: &mut http::HeaderMap) {
    const NAMES: [HeaderName; 3] = [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];
    for name in NAMES {
        headers.remove(name);
    }
}

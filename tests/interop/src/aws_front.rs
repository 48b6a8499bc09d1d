//! [`AwsFront`]: stands before moto and makes of its answers what AWS's would be: each token for a
//! registry is another one. It can hold calls back as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A proxy of this machine, for as long as it lives.
#[derive(Debug)]
pub struct AwsFront {
    /// Where it listens.
    pub url: String,
    shared: Arc<Shared>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    moto: String,
    web: reqwest::Client,
    tokens: AtomicU32,
    /// When the first token is at its end.
    first_ends: watch::Sender<Option<Instant>>,
    /// The action that is held back.
    held: watch::Sender<Option<String>>,
    /// How many calls were held back.
    waiting: watch::Sender<usize>,
}

impl AwsFront {
    /// Begins to listen before the moto at this URL.
    pub async fn start(moto: &str) -> Self {
        // Nothing here is TLS, but the client wants to know; another test may have said it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let shared = Arc::new(Shared {
            moto: moto.trim_end_matches('/').to_owned(),
            web: reqwest::Client::builder().no_proxy().build().unwrap(),
            tokens: AtomicU32::new(0),
            first_ends: watch::Sender::new(None),
            held: watch::Sender::new(None),
            waiting: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, serving }
    }

    /// The password in the token of this number, from 1.
    pub fn password(number: u32) -> String {
        format!("auth-token-{number}")
    }

    /// Waits until the first token is at its end.
    pub async fn first_token_ends(&self) {
        let mut end = self.shared.first_ends.subscribe();
        let end = end.wait_for(Option::is_some).await.unwrap().unwrap();
        tokio::time::sleep_until(end).await;
    }

    /// Holds back all calls of an action from now on.
    pub fn hold(&self, action: &str) {
        self.shared.held.send_replace(Some(action.to_owned()));
    }

    /// Waits until so many calls are held back.
    pub async fn wait_for(&self, calls: usize) {
        self.shared.waiting.subscribe().wait_for(|waiting| *waiting >= calls).await.unwrap();
    }

    /// Lets them go on, and holds none back any more.
    pub fn release(&self) {
        self.shared.held.send_replace(None);
    }
}

impl Drop for AwsFront {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let action = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default().to_owned();
    let mut held = shared.held.subscribe();
    if held.borrow().as_deref() == Some(&*action) {
        shared.waiting.send_modify(|waiting| *waiting += 1);
        held.wait_for(|held| held.as_deref() != Some(&*action)).await.unwrap();
    }
    let url = format!("{}{}", shared.moto, parts.uri);
    let answer = shared.web.request(parts.method, url).headers(parts.headers).body(body);
    let answer = answer.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    let mut content = answer.bytes().await.unwrap();
    if action == "GetAuthorizationToken" {
        content = shared.with_another_token(&content).into();
    }
    response.body(Body::from(content)).unwrap()
}

impl Shared {
    /// The first is good for a second only, by what AWS says of it.
    fn with_another_token(&self, content: &[u8]) -> String {
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let mut answer: Value = serde_json::from_slice(content).unwrap();
        let data = &mut answer["authorizationData"][0];
        let token = format!("AWS:{}", AwsFront::password(number));
        data["authorizationToken"] = json!(STANDARD.encode(token));
        if number == 1 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            data["expiresAt"] = json!((now + SECOND).as_secs_f64());
            self.first_ends.send_replace(Some(Instant::now() + SECOND));
        }
        answer.to_string()
    }
}

//! [`router`]: from a request to the endpoint that answers it.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::Answer;
use crate::errors::{Code, Refusal};
use crate::htpasswd::{Htpasswd, authenticate};
use crate::registry::Registry;
use crate::route::Route;
use crate::{blobs, listings, manifests, referrers, uploads};

/// What a registry allows, and to whom.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Refuse whatever would change something.
    pub read_only: bool,
    /// Who may use the registry; everybody where this is not set.
    pub htpasswd: Option<Htpasswd>,
    /// Take manifests that name blobs or manifests which the repository does not have, as a
    /// mirror of some platforms of an index does. What is pulled may then be incomplete.
    pub sparse: bool,
}

/// The distribution API over the layouts below `folder`, or over the one in it.
pub fn router(folder: &Path, options: Options) -> Router {
    let Options { read_only, htpasswd, sparse } = options;
    let registry = Arc::new(Registry::new(folder, sparse));
    let mut router = Router::new().fallback(dispatch).with_state(registry);
    if read_only {
        router = router.layer(from_fn(refuse_changes));
    }
    if let Some(htpasswd) = htpasswd {
        router = router.layer(from_fn_with_state(Arc::new(htpasswd), authenticate));
    }
    router.layer(from_fn(accompany))
}

async fn dispatch(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    answer(&registry, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn answer(registry: &Registry, request: Request) -> Result<Response, Refusal> {
    let (request, body) = request.into_parts();
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    let query = Query::parse(request.uri.query().unwrap_or_default());
    let headers = &request.headers;
    let route = Route::parse(&path)?;
    let method = &request.method;
    let is = |other: Method| *method == other;
    match &route {
        Route::Support if is(Method::GET) || is(Method::HEAD) => Ok(Answer::new(StatusCode::OK)
            .header(CONTENT_TYPE, "application/json")
            .body("{}".into())),
        Route::Catalog if is(Method::GET) => listings::catalog(registry, &query).await,
        Route::Tags(name) if is(Method::GET) => {
            listings::tags(&registry.layout(name)?, name, &query).await
        }
        Route::Manifest(name, selector) if is(Method::GET) => {
            manifests::get(&registry.layout(name)?, selector).await
        }
        Route::Manifest(name, selector) if is(Method::HEAD) => {
            manifests::head(&registry.layout(name)?, selector).await
        }
        Route::Manifest(name, selector) if is(Method::PUT) => {
            manifests::put(registry, name, selector, &query, headers, body).await
        }
        Route::Manifest(name, selector) if is(Method::DELETE) => {
            manifests::delete(&registry.layout(name)?, selector).await
        }
        Route::Blob(name, digest) if is(Method::GET) => {
            blobs::get(&registry.layout(name)?, digest, headers).await
        }
        Route::Blob(name, digest) if is(Method::HEAD) => {
            blobs::head(&registry.layout(name)?, digest).await
        }
        Route::Blob(name, digest) if is(Method::DELETE) => {
            blobs::delete(&registry.layout(name)?, digest).await
        }
        Route::Uploads(name) if is(Method::POST) => {
            uploads::start(registry, name, &query, body).await
        }
        Route::Upload(name, id) if is(Method::PATCH) => {
            uploads::patch(registry, name, id, headers, body).await
        }
        Route::Upload(name, id) if is(Method::PUT) => {
            uploads::put(registry, name, id, &query, headers, body).await
        }
        Route::Upload(name, id) if is(Method::GET) => uploads::status(registry, name, id).await,
        Route::Upload(name, id) if is(Method::DELETE) => uploads::cancel(registry, name, id).await,
        Route::Referrers(name, digest) if is(Method::GET) => {
            referrers::list(&registry.layout(name)?, name, digest, &query).await
        }
        _ => {
            let message = format!("{method} is not for this endpoint");
            Err(Refusal::new(Code::Unsupported, message).with_header(ALLOW, allowed(&route)))
        }
    }
}

/// The methods of an endpoint, as the `Allow` header lists them.
fn allowed(route: &Route) -> &'static str {
    match route {
        Route::Support => "GET, HEAD",
        Route::Catalog | Route::Tags(_) | Route::Referrers(..) => "GET",
        Route::Manifest(..) => "GET, HEAD, PUT, DELETE",
        Route::Blob(..) => "GET, HEAD, DELETE",
        Route::Uploads(_) => "POST",
        Route::Upload(..) => "GET, PATCH, PUT, DELETE",
    }
}

async fn refuse_changes(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    Refusal::new(Code::Unsupported, "this registry is read-only")
        .with_header(ALLOW, "GET, HEAD")
        .into_response()
}

/// What goes with every answer: a header that old Docker clients look for, and a line in the log.
async fn accompany(request: Request, next: Next) -> Response {
    const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = std::time::Instant::now();
    let mut response = next.run(request).await;
    response.headers_mut().insert(VERSION, HeaderValue::from_static("registry/2.0"));
    let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
    tracing::debug!(%method, path, status, ?elapsed, "answered");
    response
}

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

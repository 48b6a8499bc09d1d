//! The layer that acts on faults. A server has it twice: outside and inside of its auth.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::{StreamExt, stream};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Uri};

use super::header::{Site, rewrite_location, shift_content_range};
use super::{Effect, Fault, Injected, body};
use crate::answer;
use crate::listener::Connection;

/// The faults of one server. A clone is the same set.
#[derive(Clone)]
pub(crate) struct Faults {
    site: Arc<Site>,
    list: Arc<Mutex<Vec<Injected>>>,
}

impl Faults {
    pub(crate) fn new(own: String, cdn: Option<String>) -> Self {
        Self { site: Arc::new(Site { own, cdn }), list: Arc::default() }
    }

    pub(crate) fn inject(&self, fault: Fault) -> Injected {
        let injected = Injected::new(fault);
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(injected.clone());
        injected
    }

    pub(crate) fn clear(&self) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn striking(&self, before_auth: bool, request: &Parts) -> Vec<Effect> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let striking = list.iter().filter(|injected| injected.strikes(before_auth, request));
        striking.map(|injected| injected.fault.effect.clone()).collect()
    }

    /// A redirect to the same path at the CDN.
    fn redirect(&self, status: http::StatusCode, uri: &Uri) -> Response {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut response = answer::empty(status);
        let location = self.site.at_cdn(path).unwrap_or_default();
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

/// Which of the two places of the layer this is, and the faults.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) faults: Faults,
    pub(crate) before_auth: bool,
}

/// Does to a request and its answer what the faults that strike it say: first all they do to the
/// request, in the order they were injected, then all they do to the answer.
pub(crate) async fn act(State(place): State<Place>, request: Request, next: Next) -> Response {
    let Place { faults, before_auth } = place;
    let Some(connection) = request.extensions().get::<Connection>().cloned() else {
        return next.run(request).await;
    };
    let (mut parts, mut content) = request.into_parts();
    let effects = faults.striking(before_auth, &parts);
    let mut answered = None;
    for effect in &effects {
        match effect {
            Effect::Answer(status, headers, text) if answered.is_none() => {
                let mut response = answer::empty(*status);
                *response.headers_mut() = headers.clone();
                *response.body_mut() = text.clone().into();
                answered = Some(response);
            }
            Effect::RedirectToCdn(status) if answered.is_none() => {
                answered = Some(faults.redirect(*status, &parts.uri));
            }
            Effect::Drop => match connection.close().await {},
            Effect::CutRequest(bytes) => {
                let stream = std::mem::take(&mut content).into_data_stream();
                body::first(stream, *bytes).for_each(|_| async {}).await;
                match connection.close().await {}
            }
            Effect::BreakRequest(bytes) => {
                let came = body::first(std::mem::take(&mut content).into_data_stream(), *bytes);
                let broken = axum::Error::new(io::Error::from(io::ErrorKind::ConnectionReset));
                content = Body::from_stream(came.chain(stream::once(async { Err(broken) })));
            }
            Effect::Hold(gate) => gate.clone().pass().await,
            Effect::Hook(hook) => hook().await,
            Effect::ForgetHeader(name) => {
                parts.headers.remove(name);
            }
            Effect::ForgetQuery(names) => change_query(&mut parts, names, None),
            Effect::SetQuery(name, value) => {
                change_query(&mut parts, &[name], Some((name, value)));
            }
            _ => {}
        }
    }
    let mut response = match answered {
        Some(response) => {
            answer::drain(content).await;
            response
        }
        None => next.run(Request::from_parts(parts, content)).await,
    };
    for effect in effects {
        match effect {
            Effect::DropAnswer | Effect::BreakRequest(_) => match connection.close().await {},
            Effect::Status(status) if response.status().is_success() => {
                *response.status_mut() = status;
            }
            Effect::SetHeader(name, value) => {
                response.headers_mut().insert(name, value);
            }
            Effect::RemoveHeader(name) => {
                response.headers_mut().remove(name);
            }
            Effect::WrongContentRange => shift_content_range(response.headers_mut()),
            Effect::Location(form) => {
                rewrite_location(response.headers_mut(), &form, &faults.site);
            }
            Effect::Body(change) => response = body::change(response, change, &connection),
            _ => {}
        }
    }
    response
}

/// Takes parameters from the query, and adds one.
pub(crate) fn change_query(parts: &mut Parts, without: &[&str], with: Option<(&str, &str)>) {
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let kept = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !without.contains(&name.as_ref()));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .extend_pairs(with)
        .finish();
    let path = parts.uri.path();
    let changed = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    if let Ok(uri) = changed.parse() {
        parts.uri = uri;
    }
}

//! Error answers in the shape of the distribution spec ("Error Codes").

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt;
use http::StatusCode;
use http::header::CONTENT_TYPE;

/// The spec's error document with one error.
pub(crate) fn error_body(code: &str, message: &str) -> String {
    serde_json::json!({ "errors": [{ "code": code, "message": message }] }).to_string()
}

/// An answer with the spec's error document.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, error_body(code, message))
}

/// An answer with a JSON document.
pub(crate) fn json(status: StatusCode, body: String) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(body);
    response
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Reads what a refused request still sends, as servers with a lingering close do. Without this a
/// client that is still writing may meet a reset connection before it reads the refusal.
pub(crate) async fn drain(body: Body) {
    body.into_data_stream().for_each(|_| async {}).await;
}

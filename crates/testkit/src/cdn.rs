//! The CDN: the registry's other server, on a port of its own: where blobs are redirected to and
//! uploads can be sent. It is what object stores are: it wants a signature in the query, and no
//! `Authorization` beside it.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::answer;
use crate::fault::has_parameter;

pub(crate) const SIGNATURE: &str = "signature";
pub(crate) const VALID: &str = "valid";
/// Where there is no registry but a web site, which knows no such page.
pub(crate) const WEB: &str = "/-/";

/// The registry's content behind the CDN's door.
pub(crate) fn router(content: Router) -> Router {
    content.layer(middleware::from_fn(guard))
}

/// S3 answers 400 to a request that is signed twice, "Only one auth mechanism allowed", so a
/// client that sends its registry token along fails as it would in the field.
async fn guard(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with(WEB) {
        let mut page = answer::empty(StatusCode::NOT_FOUND);
        page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        *page.body_mut() = "<html>Page not found</html>".into();
        return page;
    }
    if parts.headers.contains_key(AUTHORIZATION) {
        let message = "Only one auth mechanism allowed";
        return answer::error(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    if !has_parameter(&parts, SIGNATURE) {
        return answer::error(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied");
    }
    next.run(Request::from_parts(parts, body)).await
}

//! Building an answer, and the headers that distribution has and the standard names do not.

use axum::body::Body;
use axum::response::Response;
use http::header::HeaderName;
use http::{HeaderValue, StatusCode};

/// The digest of the content that an answer is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The subject of the manifest that was pushed: says that the referrers API knows of it.
pub(crate) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that was set by a query parameter.
pub(crate) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// The filters that a list of referrers went through.
pub(crate) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The id of an upload; older clients read it.
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An answer in the making.
pub(crate) struct Answer(Response);

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self(response)
    }

    /// Adds a header. All values here are made of names that were parsed, so none is refused.
    #[expect(clippy::needless_pass_by_value, reason = "most are made for it")]
    pub(crate) fn header(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, body: Body) -> Response {
        *self.0.body_mut() = body;
        self.0
    }

    pub(crate) fn empty(self) -> Response {
        self.0
    }
}

//! [`Request`]: one request to a registry, and how it is to be made.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::auth::Access;
use crate::gate::Lane;
use crate::transport::Pool;

/// One request, as often as it takes.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) access: Access,
    pub(crate) pool: Pool,
    /// Whether redirects are followed; only GET and HEAD are.
    pub(crate) follow: bool,
    /// Whether temporary failures are returned at once.
    pub(crate) once: bool,
    /// Whether the answer may take as long as the end of an upload.
    pub(crate) patient: bool,
    /// Whether it goes on with what has a permit already, or had one.
    pub(crate) goes_on: bool,
    /// Whether a registry that counts pulls counts it.
    pub(crate) is_pull: bool,
}

impl Request {
    pub(crate) fn new(method: Method, url: Url, access: Access) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            access,
            pool: Pool::Small,
            follow: false,
            once: false,
            patient: false,
            goes_on: false,
            is_pull: false,
        }
    }

    pub(crate) fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn following(mut self) -> Self {
        self.follow = true;
        self
    }

    pub(crate) fn bulk(mut self) -> Self {
        self.pool = Pool::Bulk;
        self
    }

    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// For a mirror: the registry itself is asked soon after, and is as good.
    pub(crate) fn once_if(self, is_mirror: bool) -> Self {
        if is_mirror { self.once() } else { self }
    }

    pub(crate) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// For a blob that is being read already: its upload must not have to wait for others that
    /// wait for it.
    pub(crate) fn going_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// For a manifest: its GET is what is called a pull.
    pub(crate) fn pulling(mut self) -> Self {
        self.is_pull = self.method == Method::GET;
        self
    }

    /// The kind of action it is, as far as its permit goes.
    pub(crate) fn lane(&self) -> Lane {
        if self.method == Method::GET || self.method == Method::HEAD {
            Lane::Metadata
        } else {
            Lane::Writes
        }
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

//! [`Fault`]: one way in which a registry goes wrong, and for which requests.
//!
//! A fault is data: what it does ([`Effect`]), for which requests ([`Pattern`] and conditions), and
//! how often. Each kind has a constructor in `kinds`; the layer that acts on faults is `layer`;
//! what they do to bodies is in `body`, to headers in `header`.

pub(crate) mod body;
mod gate;
mod header;
mod kinds;
pub(crate) mod layer;
mod rate;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub(crate) use gate::Gate;
pub use gate::Release;
pub use header::LocationForm;
pub use kinds::{ContentLength, RetryAfter};
pub use rate::RateLimit;

use crate::pattern::{Pattern, path};

/// One way to go wrong. Made by the constructor that names it, narrowed by [`Fault::on`] and
/// [`Fault::when`], and limited by [`Fault::once`], [`Fault::times`], [`Fault::nth`] or
/// [`Fault::after`]; without a limit it happens always.
#[derive(Clone)]
pub struct Fault {
    pattern: Pattern,
    conditions: Vec<Condition>,
    occurrences: Occurrences,
    before_auth: bool,
    pub(crate) effect: Effect,
}

type Condition = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
type Hook = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The requests of a match that a fault strikes, counted from 1.
#[derive(Clone, Copy, Debug)]
struct Occurrences {
    skip: u64,
    take: u64,
}

/// What a fault does.
#[derive(Clone)]
pub(crate) enum Effect {
    /// Answers instead of the registry.
    Answer(StatusCode, HeaderMap, String),
    /// A redirect to the other server; the path stays, and a signature is added.
    RedirectToCdn(StatusCode),
    /// Closes the connection before the registry has seen the request.
    Drop,
    /// Lets the registry do what is asked, and closes the connection instead of answering.
    DropAnswer,
    /// Reads so many bytes of the request's body, and closes the connection.
    CutRequest(u64),
    /// Gives the registry so many bytes of the request's body, and closes the connection.
    BreakRequest(u64),
    /// Waits before the registry sees the request.
    Hold(Gate),
    /// Runs something before the registry sees the request.
    Hook(Hook),
    /// Takes a header from the request.
    ForgetHeader(HeaderName),
    /// Takes parameters from the request's query.
    ForgetQuery(&'static [&'static str]),
    /// Sets a parameter of the request's query.
    SetQuery(&'static str, String),
    /// Changes the answer's status.
    Status(StatusCode),
    /// Sets a header of the answer.
    SetHeader(HeaderName, HeaderValue),
    /// Takes a header from the answer.
    RemoveHeader(HeaderName),
    /// Makes the first number of the answer's Content-Range wrong.
    WrongContentRange,
    /// Rewrites the answer's Location.
    Location(LocationForm),
    /// Changes the answer's body.
    Body(body::Change),
}

/// For which requests, and how often.
impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            pattern: Pattern::new("*", path::ANY),
            conditions: Vec::new(),
            occurrences: Occurrences { skip: 0, take: u64::MAX },
            before_auth: false,
            effect,
        }
    }

    /// Adds a header to what [`Fault::status`] answers; no other fault has any.
    ///
    /// # Panics
    /// If either text cannot stand in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Effect::Answer(_, headers, _) = &mut self.effect {
            let name = HeaderName::try_from(name).expect("a header's name");
            headers.append(name, HeaderValue::try_from(value.into()).expect("header text"));
        }
        self
    }

    /// Sets the body of what [`Fault::status`] answers; no other fault has one.
    #[must_use]
    pub fn body(mut self, text: impl Into<String>) -> Self {
        if let Effect::Answer(_, _, body) = &mut self.effect {
            *body = text.into();
        }
        self
    }

    /// Strikes only requests with this method (`GET`, `PUT|POST`, `*`) and a path like this, in
    /// which `*` is any run of characters; [`crate::path`] has the usual ones.
    #[must_use]
    pub fn on(mut self, methods: &str, path: &str) -> Self {
        self.pattern = Pattern::new(methods, path);
        self
    }

    /// Strikes only requests of which this is true, too.
    #[must_use]
    pub fn when(mut self, condition: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.conditions.push(Arc::new(condition));
        self
    }

    /// Strikes only the first request that it is meant for.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Strikes only the first `count` requests that it is meant for.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.occurrences.take = count;
        self
    }

    /// Strikes only the `n`th request that it is meant for, counted from 1.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        self.after(n.saturating_sub(1)).times(1)
    }

    /// Spares the first `count` requests that it is meant for.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.occurrences.skip = count;
        self
    }

    /// Strikes before credentials are looked at. Otherwise a fault is only for requests that the
    /// registry lets in (and those to the token endpoint), so that a challenge does not use it up.
    #[must_use]
    pub fn before_auth(mut self) -> Self {
        self.before_auth = true;
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("pattern", &self.pattern)
            .field("occurrences", &self.occurrences)
            .finish_non_exhaustive()
    }
}

/// A fault that a server has: tells whether it happened. A clone is the same.
#[derive(Clone, Debug)]
pub struct Injected {
    pub(crate) fault: Arc<Fault>,
    seen: Arc<AtomicU64>,
    hits: Arc<AtomicU64>,
}

impl Injected {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault: Arc::new(fault), seen: Arc::default(), hits: Arc::default() }
    }

    /// How many requests it struck.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    /// Whether it strikes this request; counts it.
    pub(crate) fn strikes(&self, before_auth: bool, request: &Parts) -> bool {
        let Fault { pattern, conditions, occurrences, .. } = &*self.fault;
        let meant = self.fault.before_auth == before_auth
            && pattern.matches(&request.method, request.uri.path())
            && conditions.iter().all(|condition| condition(request));
        if !meant {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst);
        let strikes = number
            .checked_sub(occurrences.skip)
            .is_some_and(|beyond_skipped| beyond_skipped < occurrences.take);
        if strikes {
            self.hits.fetch_add(1, Ordering::SeqCst);
        }
        strikes
    }
}

/// A parameter of the query.
pub(crate) fn parameter(request: &Parts, name: &str) -> Option<String> {
    let query = request.uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Whether the query has a parameter of this name.
pub(crate) fn has_parameter(request: &Parts, name: &str) -> bool {
    parameter(request, name).is_some()
}

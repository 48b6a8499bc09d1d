//! [`Endpoint`]: one registry, and how any request to it is made: paced, authenticated, redirected,
//! tried again. The operations above say what to ask; this says how to get an answer.

mod arrival;

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use oci::Host;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use crate::answer::{Answer, Opened, read_capped, text};
use crate::auth::{Access, Auth, Challenge, Flights, Shown};
use crate::budget::{Pull, Pulls};
use crate::credential::{Credential, CredentialSource};
use crate::error::{ErrorKind, Failure};
use crate::gate::{Gate, Lane, Objection, Permit};
use crate::learned::Learned;
use crate::profile::Profile;
use crate::recognised::Recognised;
use crate::redirect::{self, MOST_REDIRECTS};
use crate::refusal;
use crate::request::Request;
use crate::retry::{Patience, Wait, retry};
use crate::settings::{RangePolicy, RegistrySettings, RetryPolicy, Settings, Timeouts};
use crate::transport::{Message, Peer, Pool, Transport, server_of};
use crate::usage::{Count, RegistryUsage};

/// So often a request is repeated with another credential or token: for a challenge that was not
/// known, for a token that is no longer taken, and for a credential that was changed meanwhile.
const MOST_REFUSALS: usize = 3;

/// One registry.
pub(crate) struct Endpoint {
    pub(crate) host: Host,
    pub(crate) kind: Recognised,
    pub(crate) retry: RetryPolicy,
    pub(crate) attempts: u32,
    pub(crate) timeouts: Timeouts,
    pub(crate) pushes: bool,
    pub(crate) learned: Learned,
    pub(crate) ranges: RangePolicy,
    /// What is left of the memory for reading ahead, in bytes; all registries of a client share it.
    pub(crate) memory: Arc<Semaphore>,
    /// Where the registry may be, first the best.
    candidates: Vec<Url>,
    /// Where it is.
    base: OnceLock<Url>,
    arrivals: Flights<(), ()>,
    given_up: Mutex<Option<(Instant, Failure)>>,
    transport: Transport,
    patience: Patience,
    gate: Arc<Gate>,
    pulls: Arc<Pulls>,
    count: Count,
    auth: Arc<Auth>,
}

impl Endpoint {
    pub(crate) fn new(
        host: &Host,
        settings: &Settings,
        registry: &RegistrySettings,
        transport: Transport,
        source: Arc<dyn CredentialSource>,
        memory: Arc<Semaphore>,
    ) -> Self {
        let Settings { retry, attempts, deadline, timeouts, pushes, ranges, .. } = *settings;
        let patience = Patience { policy: retry, attempts, deadline };
        let kind = Recognised::new(host, registry.kind);
        let concurrency = registry.concurrency.or(settings.concurrency);
        let rate = registry.rate.or(kind.profile().rate);
        let auth = Auth::new(host.clone(), transport.clone(), source, patience, timeouts.idle);
        Self {
            host: host.clone(),
            kind,
            retry,
            attempts,
            timeouts,
            pushes,
            learned: Learned::default(),
            ranges,
            memory,
            candidates: arrival::candidates(host, Profile::of(host), registry),
            base: OnceLock::new(),
            arrivals: Flights::default(),
            given_up: Mutex::default(),
            transport,
            patience,
            gate: Arc::new(Gate::new(concurrency, rate, patience)),
            pulls: Arc::new(Pulls::new(registry.reserve)),
            count: Count::default(),
            auth,
        }
    }

    /// What the registry is, as far as is known by now.
    pub(crate) fn profile(&self) -> &'static Profile {
        self.kind.profile()
    }

    /// Who we are at the registry as such, if it asked.
    pub(crate) async fn who(&self) -> Option<Credential> {
        self.auth.who(None).await
    }

    /// Makes a request and reads the answer, of at most `limit` bytes.
    pub(crate) async fn call(
        self: &Arc<Self>,
        request: &Request,
        limit: u64,
    ) -> Result<Answer, Failure> {
        self.persist(request, |pool| async move {
            let permit = self.gate.enter(request.lane(), false).await?;
            self.attempt(request, pool, permit).await?.read(limit).await
        })
        .await
    }

    /// Makes a request for a blob's content, which is read as it comes.
    pub(crate) async fn open(self: &Arc<Self>, request: &Request) -> Result<Opened, Failure> {
        self.persist(request, |pool| async move {
            let permit = self.gate.enter(Lane::Reads, request.goes_on).await?;
            self.attempt(request, pool, permit).await
        })
        .await
    }

    /// The right to one more request for a blob's content, where that keeps nobody waiting.
    pub(crate) fn permit_for_more(&self) -> Option<Permit> {
        self.gate.try_enter(Lane::Reads)
    }

    /// Makes one attempt at a request for a blob's content.
    pub(crate) async fn open_with(
        self: &Arc<Self>,
        request: &Request,
        permit: Permit,
    ) -> Result<Opened, Failure> {
        self.attempt(request, request.pool, permit).await
    }

    async fn persist<T, A, F>(&self, request: &Request, attempt: A) -> Result<T, Failure>
    where
        A: Fn(Pool) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let attempts = if request.once { 1 } else { self.attempts };
        let patience = Patience { attempts, ..self.patience };
        // HTTP/2 connections break in more ways than HTTP/1.1 ones (REFUSED_STREAM, GOAWAY), and a
        // new request may land on the same one; so further attempts do without it.
        let pool = |number| if number > 1 { Pool::Bulk } else { request.pool };
        let done = retry(&patience, Wait::AtTheGate, |number| attempt(pool(number))).await;
        done.map_err(|failure| self.with_login_hint(failure))
    }

    /// Adds how one logs in to this kind of registry, where that is what is missing.
    fn with_login_hint(&self, failure: Failure) -> Failure {
        match (failure.kind(), failure.hint_text(), self.profile().login) {
            (ErrorKind::Unauthorized, Some(hint), Some(login)) => {
                let both = format!("{hint}; {login}");
                failure.hint(both)
            }
            _ => failure,
        }
    }

    /// One attempt, with as many rounds as it takes to say who we are.
    async fn attempt(
        self: &Arc<Self>,
        request: &Request,
        pool: Pool,
        permit: Permit,
    ) -> Result<Opened, Failure> {
        let pull = if request.is_pull { Some(self.pull().await?) } else { None };
        let mut shown = self.auth.show(&request.access).await?;
        let mut refusals = 0;
        loop {
            let (mut response, url, peer) = self.follow(request, pool, &shown).await?;
            let server = server_of(&url);
            if response.status().is_success() {
                permit.good();
                let idle = self.timeouts.idle;
                let redirected = url != request.url;
                return Ok(Opened { response, url, redirected, server, idle, permit });
            }
            let failure = self.refusal(&mut response, &server, &permit, pull.as_ref()).await;
            if peer == Peer::Other {
                let refused = matches!(failure.kind(), ErrorKind::Unauthorized | ErrorKind::Denied);
                // We are not known there: what was refused is the registry's signature, which may
                // have expired. Asked again, the registry makes a new one.
                return Err(if refused && request.method == Method::GET {
                    failure.of_kind(ErrorKind::Server).temporary()
                } else {
                    failure
                });
            }
            refusals += 1;
            let again = if refusals > MOST_REFUSALS {
                None
            } else {
                self.after(&shown, &failure, response.headers(), &request.access).await?
            };
            match again {
                Some(again) => shown = again,
                None => return Err(self.explain(failure, &request.access).await),
            }
        }
    }

    /// Sends a body that can be sent only once, and returns the answer's head.
    ///
    /// If the registry does not take what we show, the failure is temporary where another attempt
    /// would show something else.
    pub(crate) async fn send_once(
        self: &Arc<Self>,
        request: Request,
        body: reqwest::Body,
        length: u64,
    ) -> Result<Answer, Failure> {
        let base = self.base().await?;
        let permit = self.gate.enter(Lane::Writes, false).await?;
        let peer = if base.origin() == request.url.origin() { Peer::Registry } else { Peer::Other };
        let Request { method, url, mut headers, access, .. } = request;
        headers.insert(CONTENT_LENGTH, length.into());
        let shown = match peer {
            Peer::Registry => self.auth.show(&access).await?,
            Peer::Other => Shown::Nothing,
        };
        headers.extend(shown.header().map(|value| (AUTHORIZATION, value)));
        let message = Message { method, url: url.clone(), headers, body };
        let sent = self.transport.send(peer, Pool::Bulk, message, Some(Duration::MAX)).await;
        let mut response = sent.map_err(|broken| broken.failure)?;
        let server = server_of(&url);
        if peer == Peer::Registry {
            self.heard(&response);
        }
        if response.status().is_success() {
            permit.good();
            let limit = refusal::BODY_LIMIT;
            // All that matters is in the head; a body that breaks changes nothing.
            let _ = read_capped(&mut response, limit, self.timeouts.idle, &server).await;
            let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
            return Ok(Answer { status, headers, url, content: Bytes::new() });
        }
        let failure = self.refusal(&mut response, &server, &permit, None).await;
        if peer == Peer::Registry
            && self.after(&shown, &failure, response.headers(), &access).await?.is_some()
        {
            return Err(failure.temporary());
        }
        Err(self.explain(failure, &access).await)
    }

    /// What to show after a failure, if that may help.
    async fn after(
        self: &Arc<Self>,
        shown: &Shown,
        failure: &Failure,
        headers: &HeaderMap,
        access: &Access,
    ) -> Result<Option<Shown>, Failure> {
        if !failure.is(StatusCode::UNAUTHORIZED) && !refusal::says_expired(failure) {
            return Ok(None);
        }
        let challenge = Challenge::of(headers);
        if let Some(challenge) = &challenge {
            self.auth.learn(challenge, self.base().await?)?;
        }
        self.auth.show_after(shown, challenge.as_ref(), access).await
    }

    /// Sends a request and follows redirects: never with a credential to another server.
    async fn follow(
        self: &Arc<Self>,
        request: &Request,
        pool: Pool,
        shown: &Shown,
    ) -> Result<(reqwest::Response, Url, Peer), Failure> {
        let base = self.base().await?;
        let mut url = request.url.clone();
        let mut peer = Peer::Registry;
        for _ in 0..=MOST_REDIRECTS {
            if base.origin() != url.origin() {
                peer = Peer::Other;
            }
            let mut headers = request.headers.clone();
            if peer == Peer::Registry {
                headers.extend(shown.header().map(|value| (AUTHORIZATION, value)));
            }
            if request.method != Method::GET && request.method != Method::HEAD {
                headers.insert(CONTENT_LENGTH, request.body.len().into());
            }
            let (method, body) = (request.method.clone(), request.body.clone().into());
            let message = Message { method, url: url.clone(), headers, body };
            let timeout = request.patient.then_some(self.timeouts.commit);
            let sent = self.transport.send(peer, pool, message, timeout).await;
            let response = sent.map_err(|broken| broken.failure)?;
            if peer == Peer::Registry {
                self.heard(&response);
            }
            let location = text(response.headers(), LOCATION);
            let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            match location {
                Some(location) if moved && request.follow => {
                    url = redirect::next(base, &url, location)?;
                }
                _ => return Ok((response, url, peer)),
            }
        }
        let message = format!("more than {MOST_REDIRECTS} redirects");
        Err(Failure::new(ErrorKind::Protocol, message))
    }

    /// Reads what an answer that is no success says, and heeds its wish to be left alone.
    async fn refusal(
        &self,
        response: &mut reqwest::Response,
        server: &str,
        permit: &Permit,
        pull: Option<&Pull>,
    ) -> Failure {
        let (limit, idle) = (refusal::BODY_LIMIT, self.timeouts.idle);
        let body = read_capped(response, limit, idle, server).await.map(|body| body.content);
        let body = body.unwrap_or_default();
        let failure = refusal::failure(server, response.status(), response.headers(), &body);
        if failure.kind() != ErrorKind::RateLimited {
            match response.status() {
                StatusCode::SERVICE_UNAVAILABLE => {
                    permit.refused(Objection::Overloaded, failure.delay());
                }
                status if status.is_server_error() => {}
                _ => permit.good(),
            }
            return failure;
        }
        self.count.throttled();
        let failure = match self.profile().rate_limited {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        if pull.is_some() && self.pulls.is_spent() {
            // There are no pulls left. That is nothing to wait for, and says nothing of requests
            // that are no pulls.
            permit.good();
            return failure.exhausted();
        }
        permit.refused(Objection::TooMany, failure.delay());
        failure
    }

    /// Takes note of the registry's answer.
    fn heard(&self, response: &reqwest::Response) {
        self.count.answer(response.status());
        self.pulls.note(response.headers());
    }

    async fn pull(&self) -> Result<Pull, Failure> {
        let counts = self.profile().counts_pulls;
        self.pulls.begin(counts).await.map_err(|failure| match self.profile().rate_limited {
            Some(hint) => failure.hint(hint),
            None => failure,
        })
    }

    /// What was asked of it so far.
    pub(crate) fn usage(&self) -> RegistryUsage {
        let (answers, throttled) = self.count.read();
        let budget = self.pulls.budget();
        RegistryUsage {
            registry: self.host.clone(),
            answers,
            throttled,
            slowed_to: self.gate.learned_rate(),
            counts_pulls: self.profile().counts_pulls || budget.is_some(),
            budget,
        }
    }

    async fn explain(&self, failure: Failure, access: &Access) -> Failure {
        match failure.kind() {
            ErrorKind::Unauthorized | ErrorKind::Denied => self.auth.explain(failure, access).await,
            _ => failure,
        }
    }
}

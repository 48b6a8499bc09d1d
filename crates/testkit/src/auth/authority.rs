//! [`Authority`]: the doorkeeper of a registry, which remembers what it issued, and its layer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use tokio::time::Instant;

use super::scope::{self, Scope};
use super::{Auth, Bearer, Expired, Realm, User};
use crate::answer;
use crate::pattern::glob;

/// The doorkeeper of one registry: what was configured, and what was issued since. A clone is the
/// same.
#[derive(Clone)]
pub(crate) struct Authority {
    shared: Arc<Shared>,
}

struct Shared {
    auth: Auth,
    realm: String,
    state: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    count: u64,
    tokens: BTreeMap<String, Token>,
    /// Passwords that were set anew; the old ones are expired, not unknown.
    passwords: BTreeMap<String, String>,
    /// Users and what their passwords were.
    expired: BTreeSet<(String, String)>,
    basic_revoked: bool,
}

struct Token {
    scopes: Vec<Scope>,
    expires: Instant,
    uses_left: Option<u32>,
    revoked: bool,
}

/// Why somebody is not let in.
enum Refusal {
    /// No credential, or one that was never good.
    Unknown,
    /// A credential that was good once.
    Expired,
    /// A good credential that is not enough.
    Insufficient,
}

impl Authority {
    /// `realm` is the URL of the token endpoint, where there is one.
    pub(crate) fn new(auth: Auth, realm: String) -> Self {
        Self { shared: Arc::new(Shared { auth, realm, state: Mutex::default() }) }
    }

    /// Makes every credential that was issued until now expired.
    pub(crate) fn revoke(&self) {
        let mut state = self.state();
        state.basic_revoked = true;
        state.tokens.values_mut().for_each(|token| token.revoked = true);
    }

    /// Sets a user's password; the old one is expired.
    pub(crate) fn set_password(&self, username: &str, password: &str) {
        let mut state = self.state();
        state.basic_revoked = false;
        let before = state.passwords.insert(username.to_owned(), password.to_owned());
        state.expired.extend(before.map(|before| (username.to_owned(), before)));
    }

    fn state(&self) -> MutexGuard<'_, Issued> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bearer(&self) -> Option<&Bearer> {
        match &self.shared.auth {
            Auth::Bearer(bearer) => Some(bearer),
            Auth::Open | Auth::Basic { .. } => None,
        }
    }

    /// The path of the token endpoint, if the registry itself has it.
    fn own_token_path(&self) -> Option<&str> {
        self.bearer()
            .filter(|bearer| bearer.realm != Realm::OtherPort)
            .map(|bearer| bearer.path.as_str())
    }

    fn check(&self, request: &Parts) -> Result<(), Refusal> {
        match &self.shared.auth {
            Auth::Open => Ok(()),
            Auth::Basic { username, password } => self.check_basic(request, username, password),
            Auth::Bearer(bearer) => self.check_token(request, bearer),
        }
    }

    fn check_basic(&self, request: &Parts, name: &str, first: &str) -> Result<(), Refusal> {
        let (given_name, given) = basic(request).ok_or(Refusal::Unknown)?;
        let state = self.state();
        let current = state.passwords.get(name).map_or(first, String::as_str);
        let (is_current, is_first) = (given == current, given == first);
        let is_known = given_name == name;
        let was_good = || is_first || state.expired.contains(&(given_name, given));
        match (is_known, is_current) {
            (true, true) if state.basic_revoked => Err(Refusal::Expired),
            (true, true) => Ok(()),
            (true, false) if was_good() => Err(Refusal::Expired),
            _ => Err(Refusal::Unknown),
        }
    }

    fn check_token(&self, request: &Parts, bearer: &Bearer) -> Result<(), Refusal> {
        let given = credential(request, "Bearer").ok_or(Refusal::Unknown)?;
        if bearer.preissued.iter().any(|token| token == given) {
            return Ok(());
        }
        let mut state = self.state();
        let token = state.tokens.get_mut(given).ok_or(Refusal::Unknown)?;
        if token.revoked || token.expires <= Instant::now() || token.uses_left == Some(0) {
            return Err(Refusal::Expired);
        }
        let needed = scope::needed(request);
        if !needed.iter().all(|needed| needed.is_covered_by(&token.scopes)) {
            return Err(Refusal::Insufficient);
        }
        token.uses_left = token.uses_left.map(|uses| uses.saturating_sub(1));
        Ok(())
    }

    fn refuse(&self, request: &Parts, refusal: &Refusal) -> Response {
        let (expired, challenge) = match &self.shared.auth {
            Auth::Bearer(bearer) => (bearer.expired, self.challenge(request, bearer, refusal)),
            // What is Basic and has passwords that expire is ECR.
            Auth::Open | Auth::Basic { .. } => {
                (Expired::Forbidden, "Basic realm=\"testkit\"".to_owned())
            }
        };
        if let (Refusal::Expired, Expired::Forbidden) = (refusal, expired) {
            let message = "Your authorization token has expired. Reauthenticate and try again.";
            return answer::error(StatusCode::FORBIDDEN, "DENIED", message);
        }
        let message = "authentication required";
        let mut response = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn challenge(&self, request: &Parts, bearer: &Bearer, refusal: &Refusal) -> String {
        let mut challenge =
            format!("Bearer realm=\"{}\",service=\"{}\"", self.shared.realm, bearer.service);
        let needed = || {
            let scopes: Vec<_> = scope::needed(request).iter().map(Scope::to_string).collect();
            (!scopes.is_empty()).then(|| scopes.join(" "))
        };
        if let Some(scope) = bearer.scope.clone().or_else(needed) {
            challenge += &format!(",scope=\"{scope}\"");
        }
        let had_token = request.headers.contains_key(AUTHORIZATION);
        challenge += match refusal {
            Refusal::Insufficient => ",error=\"insufficient_scope\"",
            Refusal::Unknown | Refusal::Expired if had_token => ",error=\"invalid_token\"",
            Refusal::Unknown | Refusal::Expired => "",
        };
        challenge
    }

    /// The user with this name and password.
    pub(super) fn user(&self, name: &str, password: &str) -> Option<&User> {
        let state = self.state();
        self.bearer()?.users.iter().find(|user| {
            let current = state.passwords.get(&user.name).unwrap_or(&user.password);
            user.name == name && current == password
        })
    }

    /// A token for what of `asked` the user, or else anybody, may do. What may not be done is left
    /// out, as token servers do it; the registry then says no.
    pub(super) fn issue(&self, user: Option<&User>, asked: &[Scope], bearer: &Bearer) -> String {
        let is_granted = |scope: &Scope, action: &str| match user {
            Some(user) => user.is_granted(&scope.name, action),
            None => {
                let mut open = bearer.anonymous_pull.iter();
                action == "pull" && open.any(|pattern| glob(pattern, &scope.name))
            }
        };
        let granted = asked.iter().map(|scope| {
            let actions = scope.actions.iter().filter(|action| is_granted(scope, action));
            Scope { actions: actions.cloned().collect::<BTreeSet<_>>(), ..scope.clone() }
        });
        let token = Token {
            scopes: granted.collect(),
            expires: Instant::now() + bearer.lifetime,
            uses_left: bearer.uses,
            revoked: false,
        };
        let mut state = self.state();
        state.count += 1;
        let text = STANDARD.encode(format!("testkit token {}", state.count));
        state.tokens.insert(text.clone(), token);
        text
    }
}

/// The layer that lets in only who may; the token endpoint has a door of its own.
pub(crate) async fn guard(
    State(authority): State<Authority>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let allowed = if authority.own_token_path() == Some(parts.uri.path())
        || (parts.uri.path() == super::endpoint::EXCHANGE && authority.own_token_path().is_some())
    {
        Ok(())
    } else {
        authority.check(&parts)
    };
    match allowed {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            answer::drain(body).await;
            authority.refuse(&parts, &refusal)
        }
    }
}

/// The credential of the `Authorization` header, if it has this scheme.
fn credential<'a>(request: &'a Parts, scheme: &str) -> Option<&'a str> {
    let (given, rest) = request.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Name and password of a Basic `Authorization` header.
pub(super) fn basic(request: &Parts) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credential(request, "Basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

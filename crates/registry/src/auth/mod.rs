//! Saying who we are: anonymous first, then as the registry's challenge asks.
//!
//! What a registry asked for once is remembered for all its repositories, so that later requests
//! carry the answer at once. The credential source is asked only when a challenge comes, and once
//! more when its answer was refused: credentials rotate while a run goes on.

mod cache;
mod challenge;
mod credentials;
mod scope;
mod token;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::{HeaderValue, StatusCode};
use oci::{Host, Repository};
use url::Url;

pub(crate) use cache::{Flights, lock};
use cache::{Issuer, Token, Tokens};
pub(crate) use challenge::Challenge;
use credentials::Credentials;
pub(crate) use scope::Scopes;
use token::TokenRequest;

use crate::credential::{Credential, CredentialSource};
use crate::error::{ErrorKind, Failure};
use crate::redirect;
use crate::retry::{Patience, Wait, retry};
use crate::transport::{Peer, Transport};

/// What a request needs to be allowed to do.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Whose credential is used; the registry's own where none is named.
    pub(crate) repository: Option<Repository>,
    pub(crate) scopes: Scopes,
    /// Whether a token server that fails is asked no second time, as others are there instead.
    pub(crate) once: bool,
}

/// Who we are at one registry.
pub(crate) struct Auth {
    host: Host,
    transport: Transport,
    credentials: Credentials,
    patience: Patience,
    idle: Duration,
    /// What the registry asks for, once it has asked.
    scheme: Mutex<Option<Scheme>>,
    tokens: Tokens,
    flights: Flights<(Issuer, Scopes), Arc<Token>>,
}

/// A challenge that was checked.
#[derive(Clone, Debug)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String>, peer: Peer },
}

/// What a request shows of us.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    Nothing,
    /// The credential itself.
    Credential(Credential),
    Token {
        token: Arc<Token>,
        /// Whether it was fetched just now, so that fetching it again is no use.
        fresh: bool,
    },
}

impl Shown {
    /// The `Authorization` header.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Credential(Credential::Basic { username, password }) => {
                Some(token::basic(username, password))
            }
            Self::Credential(Credential::Bearer(secret)) => token::bearer(secret),
            Self::Credential(Credential::Anonymous | Credential::IdentityToken(_)) => None,
            Self::Token { token, .. } => token::bearer(&token.secret),
        }
    }
}

impl Auth {
    pub(crate) fn new(
        host: Host,
        transport: Transport,
        source: Arc<dyn CredentialSource>,
        patience: Patience,
        idle: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            credentials: Credentials::new(host.clone(), source),
            host,
            transport,
            patience,
            idle,
            scheme: Mutex::default(),
            tokens: Tokens::default(),
            flights: Flights::default(),
        })
    }

    /// Remembers what the registry, which is at `base`, asks for.
    pub(crate) fn learn(&self, challenge: &Challenge, base: &Url) -> Result<(), Failure> {
        let scheme = match challenge {
            Challenge::Basic => Scheme::Basic,
            Challenge::Bearer { realm, service, .. } => {
                let realm = redirect::realm(base, realm)?;
                let own = base.origin() == realm.origin();
                let peer = if own { Peer::Registry } else { Peer::Other };
                Scheme::Bearer { realm, service: service.clone(), peer }
            }
        };
        *lock(&self.scheme) = Some(scheme);
        Ok(())
    }

    /// What a request should show, as far as is known what the registry wants.
    pub(crate) async fn show(self: &Arc<Self>, access: &Access) -> Result<Shown, Failure> {
        let scheme = lock(&self.scheme).clone();
        match scheme {
            None => Ok(Shown::Nothing),
            Some(scheme) => self.answer(scheme, access).await,
        }
    }

    /// What to show after a refusal; none if there is nothing more that could help.
    /// `challenge` is what came with it, and was learned.
    pub(crate) async fn show_after(
        self: &Arc<Self>,
        refused: &Shown,
        challenge: Option<&Challenge>,
        access: &Access,
    ) -> Result<Option<Shown>, Failure> {
        let Some(scheme) = lock(&self.scheme).clone() else { return Ok(None) };
        // What the challenge names comes first: some registries look at the first scope only, and
        // some call a repository by another name than we do.
        let mut access = access.clone();
        if let Some(Challenge::Bearer { scopes, .. }) = challenge {
            access.scopes = scopes.clone().then(&access.scopes);
        }
        let again = match refused {
            Shown::Nothing => self.answer(scheme, &access).await?,
            Shown::Credential(credential) => {
                let other_way = matches!(scheme, Scheme::Bearer { .. })
                    && matches!(credential, Credential::Basic { .. });
                if !other_way
                    && self
                        .credentials
                        .renew(access.repository.as_ref(), credential)
                        .await?
                        .is_none()
                {
                    return Ok(None);
                }
                self.answer(scheme, &access).await?
            }
            Shown::Token { token, fresh } => {
                self.tokens.forget(token);
                if *fresh && token.scopes.cover(&access.scopes) {
                    return Ok(None);
                }
                self.answer(scheme, &access).await?
            }
        };
        Ok((!matches!(again, Shown::Nothing)).then_some(again))
    }

    async fn answer(self: &Arc<Self>, scheme: Scheme, access: &Access) -> Result<Shown, Failure> {
        let credential = self.credentials.get(access.repository.as_ref()).await?;
        match (scheme, credential) {
            (_, credential @ Credential::Bearer(_))
            | (Scheme::Basic, credential @ Credential::Basic { .. }) => {
                Ok(Shown::Credential(credential))
            }
            (Scheme::Basic, Credential::Anonymous | Credential::IdentityToken(_)) => {
                Ok(Shown::Nothing)
            }
            (Scheme::Bearer { realm, service, peer }, _) => {
                self.token(realm, service, peer, access).await
            }
        }
    }

    /// A token that serves: one that is there, one that someone else fetches, or a new one.
    async fn token(
        self: &Arc<Self>,
        realm: Url,
        service: Option<String>,
        peer: Peer,
        access: &Access,
    ) -> Result<Shown, Failure> {
        let issuer = Issuer { realm: realm.to_string(), service: service.clone() };
        let scopes = &access.scopes;
        if let Some(token) = self.tokens.find(&issuer, scopes) {
            return Ok(Shown::Token { token, fresh: false });
        }
        let auth = Arc::clone(self);
        let wanted = access.clone();
        let serves = |(other, wider): &(Issuer, Scopes)| *other == issuer && wider.cover(scopes);
        let start = move || {
            async move {
                let service = service.as_deref();
                let token = auth.fetch(&realm, service, peer, &wanted).await?;
                let token = Arc::new(token);
                auth.tokens.keep(&token);
                Ok(token)
            }
            .boxed()
        };
        let token = self.flights.join((issuer.clone(), scopes.clone()), serves, start).await?;
        Ok(Shown::Token { token, fresh: true })
    }

    async fn fetch(
        &self,
        realm: &Url,
        service: Option<&str>,
        peer: Peer,
        access: &Access,
    ) -> Result<Token, Failure> {
        let Access { repository, scopes, once } = access;
        let (transport, idle, repository) = (&self.transport, self.idle, repository.as_ref());
        let attempts = if *once { 1 } else { self.patience.attempts };
        let patience = Patience { attempts, ..self.patience };
        let request = &TokenRequest { transport, peer, realm, service, scopes, idle };
        let credential = &self.credentials.get(repository).await?;
        let ask = |_| request.send(credential);
        let failure = match retry(&patience, Wait::Here, ask).await {
            Err(failure) if token::is_refusal(&failure) => failure,
            result => return result,
        };
        let Some(renewed) = &self.credentials.renew(repository, credential).await? else {
            return Err(self.refused(failure, credential));
        };
        let ask = |_| request.send(renewed);
        let result = retry(&patience, Wait::Here, ask).await;
        result.map_err(|failure| self.refused(failure, renewed))
    }

    /// A token server's refusal, with what to do about it.
    fn refused(&self, failure: Failure, credential: &Credential) -> Failure {
        if !token::is_refusal(&failure) {
            return failure;
        }
        let failure = match failure.status() {
            Some(StatusCode::FORBIDDEN) => failure,
            _ => failure.of_kind(ErrorKind::Unauthorized),
        };
        self.advise(failure, credential)
    }

    /// Who we are where the registry asked, as it was answered last.
    pub(crate) async fn who(&self, repository: Option<&Repository>) -> Option<Credential> {
        self.credentials.known(repository).await
    }

    /// A registry's refusal (401 or 403), with what to do about it.
    pub(crate) async fn explain(&self, failure: Failure, access: &Access) -> Failure {
        if failure.has_hint() {
            return failure;
        }
        // Nothing was asked for if no challenge came.
        match self.credentials.known(access.repository.as_ref()).await {
            Some(credential) => self.advise(failure, &credential),
            None => failure,
        }
    }

    fn advise(&self, failure: Failure, credential: &Credential) -> Failure {
        let host = &self.host;
        let unknown = failure.kind() == ErrorKind::Unauthorized;
        failure.hint(match credential {
            Credential::Anonymous => format!(
                "no credential for `{host}` is known: log in (`docker login {host}`) or set `auth` \
                 for it, if the repository exists"
            ),
            Credential::Basic { username, .. } if unknown => format!(
                "check the password of `{username}` at `{host}`, and that it may see the repository"
            ),
            Credential::Basic { username, .. } => {
                format!("`{username}` lacks the right to do this at `{host}`, or the repository does not exist")
            }
            Credential::IdentityToken(_) | Credential::Bearer(_) if unknown => {
                format!("the token for `{host}` is not taken; it may have expired: log in again")
            }
            Credential::IdentityToken(_) | Credential::Bearer(_) => {
                format!("the token for `{host}` lacks the right to do this, or the repository does not exist")
            }
        })
    }
}

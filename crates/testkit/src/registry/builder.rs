//! [`Builder`]: puts a registry together from its layers. From the outside in: log, faults before
//! auth, auth, faults, the personality's rules, the server.

use std::io;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio_rustls::TlsAcceptor;

use super::{Registry, Server, ca_file, layouts, origin};
use crate::auth::{self, Auth, Authority, Realm};
use crate::cdn;
use crate::certificate::{self, Certificate};
use crate::fault::Fault;
use crate::fault::layer::{Faults, Place, act};
use crate::listener::{Bound, Listener, bind};
use crate::log::{RequestLog, record};
use crate::personality::Personality;
use crate::rule::{self, Rules};

/// How a [`Registry`] is to be.
#[derive(Default)]
pub struct Builder {
    auth: Option<Auth>,
    personality: Personality,
    faults: Vec<Fault>,
    certificate: Option<Certificate>,
    demands_client_certificate: bool,
    with_cdn: bool,
    options: server::Options,
    content: Option<Router>,
}

impl Builder {
    /// Lets in only whom this says; before the auth of the personality.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Is like this kind of registry.
    #[must_use]
    pub fn personality(mut self, personality: Personality) -> Self {
        self.personality = personality;
        self
    }

    /// Goes wrong like this from the start.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Speaks TLS with a good certificate of its own authority.
    #[must_use]
    pub fn tls(self) -> Self {
        self.certificate(Certificate::Valid)
    }

    /// Speaks TLS with a certificate like this.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Speaks TLS, and only to clients with a certificate of [`Registry::client_identity`].
    #[must_use]
    pub fn demand_client_certificate(mut self) -> Self {
        self.demands_client_certificate = true;
        self.certificate.get_or_insert_default();
        self
    }

    /// Has a second server, on another port, for redirected blobs and foreign Locations. It
    /// refuses requests without the signature or with an `Authorization`.
    #[must_use]
    pub fn cdn(mut self) -> Self {
        self.with_cdn = true;
        self
    }

    /// The server's own options.
    #[must_use]
    pub fn options(mut self, options: server::Options) -> Self {
        self.options = options;
        self
    }

    /// Serves this instead of a registry, below the same layers: for other HTTP services, such as
    /// a classic chart repository.
    #[must_use]
    pub fn serve(mut self, content: Router) -> Self {
        self.content = Some(content);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If there is no free port or no room for temporary files.
    pub async fn start(self) -> Registry {
        self.try_start().await.expect("starting a registry on the loopback interface")
    }

    async fn try_start(self) -> io::Result<Registry> {
        let folder = Arc::new(tempfile::Builder::new().prefix("testkit-").tempdir()?);
        let layouts = layouts(folder.path());
        tokio::fs::create_dir_all(&layouts).await?;
        let content = self.content.unwrap_or_else(|| server::router(&layouts, self.options));

        let certificates = match self.certificate {
            Some(_) => Some(certificate::Authority::new().map_err(io::Error::other)?),
            None => None,
        };
        let tls = match (&certificates, self.certificate) {
            (Some(authority), Some(kind)) => {
                tokio::fs::write(ca_file(folder.path()), authority.pem()).await?;
                let acceptor = authority.acceptor(kind, self.demands_client_certificate);
                Some(acceptor.map_err(|error| io::Error::other(error.to_string()))?)
            }
            _ => None,
        };

        let auth = self.auth.unwrap_or(self.personality.auth);
        let (realm, token_path) = match &auth {
            Auth::Bearer(bearer) => (bearer.realm.clone(), bearer.path.clone()),
            Auth::Open | Auth::Basic { .. } => (Realm::Own, String::new()),
        };
        let own = bind().await?;
        let cdn_port = match self.with_cdn || self.personality.has_cdn {
            true => Some(bind().await?),
            false => None,
        };
        let token_port = match realm {
            Realm::OtherPort => Some(bind().await?),
            Realm::Own | Realm::Exactly(_) => None,
        };
        let is_tls = tls.is_some();
        let own_origin = origin(own.address, is_tls);
        let cdn_origin = cdn_port.as_ref().map(|port| origin(port.address, is_tls));
        let token_origin =
            origin(token_port.as_ref().map_or(own.address, |port| port.address), is_tls);
        let realm_url = match &realm {
            Realm::Exactly(url) => url.clone(),
            Realm::Own | Realm::OtherPort => format!("{token_origin}{token_path}"),
        };

        let authority = Authority::new(auth, realm_url);
        let rules = Rules::new(
            self.personality.rules,
            content.clone(),
            layouts,
            own_origin.clone(),
            cdn_origin.clone(),
        );
        let serve = |port: Bound, outer: Layers<'_>, inner: Router, tls: Option<TlsAcceptor>| {
            let Layers { log, faults, authority } = outer;
            let address = port.address;
            let router = stack(inner, &log, &faults, authority);
            let listener = Listener::serve(port, router, tls, log.clone(), Arc::clone(&folder));
            Server { address, log, faults, listener }
        };

        let faults = Faults::new(own_origin.clone(), cdn_origin.clone());
        for fault in self.personality.faults.into_iter().chain(self.faults) {
            faults.inject(fault);
        }
        let mut inner = Router::new()
            .fallback_service(content.clone())
            .layer(middleware::from_fn_with_state(rules.clone(), rule::apply));
        if token_port.is_none() {
            inner = auth::router(&authority).fallback_service(inner);
        }
        let outer = Layers { log: RequestLog::new(), faults, authority: Some(&authority) };
        let server = serve(own, outer, inner, tls.clone());
        let plain = || Layers {
            log: RequestLog::new(),
            faults: Faults::new(own_origin.clone(), cdn_origin.clone()),
            authority: None,
        };
        let cdn = cdn_port.map(|port| serve(port, plain(), cdn::router(content), tls.clone()));
        let tokens =
            token_port.map(|port| serve(port, plain(), auth::router(&authority), tls.clone()));
        Ok(Registry { server, cdn, tokens, authority, rules, certificates, token_path, folder })
    }
}

/// What lies around what a server serves.
struct Layers<'a> {
    log: RequestLog,
    faults: Faults,
    authority: Option<&'a Authority>,
}

/// Each layer is around a router as its fallback, so that a changed path is routed anew.
fn stack(
    inner: Router,
    log: &RequestLog,
    faults: &Faults,
    authority: Option<&Authority>,
) -> Router {
    let place = |before_auth| Place { faults: faults.clone(), before_auth };
    let mut router = Router::new()
        .fallback_service(inner)
        .layer(middleware::from_fn_with_state(place(false), act));
    if let Some(authority) = authority {
        router = router.layer(middleware::from_fn_with_state(authority.clone(), auth::guard));
    }
    router
        .layer(middleware::from_fn_with_state(place(true), act))
        .layer(middleware::from_fn_with_state(log.clone(), record))
}

//! A lease that is an object of Kubernetes, by plain REST: four requests of one resource are no reason
//! for a client with all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::election::{Election, Spec, Verdict};

/// Where the API server is, and who we are there.
#[derive(Clone, Debug)]
pub struct Cluster {
    server: Url,
    token_file: PathBuf,
    client: Client,
}

/// Why the API server cannot be asked, or did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// We run in no cluster.
    #[error(
        "the variables KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod \
         of Kubernetes"
    )]
    NoCluster,
    /// The server's name is none.
    #[error("`{0}` is no address of an API server")]
    Address(String),
    /// A file of the service account cannot be read.
    #[error("cannot read `{}` of the service account", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    /// The file with the cluster's certificates has none.
    #[error("`{}` has no certificate of the cluster", .0.display())]
    Certificates(PathBuf),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The server cannot be reached.
    #[error("the API server cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    /// The service account lacks rights.
    #[error(
        "the API server answered 403 Forbidden: {0}; the service account needs the verbs `get` and `update` \
         for this lease and `create` for leases of its namespace"
    )]
    Forbidden(String),
    /// The server refused.
    #[error("the API server answered {status}: {message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says to that.
        message: String,
    },
    /// The server did not answer in time.
    #[error("the API server did not answer in time")]
    TimedOut,
}

impl ApiError {
    /// Whether the server may have done what it was asked.
    fn leaves_open(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Unreachable(error) => !error.is_connect(),
            _ => false,
        }
    }
}

impl Cluster {
    /// The cluster that this pod is in, by the variables that the kubelet sets and the files of the
    /// service account in `folder`
    /// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
    ///
    /// # Errors
    /// [`ApiError`] where one of these is missing.
    pub fn around_us(
        variable: impl Fn(&str) -> Option<String>,
        folder: &Path,
    ) -> Result<Self, ApiError> {
        let set =
            |name| variable(name).filter(|value| !value.is_empty()).ok_or(ApiError::NoCluster);
        let (host, port) = (set("KUBERNETES_SERVICE_HOST")?, set("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Self::at(&format!("https://{host}:{port}"), folder)
    }

    /// A cluster at an address, as [`Cluster::around_us`].
    ///
    /// # Errors
    /// [`ApiError`] where the files cannot be read.
    pub fn at(server: &str, folder: &Path) -> Result<Self, ApiError> {
        let server = Url::parse(server).map_err(|_| ApiError::Address(server.to_owned()))?;
        let token_file = folder.join("token");
        let cluster = Self { server, client: client(&folder.join("ca.crt"))?, token_file };
        cluster.token()?;
        Ok(cluster)
    }

    /// The token as it is now: the kubelet replaces it within the hour.
    fn token(&self) -> Result<SecretString, ApiError> {
        let read = std::fs::read_to_string(&self.token_file);
        let text = read.map_err(|error| ApiError::File(self.token_file.clone(), error))?;
        Ok(text.trim().to_owned().into())
    }
}

fn client(ca_file: &Path) -> Result<Client, ApiError> {
    let unreadable = |error| ApiError::File(ca_file.to_owned(), error);
    let pem = std::fs::read(ca_file).map_err(unreadable)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(ApiError::Certificates(ca_file.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The API server is never behind a proxy, and a redirect must not get the token.
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("image-syncer/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

/// One lease of a cluster.
pub(crate) struct Place {
    cluster: Cluster,
    namespace: String,
    name: String,
}

impl Place {
    pub(crate) fn new(cluster: Cluster, namespace: &str, name: &str) -> Self {
        Self { cluster, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn request(&self, method: Method, name: Option<&str>) -> Result<RequestBuilder, ApiError> {
        let mut url = self.cluster.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            let parts =
                ["apis", "coordination.k8s.io", "v1", "namespaces", &self.namespace, "leases"];
            path.pop_if_empty().extend(parts).extend(name);
        }
        let token = self.cluster.token()?;
        Ok(self.cluster.client.request(method, url).bearer_auth(token.expose_secret()))
    }

    /// The object as it is; none where there is none.
    async fn find(&self) -> Result<Option<Value>, ApiError> {
        let response = self.request(Method::GET, Some(&self.name))?.send().await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => Ok(Some(response.json().await?)),
            _ => Err(refused(response).await),
        }
    }

    /// Whether it was made by us; another replica may be quicker.
    async fn create(&self, spec: &Spec) -> Result<bool, ApiError> {
        let object = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "spec": spec,
        });
        self.written(self.request(Method::POST, None)?.json(&object)).await
    }

    /// Whether it was written by us. The object holds the `resourceVersion` that was found, so the
    /// server refuses where somebody else has written since:
    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
    async fn replace(&self, mut object: Value, spec: &Spec) -> Result<bool, ApiError> {
        if let Some(object) = object.as_object_mut() {
            object.insert("spec".to_owned(), json!(spec));
        }
        self.written(self.request(Method::PUT, Some(&self.name))?.json(&object)).await
    }

    async fn written(&self, request: RequestBuilder) -> Result<bool, ApiError> {
        let response = request.send().await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => Ok(true),
            StatusCode::CONFLICT => Ok(false),
            _ => Err(refused(response).await),
        }
    }

    /// Takes or renews it, where that may be; whether it is ours now.
    async fn attempt(&self, election: &mut Election) -> Result<bool, ApiError> {
        let time = micro_time(Timestamp::now());
        let Some(object) = self.find().await? else {
            return self.create(&election.first(&time)).await;
        };
        match election.judge(&spec_of(&object), Instant::now(), &time) {
            Verdict::Write(spec) => self.replace(object, &spec).await,
            Verdict::OfAnother => Ok(false),
        }
    }

    async fn give_back(&self, election: &Election) -> Result<(), ApiError> {
        let Some(object) = self.find().await? else { return Ok(()) };
        if let Some(spec) = election.given_back(&spec_of(&object), &micro_time(Timestamp::now())) {
            self.replace(object, &spec).await?;
        }
        Ok(())
    }
}

fn spec_of(object: &Value) -> Spec {
    let spec = object.get("spec").cloned().unwrap_or_default();
    // A spec of another form is nobody's.
    serde_json::from_value(spec).unwrap_or_default()
}

/// A `MicroTime`: six digits of the second, neither more nor less.
fn micro_time(time: Timestamp) -> String {
    DateTimePrinter::new().precision(Some(6)).timestamp_to_string(&time)
}

/// What the server says to its refusal: the `message` of a `Status` object.
async fn refused(response: Response) -> ApiError {
    let status = response.status();
    let body: Value = response.json().await.unwrap_or_default();
    let message = body.get("message").and_then(Value::as_str).unwrap_or("it does not say why");
    let message = message.chars().take(300).collect();
    match status {
        StatusCode::FORBIDDEN => ApiError::Forbidden(message),
        status => ApiError::Refused { status, message },
    }
}

/// Takes the lease when it is free and renews it, until `stop`; then gives it back.
pub(crate) async fn keep(
    place: Place,
    mut election: Election,
    leads: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let third = election.duration() / 3;
    // Until when we lead without having heard from the server.
    let mut good_until: Option<Instant> = None;
    // Also after a write whose answer never came.
    let mut may_be_ours = false;
    let mut complaints = Complaints::default();
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let until = good_until.unwrap_or(begun + third);
        // Not given up for `stop`: the server may carry out a write that we no longer wait for, after we
        // have looked whether there is something to give back.
        let attempt = tokio::time::timeout_at(until, place.attempt(&mut election)).await;
        let wait = match attempt.unwrap_or(Err(ApiError::TimedOut)) {
            Ok(is_ours) => {
                may_be_ours = is_ours;
                complaints.forget();
                good_until = is_ours.then(|| begun + 2 * third);
                third
            }
            Err(error) => {
                may_be_ours |= error.leaves_open();
                complaints.tell(&place, &error);
                // While we lead there is little time left to renew it.
                if good_until.is_some() { third / 5 } else { third }
            }
        };
        good_until = good_until.filter(|until| *until > Instant::now());
        super::tell(&leads, good_until.is_some());
        let wake = good_until.map_or(begun + wait, |until| until.min(begun + wait));
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(wake.max(begun + third / 5)) => {}
        }
    }
    if may_be_ours && let Err(error) = timely(third, place.give_back(&election)).await {
        tracing::warn!(
            error = with_causes(&error),
            "the lease was not given back; it runs out by itself"
        );
    }
}

/// Why there is no lease, told once for as long as it stays the same: it may last for hours.
#[derive(Default)]
struct Complaints(Option<String>);

impl Complaints {
    fn tell(&mut self, place: &Place, error: &ApiError) {
        let error = with_causes(error);
        let lease = format!("{}/{}", place.namespace, place.name);
        if self.0.as_ref() == Some(&error) {
            tracing::debug!(error, "the lease `{lease}` still cannot be had or renewed");
        } else {
            tracing::warn!(error, "the lease `{lease}` cannot be had or renewed");
            self.0 = Some(error);
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

async fn timely(
    time: Duration,
    work: impl Future<Output = Result<(), ApiError>>,
) -> Result<(), ApiError> {
    tokio::time::timeout(time, work).await.unwrap_or(Err(ApiError::TimedOut))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;

//! A chart repository over HTTP: what is asked, whom credentials are shown, and what becomes of
//! answers that are not as they should be.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use charts::{Chart, ChartRepository, Error, ErrorKind, Index, Login, Patience};
use flate2::Compression;
use flate2::write::GzEncoder;

/// What a server answers to one request.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the connection breaks after the body.
    breaks: bool,
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: body.into(), breaks: false }
}

fn status(status: u16) -> Answer {
    Answer { status, ..ok("") }
}

impl Answer {
    fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }
}

#[derive(Default)]
struct Shared {
    /// Of several answers the last one stays.
    answers: BTreeMap<String, VecDeque<Answer>>,
    /// Path with query, and the authorization that was shown.
    seen: Vec<(String, Option<String>)>,
}

/// A web server on loopback, which ends with the test's runtime.
#[derive(Clone)]
struct Server {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Server {
    async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    fn on(&self, path: &str, answer: Answer) -> &Self {
        let mut shared = self.shared.lock().unwrap();
        shared.answers.entry(path.to_owned()).or_default().push_back(answer);
        self
    }

    fn forget(&self, path: &str) {
        self.shared.lock().unwrap().answers.remove(path);
    }

    fn seen(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.shared.lock().unwrap().seen)
    }

    fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|(path, _)| path).collect()
    }

    fn repository(&self) -> ChartRepository {
        self.repository_at("/charts", None)
    }

    fn repository_at(&self, path: &str, login: Option<Login>) -> ChartRepository {
        let url = format!("{}{path}", self.url).parse().unwrap();
        ChartRepository::new(&url, client(), login).unwrap().with_patience(Patience {
            attempts: 3,
            first_pause: Duration::ZERO,
            longest_wait: Duration::from_secs(1),
            silence: Duration::from_secs(20),
        })
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response {
    let uri = request.uri();
    let seen = uri.path_and_query().unwrap().as_str().to_owned();
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
    let mut shared = shared.lock().unwrap();
    shared.seen.push((seen, authorization));
    let answer = match shared.answers.get_mut(uri.path()) {
        Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
        Some(answers) => answers[0].clone(),
        None => status(404),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let end = answer.breaks.then(|| Err(std::io::Error::other("broken")));
    let pieces = std::iter::once(Ok(answer.body)).chain(end);
    response.body(Body::from_stream(futures::stream::iter(pieces))).unwrap()
}

/// A client as the binary makes it, but for its authorities: nothing here has a certificate.
fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn archive(version: &str) -> Vec<u8> {
    let chart = format!("apiVersion: v2\nname: nginx\nversion: {version}\n");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(chart.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "nginx/Chart.yaml", chart.as_bytes()).unwrap();
    gzip(&builder.into_inner().unwrap())
}

fn index_of(entries: &[(&str, &str)]) -> String {
    let entries: Vec<String> = entries
        .iter()
        .map(|(version, rest)| format!("  - {{version: {version}, {rest}}}\n"))
        .collect();
    format!("apiVersion: v1\nentries:\n  nginx:\n{}", entries.concat())
}

async fn versions(repository: &ChartRepository) -> Result<Index, Error> {
    repository.versions(&["nginx".parse().unwrap()].into()).await
}

/// Fetches version 1.0.0, of which the index has this.
async fn fetched(
    server: &Server,
    repository: &ChartRepository,
    entry: &str,
) -> Result<Chart, Error> {
    server.on("/charts/index.yaml", ok(index_of(&[("1.0.0", entry)])));
    let index = versions(repository).await.unwrap();
    let entry = index.exact(&"nginx".parse().unwrap(), "1.0.0").unwrap();
    server.seen();
    repository.fetch(entry).await
}

#[tokio::test]
async fn an_index_is_read_packed_or_not() {
    let text = index_of(&[("1.0.0", "urls: [a]"), ("2.0.0", "urls: [b]")]);
    for answer in [ok(text.clone()), ok(gzip(text.as_bytes())).with("content-encoding", "gzip")] {
        let server = Server::start().await;
        server.on("/charts/index.yaml", answer);
        let index = versions(&server.repository()).await.unwrap();
        let found: Vec<&str> =
            index.entries(&"nginx".parse().unwrap()).iter().map(charts::Entry::version).collect();
        assert_eq!(found, ["2.0.0", "1.0.0"]);
        assert_eq!(server.paths(), ["/charts/index.yaml"]);
    }
}

#[tokio::test]
async fn a_large_index_is_read_no_further_than_it_must() {
    let server = Server::start().await;
    let rest = "x: [".repeat(1_000_000);
    server.on(
        "/charts/index.yaml",
        ok(format!("{}generated: x\n{rest}", index_of(&[("1.0.0", "")]))),
    );
    assert_eq!(
        versions(&server.repository()).await.unwrap().entries(&"nginx".parse().unwrap()).len(),
        1
    );
}

#[tokio::test]
async fn a_chart_is_fetched_with_its_provenance() {
    let server = Server::start().await;
    let (archive, provenance) = (archive("1.0.0"), "-----BEGIN PGP SIGNED MESSAGE-----");
    let digest = oci::Digest::sha256(&archive);
    server.on("/charts/nginx-1.0.0.tgz", ok(archive.clone()));
    server.on("/charts/nginx-1.0.0.tgz.prov", ok(provenance));
    let entry = format!("urls: [nginx-1.0.0.tgz], digest: {}", digest.hex());
    let chart = fetched(&server, &server.repository(), &entry).await.unwrap();
    assert_eq!((chart.name(), chart.version(), chart.digest()), ("nginx", "1.0.0", digest));
    assert_eq!(chart.provenance().unwrap(), provenance.as_bytes());
    assert_eq!(server.paths(), ["/charts/nginx-1.0.0.tgz", "/charts/nginx-1.0.0.tgz.prov"]);
}

#[tokio::test]
async fn no_provenance_is_no_failure() {
    for (answer, warned) in [(status(404), false), (status(403), true), (ok("<html>"), true)] {
        let server = Server::start().await;
        server.on("/charts/n.tgz", ok(archive("1.0.0"))).on("/charts/n.tgz.prov", answer);
        let chart = fetched(&server, &server.repository(), "urls: [n.tgz]").await.unwrap();
        assert!(chart.provenance().is_none());
        assert_eq!(!chart.warnings().is_empty(), warned, "{:?}", chart.warnings());
    }
    let server = Server::start().await;
    server.on("/charts/n.tgz", ok(archive("1.0.0"))).on("/charts/n.tgz.prov", status(500));
    let error = fetched(&server, &server.repository(), "urls: [n.tgz]").await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("its provenance file"), "{error}");
}

#[tokio::test]
async fn an_archive_that_is_not_what_the_index_says_is_refused() {
    let wrong = format!("urls: [n.tgz], digest: {}", "0".repeat(64));
    for (content, entry, expected) in [
        (archive("1.0.0"), wrong.as_str(), "its index says sha256:0000"),
        (archive("1.0.1"), "urls: [n.tgz]", "the archive is chart `nginx` 1.0.1, not what"),
        (b"<html>".to_vec(), "urls: [n.tgz]", "cannot be unpacked"),
        (vec![0; 64 << 20 | 1], "urls: [n.tgz]", "it has more than 64 MiB"),
        (Vec::new(), "urls: []", "does not say where"),
        (Vec::new(), "urls: ['http://[']", "is no URL"),
    ] {
        let server = Server::start().await;
        server.on("/charts/n.tgz", ok(content));
        let error = fetched(&server, &server.repository(), entry).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            error.to_string().starts_with("chart `nginx` 1.0.0 of http://127.0.0.1:"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_chart_in_a_registry_is_named() {
    let server = Server::start().await;
    let entry = "urls: ['oci://registry.example.com/charts/nginx:1.0.0']";
    let error = fetched(&server, &server.repository(), entry).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let hint = "name that as the chart's source: `oci://registry.example.com/charts/nginx`";
    assert_eq!(error.hint(), Some(hint));
}

#[tokio::test]
async fn credentials_are_shown_to_the_repository_alone() {
    let (server, other) = (Server::start().await, Server::start().await);
    let secret = || "s3cret".to_owned().into();
    let logins = [
        (Login::Basic { username: "ann".into(), password: secret() }, "Basic YW5uOnMzY3JldA=="),
        (Login::Bearer(secret()), "Bearer s3cret"),
    ];
    other.on("/n.tgz", ok(archive("1.0.0")));
    server.on("/charts/moved.tgz", status(302).with("location", format!("{}/n.tgz", other.url)));
    for (login, shown) in logins {
        let repository = server.repository_at("/charts", Some(login.clone()));
        assert!(!format!("{repository:?}").contains("s3cret"));
        let elsewhere = format!("urls: ['{}/n.tgz']", other.url);
        fetched(&server, &repository, &elsewhere).await.unwrap();
        assert_eq!(server.seen(), []);
        assert_eq!(other.seen(), [("/n.tgz".into(), None), ("/n.tgz.prov".into(), None)]);

        server.forget("/charts/index.yaml");
        fetched(&server, &repository, "urls: [moved.tgz]").await.unwrap();
        assert_eq!(server.seen()[0], ("/charts/moved.tgz".to_owned(), Some(shown.to_owned())));
        assert_eq!(other.seen(), [("/n.tgz".into(), None)]);
        server.forget("/charts/index.yaml");
    }
}

#[tokio::test]
async fn a_query_goes_along_as_with_helm() {
    let server = Server::start().await;
    server.on("/charts/n.tgz", ok(archive("1.0.0")));
    let repository = server.repository_at("/charts/?token=s3cret", None);
    server.on("/charts/index.yaml", ok(index_of(&[("1.0.0", "urls: [n.tgz]")])));
    let index = versions(&repository).await.unwrap();
    let entry = index.exact(&"nginx".parse().unwrap(), "1.0.0").unwrap();
    repository.fetch(entry).await.unwrap();
    let (index, file) = ("/charts/index.yaml?token=s3cret", "/charts/n.tgz?token=s3cret");
    assert_eq!(server.paths(), [index, file, "/charts/n.tgz.prov?token=s3cret"]);
    server.forget("/charts/n.tgz");
    server.on("/charts/n.tgz", status(403));
    let error = repository.fetch(entry).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn what_is_temporary_is_tried_again() {
    for (first, attempts) in [
        (vec![status(500), status(503)], 3),
        (vec![status(429).with("retry-after", "0")], 2),
        // What came is an index by itself, with a chart less.
        (vec![Answer { breaks: true, ..ok("apiVersion: v1\nentries: {}\n") }], 2),
    ] {
        let server = Server::start().await;
        for answer in first {
            server.on("/charts/index.yaml", answer);
        }
        server.on("/charts/index.yaml", ok(index_of(&[("1.0.0", "")])));
        let index = versions(&server.repository()).await.unwrap();
        assert_eq!(index.entries(&"nginx".parse().unwrap()).len(), 1);
        assert_eq!(server.paths().len(), attempts);
    }
}

#[tokio::test]
async fn what_is_given_up_says_why() {
    for (answer, kind, temporary, attempts, expected) in [
        (status(404), ErrorKind::NotFound, false, 1, "/charts/index.yaml` answers 404 Not Found"),
        (status(401), ErrorKind::Denied, false, 1, "answers 401"),
        (status(403), ErrorKind::Denied, false, 1, "answers 403"),
        (status(400), ErrorKind::Unreachable, false, 1, "answers 400"),
        (status(502), ErrorKind::Unreachable, true, 3, "answers 502"),
        (status(429), ErrorKind::RateLimited, true, 3, "answers 429"),
        // Longer than anybody should wait.
        (status(429).with("retry-after", "2"), ErrorKind::RateLimited, true, 1, "answers 429"),
        (ok("<html>"), ErrorKind::Invalid, false, 1, "it is no index of a chart repository"),
        (
            ok("no gzip").with("content-encoding", "gzip"),
            ErrorKind::Invalid,
            false,
            1,
            "it cannot be unpacked",
        ),
        (
            status(302).with("location", "index.yaml"),
            ErrorKind::Refused,
            false,
            6,
            "more than 5 times",
        ),
        (status(302).with("location", "ftp://x/"), ErrorKind::Refused, false, 1, "a `ftp:` URL"),
        (
            status(302).with("location", "http://169.254.169.254/latest"),
            ErrorKind::Refused,
            false,
            1,
            "an address inside a network",
        ),
    ] {
        let server = Server::start().await;
        server.on("/charts/index.yaml", answer);
        let error = versions(&server.repository()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{error}");
        assert_eq!(server.paths().len(), attempts, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().starts_with("index of chart repository http://127"), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    // Bound, so that nobody else gets the port, and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    let server = Server { url, shared: Arc::default() };
    let error = versions(&server.repository()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unreachable, true));
    assert!(error.to_string().contains("no connection to `127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn the_next_url_is_tried() {
    let server = Server::start().await;
    server.on("/charts/b.tgz", ok(archive("1.0.0")));
    let chart = fetched(&server, &server.repository(), "urls: [a.tgz, b.tgz]").await.unwrap();
    assert_eq!(chart.version(), "1.0.0");
    assert_eq!(server.paths(), ["/charts/a.tgz", "/charts/b.tgz", "/charts/b.tgz.prov"]);
    server.forget("/charts/index.yaml");
    let error = fetched(&server, &server.repository(), "urls: [a.tgz, c.tgz]").await.unwrap_err();
    assert!(error.to_string().contains("/charts/a.tgz` answers 404"), "{error}");
}

#[test]
fn what_is_no_repository_is_refused() {
    for (url, expected) in [
        ("oci://registry.example.com/charts", "must begin with `https://`"),
        ("file:///charts", "must begin with `https://`"),
        ("https://ann:s3cret@charts.example.com", "credentials have no place in a URL"),
    ] {
        let error = ChartRepository::new(&url.parse().unwrap(), client(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

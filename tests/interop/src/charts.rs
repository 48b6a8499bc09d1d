//! [`Charts`]: charts that real helm made, packaged, signed and indexed, and helm itself;
//! [`ChartServer`]: a folder of them on the web, with what keeps strangers out.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{Output, PASSWORD, Process, Server, USER, Validity, Workbench};

/// The versions of helm that judge.
pub const HELMS: [&str; 2] = ["helm", "helm3"];
/// A version that a tag cannot have, signed.
pub const SIGNED: &str = "1.2.3+b.1";
/// A version without a signature.
pub const UNSIGNED: &str = "1.3.0";
/// Who signs.
const KEY: &str = "Interop <interop@example.com>";

/// What a `Chart.yaml` may have beside what `helm create` writes.
const MORE: &str = r#"
home: https://example.com/?a=b&c=<d>
icon: https://example.com/icon.png
sources: [https://example.com/source, https://example.com/other]
keywords: [web, 1, yes]
kubeVersion: ">=1.16.0-0"
maintainers:
- {name: Ann, email: ann@example.com}
- {name: "Böb 😀", url: https://example.com/bob}
annotations:
  category: Test & more
  number: "1"
  artifacthub.io/images: |
    - {name: demo, image: quay.io/team/demo:1.16.0}
"#;

/// The chart `demo` in the versions [`SIGNED`] and [`UNSIGNED`], in a folder with an index.
#[derive(Debug)]
pub struct Charts {
    /// What it was made with: helm and gpg are among its tools.
    pub bench: Workbench,
    folder: PathBuf,
}

impl Charts {
    /// Makes the charts.
    pub fn made_on(bench: Workbench) -> Self {
        let folder = bench.folder().join("repository");
        std::fs::create_dir(&folder).unwrap();
        let charts = Self { bench, folder };
        charts.make_key();
        let source = charts.source();
        charts.helm("helm").args(["create"]).args([&source]).succeed();
        let file = source.join("Chart.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + MORE).unwrap();
        // A chart within the chart.
        charts.helm("helm").args(["create"]).args([source.join("charts/part")]).succeed();
        charts.package("helm", SIGNED, true);
        charts.package("helm3", UNSIGNED, false);
        charts.index("helm");
        charts
    }

    /// The folder that the chart is packaged from.
    pub fn source(&self) -> PathBuf {
        self.bench.folder().join("demo")
    }

    /// The folder of the archives and the index.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The archive of a version.
    pub fn archive(&self, version: &str) -> PathBuf {
        self.folder.join(format!("demo-{version}.tgz"))
    }

    /// `helm package`, of the chart as it is now.
    pub fn package(&self, helm: &str, version: &str, sign: bool) {
        let mut package = self
            .helm(helm)
            .args(["package", "--version", version, "--destination"])
            .args([&self.folder, &self.source()]);
        if sign {
            package = package.args(["--sign", "--key", KEY, "--keyring"]);
            package = package.args([self.key("secret")]);
        }
        package.succeed();
    }

    /// `helm repo index`, all of it written anew.
    pub fn index(&self, helm: &str) {
        self.helm(helm).args(["repo", "index"]).args([&self.folder]).succeed();
    }

    /// `helm push` of a version, to `PLACE/demo`.
    pub fn push(&self, helm: &str, server: &Server, version: &str, place: &str) {
        let push = self.helm(helm).args(["push"]).args([self.archive(version)]);
        push.args([format!("oci://{place}")]).args(plain(server)).succeed();
    }

    /// helm, with the workbench's logins.
    pub fn helm(&self, helm: &str) -> Process {
        let home = |what: &str| self.bench.folder().join(helm).join(what);
        self.bench
            .tool(helm)
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
    }

    /// `helm pull` into a folder of its own.
    pub fn pull(
        &self,
        helm: &str,
        server: &Server,
        reference: &str,
        more: &[&str],
    ) -> (Output, PathBuf) {
        let folder = tempfile::tempdir_in(self.bench.folder()).unwrap().keep();
        let output = self
            .helm(helm)
            .args(["pull", &format!("oci://{reference}"), "--destination"])
            .args([&folder])
            .args(plain(server))
            .args(more)
            .run();
        (output, folder)
    }

    /// Ends the test unless every helm pulls the very archive from there, shows it, and, where it is
    /// signed, verifies it.
    #[track_caller]
    pub fn expect_usable(&self, server: &Server, reference: &str, version: &str) {
        let keyring = self.key("public");
        let verify = ["--version", version, "--verify", "--keyring", keyring.to_str().unwrap()];
        let archive = self.archive(version);
        let name = archive.file_name().unwrap().to_str().unwrap();
        let provenance = format!("{name}.prov");
        let is_signed = self.folder.join(&provenance).exists();
        let files = if is_signed { vec![name, &provenance] } else { vec![name] };
        for helm in HELMS {
            let flags = if is_signed { &verify[..] } else { &verify[..2] };
            let (output, folder) = self.pull(helm, server, reference, flags);
            assert_eq!(output.code, Some(0), "{helm} {reference}: {output:?}");
            for file in &files {
                let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
                assert!(read(&folder) == read(&self.folder), "{helm} {reference} {file}");
            }
            if !is_signed {
                // What nobody signed does not pass for signed.
                assert_ne!(self.pull(helm, server, reference, &verify).0.code, Some(0));
            }
            let shown = self.helm(helm).args(["show", "chart", &format!("oci://{reference}")]);
            let shown = shown.args(["--version", version]).args(plain(server)).succeed();
            assert!(shown.contains(&format!("version: {version}\n")), "{helm}: {shown}");
        }
    }

    /// A file with the key that signs (`secret`), or whom to trust (`public`).
    pub fn key(&self, name: &str) -> PathBuf {
        self.bench.folder().join(format!("{name}.gpg"))
    }

    /// A key that signs, in the form that helm reads.
    fn make_key(&self) {
        let home = self.bench.folder().join("gnupg");
        std::fs::create_dir(&home).unwrap();
        let gpg = || self.bench.tool("gpg").args(["--homedir"]).args([&home]).args(["--batch"]);
        let made = ["--pinentry-mode", "loopback", "--passphrase", "", "--quick-generate-key", KEY];
        gpg().args(made).args(["rsa2048", "sign", "never"]).succeed();
        for (name, export) in [("secret", "--export-secret-keys"), ("public", "--export")] {
            gpg().args(["--output"]).args([self.key(name)]).args([export]).succeed();
        }
        // gpg leaves an agent running.
        let program = self.bench.command("gpg").get_program().to_owned();
        let gpgconf = Path::new(&program).with_file_name("gpgconf");
        Process::new(&gpgconf).args(["--homedir"]).args([&home]).args(["--kill", "all"]).succeed();
    }
}

/// What helm is told of a server without TLS.
pub fn plain(server: &Server) -> &'static [&'static str] {
    if server.kind().is_secured() { &[] } else { &["--plain-http"] }
}

/// How a chart repository is entered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Door {
    /// Whether it asks for [`USER`] and [`PASSWORD`].
    pub locked: bool,
    /// Whether it speaks TLS, with a certificate of the workbench's authority.
    pub tls: bool,
}

/// A folder on the web. Dropped, it is gone.
#[derive(Debug)]
pub struct ChartServer {
    address: SocketAddr,
    scheme: &'static str,
    web: Arc<Web>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Debug)]
struct Web {
    folder: PathBuf,
    locked: bool,
    requests: Mutex<Vec<String>>,
}

impl ChartServer {
    /// Serves the charts' folder on a free port.
    pub fn start(charts: &Charts, door: Door) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let web = Arc::new(Web {
            folder: charts.folder().to_owned(),
            locked: door.locked,
            requests: Mutex::default(),
        });
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&web));
        let entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        if door.tls {
            let acceptor = acceptor(&charts.bench);
            let listener = Secured { listener, acceptor };
            runtime.spawn(async move { axum::serve(listener, app).await });
        } else {
            runtime.spawn(async move { axum::serve(listener, app).await });
        }
        drop(entered);
        let scheme = if door.tls { "https" } else { "http" };
        Self { address, scheme, web, _runtime: runtime }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked for since the last time that this was asked, as `GET /index.yaml`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.web.requests.lock().unwrap())
    }
}

async fn answer(State(web): State<Arc<Web>>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    web.requests.lock().unwrap().push(line);
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let shown = request.headers().get(AUTHORIZATION);
    if web.locked && shown.is_none_or(|shown| shown.as_bytes() != basic.as_bytes()) {
        let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"charts\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let name = request.uri().path().trim_start_matches('/');
    match std::fs::read(web.folder.join(name)) {
        Ok(content) => content.into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn acceptor(bench: &Workbench) -> TlsAcceptor {
    let (certificate, key) = bench.certificate(Validity::Valid);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        );
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// Connections over TLS.
struct Secured {
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // Whoever does not trust the certificate goes away.
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

//! [`Server`]: a real registry on this machine, on a free port, with its data in a temporary folder.

use std::cell::Cell;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::log::{Log, Request};
use crate::tools::Tools;
use crate::{Authority, PASSWORD, Process, USER, Validity};

/// Which registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Debian's docker-registry, distribution 2.8.
    DockerRegistry,
    /// distribution 3.
    Distribution3,
    /// go-containerregistry's, which keeps everything in memory; plain http, no users.
    GoContainerregistry,
}

impl Kind {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::DockerRegistry => "docker-registry",
            Self::Distribution3 => "distribution3",
            Self::GoContainerregistry => "ggcr-registry",
        }
    }

    /// Whether it takes a blob over from another of its repositories.
    pub fn mounts(self) -> bool {
        self != Self::GoContainerregistry
    }

    /// Whether it can be given a certificate and users.
    pub fn is_secured(self) -> bool {
        self != Self::GoContainerregistry
    }
}

/// How a server behaves that is not as it should be.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether its certificate is expired.
    pub certificate: Validity,
    /// Whether it answers 403 DENIED to every image that is pushed: a policy that allows only the
    /// manifests of Docker's plugins.
    pub denies_images: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { certificate: Validity::Valid, denies_images: false }
    }
}

/// A running registry; dropped, it is stopped and its data is gone.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    child: Child,
    address: String,
    log: Log,
    /// How many of the log's requests were forgotten.
    forgotten: Cell<usize>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(
        kind: Kind,
        settings: Settings,
        tools: &Tools,
        authority: &Authority,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(tools.path(kind.program()));
        if kind.is_secured() {
            let file = folder.path().join("config.yml");
            std::fs::write(&file, config(folder.path(), settings, tools, authority)).unwrap();
            command.arg("serve").arg(file);
        } else {
            command.args(["-port", "0"]);
        }
        let mut child = command
            // distribution 3 would send traces somewhere.
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::default();
        log.follow(child.stdout.take().unwrap());
        log.follow(child.stderr.take().unwrap());
        let mut server = Self {
            kind,
            child,
            address: String::new(),
            log,
            forgotten: Cell::new(0),
            _folder: folder,
        };
        let port = server.log.wait(Duration::from_secs(60), listening_port);
        let port = port.unwrap_or_else(|| {
            panic!("{} did not start:\n{}", kind.program(), server.log.text());
        });
        server.address = format!("127.0.0.1:{port}");
        server
    }

    /// Which registry it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name in references, `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.address
    }

    /// The requests since [`Server::forget_requests`] that were not only about who asks, in the order
    /// of the server's log. `mark` sends the server a request for the reference it is given: when that
    /// is in the log, all before it is.
    pub(crate) fn requests(&self, mark: impl Fn(&str)) -> Vec<Request> {
        let mut requests = self.marked(mark).split_off(self.forgotten.get());
        requests.retain(|request| !request.is_auth() && !request.path.contains(MARKER));
        requests
    }

    /// Forgets the requests up to now.
    pub(crate) fn forget_requests(&self, mark: impl Fn(&str)) {
        self.forgotten.set(self.marked(mark).len());
    }

    fn marked(&self, mark: impl Fn(&str)) -> Vec<Request> {
        let number = self.log.requests().len();
        let (tag, path) = (format!("n{number}"), format!("/{MARKER}/manifests/n{number}"));
        mark(&format!("{}/{MARKER}:{tag}", self.address));
        let is_marker = |line: &str| Request::parse(line).filter(|line| line.path.ends_with(&path));
        let seen = self.log.wait(Duration::from_secs(60), is_marker);
        assert!(seen.is_some(), "{} did not log its requests:\n{}", self.address, self.log.text());
        self.log.requests()
    }
}

/// The repository of requests that only mark a place in the log.
const MARKER: &str = "interop-marker";

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `listening on 127.0.0.1:PORT` (distribution), `serving on port PORT` (go-containerregistry).
fn listening_port(line: &str) -> Option<u16> {
    let rest = line
        .split_once("listening on 127.0.0.1:")
        .or_else(|| line.split_once("serving on port "))?
        .1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The configuration of docker-registry and distribution: TLS, one user, a port that is free.
fn config(folder: &Path, settings: Settings, tools: &Tools, authority: &Authority) -> String {
    let (certificate, key) = authority.issue(folder, settings.certificate);
    let users = folder.join("htpasswd");
    let entry = Process::new(tools.path("htpasswd")).args(["-nbB", USER, PASSWORD]).succeed();
    std::fs::write(&users, entry.trim()).unwrap();
    let policy =
        if settings.denies_images { "policy: {repository: {classes: [plugin]}}" } else { "" };
    format!(
        "version: 0.1\n\
         log: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:0', secret: interop, tls: {{certificate: '{}', key: '{}'}}}}\n\
         auth: {{htpasswd: {{realm: interop, path: '{}'}}}}\n\
         {policy}\n",
        folder.join("data").display(),
        certificate.display(),
        key.display(),
        users.display(),
    )
}

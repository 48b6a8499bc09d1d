//! [`Server`]: a registry on this machine, on a free port, with its data in a temporary folder; a real
//! one, or `image-syncer serve`.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::log::{Log, Request};
use crate::tools::Tools;
use crate::{Authority, PASSWORD, Process, Running, USER, Validity};

/// Which registry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Debian's docker-registry, distribution 2.8.
    DockerRegistry,
    /// distribution 3.
    Distribution3,
    /// go-containerregistry's, which keeps everything in memory; plain http, no users.
    GoContainerregistry,
    /// `image-syncer serve` as it is without a word: plain http, no users.
    Serve,
    /// `image-syncer serve` with a certificate and one user.
    ServeSecured,
}

impl Kind {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::DockerRegistry => "docker-registry",
            Self::Distribution3 => "distribution3",
            Self::GoContainerregistry => "ggcr-registry",
            Self::Serve | Self::ServeSecured => "image-syncer",
        }
    }

    /// Whether it takes a blob over from another of its repositories.
    pub fn mounts(self) -> bool {
        self != Self::GoContainerregistry
    }

    /// Whether it has a certificate and users.
    pub fn is_secured(self) -> bool {
        !matches!(self, Self::GoContainerregistry | Self::Serve)
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
    /// Whether `image-syncer serve` refuses every write.
    pub read_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { certificate: Validity::Valid, denies_images: false, read_only: false }
    }
}

/// A running registry; dropped, it is stopped and its data is gone.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    child: Child,
    address: String,
    log: Log,
    /// How many of the log's lines were forgotten.
    forgotten: Cell<usize>,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts the program with its data in a folder of its own.
    pub(crate) fn start(
        kind: Kind,
        program: &Path,
        settings: Settings,
        tools: &Tools,
        authority: &Authority,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets =
            kind.is_secured().then(|| Secrets::new(folder.path(), settings, tools, authority));
        let mut command = Command::new(program);
        match kind {
            Kind::DockerRegistry | Kind::Distribution3 => {
                let secrets = secrets.as_ref().unwrap();
                let file = folder.path().join("config.yml");
                std::fs::write(&file, config(folder.path(), settings, secrets)).unwrap();
                command.arg("serve").arg(file);
            }
            Kind::GoContainerregistry => {
                command.args(["-port", "0"]);
            }
            Kind::Serve | Kind::ServeSecured => {
                command.arg("serve").arg(folder.path().join(DATA));
                command.args(["--listen", "127.0.0.1:0", "--debug"]);
                if let Some(secrets) = &secrets {
                    command.arg("--tls-certificate").arg(&secrets.certificate);
                    command.arg("--tls-key").arg(&secrets.key);
                    command.arg("--htpasswd").arg(&secrets.users);
                }
                if settings.read_only {
                    command.arg("--read-only");
                }
            }
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
        let mut server =
            Self { kind, child, address: String::new(), log, forgotten: Cell::new(0), folder };
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

    /// Where its data lies. For `image-syncer serve` that is a tree of layouts, one a repository.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// Waits until the server has answered so many requests that change something, since
    /// [`Workbench::forget_requests`](crate::Workbench::forget_requests). True as soon as they are in
    /// its log, while the program is at what comes next; false if the program ended before they were.
    pub fn wait_for_writes(&self, count: usize, program: &mut Running) -> bool {
        let enough = |lines: &[String]| {
            let lines = lines.iter().skip(self.forgotten.get());
            let requests = lines.filter_map(|line| Request::parse(line));
            let writes = requests.filter(|request| request.is_write() && !request.is_auth());
            (writes.count() >= count).then_some(())
        };
        loop {
            let has_ended = program.has_ended();
            if self.log.wait_for(Duration::from_millis(50), enough).is_some() {
                return true;
            }
            if has_ended {
                return false;
            }
        }
    }

    /// The requests since [`Server::forget_requests`] that were not only about who asks, in the order
    /// of the server's log. `mark` sends the server a request for the reference it is given: when that
    /// is in the log, all before it is.
    pub(crate) fn requests(&self, mark: impl Fn(&str)) -> Vec<Request> {
        self.wait_for_marker(mark);
        let mut requests = self.log.requests(self.forgotten.get());
        requests.retain(|request| !request.is_auth() && !request.path.contains(MARKER));
        requests
    }

    /// Forgets the requests up to now.
    pub(crate) fn forget_requests(&self, mark: impl Fn(&str)) {
        self.wait_for_marker(mark);
        self.forgotten.set(self.log.length());
    }

    fn wait_for_marker(&self, mark: impl Fn(&str)) {
        let number = self.log.length();
        let (tag, path) = (format!("n{number}"), format!("/{MARKER}/manifests/n{number}"));
        mark(&format!("{}/{MARKER}:{tag}", self.address));
        let is_marker = |line: &str| Request::parse(line).filter(|line| line.path.ends_with(&path));
        let seen = self.log.wait(Duration::from_secs(60), is_marker);
        assert!(seen.is_some(), "{} did not log its requests:\n{}", self.address, self.log.text());
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

/// `listening on 127.0.0.1:PORT` (distribution), `serving on port PORT` (go-containerregistry),
/// `serving FOLDER at http://127.0.0.1:PORT` (ours).
fn listening_port(line: &str) -> Option<u16> {
    let rest = line
        .split_once("listening on 127.0.0.1:")
        .or_else(|| line.split_once("serving on port "))
        .or_else(|| line.split_once("://127.0.0.1:"))?
        .1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The folder of a server's data, below its temporary one.
const DATA: &str = "data";

/// What a secured server is given: a certificate with its key, and a file of one user.
struct Secrets {
    certificate: PathBuf,
    key: PathBuf,
    users: PathBuf,
}

impl Secrets {
    fn new(folder: &Path, settings: Settings, tools: &Tools, authority: &Authority) -> Self {
        let (certificate, key) = authority.issue(folder, settings.certificate);
        let users = folder.join("htpasswd");
        let entry = Process::new(tools.path("htpasswd")).args(["-nbB", USER, PASSWORD]).succeed();
        std::fs::write(&users, entry.trim()).unwrap();
        Self { certificate, key, users }
    }
}

/// The configuration of docker-registry and distribution: TLS, one user, a port that is free.
fn config(folder: &Path, settings: Settings, secrets: &Secrets) -> String {
    let policy =
        if settings.denies_images { "policy: {repository: {classes: [plugin]}}" } else { "" };
    format!(
        "version: 0.1\n\
         log: {{level: info}}\n\
         storage: {{filesystem: {{rootdirectory: '{}'}}, delete: {{enabled: true}}}}\n\
         http: {{addr: '127.0.0.1:0', secret: interop, tls: {{certificate: '{}', key: '{}'}}}}\n\
         auth: {{htpasswd: {{realm: interop, path: '{}'}}}}\n\
         {policy}\n",
        folder.join(DATA).display(),
        secrets.certificate.display(),
        secrets.key.display(),
        secrets.users.display(),
    )
}

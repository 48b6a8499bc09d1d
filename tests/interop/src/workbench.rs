//! [`Workbench`]: one test's tools, certificate authority, logins and temporary folder.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::image_syncer::{ImageSyncer, binary};
use crate::images::Images;
use crate::log::Request;
use crate::process::Process;
use crate::server::{Kind, Server, Settings};
use crate::tools::{Tools, skip};
use crate::{Authority, Layout, Validity};

/// The user that every secured server knows.
pub const USER: &str = "interop";
/// The user's password; no output may have it.
pub const PASSWORD: &str = "S3cret-that-must-not-be-shown";

/// What a test works with.
#[derive(Debug)]
pub struct Workbench {
    tools: Tools,
    binary: Option<PathBuf>,
    folder: tempfile::TempDir,
    authority: Authority,
    logins: RefCell<Map<String, Value>>,
    files: Cell<u32>,
}

impl Workbench {
    /// A workbench with these tools; none, and a line that says so, if one of them is missing.
    pub fn with_tools(suite: &str, tools: &[&str]) -> Option<Self> {
        let tools = Tools::find(suite, tools)?;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        Some(Self {
            tools,
            binary: None,
            folder,
            authority,
            logins: RefCell::default(),
            files: Cell::default(),
        })
    }

    /// A workbench with the built binary and these tools.
    pub fn with_image_syncer(suite: &str, tools: &[&str]) -> Option<Self> {
        let Some(binary) = binary() else {
            skip(suite, "image-syncer is not built; run cargo build -p image-syncer");
            return None;
        };
        let workbench = Self::with_tools(suite, tools)?;
        Some(Self { binary: Some(binary), ..workbench })
    }

    /// The temporary folder, gone when the workbench is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the authority that secured servers have theirs from.
    pub fn certificate_authority(&self) -> &Path {
        self.authority.certificate()
    }

    /// A certificate for a server that a test starts itself, and its key, both PEM files.
    pub fn certificate(&self, validity: Validity) -> (PathBuf, PathBuf) {
        let folder = self.folder().join(format!("server-{}", self.next()));
        std::fs::create_dir(&folder).unwrap();
        self.authority.issue(&folder, validity)
    }

    /// Images to work with.
    pub fn images(&self) -> Images<'_> {
        Images::new(&self.tools)
    }

    /// Starts a server, over TLS and with a user where it can, and logs the tools in to it.
    pub fn start(&self, kind: Kind) -> Server {
        self.start_with(kind, Settings::default())
    }

    /// Starts a server that is not as it should be.
    pub fn start_with(&self, kind: Kind, settings: Settings) -> Server {
        let program = match kind {
            Kind::Serve | Kind::ServeSecured => self.binary(),
            _ => self.tools.path(kind.program()),
        };
        let server = Server::start(kind, program, settings, &self.tools, &self.authority);
        if kind.is_secured() {
            self.logins.borrow_mut().insert(server.host().to_owned(), login(PASSWORD));
            let config = json!({ "auths": *self.logins.borrow() }).to_string();
            std::fs::create_dir_all(self.docker_config()).unwrap();
            std::fs::write(self.docker_config().join("config.json"), config).unwrap();
        }
        server
    }

    /// A Docker configuration that has this password for one server, and nothing else.
    pub fn docker_config_with(&self, server: &Server, password: &str) -> PathBuf {
        let folder = self.folder().join(format!("docker-{}", self.next()));
        std::fs::create_dir(&folder).unwrap();
        let config = json!({ "auths": { server.host(): login(password) } }).to_string();
        std::fs::write(folder.join("config.json"), config).unwrap();
        folder
    }

    /// Runs crane; its standard output without the last line end.
    pub fn crane<const N: usize>(&self, arguments: [&str; N]) -> String {
        self.tool("crane").args(arguments).succeed().trim_end().to_owned()
    }

    /// regctl, told which of these servers speak plain http.
    pub fn regctl(&self, servers: &[&Server]) -> Process {
        let mut process =
            self.tool("regctl").env("REGCTL_CONFIG", self.folder().join("regctl.json"));
        for server in servers.iter().filter(|server| !server.kind().is_secured()) {
            process = process.args([format!("--host=reg={},tls=disabled", server.host())]);
        }
        process
    }

    /// A tool that knows the servers' logins and certificate authority.
    pub fn tool(&self, name: &str) -> Process {
        Process::new(self.tools.path(name))
            .env("DOCKER_CONFIG", self.docker_config())
            .env("REGISTRY_AUTH_FILE", self.docker_config().join("config.json"))
            .env("SSL_CERT_FILE", self.authority.certificate())
            .env("NO_PROXY", "127.0.0.1,localhost")
    }

    /// Where a tool is, for another tool that starts it.
    pub(crate) fn tool_path(&self, name: &str) -> &Path {
        self.tools.path(name)
    }

    /// A tool, or the built binary, as it is, for a server that a test starts itself.
    pub fn command(&self, name: &str) -> Command {
        Command::new(match name {
            "image-syncer" => self.binary(),
            tool => self.tools.path(tool),
        })
    }

    /// Pushes a layout and returns its digest, which the registry must agree to.
    pub fn push(&self, layout: &Layout, reference: &str) -> String {
        self.crane(["push", layout.folder().to_str().unwrap(), reference]);
        assert_eq!(self.crane(["digest", reference]), layout.digest(), "{reference}");
        layout.digest()
    }

    /// Pulls what a reference names, all platforms of it, into a new layout.
    pub fn pull(&self, reference: &str) -> Layout {
        let folder = self.folder().join(format!("pulled-{}", self.next()));
        self.crane(["pull", "--format=oci", reference, folder.to_str().unwrap()]);
        Layout::at(&folder)
    }

    /// Ends the test unless the reference has the layout's digest and every byte of its content.
    #[track_caller]
    pub fn expect_copy(&self, layout: &Layout, reference: &str) {
        assert_eq!(self.crane(["digest", reference]), layout.digest(), "{reference}");
        let mut copy = self.pull(reference).blobs();
        let mut original = layout.blobs();
        copy.sort();
        original.sort();
        let names = |blobs: &[(String, Vec<u8>)]| -> Vec<String> {
            blobs.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&copy), names(&original), "{reference}");
        assert!(copy == original, "{reference} has other bytes under the same digests");
    }

    /// The requests that a server got since [`Workbench::forget_requests`], without pings and without
    /// what it sent back for a credential.
    pub fn requests(&self, server: &Server) -> Vec<Request> {
        server.requests(|reference| self.mark(reference))
    }

    /// Forgets the requests that a server got up to now.
    pub fn forget_requests(&self, server: &Server) {
        server.forget_requests(|reference| self.mark(reference));
    }

    /// Writes a sync file: these entries of `images:`, and the authority to trust for each server
    /// that has a certificate. Plain http on loopback needs no word.
    pub fn list(&self, images: &str, servers: &[&Server]) -> PathBuf {
        self.sync_file(&format!("images:\n{images}"), servers)
    }

    /// As [`Workbench::list`], from all that is in the file but `registries:`.
    pub fn sync_file(&self, text: &str, servers: &[&Server]) -> PathBuf {
        let mut text = format!("{text}\n");
        let secured = servers.iter().filter(|server| server.kind().is_secured());
        for (number, server) in secured.enumerate() {
            text.push_str(if number == 0 { "registries:\n" } else { "" });
            let authority = self.authority.certificate().display();
            let _ = writeln!(text, "  \"{}\": {{ ca: \"{authority}\" }}", server.host());
        }
        let file = self.folder().join(format!("images-{}.yaml", self.next()));
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The binary, with the logins and without this machine's own settings.
    pub fn image_syncer(&self) -> ImageSyncer {
        ImageSyncer::new(self.binary())
            .env("HOME", self.folder())
            .env("XDG_CONFIG_HOME", self.folder())
            .env("DOCKER_CONFIG", self.docker_config())
            .env("NO_PROXY", "127.0.0.1,localhost")
            .in_folder(self.folder())
    }

    /// The built binary, for what starts it in a way of its own.
    pub fn binary(&self) -> &Path {
        self.binary.as_deref().expect("with_image_syncer")
    }

    fn docker_config(&self) -> PathBuf {
        self.folder().join("docker")
    }

    /// A number that was not used before.
    fn next(&self) -> u32 {
        self.files.set(self.files.get() + 1);
        self.files.get()
    }

    /// Asks a server for what is not there.
    fn mark(&self, reference: &str) {
        let _ = self.tool("crane").args(["manifest", reference]).run();
    }
}

/// The entry of a Docker configuration.
fn login(password: &str) -> Value {
    json!({ "auth": STANDARD.encode(format!("{USER}:{password}")) })
}

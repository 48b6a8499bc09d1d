//! [`Program`]: the binary in a folder of its own, with no environment but what a test gives it.

use std::fmt;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use testkit::Registry;
use testkit::image::MadeImage;
use tokio::process::{Child, Command};

/// Where the program runs: an empty folder, which is also its home.
pub(crate) struct Program {
    folder: TempDir,
    variables: Vec<(String, String)>,
    names: Vec<(String, &'static str)>,
}

/// What the program did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder, variables: Vec::new(), names: Vec::new() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into the folder; a program that runs sees all of it or nothing.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<str>) -> &Self {
        let file = self.folder().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let beside = file.with_added_extension("new");
        std::fs::write(&beside, content.as_ref()).unwrap();
        std::fs::rename(beside, file).unwrap();
        self
    }

    /// Sets a variable.
    pub(crate) fn variable(&mut self, name: &str, value: &str) -> &mut Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Shows a registry under a fixed name of the same length, because ports differ.
    pub(crate) fn name(&mut self, registry: &Registry, name: &'static str) -> &mut Self {
        self.host(&registry.host(), name)
    }

    /// Shows a host under such a name.
    pub(crate) fn host(&mut self, host: &oci::Host, name: &'static str) -> &mut Self {
        let host = host.to_string();
        assert_eq!(host.len(), name.len(), "{host} and {name} must be as long");
        self.names.push((host, name));
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_image-syncer"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().await.unwrap();
        self.done(output)
    }

    /// Starts it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn end(&self, child: Child) -> Done {
        self.done(child.wait_with_output().await.unwrap())
    }

    fn done(&self, output: Output) -> Done {
        let text = |bytes: Vec<u8>| {
            let mut text = String::from_utf8(bytes).unwrap();
            for (host, name) in &self.names {
                text = text.replace(host, name);
            }
            text.replace(&self.folder().display().to_string(), "[folder]")
        };
        Done {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Where the layout of a repository lies, below a folder of this one.
    pub(crate) fn layout(&self, path: &str) -> layout::Layout {
        layout::Layout::at(self.folder().join(path))
    }
}

/// All of it, as a snapshot shows it.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "ended by a signal")?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "--- {name}\n{text}")?;
            }
        }
        Ok(())
    }
}

/// Adds an image to a registry.
pub(crate) async fn add(registry: &Registry, repository: &str, tag: &str, image: &MadeImage) {
    registry.add(&repository.parse().unwrap(), &tag.parse().unwrap(), image).await;
}

/// What a tag of a registry points at.
pub(crate) async fn held(registry: &Registry, repository: &str, tag: &str) -> Option<oci::Digest> {
    let layout = registry.layout(&repository.parse().unwrap());
    let tag: oci::Tag = tag.parse().unwrap();
    layout.resolve(&tag.into()).await.unwrap().map(|found| found.digest)
}

/// Compares what the program did with the snapshot, but for what differs from run to run.
macro_rules! assert_done {
    ($done:expr) => {
        let shown = $done.to_string();
        insta::with_settings!({ filters => crate::program::FILTERS.to_vec(), omit_expression => true }, {
            insta::assert_snapshot!(shown);
        });
    };
}

pub(crate) use assert_done;

/// Times, and what depends on how long they are.
pub(crate) const FILTERS: [(&str, &str); 11] = [
    (r"\d+\.\d ms, the median", "[time], the median"),
    (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z", "[when]"),
    (r" +(\d+ ms|\d+\.\d s|\d+ min \d+ s)\b", " [time]"),
    (r#"time="[^"]+""#, r#"time="[time]""#),
    (r" +TIME", " TIME"),
    (r#""seconds": [0-9.]+"#, r#""seconds": [seconds]"#),
    (r#""(started|decided|copying|ended)": [0-9.]+"#, r#""$1": [seconds]"#),
    (r#""([1-5]\d\d)": \d+"#, r#""$1": [number]"#),
    (r#""id": "[0-9a-f-]{36}""#, r#""id": "[id]""#),
    (r#""version": "[^"]+""#, r#""version": "[version]""#),
    (r"image-syncer \d+\.\d+\.\d+", "image-syncer [version]"),
];

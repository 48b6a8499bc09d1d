//! [`ImageSyncer`]: the built binary, run as a user runs it, and what it says ([`Run`]).

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Output, Process, Running};

/// The binary about to be run.
#[derive(Debug)]
pub struct ImageSyncer {
    process: Process,
}

/// What a run of the binary left.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// An item of the JSON report.
#[derive(Clone, Debug)]
pub struct Item(Value);

impl ImageSyncer {
    pub(crate) fn new(binary: &Path) -> Self {
        Self { process: Process::new(binary) }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<const N: usize>(self, arguments: [&str; N]) -> Self {
        Self { process: self.process.args(arguments) }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        Self { process: self.process.env(name, value) }
    }

    pub(crate) fn in_folder(self, folder: &Path) -> Self {
        Self { process: self.process.in_folder(folder) }
    }

    /// Starts it.
    pub fn start(self) -> Running {
        self.process.start()
    }

    /// Runs it; a signal that ends it ends the test.
    pub fn run(self) -> Run {
        Run::of(self.process.run())
    }
}

impl Run {
    /// What it was, however it was run.
    pub(crate) fn of(output: Output) -> Self {
        let Output { code, stdout, stderr } = output;
        let code = code.unwrap_or_else(|| panic!("killed by a signal\n{stdout}\n{stderr}"));
        Self { code, stdout, stderr }
    }

    /// Ends the test unless the exit code is this one.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code; it said:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The JSON report (`--output json`).
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// The item of the report whose target ends so.
    #[track_caller]
    pub fn item(&self, target: &str) -> Item {
        let report = self.report();
        let items = report["items"].as_array().expect("items");
        let ends_so =
            |item: &&Value| item["target"].as_str().is_some_and(|name| name.ends_with(target));
        let found: Vec<_> = items.iter().filter(ends_so).collect();
        assert_eq!(found.len(), 1, "items that end in `{target}`: {report:#}");
        Item(found[0].clone())
    }

    /// All that it said, on both streams.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl Item {
    /// The text of a field, as in `outcome` or `error.class`; empty where there is none.
    pub fn text(&self, path: &str) -> String {
        let value = path.split('.').fold(&self.0, |value, name| &value[name]);
        value.as_str().unwrap_or_default().to_owned()
    }

    /// A number of bytes, `copied`, `mounted` or `present`.
    pub fn bytes(&self, way: &str) -> u64 {
        self.0["bytes"][way].as_u64().unwrap_or_default()
    }
}

/// The binary: `IMAGE_SYNCER_BIN`, or what cargo built beside this test.
pub(crate) fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("IMAGE_SYNCER_BIN").filter(|path| !path.is_empty()) {
        return Some(PathBuf::from(path));
    }
    // This test is target/PROFILE/deps/NAME.
    let test = std::env::current_exe().ok()?;
    let target = test.parent()?.parent()?.parent()?;
    ["debug", "release"]
        .iter()
        .map(|profile| target.join(profile).join("image-syncer"))
        .find(|path| path.is_file())
}

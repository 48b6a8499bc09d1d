//! [`Mirroring`]: an image in a source, a target to copy it to, and cosign, which signs and judges: what the
//! suites about signatures begin with.

use std::path::{Path, PathBuf};

use crate::{Item, Kind, Layout, Listening, Server, Workbench};

/// The password of every key that cosign makes here.
pub const KEY_PASSWORD: &str = "a password";

/// A source, a target, and an image in the source.
#[derive(Debug)]
pub struct Mirroring {
    /// The tools and the folder of both.
    pub bench: Workbench,
    /// Where the image is.
    pub source: Server,
    /// Where it is copied to.
    pub target: Server,
    /// The image.
    pub image: Layout,
}

impl Mirroring {
    /// Starts both servers and pushes the image to the source.
    pub fn new(bench: Workbench, source: Kind, target: Kind, image: Layout) -> Self {
        let (source, target) = (bench.start(source), bench.start(target));
        let mirroring = Self { bench, source, target, image };
        mirroring.bench.push(&mirroring.image, &format!("{}:1", mirroring.source()));
        mirroring
    }

    /// The image's repository at the source.
    pub fn source(&self) -> String {
        format!("{}/team/app", self.source.host())
    }

    /// The copy's repository at the target.
    pub fn target(&self) -> String {
        format!("{}/mirror/app", self.target.host())
    }

    /// The image, by its digest.
    pub fn original(&self) -> String {
        format!("{}@{}", self.source(), self.image.digest())
    }

    /// The copy, by its digest.
    pub fn copy(&self) -> String {
        format!("{}@{}", self.target(), self.image.digest())
    }

    /// The tags that the target has under the copy's repository.
    pub fn tags(&self) -> Vec<String> {
        let output = self.bench.tool("crane").args(["ls", &self.target()]).run();
        output.stdout.lines().map(str::to_owned).collect()
    }

    /// A file in the folder of the workbench, where sync files and keys are.
    pub fn file(&self, name: &str) -> PathBuf {
        self.bench.folder().join(name)
    }

    /// Starts a transparency log of `tests/tools/virtual-sigstore` in a folder, with these arguments besides.
    pub fn start_log(&self, folder: &str, arguments: &[&str]) -> Listening {
        let folder = self.file(folder);
        std::fs::create_dir(&folder).unwrap();
        let mut command = self.bench.command("virtual-sigstore");
        command.args(["-log", "-out", text(&folder)]).args(arguments);
        Listening::start(command)
    }

    /// Why one of the versions of cosign does not do it; nothing if it does.
    pub fn try_cosign(
        &self,
        tool: &str,
        env: &[(&str, &Path)],
        arguments: &[&str],
    ) -> Option<String> {
        let tool = self.bench.tool(tool).env("HOME", self.bench.folder());
        let tool = tool.env("TUF_ROOT", self.file("tuf")).env("COSIGN_PASSWORD", KEY_PASSWORD);
        let tool = env.iter().fold(tool, |tool, (name, value)| tool.env(name, value));
        let output = tool.args(arguments).run();
        (output.code != Some(0)).then_some(output.stderr)
    }

    /// Lets cosign do what it must be able to do.
    #[track_caller]
    pub fn cosign(&self, tool: &str, env: &[(&str, &Path)], arguments: &[&str]) {
        let problem = self.try_cosign(tool, env, arguments);
        assert_eq!(problem, None, "{tool} {arguments:?}");
    }

    /// Lets cosign make NAME.key and NAME.pub.
    pub fn make_keys(&self, name: &str) {
        let prefix = self.file(name);
        self.cosign("cosign2", &[], &["generate-key-pair", "--output-key-prefix", text(&prefix)]);
    }

    /// Runs a command over a list of the one image, with more lines in the file, and returns what became of it.
    #[track_caller]
    pub fn run(&self, command: &str, more: &str, code: i32) -> Item {
        self.run_to("1", command, more, code)
    }

    /// The same for a target tag of its own.
    #[track_caller]
    pub fn run_to(&self, tag: &str, command: &str, more: &str, code: i32) -> Item {
        self.run_with(&[("COSIGN_PASSWORD", KEY_PASSWORD)], tag, command, more, code)
    }

    /// The same with these variables.
    #[track_caller]
    pub fn run_with(
        &self,
        env: &[(&str, &str)],
        tag: &str,
        command: &str,
        more: &str,
        code: i32,
    ) -> Item {
        let (source, target) = (self.source(), format!("{}:{tag}", self.target()));
        let entry = format!("- source: \"{source}:1\"\n  destination: \"{target}\"\n{more}");
        let list = self.bench.list(&entry, &[&self.source, &self.target]);
        let image_syncer = self.bench.image_syncer();
        env.iter()
            .fold(image_syncer, |image_syncer, (name, value)| image_syncer.env(name, value))
            .args([command, "-i", text(&list), "--output", "json"])
            .run()
            .expect_code(code)
            .item(&target)
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

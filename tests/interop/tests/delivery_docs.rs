//! The guides in `docs/deploy` and `docs/migrating`: their commands, run in the order of the page over the files
//! that the page shows.
//!
//! A YAML block whose first line is a comment with a file's name is that file. Of the shell blocks, what needs no
//! account is run: helm, those commands of image-syncer that ask no registry, and, on the pages that begin in a
//! cluster, kubectl and helm before a real API server. podman's is run as buildah's by the suite `container`,
//! which also builds the image and copies it.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use interop::{Cluster, Process, Workbench};

const TOOLS: [&str; 2] = ["bash", "helm"];
/// How lines begin that are run everywhere.
const ANYWHERE: [&str; 5] = [
    "helm template ",
    "helm lint ",
    "image-syncer check ",
    "image-syncer convert ",
    "image-syncer report merge ",
];
/// How those begin that are run before a cluster.
const IN_A_CLUSTER: [&str; 2] = ["helm install ", "kubectl "];
/// The pages that begin in a cluster, and how many of their lines are run there.
const PAGES_OF_A_CLUSTER: [(&str, usize); 2] = [("kubernetes", 6), ("argocd", 3)];

/// What these tests do not run: the page, how the line begins, and why.
const NOT_HERE: [(&str, &str, &str); 4] = [
    ("container", "podman run ", "the suite `container` runs it, as buildah's"),
    ("container", "deploy/container/build ", "the suite `container` builds the image"),
    (
        "container",
        "image-syncer copy oci:./image",
        "the suite `container` runs it, on what it built",
    ),
    ("terraform", "gh api ", "it needs an organisation at GitHub"),
];

/// What shells understand.
const SHELLS: [&str; 5] = ["sh", "bash", "shell", "console", "zsh"];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks of a page: what they are, and their text without its indentation.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```").filter(|kind| !kind.is_empty())
        else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let text: String =
            inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect();
        found.push((kind.to_owned(), text));
    }
    found
}

/// A folder in which a page's commands are run.
struct Reader<'a> {
    bench: &'a Workbench,
    folder: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
}

impl<'a> Reader<'a> {
    fn of(bench: &'a Workbench, page: &Path) -> Self {
        let folder = bench.folder().join(page.file_stem().unwrap());
        std::fs::create_dir(&folder).unwrap();
        symlink(project().join("deploy"), folder.join("deploy")).unwrap();
        std::fs::write(folder.join("password.txt"), "s3cret").unwrap();
        Self { bench, folder, variables: Vec::new() }
    }

    /// A shell that finds the binary and the tools.
    fn shell(&self) -> Process {
        let folder_of = |program: &str| {
            let program = self.bench.command(program).get_program().to_owned();
            Path::new(&program).parent().unwrap().to_owned()
        };
        let path = std::env::var_os("PATH").unwrap();
        let first = [self.folder.join("bin"), folder_of("helm"), folder_of("image-syncer")];
        let path = first.into_iter().chain(std::env::split_paths(&path));
        let shell = self.bench.tool("bash").env("PATH", std::env::join_paths(path).unwrap());
        let shell = shell.in_folder(&self.folder);
        self.variables.iter().fold(shell, |shell, (name, value)| shell.env(name, value))
    }

    fn run(&self, command: &str) {
        let output = self.shell().args(["-euc", command]).run();
        assert_eq!(output.code, Some(0), "{}: {command}\n{output:?}", self.folder.display());
    }

    /// Writes the files of a page and runs its commands that begin so; how many these were. What begins
    /// otherwise must be known to be run elsewhere, by this: an unknown command would be one that nobody tries.
    fn read(&self, page: &Path, starts: &[&str], is_elsewhere: impl Fn(&str) -> bool) -> usize {
        let mut ran = 0;
        for (kind, text) in blocks(&std::fs::read_to_string(page).unwrap()) {
            let (first, rest) = text.split_once('\n').unwrap_or_default();
            let name = first.strip_prefix("# ").filter(|name| {
                kind == "yaml" && (name.ends_with(".yaml") || name.ends_with(".yml"))
            });
            if let Some(name) = name {
                let file = self.folder.join(name);
                std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                std::fs::write(file, rest).unwrap();
            }
            if kind != "sh" {
                assert!(!SHELLS.contains(&kind.as_str()), "{}: write `sh`", page.display());
                continue;
            }
            let text = text.replace("\\\n", "");
            for command in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                if starts.iter().any(|start| command.starts_with(start)) {
                    self.run(command);
                    ran += 1;
                } else {
                    assert!(is_elsewhere(command), "{}: nobody runs `{command}`", page.display());
                }
            }
        }
        ran
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn every_command_that_needs_nobody_else_works() {
    let Some(bench) = Workbench::with_image_syncer("delivery docs", &TOOLS) else { return };
    let mut not_here: Vec<_> = NOT_HERE.iter().map(|(page, start, _)| (*page, *start)).collect();
    for folder in ["docs/deploy", "docs/migrating"] {
        for page in std::fs::read_dir(project().join(folder)).unwrap() {
            let page = page.unwrap().path();
            let reader = Reader::of(&bench, &page);
            // What shards have left behind.
            std::fs::write(reader.folder.join("empty.yaml"), "images: []\n").unwrap();
            for shard in 0..3 {
                reader
                    .run(&format!("image-syncer sync -i empty.yaml --report report-{shard}.json"));
            }
            let name = page.file_stem().unwrap().to_str().unwrap();
            let is_of_a_cluster = PAGES_OF_A_CLUSTER.iter().any(|(page, _)| *page == name);
            let is_elsewhere = |command: &str| {
                let begins = |start: &&str| command.starts_with(*start);
                let of_this = NOT_HERE.iter().filter(|(page, ..)| *page == name);
                (is_of_a_cluster && IN_A_CLUSTER.iter().any(begins))
                    || of_this.map(|(_, start, _)| start).any(begins)
            };
            reader.read(&page, &ANYWHERE, is_elsewhere);
            let text = std::fs::read_to_string(&page).unwrap();
            not_here.retain(|(page, start)| *page != name || !text.contains(start));
        }
    }
    assert_eq!(not_here, [], "no page has them any more");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn every_command_for_a_cluster_works() {
    let tools = ["bash", "crds-argocd", "etcd", "helm", "kubernetes"];
    let Some(bench) = Workbench::with_image_syncer("delivery docs cluster", &tools) else { return };
    let cluster = Cluster::start(&bench);
    // ArgoCD is there already where its page begins.
    let definitions = PathBuf::from(bench.command("crds-argocd").get_program());
    assert_eq!(cluster.apply(&definitions, "default").code, Some(0));
    cluster.kubectl(&["create", "namespace", "argocd"]).succeed();
    cluster.wait("applications", |cluster| {
        (cluster.kubectl(&["get", "applications", "-A"]).run().code == Some(0)).then_some(())
    });
    for (name, expected) in PAGES_OF_A_CLUSTER {
        let page = project().join(format!("docs/deploy/{name}.md"));
        let mut reader = Reader::of(&bench, &page);
        reader.variables = vec![("KUBECONFIG", cluster.config()), ("HOME", reader.folder.clone())];
        let (bin, kubernetes) = (reader.folder.join("bin"), bench.command("kubernetes"));
        std::fs::create_dir(&bin).unwrap();
        let kubectl = format!("#!/bin/sh\nexec {:?} kubectl \"$@\"\n", kubernetes.get_program());
        std::fs::write(bin.join("kubectl"), kubectl).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join("kubectl"), executable).unwrap();
        let starts = [&["helm template ", "helm lint "][..], &IN_A_CLUSTER].concat();
        let is_elsewhere = |command: &str| ANYWHERE.iter().any(|start| command.starts_with(start));
        assert_eq!(reader.read(&page, &starts, is_elsewhere), expected, "{name}");
    }
    let [job] = &cluster.items("jobs", "image-sync")[..] else { panic!("one Job") };
    assert!(job["metadata"]["name"].as_str().unwrap().starts_with("mirror-image-syncer-"));
    // helm keeps what it installed in another.
    let secrets = cluster.items("secrets", "image-sync");
    assert!(secrets.iter().any(|secret| secret["metadata"]["name"] == "registry-login"));
    let [application] = &cluster.items("applications", "argocd")[..] else { panic!("one") };
    assert_eq!(application["metadata"]["name"], "image-sync");
}

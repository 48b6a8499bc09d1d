//! README and the guide, followed line by line: every command in them is run, in the order in which
//! a reader meets it, in one folder, with the lists that they show. A command or a host that is not
//! known here fails the test, so that nothing is documented and never tried.
//!
//! The lists keep their names. A `registries:` section, put below them, says that the hosts in them
//! are reached at registries of this test.

use std::path::{Path, PathBuf};

use oci::{Location, Reference};
use testkit::{Auth, Registry, image};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::program::{Program, add, held};

/// The key file of a service account, and what it is called in the guide.
const KEY: (&str, &str) = ("key.json", "{\"type\": \"service_account\"}\n");
/// The port that the documents listen on. A test takes a free one.
const PORT: &str = "127.0.0.1:5000";

/// Hosts in the documents, by what stands for them.
const SOURCES: [&str; 2] = ["docker.io", "quay.io"];
const TARGETS: [&str; 2] = ["registry.example.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com"];
const GOOGLE: &str = "europe-docker.pkg.dev";

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The fenced blocks of a document, in order.
fn blocks(document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block that does not end");
    blocks
}

/// The words of a command line without its comment.
fn words(line: &str) -> Vec<&str> {
    let command = line.split(" #").next().unwrap();
    let plain = |c: char| c.is_ascii_alphanumeric() || " ./:@-_".contains(c);
    assert!(command.chars().all(plain), "a shell would read more into `{line}` than this test");
    command.split_whitespace().collect()
}

/// Someone who follows a document.
struct Reader {
    program: Program,
    upstream: Registry,
    target: Registry,
    google: Registry,
}

impl Reader {
    async fn new() -> Self {
        let mut program = Program::new();
        copy(&repository().join("examples/images.yaml"), program.folder());
        copy(&repository().join("examples/source"), program.folder());
        program.file(KEY.0, KEY.1);
        // A host that is not one of those above is reached by nobody.
        let nowhere = "http://127.0.0.1:1";
        program.variable("HTTPS_PROXY", nowhere).variable("HTTP_PROXY", nowhere);
        let auth = Auth::basic("_json_key", KEY.1);
        Self {
            program,
            upstream: Registry::start().await,
            target: Registry::start().await,
            google: Registry::builder().auth(auth).start().await,
        }
    }

    /// Follows a document to its end; returns how many commands were run.
    async fn follow(&self, document: &str) -> usize {
        let mut commands = 0;
        for block in blocks(document) {
            match block.language.as_str() {
                "yaml" => self.take_list(&block.text).await,
                "sh" => {
                    for line in block.text.lines().filter(|line| !words(line).is_empty()) {
                        self.execute(&words(line)).await;
                        commands += 1;
                    }
                }
                other => panic!("{document}: nobody knows what to do with a block of `{other}`"),
            }
        }
        commands
    }

    /// Makes a list of the document `images.yaml`, and its sources. Only the digests in it, which
    /// are those of content that is not here, become those of the made-up images.
    async fn take_list(&self, list: &str) {
        self.program.file("images.yaml", list);
        self.run(&["check", "images.yaml"]).await;
        let mut prepared = list.to_owned();
        let sources = list.lines().filter_map(|line| line.split_once("source: \""));
        for (seed, (_, rest)) in (1..).zip(sources) {
            let reference: Reference = rest.split('"').next().unwrap().parse().unwrap();
            let Location::Registry { host, repository } = &reference.location else {
                panic!("nobody knows how to make `{reference}`");
            };
            assert!(SOURCES.contains(&host.as_str()), "nobody knows how to reach `{reference}`");
            let made = image::with_attestations(seed);
            let tag = reference.tag.map_or_else(|| "untagged".to_owned(), |tag| tag.to_string());
            add(&self.upstream, repository.as_str(), &tag, &made).await;
            if let Some(digest) = &reference.digest {
                prepared = prepared.replace(&digest.to_string(), &made.digest().to_string());
            }
        }
        prepared += "registries:\n";
        let sources = SOURCES.map(|host| (host, &self.upstream));
        let targets = TARGETS.map(|host| (host, &self.target));
        for (host, registry) in sources.into_iter().chain(targets).chain([(GOOGLE, &self.google)]) {
            prepared += &format!("  {host}: {{ endpoint: \"{}\" }}\n", registry.url());
        }
        self.program.file("images.yaml", prepared);
    }

    /// Runs a command; anything but success fails the test.
    async fn execute(&self, words: &[&str]) {
        match words {
            ["cargo", "run", "--release", "--", "serve", rest @ ..]
            | ["image-syncer", "serve", rest @ ..] => self.serve(rest).await,
            ["cargo", "run", "--release", "--", rest @ ..] | ["image-syncer", rest @ ..] => {
                self.run(rest).await;
            }
            // What runs this test.
            ["cargo", "test", "--workspace"] => {}
            // skopeo itself runs in tests/interop.
            ["skopeo", "inspect", place] => {
                let reference: Reference = place.parse().unwrap();
                let Location::Layout(folder) = reference.location else {
                    panic!("`{place}` is not a layout");
                };
                let layout = self.program.layout(folder.to_str().unwrap());
                let found = layout.resolve(&reference.tag.unwrap().into()).await.unwrap();
                assert!(found.is_some(), "{place} is not there");
            }
            other => panic!("nobody knows how to try `{}`", other.join(" ")),
        }
    }

    async fn run(&self, arguments: &[&str]) {
        let done = self.program.run(arguments).await;
        assert_eq!(done.code, Some(0), "`image-syncer {}`\n{done}", arguments.join(" "));
    }

    /// Starts a server, pulls something from it, and ends it.
    async fn serve(&self, arguments: &[&str]) {
        assert!(arguments.contains(&PORT), "{arguments:?} takes a port that may not be free");
        let free = arguments.iter().map(|word| if *word == PORT { "127.0.0.1:0" } else { word });
        let arguments: Vec<&str> = ["serve"].into_iter().chain(free).collect();
        let mut child = self.program.start(&arguments);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
        let (_, host) = line.trim().split_once("http://").unwrap();

        let served = self.program.folder().join(arguments[1]);
        let repository = first_repository(&served).unwrap();
        let tag = layout::Layout::at(&repository).tags().await.unwrap().remove(0);
        let name = repository.strip_prefix(&served).unwrap().display();
        let pulled = format!("oci-archive:pulled-{}.tar", host.replace(':', "-"));
        self.run(&["copy", &format!("{host}/{name}:{tag}"), &pulled]).await;

        let id = child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        let done = self.program.end(child).await;
        assert_eq!(done.code, Some(0), "`image-syncer {}`\n{done}", arguments.join(" "));
    }

    /// Ends the test unless the target has this, `REPOSITORY:TAG`.
    async fn expect(&self, registry: &Registry, name: &str) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        assert!(held(registry, repository, tag).await.is_some(), "{name} is not there");
    }
}

/// The first layout at or below a folder.
fn first_repository(folder: &Path) -> Option<PathBuf> {
    if folder.join("oci-layout").is_file() {
        return Some(folder.to_owned());
    }
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().find_map(|entry| first_repository(entry))
}

/// Copies a file or a folder into `examples` of another folder.
fn copy(from: &Path, to: &Path) {
    fn below(from: &Path, to: &Path) {
        if from.is_file() {
            std::fs::copy(from, to).unwrap();
            return;
        }
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            below(&entry.path(), &to.join(entry.file_name()));
        }
    }
    let examples = to.join("examples");
    std::fs::create_dir_all(&examples).unwrap();
    below(from, &examples.join(from.file_name().unwrap()));
}

#[tokio::test]
async fn the_readme() {
    let reader = Reader::new().await;
    assert!(reader.follow("README.md").await >= 7);
    for name in [
        "mirror/library/nginx:1.27",
        "mirror/library/postgres:16",
        "mirror/library/busybox:1.32.0-v1",
        "org/agent:3",
    ] {
        reader.expect(&reader.target, name).await;
    }
    assert!(reader.program.folder().join("examples/mirror/team/hello/oci-layout").is_file());
}

#[tokio::test]
async fn the_guide() {
    let reader = Reader::new().await;
    assert!(reader.follow("docs/getting-started.md").await >= 8);
    for name in ["mirror/library/nginx:1.27", "mirror/quay.io/prometheus/prometheus:v3.1.0"] {
        reader.expect(&reader.target, name).await;
        reader.expect(&reader.google, &format!("project/{name}")).await;
    }
}

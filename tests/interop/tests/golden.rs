//! The golden set, images of every shape that a closure can have, goes through every ordered pair of four
//! registries and is compared node by node with tools that are not ours: regctl reads every manifest and
//! blob and lists referrers, crane reads manifests and tags, cosign verifies signatures.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use interop::{Golden, Kind, Nodes, Run, Server, Workbench};

const TOOLS: [&str; 10] = [
    "crane",
    "regctl",
    "cosign",
    "cosign2",
    "skopeo",
    "buildah",
    "htpasswd",
    "docker-registry",
    "distribution3",
    "ggcr-registry",
];

const KINDS: [Kind; 4] =
    [Kind::DockerRegistry, Kind::Distribution3, Kind::GoContainerregistry, Kind::Serve];

/// What a registry does with an image of the set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Holds {
    /// Has all of it, under its own digest.
    Whole,
    /// Has all of it; but its tag stands for the SHA-256 digest of the manifest.
    BySha256,
    /// Does not take it, and says so with this code.
    Nothing(&'static str),
}

/// The whole table of exceptions: all else is held whole. What is an exception here regctl cannot push
/// either.
fn holds(kind: Kind, name: &str) -> Holds {
    match (kind, name) {
        // They take blobs by SHA-512, and refuse manifests by it with DIGEST_INVALID.
        (Kind::DockerRegistry | Kind::Distribution3, "sha512") => Holds::BySha256,
        // It answers a push by SHA-512 with the SHA-256 digest, and knows no `?tag=`.
        (Kind::GoContainerregistry, "sha512") => Holds::BySha256,
        // It looks for the children of an index among manifests only, and these are blobs.
        (Kind::Distribution3, "cache") => Holds::Nothing("MANIFEST_BLOB_UNKNOWN"),
        _ => Holds::Whole,
    }
}

/// One registry with the golden set in it, below a path.
struct Holder<'a> {
    bench: &'a Workbench,
    golden: &'a Golden,
    server: &'a Server,
    path: String,
}

impl Holder<'_> {
    fn repository(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.server.host(), self.path)
    }

    fn regctl(&self, arguments: &[&str]) -> String {
        self.bench.regctl(&[self.server]).args(arguments).succeed()
    }

    /// Whether regctl can push an image of the set, with everything that belongs to it.
    fn push(&self, name: &str) -> bool {
        let (layout, target) = (self.golden.layout(name), format!("{}:1", self.repository(name)));
        let copy = ["image", "copy", "--referrers", "--digest-tags", &layout, &target];
        self.bench.regctl(&[self.server]).args(copy).run().code == Some(0)
    }

    /// That the registry has this, everything that belongs to it, and nothing else.
    fn expect(&self, name: &str) {
        let repository = self.repository(name);
        let shown = format!("{name} at {} ({})", self.server.kind().program(), self.path);
        let expected = match holds(self.server.kind(), name) {
            Holds::Whole => self.golden.nodes(name),
            Holds::BySha256 => self.golden.nodes(name).with_tags_by_sha256(),
            Holds::Nothing(_) => {
                let digest = self.bench.tool("crane").args(["digest", &format!("{repository}:1")]);
                assert_ne!(digest.run().code, Some(0), "{shown}");
                return;
            }
        };

        // Every node's bytes. regctl checks each against its digest.
        let folder = self.bench.folder().join(format!("pulled/{}/{name}", self.path));
        let (tag, layout) = (format!("{repository}:1"), format!("ocidir://{}:1", folder.display()));
        self.regctl(&["image", "copy", "--referrers", "--digest-tags", &tag, &layout]);
        let found = Nodes::of(&folder);
        let names = |nodes: &Nodes| nodes.content.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "nodes of {shown}");
        assert!(found == expected, "{shown}: other content, tags or referrers");

        // The same from others: the tags, what each stands for, and who refers to whom.
        let tags = self.bench.crane(["ls", &repository]);
        // go-containerregistry's takes a SHA-512 digest for a tag.
        let is_own = |tag: &&str| !is_fallback_tag(tag) && !tag.contains(':');
        let tags: BTreeSet<&str> = tags.lines().filter(is_own).collect();
        let known: BTreeSet<&str> = expected.tags.keys().map(String::as_str).collect();
        assert_eq!(tags, known, "tags of {shown}");
        for (tag, digest) in &expected.tags {
            let name = format!("{repository}:{tag}");
            assert_eq!(self.bench.crane(["digest", &name]), *digest, "{tag} of {shown}");
        }
        let format = "{{range .Descriptors}}{{println .Digest}}{{end}}";
        for (subject, referrers) in &expected.referrers {
            let subject = format!("{repository}@{subject}");
            let listed = self.regctl(&["artifact", "list", &subject, "--format", format]);
            let listed: BTreeSet<String> = listed.split_whitespace().map(str::to_owned).collect();
            assert_eq!(listed, *referrers, "referrers of {subject} of {shown}");
        }
    }

    /// That both versions of cosign verify what they signed, and see what belongs to it.
    fn expect_signed(&self) {
        let key = self.golden.key();
        let cosign = |tool: &str, arguments: &[&str]| {
            self.bench.tool(tool).args(arguments).succeed();
        };
        let (signed, bundled) = (
            format!("{}:1", self.repository("signed")),
            format!("{}:1", self.repository("bundled")),
        );
        let offline = ["--insecure-ignore-tlog=true", "--key", key.to_str().unwrap()];
        let custom = [&offline[..], &["--type", "custom"]].concat();
        let nodes = self.golden.nodes("signed");
        let of_children = nodes.tags.keys().filter_map(|tag| tag.strip_suffix(".sig"));
        for digest in of_children {
            let child = format!("{}@{}", self.repository("signed"), digest.replacen('-', ":", 1));
            cosign("cosign2", &[&["verify", &child], &offline[..]].concat());
        }
        cosign("cosign", &[&["verify", &signed], &offline[..]].concat());
        cosign("cosign2", &[&["verify-attestation", &signed], &custom[..]].concat());
        cosign("cosign", &[&["verify", &bundled], &offline[..]].concat());
        cosign("cosign", &[&["verify-attestation", &bundled], &custom[..]].concat());
        let tree = self.bench.tool("cosign").args(["tree", &signed]).succeed();
        assert!(["Signatures", "Attestations"].iter().all(|kind| tree.contains(kind)), "{tree}");
    }
}

/// A tag that lists referrers where there is no API.
fn is_fallback_tag(tag: &str) -> bool {
    let hex = tag.strip_prefix("sha256-").unwrap_or_default();
    hex.len() == 64 && hex.chars().all(|digit| digit.is_ascii_hexdigit())
}

fn through_every_target(from: Kind) {
    let suite = format!("golden {}", from.program());
    let Some(bench) = Workbench::with_image_syncer(&suite, &TOOLS) else { return };
    let golden = bench.golden();
    let server = bench.start(from);
    let source =
        Holder { bench: &bench, golden: &golden, server: &server, path: "golden".to_owned() };
    let mut names = Vec::new();
    for name in Golden::NAMES {
        let whole = holds(from, name) == Holds::Whole;
        assert_eq!(source.push(name), whole, "regctl pushes {name} to {}", from.program());
        // What the source has not under its own digest is not the golden image any more.
        if whole {
            source.expect(name);
            names.push(name);
        }
    }
    source.expect_signed();
    for to in KINDS {
        let server = bench.start(to);
        let path = format!("from/{}", from.program());
        let target = Holder { bench: &bench, golden: &golden, server: &server, path };
        arrives(&source, &target, &names);
    }
}

fn arrives(source: &Holder<'_>, target: &Holder<'_>, names: &[&str]) {
    let bench = source.bench;
    let entries: Vec<String> = names
        .iter()
        .map(|name| {
            let (from, to) = (source.repository(name), target.repository(name));
            format!("- source: \"{from}:1\"\n  destination: \"{to}:1\"")
        })
        .collect();
    let list = bench.list(&entries.join("\n"), &[source.server, target.server]);
    let refused = |name: &str| matches!(holds(target.server.kind(), name), Holds::Nothing(_));
    let code = i32::from(names.iter().any(|name| refused(name)));
    let sync = || -> Run {
        let run = bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]);
        run.args(["--referrers-required", "--output", "json"]).run().expect_code(code)
    };
    let expect_outcome = |run: &Run, outcome: &str| {
        for name in names {
            let item = run.item(&format!("{}:1", target.repository(name)));
            let expected = if refused(name) { "failed" } else { outcome };
            assert_eq!(item.text("outcome"), expected, "{name}: {}", run.stdout);
            if let Holds::Nothing(why) = holds(target.server.kind(), name) {
                let message = item.text("error.message");
                assert!(message.contains(why), "{name}: {message}");
            }
        }
    };
    expect_outcome(&sync(), "copied");
    for name in names {
        target.expect(name);
    }
    target.expect_signed();

    bench.forget_requests(target.server);
    expect_outcome(&sync(), "up-to-date");
    let mut requests = bench.requests(target.server);
    assert!(!requests.is_empty(), "the log has what was asked");
    requests.retain(interop::Request::is_write);
    // What was refused is tried again.
    requests.retain(|write| !names.iter().any(|name| refused(name) && write.path.contains(name)));
    assert!(requests.is_empty(), "{requests:#?}");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_docker_registry() {
    through_every_target(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_distribution3() {
    through_every_target(Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_go_containerregistry() {
    through_every_target(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_image_syncer_serve() {
    through_every_target(Kind::Serve);
}

//! Real cosign verifies what image-syncer signed, in every registry and form, and image-syncer copies
//! what real cosign signed, and nothing else where that is demanded.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use interop::{Kind, Layout, Request, Server, Workbench};

const TOOLS: [&str; 8] = [
    "cosign",
    "cosign2",
    "crane",
    "buildah",
    "htpasswd",
    "docker-registry",
    "distribution3",
    "ggcr-registry",
];

const PASSWORD: &str = "a password";

/// A source, a target, an image in the source, and keys of cosign's.
struct Setting {
    bench: Workbench,
    source: Server,
    target: Server,
    image: Layout,
}

impl Setting {
    fn new(name: &str, source: Kind, target: Kind) -> Option<Self> {
        let name = format!("signatures {name} {} {}", source.program(), target.program());
        let bench = Workbench::with_image_syncer(&name, &TOOLS)?;
        let (source, target) = (bench.start(source), bench.start(target));
        let image = bench.images().index_with_attestations();
        bench.push(&image, &format!("{}/team/app:1", source.host()));
        let setting = Self { bench, source, target, image };
        for key in ["ours", "theirs"] {
            let prefix = setting.file(key);
            setting.cosign("cosign2", &["generate-key-pair", "--output-key-prefix", text(&prefix)]);
        }
        Some(setting)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.bench.folder().join(name)
    }

    fn source(&self) -> String {
        format!("{}/team/app", self.source.host())
    }

    fn target(&self) -> String {
        format!("{}/mirror/app", self.target.host())
    }

    fn run_cosign(&self, tool: &str, arguments: &[&str]) -> Option<String> {
        let output = self
            .bench
            .tool(tool)
            .env("HOME", self.bench.folder())
            .env("TUF_ROOT", self.bench.folder().join("tuf"))
            .env("COSIGN_PASSWORD", PASSWORD)
            .args(arguments)
            .run();
        (output.code != Some(0)).then_some(output.stderr)
    }

    #[track_caller]
    fn cosign(&self, tool: &str, arguments: &[&str]) {
        let problem = self.run_cosign(tool, arguments);
        assert_eq!(problem, None, "{tool} {arguments:?}");
    }

    fn verify(&self, tool: &str, key: &str, reference: &str) -> Option<String> {
        let key = self.file(&format!("{key}.pub"));
        let arguments = ["verify", "--insecure-ignore-tlog", "--key", text(&key), reference];
        self.run_cosign(tool, &arguments)
    }

    /// Runs a command over a list of the one image, with more lines at its top and in the entry.
    #[track_caller]
    fn run(&self, command: &str, top: &str, code: i32) -> interop::Item {
        let entry = format!(
            "- source: \"{}:1\"\n  destination: \"{}:1\"\n{top}",
            self.source(),
            self.target()
        );
        let list = self.bench.list(&entry, &[&self.source, &self.target]);
        self.bench
            .image_syncer()
            .env("COSIGN_PASSWORD", PASSWORD)
            .args([command, "-i", text(&list), "--output", "json"])
            .run()
            .expect_code(code)
            .item(&format!("{}:1", self.target()))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Signs in each form, and lets both versions of cosign judge it.
fn is_verified(kind: Kind) {
    for (format, judges) in
        [("legacy", &["cosign", "cosign2"][..]), ("bundle", &["cosign"]), ("both", &["cosign"])]
    {
        let Some(setting) = Setting::new(format, Kind::Distribution3, kind) else { return };
        let top = format!(
            "kmsKey: ours.key\nsign: true\nsignRecursively: true\nsignatureFormat: {format}"
        );
        let item = setting.run("sync", &top, 0);
        assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
        let root = format!("{}@{}", setting.target(), setting.image.digest());
        let index = setting.bench.crane(["manifest", &root]);
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let children = index["manifests"].as_array().unwrap().iter();
        let children = children.map(|child| child["digest"].as_str().unwrap());
        let children = children.map(|child| format!("{}@{child}", setting.target()));
        for reference in children.chain([root, format!("{}:1", setting.target())]) {
            for judge in judges {
                let problem = setting.verify(judge, "ours", &reference);
                assert_eq!(problem, None, "{format}: {judge} of {reference}");
                let problem = setting.verify(judge, "theirs", &reference);
                assert!(problem.is_some(), "{format}: {judge} takes another key's for {reference}");
            }
        }
        setting.bench.forget_requests(&setting.target);
        let item = setting.run("sync", &top, 0);
        let states = (item.text("outcome"), item.text("signature.state"));
        assert_eq!(states, both("up-to-date", "present"), "{format}");
        let requests = setting.bench.requests(&setting.target);
        assert!(!requests.iter().any(Request::is_write), "{format}: {requests:#?}");
        let item = setting.run("verify", &top, 0);
        assert_eq!(item.text("signature.state"), "present");
    }
}

/// What cosign signed at the source is copied, and stays valid beside ours.
fn is_believed(kind: Kind) {
    for (tool, flags) in [
        ("cosign2", &["--tlog-upload=false"][..]),
        ("cosign", &["--tlog-upload=false", "--use-signing-config=false"]),
    ] {
        let Some(setting) = Setting::new(tool, kind, Kind::Distribution3) else { return };
        let demand =
            |key: &str| format!("verify:\n- source: \"{}\"\n  keys: [{key}.pub]", setting.source());
        let refused = |item: &interop::Item, why: &str| {
            assert_eq!(item.text("outcome"), "refused");
            let message = item.text("error.message");
            assert!(message.contains(why), "{message}");
        };
        refused(&setting.run("sync", &demand("theirs"), 5), "has no signature");
        let reference = format!("{}@{}", setting.source(), setting.image.digest());
        let key = setting.file("theirs.key");
        let sign = [&["sign", "--yes", "--key", text(&key)], flags, &[reference.as_str()]].concat();
        setting.cosign(tool, &sign);
        refused(&setting.run("sync", &demand("ours"), 5), "no signature by somebody trusted");
        assert!(
            setting.bench.tool("crane").args(["digest", &setting.target()]).run().code != Some(0)
        );
        let top = format!("{}\nkmsKey: ours.key\nsign: true", demand("theirs"));
        let item = setting.run("sync", &top, 0);
        assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
        let copy = format!("{}@{}", setting.target(), setting.image.digest());
        // With a bundle beside it, cosign does not look at the tag of signatures.
        let judged = if tool == "cosign" { &["theirs"][..] } else { &["theirs", "ours"] };
        for key in judged {
            assert_eq!(setting.verify("cosign", key, &copy), None, "{tool}: {key}");
        }
    }
}

/// The statement about the mirroring, as cosign sees it: valid by our key, of that type, and of no
/// other.
fn is_attested(kind: Kind) {
    let Some(setting) = Setting::new("attested", Kind::Distribution3, kind) else { return };
    let top = "kmsKey: ours.key\nsign: true\nattest: true";
    let item = setting.run("sync", top, 0);
    assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
    let copy = format!("{}@{}", setting.target(), setting.image.digest());
    let judged = |key: &str, predicate_type: &str| {
        let key = setting.file(&format!("{key}.pub"));
        let arguments = [
            &["verify-attestation", "--insecure-ignore-tlog", "--type", predicate_type][..],
            &["--key", text(&key), &copy],
        ];
        setting.run_cosign("cosign", &arguments.concat())
    };
    let mirroring = "urn:image-syncer:mirroring:v1";
    assert_eq!(judged("ours", mirroring), None);
    assert!(judged("theirs", mirroring).is_some(), "another key's");
    assert!(judged("ours", "https://slsa.dev/provenance/v1").is_some(), "of another type");
    setting.bench.forget_requests(&setting.target);
    setting.run("sync", top, 0);
    let requests = setting.bench.requests(&setting.target);
    assert!(!requests.iter().any(Request::is_write), "{requests:#?}");
}

fn both(outcome: &str, state: &str) -> (String, String) {
    (outcome.to_owned(), state.to_owned())
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn in_docker_registry() {
    is_verified(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn in_distribution3() {
    is_verified(Kind::Distribution3);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn in_go_containerregistry() {
    is_verified(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn in_serve() {
    is_verified(Kind::ServeSecured);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn statements_with_the_referrers_api_and_without() {
    [Kind::Distribution3, Kind::ServeSecured].into_iter().for_each(is_attested);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn from_registries_with_the_referrers_api_and_without() {
    [Kind::DockerRegistry, Kind::ServeSecured].into_iter().for_each(is_believed);
}

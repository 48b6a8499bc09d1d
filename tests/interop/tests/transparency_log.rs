//! What image-syncer signs and a transparency log is told of, real cosign verifies without being told
//! to ignore the log; and a log that lies gets nothing published. The log is that of
//! `tests/tools/virtual-sigstore`: Rekor's own code decides there what an entry is and how it is kept.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::ops::Deref;
use std::path::Path;

use interop::{KEY_PASSWORD, Kind, Listening, Mirroring, Request, Workbench, text};

const TOOLS: [&str; 8] = [
    "cosign",
    "cosign2",
    "crane",
    "buildah",
    "htpasswd",
    "distribution3",
    "ggcr-registry",
    "virtual-sigstore",
];

/// An image in a source, a log, and keys.
struct Setting {
    mirroring: Mirroring,
    log: Listening,
}

impl Deref for Setting {
    type Target = Mirroring;

    fn deref(&self) -> &Mirroring {
        &self.mirroring
    }
}

/// How cosign is told of the log.
#[derive(Clone, Copy, Debug)]
enum By {
    TrustedRoot,
    Key,
}

impl Setting {
    fn new(name: &str) -> Option<Self> {
        let bench = Workbench::with_image_syncer(&format!("transparency log {name}"), &TOOLS)?;
        let kind = Kind::Distribution3;
        let image = bench.images().small("amd64", "single");
        let mirroring = Mirroring::new(bench, kind, kind, image);
        mirroring.make_keys("ours");
        let log = mirroring.start_log("log", &[]);
        Some(Self { mirroring, log })
    }

    /// Lets cosign judge the copy by our key and a log, and ignore nothing.
    fn judged(&self, tool: &str, by: By, log: &str, verb: &[&str]) -> Option<String> {
        let key = self.file("ours.pub");
        let (root, rekor) =
            (self.file(log).join("trusted_root.json"), self.file(log).join("rekor.pub"));
        let copy = self.copy();
        let mut arguments = [verb, &["--key", text(&key)]].concat();
        let env = match by {
            By::TrustedRoot => {
                arguments.extend(["--trusted-root", text(&root)]);
                Vec::new()
            }
            By::Key => vec![("SIGSTORE_REKOR_PUBLIC_KEY", rekor.as_path())],
        };
        arguments.push(&copy);
        self.try_cosign(tool, &env, &arguments)
    }

    /// What a sync file says to sign in this form and tell the log.
    fn top(&self, format: &str) -> String {
        format!("{}\nrekorUrl: \"{}\"\nrekorKey: log/rekor.pub", signing(format), self.log.url)
    }

    /// What the log was asked, a line each, since this was asked before.
    fn asked(&self) -> Vec<String> {
        let file = self.file("log/requests");
        let lines = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(file);
        lines.lines().map(str::to_owned).collect()
    }

    fn lie(&self, lie: &str) {
        std::fs::write(self.file("log/lie"), lie).unwrap();
    }
}

fn signing(format: &str) -> String {
    format!("kmsKey: ours.key\nsign: true\nsignatureFormat: {format}")
}

const POST: &str = "POST /api/v1/log/entries";

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn cosign_verifies_without_ignoring_the_log() {
    let judges: [(&str, &[(&str, By)]); 2] = [
        ("legacy", &[("cosign", By::TrustedRoot), ("cosign2", By::Key)]),
        ("bundle", &[("cosign", By::TrustedRoot)]),
    ];
    for (format, judges) in judges {
        let Some(setting) = Setting::new(format) else { return };
        let _other = setting.start_log("other", &[]);
        let item = setting.run("sync", &setting.top(format), 0);
        assert_eq!(item.text("signature.state"), "signed", "{format}");
        assert_eq!(setting.asked(), [POST], "{format}");
        for (tool, by) in judges {
            let problem = setting.judged(tool, *by, "log", &["verify"]);
            assert_eq!(problem, None, "{format}: {tool} {by:?}");
            let problem = setting.judged(tool, *by, "other", &["verify"]);
            assert!(problem.is_some(), "{format}: {tool} {by:?} believes another log");
        }
        setting.bench.forget_requests(&setting.target);
        for command in ["sync", "verify"] {
            let item = setting.run(command, &setting.top(format), 0);
            assert_eq!(item.text("signature.state"), "present", "{format}: {command}");
        }
        let requests = setting.bench.requests(&setting.target);
        assert!(!requests.iter().any(Request::is_write), "{format}: {requests:#?}");
        assert_eq!(setting.asked(), [""; 0], "{format}: a second run asks the log");
    }
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn statements_about_the_mirroring_are_logged_too() {
    let Some(setting) = Setting::new("attest") else { return };
    let top = format!("{}\nattest: true", setting.top("legacy"));
    setting.run("sync", &top, 0);
    assert_eq!(setting.asked(), [POST, POST]);
    let verb = ["verify-attestation", "--type", "urn:image-syncer:mirroring:v1"];
    assert_eq!(setting.judged("cosign", By::TrustedRoot, "log", &verb), None);
    setting.run("sync", &top, 0);
    assert_eq!(setting.asked(), [""; 0]);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn what_was_signed_before_is_logged_later() {
    for format in ["legacy", "bundle"] {
        let Some(setting) = Setting::new(&format!("later {format}")) else { return };
        setting.run("sync", &signing(format), 0);
        let problem = setting.judged("cosign", By::TrustedRoot, "log", &["verify"]);
        assert!(problem.is_some(), "{format}: cosign demands the log");
        let item = setting.run("verify", &setting.top(format), 5);
        let message = item.text("error.message");
        assert!(message.contains("is not in the log"), "{format}: {message}");
        let item = setting.run("sync", &setting.top(format), 0);
        assert_eq!(item.text("signature.state"), "signed", "{format}");
        assert_eq!(setting.judged("cosign", By::TrustedRoot, "log", &["verify"]), None, "{format}");
        // Nobody wants the log: what is logged counts as well.
        let item = setting.run("sync", &signing(format), 0);
        assert_eq!(item.text("signature.state"), "present", "{format}");
    }
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn a_log_that_lies_gets_nothing_published() {
    for format in ["legacy", "bundle"] {
        let Some(setting) = Setting::new(&format!("lies {format}")) else { return };
        let _other = setting.start_log("other", &[]);
        let refused = |top: &str, why: &str| {
            let item = setting.run("sync", top, 1);
            assert_eq!(item.text("outcome"), "failed", "{format}: {why}");
            let message = item.text("error.message");
            assert!(message.contains(why) && message.contains(&setting.log.url), "{message}");
            assert_eq!(setting.tags(), [""; 0], "{format}: {why}");
        };
        let lies = [
            ("body", "its entry is not what it was told"),
            ("promise", "its promise is not signed"),
            ("proof", "its proof does not show the entry"),
            ("down", "answered 503"),
        ];
        for (lie, why) in lies {
            setting.lie(lie);
            refused(&setting.top(format), why);
        }
        std::fs::remove_file(setting.file("log/lie")).unwrap();
        let other = setting.top(format).replace("log/rekor.pub", "other/rekor.pub");
        refused(&other, "it names a log of which no key is known");
        // An answer that got lost is had by the entry's name.
        setting.asked();
        setting.lie("lost");
        let item = setting.run("sync", &setting.top(format), 0);
        assert_eq!(item.text("signature.state"), "signed");
        let asked = setting.asked();
        let [first, second, third] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!((first.as_str(), second.as_str()), (POST, POST));
        assert!(third.starts_with("GET /api/v1/log/entries/"), "{third}");
        assert_eq!(setting.judged("cosign", By::TrustedRoot, "log", &["verify"]), None, "{format}");
    }
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn an_ed25519_key_logs_bundles_and_nothing_else() {
    let Some(setting) = Setting::new("ed25519") else { return };
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/signing/samples");
    for ending in ["key", "pub"] {
        let sample = samples.join(format!("ed25519.{ending}"));
        std::fs::copy(sample, setting.file(&format!("ours.{ending}"))).unwrap();
    }
    for format in ["legacy", "both"] {
        let item = setting.run("sync", &setting.top(format), 1);
        let message = item.text("error.message");
        assert!(message.contains("takes no simple signing of a key Ed25519"), "{message}");
        assert_eq!(setting.tags(), [""; 0]);
    }
    assert_eq!(setting.asked(), [""; 0]);
    setting.run("sync", &setting.top("bundle"), 0);
    assert_eq!(setting.judged("cosign", By::TrustedRoot, "log", &["verify"]), None);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn single_images_are_logged_by_flags_and_cosigns_own_variable() {
    let Some(setting) = Setting::new("single") else { return };
    setting.run("sync", "", 0);
    let list = setting.bench.list(
        "- source: \"example.com/none:1\"\n  destination: \"example.com/none:2\"",
        &[&setting.target],
    );
    let copy = setting.copy();
    setting
        .bench
        .image_syncer()
        .env("COSIGN_PASSWORD", KEY_PASSWORD)
        .env("SIGSTORE_REKOR_PUBLIC_KEY", setting.file("log/trusted_root.json"))
        .args(["sign", &copy, "-k", "ours.key", "--rekor-url", &setting.log.url, "-i", text(&list)])
        .run()
        .expect_code(0);
    assert_eq!(setting.asked(), [POST]);
    assert_eq!(setting.judged("cosign2", By::Key, "log", &["verify"]), None);
}

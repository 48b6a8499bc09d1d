//! Real cosign verifies what image-syncer signed, in every registry and form, and image-syncer copies
//! what real cosign signed, and nothing else where that is demanded.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::{Kind, Mirroring, Request, Workbench, digest_of, text};
use serde_json::Value;

const TOOLS: [&str; 9] = [
    "cosign",
    "cosign2",
    "crane",
    "buildah",
    "git",
    "htpasswd",
    "docker-registry",
    "distribution3",
    "ggcr-registry",
];

/// An index with attestations in the source, and two pairs of keys of cosign's.
fn set_up(name: &str, source: Kind, target: Kind) -> Option<Mirroring> {
    let name = format!("signatures {name} {} {}", source.program(), target.program());
    let bench = Workbench::with_image_syncer(&name, &TOOLS)?;
    let image = bench.images().index_with_attestations();
    let setting = Mirroring::new(bench, source, target, image);
    ["ours", "theirs"].into_iter().for_each(|key| setting.make_keys(key));
    Some(setting)
}

/// What a cosign says against a signature by this key.
fn verify(setting: &Mirroring, tool: &str, key: &str, reference: &str) -> Option<String> {
    let key = setting.file(&format!("{key}.pub"));
    let arguments = ["verify", "--insecure-ignore-tlog", "--key", text(&key), reference];
    setting.try_cosign(tool, &[], &arguments)
}

/// Signs in each form, and lets both versions of cosign judge it.
fn is_verified(kind: Kind) {
    for (format, judges) in
        [("legacy", &["cosign", "cosign2"][..]), ("bundle", &["cosign"]), ("both", &["cosign"])]
    {
        let Some(setting) = set_up(format, Kind::Distribution3, kind) else { return };
        let top = format!(
            "kmsKey: ours.key\nsign: true\nsignRecursively: true\nsignatureFormat: {format}"
        );
        let item = setting.run("sync", &top, 0);
        assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
        let index = setting.bench.crane(["manifest", &setting.copy()]);
        let index: Value = serde_json::from_str(&index).unwrap();
        let children = index["manifests"].as_array().unwrap().iter();
        let children = children.map(|child| child["digest"].as_str().unwrap().to_owned());
        let signed: BTreeSet<String> = children.chain([setting.image.digest()]).collect();
        let none = BTreeSet::new();
        let (legacy, bundles) = match format {
            "legacy" => (&signed, &none),
            "bundle" => (&none, &signed),
            _ => (&signed, &signed),
        };
        setting.expect_order(legacy, bundles);
        let copies = signed.iter().map(|digest| format!("{}@{digest}", setting.target()));
        for reference in copies.chain([format!("{}:1", setting.target())]) {
            for judge in judges {
                let problem = verify(&setting, judge, "ours", &reference);
                assert_eq!(problem, None, "{format}: {judge} of {reference}");
                let problem = verify(&setting, judge, "theirs", &reference);
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
        let Some(setting) = set_up(tool, kind, Kind::Distribution3) else { return };
        let demand =
            |key: &str| format!("verify:\n- source: \"{}\"\n  keys: [{key}.pub]", setting.source());
        let refused = |item: &interop::Item, why: &str| {
            assert_eq!(item.text("outcome"), "refused");
            let message = item.text("error.message");
            assert!(message.contains(why), "{message}");
        };
        refused(&setting.run("sync", &demand("theirs"), 5), "has no signature");
        let reference = setting.original();
        let key = setting.file("theirs.key");
        let sign = [&["sign", "--yes", "--key", text(&key)], flags, &[reference.as_str()]].concat();
        setting.cosign(tool, &[], &sign);
        refused(&setting.run("sync", &demand("ours"), 5), "no signature by somebody trusted");
        assert_eq!(setting.tags(), [""; 0]);
        let top = format!("{}\nkmsKey: ours.key\nsign: true", demand("theirs"));
        let item = setting.run("sync", &top, 0);
        assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
        let copy = setting.copy();
        // With a bundle beside it, cosign does not look at the tag of signatures.
        let judged = if tool == "cosign" { &["theirs"][..] } else { &["theirs", "ours"] };
        for key in judged {
            assert_eq!(verify(&setting, "cosign", key, &copy), None, "{tool}: {key}");
        }
    }
}

/// The statement about the mirroring, as cosign sees it: valid by our key, of that type, and of no
/// other.
fn is_attested(kind: Kind, in_git: bool) {
    let Some(setting) = set_up("attested", Kind::Distribution3, kind) else { return };
    let revision = in_git.then(|| committed(&setting));
    let top = "kmsKey: ours.key\nsign: true\nattest: true";
    let item = setting.run("sync", top, 0);
    assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
    let root = BTreeSet::from([setting.image.digest()]);
    setting.expect_order(&root, &root);
    let copy = setting.copy();
    let judged = |key: &str, predicate_type: &str| {
        let key = setting.file(&format!("{key}.pub"));
        let arguments = [
            &["verify-attestation", "--insecure-ignore-tlog", "--type", predicate_type][..],
            &["--key", text(&key), &copy],
        ];
        setting.try_cosign("cosign", &[], &arguments.concat())
    };
    let mirroring = "urn:image-syncer:mirroring:v1";
    assert_eq!(judged("ours", mirroring), None);
    assert!(judged("theirs", mirroring).is_some(), "another key's");
    assert!(judged("ours", "https://slsa.dev/provenance/v1").is_some(), "of another type");
    let said = stated(&setting, mirroring);
    let digest = setting.image.digest();
    for (side, name) in [("source", setting.source()), ("target", setting.target())] {
        assert_eq!(said[side]["digest"], digest, "{said:#}");
        assert_eq!(said[side]["name"], format!("{name}:1"), "{said:#}");
    }
    // The file that the run went by, as it is, and where it stands in git.
    let files = said["syncFiles"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{said:#}");
    let content = std::fs::read(files[0]["path"].as_str().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&content).contains("attest: true"), "{said:#}");
    assert_eq!(files[0]["digest"], digest_of(&content), "{said:#}");
    assert_eq!(files[0].get("revision").and_then(Value::as_str), revision.as_deref(), "{said:#}");
    setting.bench.forget_requests(&setting.target);
    setting.run("sync", top, 0);
    let requests = setting.bench.requests(&setting.target);
    assert!(!requests.iter().any(Request::is_write), "{requests:#?}");
}

/// Makes the folder of the sync files a repository of git's; the revision that is checked out.
fn committed(setting: &Mirroring) -> String {
    let folder = setting.bench.folder();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        setting.bench.tool("git").in_folder(folder).args(identity).args(arguments).succeed()
    };
    git(&["init", "--quiet", "."]);
    git(&["commit", "--quiet", "--allow-empty", "--message=list"]);
    git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// The predicate of the copy's statement of this type, as cosign hands it on that verified it.
fn stated(setting: &Mirroring, predicate_type: &str) -> Value {
    let parsed = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let key = setting.file("ours.pub");
    let verified = setting
        .bench
        .tool("cosign")
        .env("HOME", setting.bench.folder())
        .env("TUF_ROOT", setting.file("tuf"))
        .args(["verify-attestation", "--insecure-ignore-tlog", "--type", predicate_type])
        .args(["--key", text(&key), &setting.copy()])
        .succeed();
    let envelope = parsed(verified);
    let statement = STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement = parsed(String::from_utf8(statement).unwrap());
    assert_eq!(statement["predicateType"], predicate_type);
    statement["predicate"].clone()
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
    is_attested(Kind::Distribution3, true);
    is_attested(Kind::ServeSecured, false);
}

#[test]
#[ignore = "needs cosign and real registries: tests/tools/install"]
fn from_registries_with_the_referrers_api_and_without() {
    [Kind::DockerRegistry, Kind::ServeSecured].into_iter().for_each(is_believed);
}

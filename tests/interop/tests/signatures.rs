//! Real cosign verifies what image-syncer signed, in every registry and form, and image-syncer copies
//! what real cosign signed, and nothing else where that is demanded.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, Mirroring, Request, Workbench, text};

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
        let root = setting.copy();
        let index = setting.bench.crane(["manifest", &root]);
        let index: serde_json::Value = serde_json::from_str(&index).unwrap();
        let children = index["manifests"].as_array().unwrap().iter();
        let children = children.map(|child| child["digest"].as_str().unwrap());
        let children = children.map(|child| format!("{}@{child}", setting.target()));
        for reference in children.chain([root, format!("{}:1", setting.target())]) {
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
fn is_attested(kind: Kind) {
    let Some(setting) = set_up("attested", Kind::Distribution3, kind) else { return };
    let top = "kmsKey: ours.key\nsign: true\nattest: true";
    let item = setting.run("sync", top, 0);
    assert_eq!((item.text("outcome"), item.text("signature.state")), both("copied", "signed"));
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

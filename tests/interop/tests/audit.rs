//! The audit log, judged by others: cosign verifies what was signed and pushed, sha256sum and jq the
//! chain; and a disk that is full stops the run before anything is published that has no line.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::process::Command;

use interop::{Kind, Workbench, skip};

const TOOLS: [&str; 6] = ["cosign", "cosign2", "crane", "buildah", "htpasswd", "distribution3"];

const PASSWORD: &str = "a password";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// As docs/audit.md has it.
const BY_HAND: &str = r#"
previous=$(printf '0%.0s' $(seq 64)); n=0
while IFS= read -r line; do
  n=$((n+1))
  hash=$(printf %s "${line%,\"hash\":*}" | sha256sum | cut -d' ' -f1)
  [ "$(printf %s "$line" | jq -r '.hash')" = "$hash" ] && [ "$(printf %s "$line" | jq -r '.previous')" = "$previous" ] \
    || { echo "broken at line $n"; exit 1; }
  previous=$hash
done < audit.jsonl
echo "unbroken: $n lines, the last one has hash $previous"
"#;

#[test]
fn the_guide_has_what_is_tested_here() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/audit.md");
    assert!(std::fs::read_to_string(guide).unwrap().contains(BY_HAND.trim()));
}

#[test]
#[ignore = "needs tools that tests/tools/install builds"]
fn cosign_and_sha256sum_verify_the_log() {
    let Some(bench) = Workbench::with_image_syncer("audit", &TOOLS) else { return };
    let (source, target) = (bench.start(Kind::Distribution3), bench.start(Kind::Distribution3));
    let image = bench.images().index_with_attestations();
    bench.push(&image, &format!("{}/app:1", source.host()));
    let file = |name: &str| bench.folder().join(name);
    let cosign = |tool: &str, arguments: &[&str]| {
        bench
            .tool(tool)
            .env("HOME", bench.folder())
            .env("TUF_ROOT", bench.folder().join("tuf"))
            .env("COSIGN_PASSWORD", PASSWORD)
            .args(arguments)
            .succeed()
    };
    cosign("cosign2", &["generate-key-pair", "--output-key-prefix", text(&file("ours"))]);
    let entry = format!(
        "- source: \"{0}/app:1\"\n  destination: \"{1}/m/app:1\"\n",
        source.host(),
        target.host()
    );
    let list = bench.list(&entry, &[&source, &target]);
    let repository = format!("{}/m/audit", target.host());
    bench
        .image_syncer()
        .env("COSIGN_PASSWORD", PASSWORD)
        .args(["sync", "-i", text(&list), "--output", "json", "--audit-log", "audit.jsonl"])
        .args(["--audit-key", "ours.key", "--audit-push", &repository])
        .run()
        .expect_code(0);
    let (public, head, signature) =
        (file("ours.pub"), file("audit.jsonl.head"), file("audit.jsonl.head.sig"));
    let tag = bench.crane(["ls", &repository]);
    let tag = tag.lines().find(|tag| tag.starts_with("run-")).unwrap().to_owned();
    let reference = format!("{repository}:{tag}");
    for tool in ["cosign", "cosign2"] {
        let key = ["--insecure-ignore-tlog", "--key", text(&public)];
        cosign(tool, &[&["verify"][..], &key, &[reference.as_str()]].concat());
    }
    cosign(
        "cosign2",
        &[
            "verify-blob",
            "--insecure-ignore-tlog",
            "--key",
            text(&public),
            "--signature",
            text(&signature),
            text(&head),
        ],
    );
    let manifest: serde_json::Value =
        serde_json::from_str(&bench.crane(["manifest", &reference])).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.image-syncer.audit.v1");
    let lines = manifest["layers"][0]["digest"].as_str().unwrap();
    let pushed = bench.tool("crane").args(["blob", &format!("{repository}@{lines}")]).succeed();
    assert_eq!(pushed, std::fs::read_to_string(file("audit.jsonl")).unwrap());
    let by_hand =
        || Command::new("sh").args(["-c", BY_HAND]).current_dir(bench.folder()).output().unwrap();
    assert!(by_hand().status.success(), "{:?}", by_hand());
    std::fs::write(file("audit.jsonl"), pushed.replacen("\"fips\":false", "\"fips\":true", 1))
        .unwrap();
    assert_eq!(String::from_utf8(by_hand().stdout).unwrap(), "broken at line 1\n");
}

/// A disk of 180 KiB for the log, in a mount namespace of its own: 128 are kept for the end of a run and
/// 16 for each of two images under way, which leaves room for the lines of some of the 40.
#[test]
#[ignore = "needs tools that tests/tools/install builds"]
fn a_full_disk_stops_the_run_before_the_next_act() {
    let Some(bench) = Workbench::with_image_syncer("audit on a full disk", &TOOLS) else { return };
    // Whoever is root already may not need, or not be let to have, a namespace of users.
    let namespaces = [&["--mount"][..], &["--user", "--map-root-user", "--mount"]];
    let can = |namespace: &&&[&str]| {
        let mount = ["mount", "-t", "tmpfs", "none", "/mnt"];
        let tried = Command::new("unshare").args(**namespace).args(mount).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let Some(namespace) = namespaces.iter().find(can) else {
        skip("audit on a full disk", "no file system can be mounted here");
        return;
    };
    let (source, target) = (bench.start(Kind::Distribution3), bench.start(Kind::Distribution3));
    let image = bench.images().index_with_attestations();
    bench.push(&image, &format!("{}/app:0", source.host()));
    let count = 40;
    // Each has a source of its own: those of one source are written together, and so many at once that
    // there may be no room for the first.
    for n in 1..count {
        bench.crane(["tag", &format!("{}/app:0", source.host()), &n.to_string()]);
    }
    let entries: String = (0..count)
        .map(|n| {
            format!(
                "- source: \"{}/app:{n}\"\n  destination: \"{}/m/app{n}:1\"\n",
                source.host(),
                target.host()
            )
        })
        .collect();
    let list = bench.list(&entries, &[&source, &target]);
    let folder = bench.folder().join("small");
    std::fs::create_dir(&folder).unwrap();
    let kept = bench.folder().join("kept.jsonl");
    let script = "mount -t tmpfs -o size=180k none \"$1\" && shift && kept=$1 && log=$2 && shift 2; \
        \"$@\"; code=$?; cp \"$log\" \"$kept\"; exit $code";
    let log = folder.join("audit.jsonl");
    let output = Command::new("unshare")
        .args(*namespace)
        .args(["sh", "-c", script, "sh", text(&folder), text(&kept), text(&log)])
        .arg(bench.binary())
        .args(["sync", "-i", text(&list), "--concurrency", "2", "--audit-log", text(&log)])
        .env("HOME", bench.folder())
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("DOCKER_CONFIG", bench.folder().join("docker"))
        .current_dir(bench.folder())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("there is no room for another line"), "{shown}");
    let log = std::fs::read_to_string(&kept).unwrap();
    let recorded: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["act"] == "tag-published")
        .map(|line| line["target"].as_str().unwrap().to_owned())
        .collect();
    assert!(!recorded.is_empty() && recorded.len() < count, "{}", recorded.len());
    let published: Vec<String> = (0..count)
        .map(|n| format!("{}/m/app{n}:1", target.host()))
        .filter(|reference| bench.tool("crane").args(["digest", reference]).run().code == Some(0))
        .collect();
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(sorted(published), sorted(recorded), "{shown}");
    // The end of the run had its room.
    bench
        .image_syncer()
        .args(["audit", "verify", text(&kept), "--output", "json"])
        .run()
        .expect_code(0);
}

//! The container image that `deploy/container/build` makes: what is in it, that it is always the same, and that
//! it works as it is meant to run.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write;
use std::path::{Path, PathBuf};

use interop::{Container, ContainerImage, Kind, Layout, Process, Workbench, static_binary};
use serde_json::Value;

const TOOLS: [&str; 8] =
    ["buildah", "cargo-cyclonedx", "crane", "git", "jq", "skopeo", "umoci", "unshare"];
/// The most that a pull may bring.
const LIMIT: u64 = 30_000_000;

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_same_sources_have_the_same_digest() {
    let Some(bench) = Workbench::with_tools("container assembly", &TOOLS) else { return };
    // Not what the binary does is looked at, but what is put together.
    let binary = PathBuf::from(bench.command("jq").get_program());
    let platforms = ["linux/amd64", "linux/arm64"];
    let image = ContainerImage::build(&bench, "first", &binary, &platforms);
    let again = ContainerImage::build(&bench, "second", &binary, &platforms);
    assert_eq!(image.digest, again.digest);
    assert_eq!(Layout::at(&image.folder).digest(), image.digest);

    let version = env!("CARGO_PKG_VERSION");
    for architecture in ["amd64", "arm64"] {
        let inspect = |what: &[&str]| -> Value {
            let image = format!("oci:{}", image.reference());
            let skopeo = bench.tool("skopeo").args(["--override-arch", architecture, "inspect"]);
            serde_json::from_str(&skopeo.args(what).args([image]).succeed()).unwrap()
        };
        let config = inspect(&["--config"]);
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/image-syncer"]));
        assert_eq!(config["created"], "2023-11-14T22:13:20Z");
        let labels = &config["config"]["Labels"];
        assert_eq!(labels["org.opencontainers.image.version"], version);
        assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
        assert_eq!(inspect(&[])["Layers"].as_array().unwrap().len(), 1);
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn it_holds_what_it_needs_and_nothing_else() {
    let Some(bench) = Workbench::with_tools("container content", &TOOLS) else { return };
    let binary = PathBuf::from(bench.command("jq").get_program());
    let image = ContainerImage::build(&bench, "image", &binary, &["linux/amd64"]);
    let bundle = bench.folder().join("bundle");
    bench.tool("umoci").args(["unpack", "--image", &image.reference()]).args([&bundle]).succeed();
    let root = bundle.join("rootfs");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            files.push(format!("/{}", path.strip_prefix(&root).unwrap().display()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    files.sort();
    let expected = [
        "/etc",
        "/etc/group",
        "/etc/passwd",
        "/etc/ssl",
        "/etc/ssl/certs",
        "/etc/ssl/certs/ca-certificates.crt",
        "/image-syncer",
        "/tmp",
        "/usr",
        "/usr/share",
        "/usr/share/sbom",
        "/usr/share/sbom/image-syncer.cdx.json",
    ];
    assert_eq!(files, expected);
    let sbom = std::fs::read_to_string(root.join("usr/share/sbom/image-syncer.cdx.json")).unwrap();
    let bill: Value = serde_json::from_str(&sbom).unwrap();
    assert_eq!(
        (bill["bomFormat"].as_str(), bill["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.5"))
    );
    let parts = bill["components"].as_array().unwrap();
    let has = |name: &str| parts.iter().any(|part| part["name"] == name);
    let expected =
        [("sync", true), ("tokio", true), ("mimalloc", true), ("opentelemetry_sdk", true)];
    for (name, is_in_it) in expected.into_iter().chain([("testkit", false), ("insta", false)]) {
        assert_eq!(has(name), is_in_it, "{name}");
    }
    assert!(!sbom.contains("serialNumber"), "nothing of one build alone");
    let scratch = std::env::temp_dir();
    assert!(!sbom.contains(scratch.to_str().unwrap()), "nothing of one machine alone");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn it_goes_to_a_registry_as_the_guide_says() {
    let tools = [&TOOLS[..], &["ggcr-registry"]].concat();
    let Some(bench) = Workbench::with_image_syncer("container copy", &tools) else { return };
    let binary = PathBuf::from(bench.command("jq").get_program());
    let image = ContainerImage::build(&bench, "image", &binary, &["linux/amd64", "linux/arm64"]);
    let registry = bench.start(Kind::GoContainerregistry);
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/deploy/container.md");
    let guide =
        std::fs::read_to_string(guide).unwrap().replace("registry.example.com", registry.host());
    let command = guide.lines().find(|line| line.starts_with("image-syncer copy ")).unwrap();
    let copy =
        Process::new(bench.binary()).in_folder(bench.folder()).args(command.split(' ').skip(1));
    copy.succeed();
    assert_eq!(bench.crane(["digest", command.split(' ').next_back().unwrap()]), image.digest);
}

/// The binary as it is shipped, which takes too long to build for each run of CI.
#[test]
#[ignore = "needs tools and what is shipped: tests/tools/install, deploy/container/build --binaries"]
fn a_pull_brings_little() {
    let Some(binary) = std::env::var_os("IMAGE_SYNCER_SHIPPED_BIN") else {
        let why =
            "IMAGE_SYNCER_SHIPPED_BIN names no binary; deploy/container/build --binaries makes it";
        let _ = writeln!(std::io::stderr(), "SKIPPED interop container size: {why}");
        return;
    };
    let Some(bench) = Workbench::with_tools("container size", &TOOLS) else { return };
    let image = ContainerImage::build(&bench, "image", Path::new(&binary), &["linux/amd64"]);
    let size: u64 =
        Layout::at(&image.folder).blobs().iter().map(|(_, blob)| blob.len() as u64).sum();
    assert!(size < LIMIT, "{size} bytes");
}

#[test]
#[ignore = "needs tools and the static binary: tests/tools/install, .ci/run interop-container"]
fn it_syncs_as_nobody_and_changes_nothing_of_itself() {
    let Some(binary) = static_binary("container run") else { return };
    let Some(bench) = Workbench::with_image_syncer("container run", &TOOLS) else { return };
    let image = ContainerImage::build(&bench, "image", &binary, &["linux/amd64"]);
    let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
    let small = bench.images().small("amd64", "container");
    bench.push(&small, &format!("{}/team/app:1", source.host()));
    let (from, to) =
        (format!("{}/team/app:1", source.host()), format!("{}/team/copy:1", target.host()));
    let lists = bench.folder().join("lists");
    std::fs::create_dir(&lists).unwrap();
    std::fs::write(
        lists.join("images.yaml"),
        format!("images:\n- source: {from}\n  destination: {to}\n"),
    )
    .unwrap();

    let container = Container::of(&bench, &image).volume(&lists, "/lists", "ro");
    let root = container.root().to_owned();
    let ran = container.run(&["sync", "-i", "/lists/images.yaml", "--no-progress"]).expect_code(0);
    assert!(ran.stdout.contains("1 item: 1 copied"), "{}", ran.text());
    bench.expect_copy(&small, &to);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0, "it leaves nothing behind");

    // What cannot be written is told, as what it is.
    let container = Container::of(&bench, &image).volume(&lists, "/lists", "ro");
    let ran = container.run(&["sync", "-i", "/lists/images.yaml", "--report", "/tmp/report.json"]);
    assert!(ran.stderr.contains("Read-only file system"), "{}", ran.text());
}

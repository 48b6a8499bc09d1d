//! The container image that `deploy/container/build` makes: what is in it, that it is always the same, and that
//! it works as it is meant to run.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write;
use std::path::{Path, PathBuf};

use interop::{Kind, Layout, Process, Workbench};
use serde_json::Value;

const TOOLS: [&str; 6] = ["buildah", "crane", "git", "jq", "skopeo", "umoci"];
/// The most that a pull may bring.
const LIMIT: u64 = 30_000_000;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs the script; the folder with the image, and its digest.
fn build(bench: &Workbench, name: &str, binary: &Path, platforms: &[&str]) -> (PathBuf, String) {
    let output = bench.folder().join(name);
    let sbom = bench.folder().join("sbom.json");
    std::fs::write(&sbom, r#"{"bomFormat": "CycloneDX", "serialNumber": "urn:uuid:1"}"#).unwrap();
    // Whose certificates are in it is not what is looked at.
    let certificates = bench.certificate_authority();
    let mut build = Process::new(&project().join("deploy/container/build"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .args([&output])
        .args(["--ca-bundle"])
        .args([certificates])
        .args(["--sbom"])
        .args([sbom]);
    for platform in platforms {
        let binary = format!("{platform}={}", binary.display());
        build = build.args(["--platform", platform, "--binary", &binary]);
    }
    (output, build.succeed().trim().to_owned())
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_same_sources_have_the_same_digest() {
    let Some(bench) = Workbench::with_tools("container assembly", &TOOLS) else { return };
    // Not what the binary does is looked at, but what is put together.
    let binary = PathBuf::from(bench.command("jq").get_program());
    let platforms = ["linux/amd64", "linux/arm64"];
    let (folder, digest) = build(&bench, "first", &binary, &platforms);
    let (_, again) = build(&bench, "second", &binary, &platforms);
    assert_eq!(digest, again);
    assert_eq!(Layout::at(&folder).digest(), digest);

    let version = env!("CARGO_PKG_VERSION");
    for architecture in ["amd64", "arm64"] {
        let inspect = |what: &[&str]| -> Value {
            let image = format!("oci:{}:{version}", folder.display());
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
    let (folder, _) = build(&bench, "image", &binary, &["linux/amd64"]);
    let image = format!("{}:{}", folder.display(), env!("CARGO_PKG_VERSION"));
    let bundle = bench.folder().join("bundle");
    bench.tool("umoci").args(["unpack", "--image", &image]).args([&bundle]).succeed();
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
    let sbom = std::fs::read(root.join("usr/share/sbom/image-syncer.cdx.json")).unwrap();
    let sbom: Value = serde_json::from_slice(&sbom).unwrap();
    assert_eq!(sbom, serde_json::json!({ "bomFormat": "CycloneDX" }), "nothing of one build alone");
}

/// The static binary, which takes too long to build for each run of CI: `deploy/container/build --binaries`
/// makes it.
fn static_binary() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("IMAGE_SYNCER_STATIC_BIN")?);
    Some(path).filter(|path| path.is_file())
}

#[test]
#[ignore = "needs tools and the static binary: tests/tools/install, deploy/container/build --binaries"]
fn it_syncs_as_nobody_and_changes_nothing_of_itself() {
    let Some(binary) = static_binary() else {
        let why =
            "IMAGE_SYNCER_STATIC_BIN names no binary; deploy/container/build --binaries makes it";
        let _ = writeln!(std::io::stderr(), "SKIPPED interop container run: {why}");
        return;
    };
    let Some(bench) = Workbench::with_image_syncer("container run", &TOOLS) else { return };
    let (folder, _) = build(&bench, "image", &binary, &["linux/amd64"]);
    let size: u64 = Layout::at(&folder).blobs().iter().map(|(_, blob)| blob.len() as u64).sum();
    assert!(size < LIMIT, "{size} bytes");

    let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
    let image = bench.images().small("amd64", "container");
    bench.push(&image, &format!("{}/team/app:1", source.host()));
    let (from, to) =
        (format!("{}/team/app:1", source.host()), format!("{}/team/copy:1", target.host()));
    let lists = bench.folder().join("lists");
    std::fs::create_dir(&lists).unwrap();
    std::fs::write(
        lists.join("images.yaml"),
        format!("images:\n- source: {from}\n  destination: {to}\n"),
    )
    .unwrap();

    let buildah = Buildah::new(&bench);
    let container =
        buildah.run(&["from", &format!("oci:{}:{}", folder.display(), env!("CARGO_PKG_VERSION"))]);
    let root = PathBuf::from(buildah.run(&["mount", &container]));
    let volume = format!("{}:/lists:ro", lists.display());
    let said = buildah.run(&[
        "run",
        "--user",
        "65532:65532",
        "--cap-drop",
        "all",
        "--volume",
        &volume,
        &container,
        "--",
        "/image-syncer",
        "sync",
        "-i",
        "/lists/images.yaml",
        "--no-progress",
    ]);
    assert!(said.contains("1 item: 1 copied"), "{said}");
    bench.expect_copy(&image, &to);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0, "it leaves nothing behind");
}

/// buildah with storage of its own.
struct Buildah<'a> {
    bench: &'a Workbench,
}

impl<'a> Buildah<'a> {
    fn new(bench: &'a Workbench) -> Self {
        Self { bench }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let storage = self.bench.folder().join("storage");
        self.bench
            .tool("buildah")
            .without_env("DOCKER_CONFIG")
            .without_env("REGISTRY_AUTH_FILE")
            .env("BUILDAH_ISOLATION", "chroot")
            .args(["--storage-driver", "vfs"])
            .args(["--root", storage.join("root").to_str().unwrap()])
            .args(["--runroot", storage.join("run").to_str().unwrap()])
            .args(arguments)
            .succeed()
            .trim()
            .to_owned()
    }
}

//! Some platforms of an index go from one real registry to another as an index of their own, and tools
//! that are not ours find in it what there should be; a second run moves and pulls nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, Layout, Server, Workbench, digest_of};
use serde_json::Value;

const TOOLS: [&str; 7] =
    ["crane", "regctl", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The index under a reference, as regctl reads it; its bytes must have this digest.
#[track_caller]
fn index(bench: &Workbench, server: &Server, reference: &str, digest: &str) -> Value {
    let tls = if server.kind().is_secured() { "enabled" } else { "disabled" };
    let text = bench
        .tool("regctl")
        .env("REGCTL_CONFIG", bench.folder().join("regctl.json"))
        .args(["--host", &format!("reg={},tls={tls}", server.host())])
        .args(["manifest", "get", reference, "--format", "raw-body"])
        .succeed();
    assert_eq!(digest_of(text.as_bytes()), digest, "{reference}");
    assert_eq!(bench.crane(["digest", reference]), digest, "{reference}");
    serde_json::from_str(&text).unwrap()
}

/// The digest that a platform's client gets.
fn pulled(bench: &Workbench, reference: &str, platform: &str) -> String {
    bench.crane(["digest", "--platform", platform, reference])
}

/// That what is under a reference of a repository is there with all of its layers.
fn validate(bench: &Workbench, repository: &str, digest: &str, image: &Layout) {
    let reference = format!("{repository}@{digest}");
    bench.crane(["validate", "--remote", &reference]);
    bench.expect_copy(image, &reference);
}

fn some_platforms(from: Kind, to: Kind) {
    let name = format!("platforms {} {}", from.program(), to.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(from), bench.start(to));
    let images = bench.images();
    let attested = images.index_with_attestations();
    let (amd64, arm64) = (images.small("amd64", "index"), images.small("arm64", "index"));
    let repository = format!("{}/app", source.host());
    let whole = bench.push(&attested, &format!("{repository}:1"));
    // A manifest list of Docker's, made by crane of the same images.
    let docker = format!("{repository}:docker");
    bench.crane([
        "index",
        "append",
        "--docker-empty-base",
        &format!("--manifest={repository}@{}", amd64.digest()),
        &format!("--manifest={repository}@{}", arm64.digest()),
        &format!("--tag={docker}"),
    ]);
    let docker_digest = bench.crane(["digest", &docker]);

    let to = format!("{}/mirror", target.host());
    let list = bench.list(
        &format!(
            r#"
- source: "{repository}:1"
  destination: "{to}/arm64:1"
  platforms: [linux/arm64/v8]
- source: "{repository}:pinned@{whole}"
  destination: "{to}/pinned:1"
  platforms: [linux/arm64]
- source: "{docker}"
  destination: "{to}/docker:1"
  platforms: [linux/amd64]
- source: "{repository}:1"
  destination: "{to}/image:1"
  amd64Only: true
"#
        ),
        &[&source, &target],
    );
    bench.crane(["tag", &format!("{repository}:1"), "pinned"]);
    let sync = |command: &str| {
        let arguments = [command, "-i", list.to_str().unwrap(), "--output", "json"];
        bench.image_syncer().args(arguments).run().expect_code(0)
    };
    let first = sync("sync");
    let made = first.item("/arm64:1").text("targetDigest");
    assert_eq!(first.item("/arm64:1").text("sourceDigest"), whole);

    for name in ["arm64", "pinned"] {
        // The same source and platforms, the same bytes.
        let copy = format!("{to}/{name}:1");
        let index = index(&bench, &target, &copy, &made);
        let children = index["manifests"].as_array().unwrap();
        let original: Value =
            serde_json::from_str(&bench.crane(["manifest", &format!("{repository}:1")])).unwrap();
        assert_eq!(children[0], original["manifests"][1], "the image");
        assert_eq!(children[1], original["manifests"][3], "its attestation");
        assert_eq!(children.len(), 2);
        assert_eq!(index["annotations"]["io.image-syncer.source.digest"], whole);
        assert_eq!(pulled(&bench, &copy, "linux/arm64"), arm64.digest());
        validate(&bench, &format!("{to}/{name}"), &arm64.digest(), &arm64);
    }
    let copy = format!("{to}/docker:1");
    let digest = first.item("/docker:1").text("targetDigest");
    let list_index = index(&bench, &target, &copy, &digest);
    assert_eq!(list_index["mediaType"], DOCKER_LIST);
    assert_eq!(list_index["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(list_index["annotations"]["io.image-syncer.source.digest"], docker_digest);
    assert_eq!(pulled(&bench, &copy, "linux/amd64"), amd64.digest());
    bench.crane(["validate", "--remote", &copy]);
    assert_eq!(bench.crane(["digest", &format!("{to}/image:1")]), amd64.digest());
    validate(&bench, &format!("{to}/image"), &amd64.digest(), &amd64);

    bench.forget_requests(&source);
    bench.forget_requests(&target);
    let second = sync("sync");
    for name in ["/arm64:1", "/pinned:1", "/docker:1", "/image:1"] {
        assert_eq!(second.item(name).text("outcome"), "up-to-date", "{name}");
    }
    let requests = bench.requests(&target);
    assert!(!requests.iter().any(interop::Request::is_write), "{requests:#?}");
    assert!(!requests.is_empty(), "the log has them");
    let reads = |part: &str| {
        let requests = bench.requests(&source);
        requests.iter().filter(|it| it.method == "GET" && it.path.contains(part)).count()
    };
    assert_eq!(reads("/blobs/"), 0);
    // Of the image for one platform, its index is read; of nothing else.
    assert_eq!(reads(&format!("/manifests/{whole}")), 1);
    assert_eq!(reads("/manifests/1"), 0);
    assert_eq!(reads(&format!("/manifests/{docker_digest}")), 0);
    sync("verify");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3_to_distribution3() {
    some_platforms(Kind::Distribution3, Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry_to_go_containerregistry() {
    some_platforms(Kind::DockerRegistry, Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn serve_to_docker_registry() {
    some_platforms(Kind::Serve, Kind::DockerRegistry);
}

//! What belongs to an image travels with it from one real registry to another: a referrer, a referrer
//! of that, and a signature under cosign's tag, also where they come after the image.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, Layout, Workbench};
use serde_json::Value;

const TOOLS: [&str; 6] =
    ["crane", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

const KINDS: [Kind; 3] = [Kind::DockerRegistry, Kind::Distribution3, Kind::GoContainerregistry];

const SBOM: &str = "application/spdx+json";

/// The tag that lists what refers to a layout's root.
fn list_of(subject: &Layout) -> String {
    subject.digest().replace(':', "-")
}

/// That the reference's repository lists `referrer`, and nothing else, at `subject`.
#[track_caller]
fn expect_listed(bench: &Workbench, repository: &str, subject: &Layout, referrer: &Layout) {
    let list = bench.crane(["manifest", &format!("{repository}:{}", list_of(subject))]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let entries = list["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{list}");
    assert_eq!(entries[0]["digest"], referrer.digest());
    assert_eq!(entries[0]["artifactType"], SBOM);
    assert_eq!(entries[0]["annotations"]["made.by"], "interop");
    bench.expect_copy(referrer, &format!("{repository}@{}", referrer.digest()));
}

fn travels(from: Kind, to: Kind) {
    let name = format!("referrers {} {}", from.program(), to.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(from), bench.start(to));
    let images = bench.images();
    let image = images.index_with_attestations();
    let sbom = images.referrer_of(&image, SBOM);
    let of_sbom = images.referrer_of(&sbom, SBOM);
    let signature = images.small("amd64", "a signature");
    let signature_tag = format!("{}.sig", list_of(&image));

    // crane lists what it pushes in the fallback tag of its subject.
    let repository = format!("{}/app", source.host());
    bench.push(&image, &format!("{repository}:1"));
    let attach = || {
        bench.push(&sbom, &format!("{repository}:sbom"));
        bench.push(&of_sbom, &format!("{repository}:of-sbom"));
        bench.push(&signature, &format!("{repository}:{signature_tag}"));
        expect_listed(&bench, &repository, &image, &sbom);
    };
    let sync = |destination: &str| {
        let entry = format!("- source: \"{repository}:1\"\n  destination: \"{destination}\"");
        let list = bench.list(&entry, &[&source, &target]);
        bench
            .image_syncer()
            .args(["sync", "-i", list.to_str().unwrap(), "--output", "json"])
            .run()
            .expect_code(0)
            .item(destination)
            .text("outcome")
            .clone()
    };
    let expect_all = |repository: &str| {
        bench.expect_copy(&image, &format!("{repository}:1"));
        expect_listed(&bench, repository, &image, &sbom);
        expect_listed(&bench, repository, &sbom, &of_sbom);
        bench.expect_copy(&signature, &format!("{repository}:{signature_tag}"));
        let tags = bench.crane(["ls", repository]);
        assert_eq!(tags.lines().count(), 4, "{tags}");
    };

    // First the image alone; what belongs to it comes late.
    let late = format!("{}/late", target.host());
    assert_eq!(sync(&format!("{late}:1")), "copied");
    attach();
    assert_eq!(sync(&format!("{late}:1")), "up-to-date");
    expect_all(&late);

    let whole = format!("{}/whole", target.host());
    assert_eq!(sync(&format!("{whole}:1")), "copied");
    expect_all(&whole);

    bench.forget_requests(&target);
    for repository in [&late, &whole] {
        assert_eq!(sync(&format!("{repository}:1")), "up-to-date");
    }
    let requests = bench.requests(&target);
    assert!(!requests.iter().any(interop::Request::is_write), "{requests:#?}");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_docker_registry() {
    KINDS.iter().for_each(|to| travels(Kind::DockerRegistry, *to));
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_distribution3() {
    KINDS.iter().for_each(|to| travels(Kind::Distribution3, *to));
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn from_go_containerregistry() {
    KINDS.iter().for_each(|to| travels(Kind::GoContainerregistry, *to));
}

//! Rules that select tags, over more tags than a registry gives in one answer, with skopeo and crane as
//! the judges of what there is and what was copied.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::path::Path;

use interop::{Kind, Server, Workbench};

const TOOLS: [&str; 6] =
    ["crane", "skopeo", "buildah", "htpasswd", "docker-registry", "distribution3"];

/// 1,301 tags: of each version a release, a variant and a prerelease, and one that is no version.
fn names() -> Vec<String> {
    let versions = (0..4).flat_map(|major| (0..12).map(move |minor| (major, minor)));
    let versions = versions
        .flat_map(|(major, minor)| (0..9).map(move |patch| format!("v{major}.{minor}.{patch}")));
    let suffixes = ["", "-alpine", "-rc.1"];
    let mut names: Vec<String> =
        versions.flat_map(|version| suffixes.map(|suffix| format!("{version}{suffix}"))).collect();
    names.extend(["latest", "1.2", "nightly", "20240115", "1"].map(str::to_owned));
    names
}

/// Gives all names to what one tag of the repository points at, as its files on disk have it: a
/// thousand pushes would take minutes.
fn tag_on_disk(server: &Server, repository: &str, tag: &str, names: &[String]) {
    let tags = server.folder().join("docker/registry/v2/repositories").join(repository);
    let tags = tags.join("_manifests/tags");
    for name in names.iter().filter(|name| *name != tag) {
        copy(&tags.join(tag), &tags.join(name));
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// The tags that skopeo sees. (crane takes a next page over https on loopback for a wrong scheme.)
fn listed(bench: &Workbench, repository: &str) -> BTreeSet<String> {
    let name = format!("docker://{repository}");
    let json = bench.tool("skopeo").args(["list-tags", &name]).succeed();
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    list["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

fn selected_from_many(kind: Kind) {
    let name = format!("tags {}", kind.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(kind), bench.start(kind));
    let (from, to) = (source.host(), target.host());
    let image = bench.images().small("amd64", "tags");
    bench.push(&image, &format!("{from}/tool:latest"));
    let names = names();
    tag_on_disk(&source, "tool", "latest", &names);
    let all: BTreeSet<String> = names.iter().cloned().collect();
    assert_eq!(listed(&bench, &format!("{from}/tool")), all, "skopeo sees every tag");

    // Each tag is explained, those of all pages.
    bench.forget_requests(&source);
    let explained = bench
        .image_syncer()
        .env("SSL_CERT_FILE", bench.certificate_authority())
        .args(["tags", &format!("{from}/tool"), "--output", "json"])
        .args(["--semver", ">=1.10, <3", "--latest", "1", "--per", "minor"])
        .run()
        .expect_code(0)
        .report();
    let tags = explained["tags"].as_array().unwrap();
    let told: BTreeSet<String> =
        tags.iter().map(|tag| tag["tag"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, all);
    let selected: Vec<&str> = tags
        .iter()
        .filter(|tag| tag["selected"] == true)
        .map(|tag| tag["tag"].as_str().unwrap())
        .collect();
    let mut expected: Vec<String> = (0..12).rev().map(|minor| format!("v2.{minor}.8")).collect();
    expected.extend(["v1.11.8".to_owned(), "v1.10.8".to_owned()]);
    assert_eq!(selected, expected);
    let requests = bench.requests(&source);
    assert!(requests.iter().all(|request| request.path.ends_with("/tags/list")), "{requests:#?}");
    if kind == Kind::Distribution3 {
        assert!(requests.len() > 1, "this registry has a limit to its pages: {requests:#?}");
    }

    // The same rules in a list copy just these, and find them up to date.
    let entry = format!(
        "- source: \"{from}/tool\"\n  destination: \"{to}/mirror\"\n  tags: {{ semver: \">=1.10, <3\", latest: 1, per: minor }}\n\
         - source: \"{from}/tool\"\n  destination: \"{to}/variant\"\n  tags: {{ semver: \"2.11\", include: \"*-alpine\" }}\n\
         - source: \"{from}/tool\"\n  destination: \"{to}/flood\"\n  tags: {{ include: \"*\", maxTags: 1000 }}"
    );
    let list = bench.list(&entry, &[&source, &target]);
    let sync = || bench.image_syncer().args(["-i", list.to_str().unwrap(), "--output", "json"]);
    let run = sync().run().expect_code(1);
    assert_eq!(run.item("/flood").text("error.class"), "selection");
    let expected: BTreeSet<String> = expected.into_iter().collect();
    assert_eq!(listed(&bench, &format!("{to}/mirror")), expected);
    let variants: BTreeSet<String> = (0..9).map(|patch| format!("v2.11.{patch}-alpine")).collect();
    assert_eq!(listed(&bench, &format!("{to}/variant")), variants);
    bench.expect_copy(&image, &format!("{to}/mirror:v2.11.8"));
    let again = sync().run().expect_code(1).report();
    assert_eq!(again["summary"]["outcomes"]["up-to-date"], 14 + 9, "{again:#}");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry() {
    selected_from_many(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3() {
    selected_from_many(Kind::Distribution3);
}

//! A list with every kind of entry is copied from one registry to another of its kind (real ones, and
//! `image-syncer serve`), byte for byte; a second run asks little and moves nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;

use interop::{Kind, Workbench};

const TOOLS: [&str; 7] =
    ["crane", "skopeo", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

fn mirrored(kind: Kind) {
    let name = format!("mirror {}", kind.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(kind), bench.start(kind));
    let (from, to) = (source.host(), target.host());
    let images = bench.images();
    let single = images.small("amd64", "single");
    let index = images.index_with_attestations();
    let nested = images.nested_index();
    let other = images.small("arm64", "other");

    let mut expected = vec![];
    let mut push = |layout: &interop::Layout, source: &str, target: &str| {
        bench.push(layout, &format!("{from}/{source}"));
        expected.push((layout.clone(), format!("{to}/{target}")));
    };
    // A source's host is part of the name at the target, its port joined by `_`.
    let host = from.replace(':', "_");
    push(&index, "team/index:1.0", &format!("mirror/{host}/team/index:1.0"));
    push(&single, "team/single:3.10", &format!("mirror/{host}/team/single:3.10"));
    push(&single, "team/pinned:latest", &format!("mirror/{host}/team/pinned:v1"));
    push(&other, "team/both:2", &format!("mirror/{host}/team/both:2"));
    push(&other, "team/explicit:1", "else/where/deep/er:renamed");
    push(&nested, "nested:1", &format!("mirror/{host}/nested:1"));
    // The same image as Docker's own media types, which skopeo makes of it.
    let docker = format!("{from}/team/docker:1");
    bench
        .tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", "--format=v2s2"])
        .args([format!("--dest-tls-verify={}", kind.is_secured())])
        .args([format!("oci:{}", single.folder().display()), format!("docker://{docker}")])
        .succeed();
    assert!(bench.crane(["manifest", &docker]).contains("docker.distribution.manifest.v2"));

    let list = bench.list(
        &format!(
            r#"
- source: "{from}/team/index:1.0"
- source: {from}/team/single:3.10
- source: "{from}/team/pinned@{single}"
  tag: "v1"
- source: "{from}/team/both:2@{other}"
- source: "{from}/team/explicit:1"
  destination: "{to}/else/where/deep/er:renamed"
- source: "{from}/nested:1"
- source: "{docker}"
"#,
            single = single.digest(),
            other = other.digest(),
        ),
        &[&source, &target],
    );
    let sync = |late_referrers: &str| {
        bench
            .image_syncer()
            .args(["sync", "-i", list.to_str().unwrap(), "--output", "json"])
            .args(["--late-referrers", late_referrers])
            .args(["--target-repo-prefix", &format!("{to}/mirror/")])
            .run()
            .expect_code(0)
    };
    let docker_copy = format!("{to}/mirror/{host}/team/docker:1");

    bench.forget_requests(&source);
    let first = sync("on");
    for (layout, reference) in &expected {
        bench.expect_copy(layout, reference);
        let item = first.item(reference);
        assert_eq!(item.text("outcome"), "copied", "{reference}");
        assert_eq!(item.text("targetDigest"), layout.digest(), "{reference}");
    }
    assert_eq!(bench.crane(["digest", &docker_copy]), bench.crane(["digest", &docker]));
    assert_eq!(bench.crane(["manifest", &docker_copy]), bench.crane(["manifest", &docker]));
    for copy in [&docker_copy, &format!("{to}/else/where/deep/er:renamed")] {
        bench.crane(["validate", "--remote", copy]);
    }

    // The source was only read, and no blob of it twice where the target could mount it.
    let requests = bench.requests(&source);
    assert!(!requests.iter().any(interop::Request::is_write), "{requests:#?}");
    let mut reads = BTreeMap::<&str, u32>::new();
    for request in requests.iter().filter(|request| request.is_blob_read()) {
        let digest = request.path.rsplit('/').next().unwrap();
        *reads.entry(digest).or_default() += 1;
    }
    let twice: Vec<_> = reads.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty() || !kind.mounts(), "blobs that were read more than once: {twice:?}");

    bench.forget_requests(&source);
    bench.forget_requests(&target);
    let second = sync("off");
    let tags = expected.len() + 1;
    assert_eq!(second.report()["items"].as_array().unwrap().len(), tags);
    for reference in expected.iter().map(|(_, reference)| reference).chain([&docker_copy]) {
        assert_eq!(second.item(reference).text("outcome"), "up-to-date", "{reference}");
    }
    let mut requests = bench.requests(&source);
    requests.extend(bench.requests(&target));
    assert!(requests.len() <= 2 * tags, "{} requests: {requests:#?}", requests.len());
    assert!(requests.len() >= tags, "the log has them: {requests:#?}");
    for request in &requests {
        assert!(!request.is_write() && !request.path.contains("/blobs/"), "{request:?}");
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry() {
    mirrored(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3() {
    mirrored(Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn go_containerregistry() {
    mirrored(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn image_syncer_serve() {
    mirrored(Kind::Serve);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn image_syncer_serve_with_tls_and_users() {
    mirrored(Kind::ServeSecured);
}

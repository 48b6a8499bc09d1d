//! The harness itself: every server takes what crane pushes and gives it back, and what a tool of
//! ours would be accused of shows up in the log.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, Request, Settings, Validity, Workbench};

const TOOLS: [&str; 7] =
    ["crane", "skopeo", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

fn pushed_and_read_back(kind: Kind) {
    let name = format!("harness {}", kind.program());
    let Some(bench) = Workbench::with_tools(&name, &TOOLS) else { return };
    let server = bench.start(kind);
    let images = bench.images();
    let table = [
        ("single:1", images.small("amd64", "single")),
        ("index:1", images.index_with_attestations()),
        ("nested:1", images.nested_index()),
    ];
    for (name, layout) in table {
        let reference = format!("{}/{name}", server.host());
        bench.push(&layout, &reference);
        bench.expect_copy(&layout, &reference);
    }

    bench.forget_requests(&server);
    assert_eq!(bench.requests(&server).len(), 0);
    bench.crane(["manifest", &format!("{}/single:1", server.host())]);
    let requests = bench.requests(&server);
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("GET", "/v2/single/manifests/1")
    );
    assert!(!requests[0].is_write() && !requests[0].is_blob_read());

    bench.forget_requests(&server);
    bench.push(&images.small("amd64", "moved"), &format!("{}/single:2", server.host()));
    let _ = bench.pull(&format!("{}/single:2", server.host()));
    let requests = bench.requests(&server);
    assert!(requests.iter().any(Request::is_write), "{requests:?}");
    assert!(requests.iter().any(Request::is_blob_read), "{requests:?}");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry_takes_and_gives() {
    pushed_and_read_back(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3_takes_and_gives() {
    pushed_and_read_back(Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn go_containerregistry_takes_and_gives() {
    pushed_and_read_back(Kind::GoContainerregistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn servers_that_should_refuse_do() {
    let Some(bench) = Workbench::with_tools("harness refusals", &TOOLS) else { return };
    let image = bench.images().small("amd64", "single");
    let path = image.folder().to_str().unwrap();
    let push = |host: &str, config: Option<&std::path::Path>| {
        let mut crane = bench.tool("crane").args(["push", path, &format!("{host}/single:1")]);
        if let Some(config) = config {
            crane = crane.env("DOCKER_CONFIG", config);
        }
        let output = crane.run();
        assert_ne!(output.code, Some(0), "{}", output.stdout);
        output.stderr
    };

    let expired = Settings { certificate: Validity::Expired, ..Settings::default() };
    let said = push(bench.start_with(Kind::DockerRegistry, expired).host(), None);
    assert!(said.contains("certificate has expired"), "{said}");

    let server = bench.start(Kind::Distribution3);
    let said = push(server.host(), Some(&bench.docker_config_with(&server, "wrong")));
    assert!(said.contains("401 Unauthorized"), "{said}");

    let denies = Settings { denies_images: true, ..Settings::default() };
    let said = push(bench.start_with(Kind::DockerRegistry, denies).host(), None);
    assert!(said.contains("DENIED"), "{said}");
}

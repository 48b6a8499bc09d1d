//! `doctor` of real registries: what it says of each is what each does, it leaves nothing behind, and
//! its exit code tells a refused login from a registry that is not there.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, PASSWORD, Run, Server, USER, Workbench};
use serde_json::Value;

const TOOLS: [&str; 6] =
    ["crane", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

/// Runs `doctor` for a registry, or a repository of it.
fn doctor(bench: &Workbench, server: &Server, name: &str, more: &[&str]) -> Run {
    let list = bench.list(" []", &[server]);
    let program = bench.image_syncer().args([
        "doctor",
        name,
        "-i",
        list.to_str().unwrap(),
        "--output",
        "json",
    ]);
    more.iter().fold(program, |program, word| program.args([word])).run()
}

/// The finding of a check, after its status.
fn found(run: &Run, name: &str) -> String {
    let report = run.report();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    assert!(check.is_some(), "no check `{name}`: {report:#}");
    let check = check.unwrap();
    let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("status"), text("finding"))
}

#[track_caller]
fn expect(run: &Run, name: &str, parts: &[&str]) {
    let found = found(run, name);
    for part in parts {
        assert!(found.contains(part), "{name}: `{found}` has no `{part}`");
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn every_registry_is_what_it_is_said_to_be() {
    let Some(bench) = Workbench::with_image_syncer("doctor", &TOOLS) else { return };
    let image = bench.images().small("amd64", "good");
    for (kind, referrers) in [
        (Kind::DockerRegistry, false),
        (Kind::Distribution3, false),
        (Kind::GoContainerregistry, false),
        (Kind::Serve, true),
        (Kind::ServeSecured, true),
    ] {
        let server = bench.start(kind);
        let name = format!("{}/team/app", server.host());
        bench.push(&image, &format!("{name}:1"));
        bench.forget_requests(&server);
        let run = doctor(&bench, &server, &name, &[]).expect_code(0);
        let written = bench.requests(&server).iter().any(interop::Request::is_write);
        assert!(!written, "{kind:?} was written to");
        let (scheme, auth) = match kind.is_secured() {
            true => ("https://", "a name and a password"),
            false => ("http://", "nobody has to say"),
        };
        expect(&run, "connection", &["ok", scheme, server.host()]);
        expect(&run, "clock", &["ok"]);
        expect(&run, "auth", &["ok", auth]);
        expect(&run, "tags", &["ok: 1;"]);
        expect(&run, "head", &["ok", "`1`"]);
        let listed = if referrers { "listed by the registry" } else { "no API answers" };
        expect(&run, "referrers", &["ok", listed]);
        expect(&run, "ranges", &["parts of blobs can"]);
        expect(&run, "push", &["skipped"]);
        if kind.is_secured() {
            expect(&run, "login", &[&format!("ok: `{USER}`"), "docker/config.json"]);
        }
        assert!(!run.text().contains(PASSWORD), "a password is shown:\n{}", run.text());

        let pushed = doctor(&bench, &server, &name, &["--push"]).expect_code(0);
        expect(&pushed, "push", &["ok: an upload was begun and given up"]);
        assert_eq!(bench.crane(["ls", &name]), "1", "{kind:?}");
        assert_eq!(bench.crane(["digest", &format!("{name}:1")]), image.digest());
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn what_is_not_well_has_its_exit_code() {
    let Some(bench) = Workbench::with_image_syncer("doctor, not well", &TOOLS) else { return };
    let server = bench.start(Kind::Distribution3);
    let list = bench.list("- { source: \"a.example/b:1\", destination: \"oci:x\" }", &[&server]);
    let run = |config: &std::path::Path, host: &str| {
        let program = bench.image_syncer().env("DOCKER_CONFIG", config);
        program.args(["doctor", host, "-i", list.to_str().unwrap(), "--output", "json"]).run()
    };
    let wrong = bench.docker_config_with(&server, "wrong");
    let refused = run(&wrong, server.host()).expect_code(4);
    expect(&refused, "login", &["failure", "401"]);
    let nobody = bench.folder().join("no-docker");
    run(&nobody, server.host()).expect_code(4);
    let right = bench.docker_config_with(&server, PASSWORD);
    let alone = run(&right, server.host()).expect_code(0);
    assert_eq!(alone.report()["repository"], Value::Null);
    run(&right, "127.0.0.1:1").expect_code(1);
    // Its authority is known from the list only.
    let program = bench.image_syncer().env("DOCKER_CONFIG", &right);
    let untrusted = program.args(["doctor", server.host(), "--output", "json"]).run();
    expect(&untrusted.expect_code(1), "connection", &["failure", "unknown authority"]);
}

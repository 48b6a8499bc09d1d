//! What goes wrong names the item, the side, the cause and the next step, has the right exit code,
//! stops nothing else, and shows no secret, not even with `--debug`.
#![allow(clippy::unwrap_used, reason = "test code")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interop::{Kind, PASSWORD, Run, Server, Settings, USER, Validity, Workbench};

const TOOLS: [&str; 6] =
    ["crane", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];
const WRONG: &str = "Wr0ng-but-still-secret";

/// What an item must say.
struct Said<'a> {
    outcome: &'a str,
    side: &'a str,
    class: &'a str,
    /// What the item has to name: a host, a repository, a tag, or the cause.
    names: &'a str,
}

/// A workbench with a source that has `good:1` and a target.
fn prepared(suite: &str) -> Option<(Workbench, Server, Server)> {
    let bench = Workbench::with_image_syncer(&format!("failures {suite}"), &TOOLS)?;
    let (source, target) = (bench.start(Kind::DockerRegistry), bench.start(Kind::Distribution3));
    bench.push(&bench.images().small("amd64", "good"), &format!("{}/good:1", source.host()));
    Some((bench, source, target))
}

/// Syncs `entry`, whose target ends in `/bad:1`, and looks at what is said about it.
#[track_caller]
fn expect(
    bench: &Workbench,
    entry: &str,
    servers: &[&Server],
    docker_config: Option<&std::path::Path>,
    code: i32,
    said: &Said<'_>,
) -> Run {
    let list = bench.list(entry, servers);
    let sync = |output: &str| {
        let run = bench.image_syncer().args([
            "sync",
            "-i",
            list.to_str().unwrap(),
            "--debug",
            "--output",
            output,
        ]);
        let run = match docker_config {
            Some(folder) => run.env("DOCKER_CONFIG", folder),
            None => run,
        };
        run.run().expect_code(code)
    };
    let run = sync("json");
    let item = run.item("/bad:1");
    let shown = run.stdout.clone();
    assert_eq!(item.text("outcome"), said.outcome, "{shown}");
    assert_eq!(item.text("error.side"), said.side, "{shown}");
    assert_eq!(item.text("error.class"), said.class, "{shown}");
    let named = [item.text("source"), item.text("target"), item.text("error.message")];
    assert!(named.iter().any(|text| text.contains(said.names)), "{shown}");
    assert!(!item.text("error.message").is_empty(), "the cause: {shown}");
    assert!(!item.text("error.hint").is_empty(), "the next step: {shown}");

    // People read the same as machines.
    let table = sync("table");
    for part in [item.text("target"), item.text("error.hint")] {
        assert!(table.text().contains(&part), "`{part}` is not in:\n{}", table.text());
    }
    for run in [&run, &table] {
        assert!(run.stderr.contains("DEBUG"), "it is the log of --debug that is looked at");
        for password in [PASSWORD, WRONG] {
            let basic = STANDARD.encode(format!("{USER}:{password}"));
            assert!(!run.text().contains(password), "a password is shown:\n{}", run.text());
            assert!(!run.text().contains(&basic), "a password is shown:\n{}", run.text());
        }
    }
    run
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn wrong_password_at_the_source() {
    let Some((bench, source, _)) = prepared("wrong password at the source") else { return };
    let target = bench.start(Kind::GoContainerregistry);
    let (from, to) = (source.host(), target.host());
    let entry = format!("- source: \"{from}/good:1\"\n  destination: \"{to}/bad:1\"");
    let config = bench.docker_config_with(&source, WRONG);
    let said = Said { outcome: "failed", side: "source", class: "credentials", names: from };
    expect(&bench, &entry, &[&source, &target], Some(&config), 4, &said);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn wrong_password_at_the_target() {
    let Some((bench, _, target)) = prepared("wrong password at the target") else { return };
    let source = bench.start(Kind::GoContainerregistry);
    let (from, to) = (source.host(), target.host());
    bench.push(&bench.images().small("amd64", "good"), &format!("{from}/good:1"));
    let entry = format!("- source: \"{from}/good:1\"\n  destination: \"{to}/bad:1\"");
    let config = bench.docker_config_with(&target, WRONG);
    let said = Said { outcome: "failed", side: "target", class: "credentials", names: to };
    expect(&bench, &entry, &[&source, &target], Some(&config), 4, &said);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn no_password_at_all() {
    let Some((bench, source, target)) = prepared("no password") else { return };
    let (from, to) = (source.host(), target.host());
    let entry = format!("- source: \"{from}/good:1\"\n  destination: \"{to}/bad:1\"");
    let config = bench.folder().join("no-docker");
    let said = Said { outcome: "failed", side: "source", class: "credentials", names: from };
    expect(&bench, &entry, &[&source, &target], Some(&config), 4, &said);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn unknown_host_missing_repository_and_missing_tag() {
    let Some((bench, source, target)) = prepared("what is not there") else { return };
    let (from, to) = (source.host(), target.host());
    let table = [
        ("no-such-host.invalid/a:1", "failed", "network", "no-such-host.invalid"),
        (
            &format!("{from}/no/such/repository:1"),
            "source-missing",
            "not-found",
            "no/such/repository",
        ),
        (&format!("{from}/good:no-such-tag"), "source-missing", "not-found", "no-such-tag"),
    ];
    for (missing, outcome, class, names) in table {
        let entry = format!(
            "- source: \"{missing}\"\n  destination: \"{to}/bad:1\"\n\
             - source: \"{from}/good:1\"\n  destination: \"{to}/good:1\""
        );
        let said = Said { outcome, side: "source", class, names };
        let run = expect(&bench, &entry, &[&source, &target], None, 1, &said);
        // Nothing else was stopped.
        let good = run.item("/good:1").text("outcome");
        assert!(["copied", "up-to-date"].contains(&good.as_str()), "{}", run.stdout);
    }
    bench.crane(["validate", "--remote", &format!("{to}/good:1")]);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn expired_certificate() {
    let Some((bench, _, target)) = prepared("expired certificate") else { return };
    let expired = Settings { certificate: Validity::Expired, ..Settings::default() };
    let source = bench.start_with(Kind::DockerRegistry, expired);
    let entry =
        format!("- source: \"{}/a:1\"\n  destination: \"{}/bad:1\"", source.host(), target.host());
    let said = Said { outcome: "failed", side: "source", class: "tls", names: "expired" };
    expect(&bench, &entry, &[&source, &target], None, 1, &said);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn unknown_authority() {
    let Some((bench, source, _)) = prepared("unknown authority") else { return };
    let target = bench.start(Kind::GoContainerregistry);
    let entry = format!(
        "- source: \"{}/good:1\"\n  destination: \"{}/bad:1\"",
        source.host(),
        target.host()
    );
    let said = Said { outcome: "failed", side: "source", class: "tls", names: source.host() };
    // The list does not name the authority.
    expect(&bench, &entry, &[&target], None, 1, &said);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn forbidden_at_the_target() {
    let Some((bench, source, _)) = prepared("403") else { return };
    let denies = Settings { denies_images: true, ..Settings::default() };
    let target = bench.start_with(Kind::DockerRegistry, denies);
    let (from, to) = (source.host(), target.host());
    let entry = format!("- source: \"{from}/good:1\"\n  destination: \"{to}/bad:1\"");
    let said = Said { outcome: "failed", side: "target", class: "denied", names: to };
    expect(&bench, &entry, &[&source, &target], None, 4, &said);
}

//! Rules that select tags: `tags` explains them, `sync` and its kin keep to them.

use testkit::{Fault, Registry, image};

use crate::program::{Program, add, assert_done, held};

const TAGS: [&str; 13] = [
    "latest",
    "edge",
    "1.0.0",
    "1.1.0",
    "v2.0.0",
    "2.0.1",
    "2.1",
    "2.1.0",
    "2.1.0-alpine",
    "2.1.1",
    "2.2.0-rc.1",
    "3.0.0",
    "20240115",
];

/// A registry whose repository `tool` has many tags and a signature.
async fn upstream() -> Registry {
    let registry = Registry::start().await;
    let image = image::single(1);
    for tag in TAGS {
        add(&registry, "tool", tag, &image).await;
    }
    let signature = format!("sha256-{}.sig", image.digest().hex());
    add(&registry, "tool", &signature, &image::single(2)).await;
    registry
}

async fn begin() -> (Registry, Program) {
    let registry = upstream().await;
    let mut program = Program::new();
    program.name(&registry, "127.0.0.1:11111");
    (registry, program)
}

const RULES: [&str; 8] =
    ["--semver", ">=1.1, <3", "--exclude", "edge", "--latest", "2", "--per", "major"];

#[tokio::test]
async fn each_tag_is_told_which_rule_kept_or_dropped_it() {
    let (registry, program) = begin().await;
    let repository = format!("{}/tool", registry.host());
    let mut arguments = vec!["tags", &repository];
    arguments.extend(RULES);
    assert_done!(program.run(&arguments).await);
    assert_eq!(registry.log().count("*", "/v2/tool/*"), 1);
}

#[tokio::test]
async fn the_same_as_json() {
    let (registry, program) = begin().await;
    let repository = format!("{}/tool", registry.host());
    let mut arguments = vec!["tags", &repository, "--output", "json"];
    arguments.extend(RULES);
    assert_done!(program.run(&arguments).await);
}

#[tokio::test]
async fn a_layout_is_asked_as_a_registry_is_and_variables_stand_in_for_flags() {
    let (registry, mut program) = begin().await;
    let source = format!("{}/tool:2.1.0-alpine", registry.host());
    program.run(&["copy", &source, "oci:mirror/tool"]).await;
    program.run(&["copy", &source.replace("-alpine", ""), "oci:mirror/tool"]).await;
    program.variable("SYNCER_SEMVER", "^2").variable("SYNCER_INCLUDE", "*-alpine");
    program.variable("SYNCER_LATEST", "1").variable("SYNCER_PER", "minor");
    assert_done!(program.run(&["tags", "oci:mirror/tool"]).await);
}

#[tokio::test]
async fn what_would_be_an_error_in_a_list_is_one_here() {
    let (registry, program) = begin().await;
    registry.inject(Fault::error(401, "UNAUTHORIZED", "who are you").on("GET", "/v2/secret/*"));
    let host = registry.host();
    let mut text = String::new();
    for (line, code) in [
        ("tool --semver ~9", 1),
        ("tool --semver ~9 --allow-empty", 0),
        ("tool --include v2* --max-tags 1", 0),
        ("tool --include 2* --max-tags 3", 1),
        ("gone", 1),
        ("secret", 4),
    ] {
        let line = format!("tags {host}/{line}");
        let arguments: Vec<&str> = line.split(' ').collect();
        let done = program.run(&arguments).await;
        assert_eq!(done.code, Some(code), "{line}: {done}");
        // The table is in the other tests.
        let said = done.stdout.lines().last().unwrap_or_default();
        let line = line.replace(&host.to_string(), "127.0.0.1:11111");
        text.push_str(&format!("$ image-syncer {line}\n{said}\n{}\n", done.stderr));
    }
    assert_done!(text);
}

#[tokio::test]
async fn the_example_is_right() {
    let program = Program::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/tag-rules.yaml");
    let done = program.run(&["check", example]).await;
    assert_eq!(
        done.to_string(),
        "exit code 0\n--- stdout\nok: 1 image, 3 tag selections, 4 targets\n"
    );
}

fn list(registry: &Registry, target: &Registry) -> String {
    let (from, to) = (registry.host(), target.host());
    format!(
        "images:
- source: {from}/tool
  destination: {to}/mirror/tool
  tags: {{ semver: \">=2.0, <3\", latest: 2 }}
- source: {from}/tool
  destination: {to}/mirror/empty
  tags: {{ semver: \">=9, <10\" }}
- source: {from}/tool
  destination: {to}/mirror/flood
  tags: {{ include: \"*\", maxTags: 5 }}
- source: {from}/tool:1.0.0
  destination: {to}/mirror/tool
"
    )
}

#[tokio::test]
async fn sync_plan_and_verify_copy_what_is_selected_and_report_what_cannot_be() {
    let (registry, mut program) = begin().await;
    let target = Registry::start().await;
    program.name(&target, "127.0.0.1:22222").file("images.yaml", list(&registry, &target));
    assert_done!(program.run(&["check", "images.yaml"]).await);
    let plan = program.run(&["plan", "-i", "images.yaml", "--concurrency", "1"]).await;
    assert_done!(plan);
    assert_eq!(held(&target, "mirror/tool", "2.1.1").await, None);
    let sync = program.run(&["-i", "images.yaml", "--concurrency", "1"]).await;
    assert_done!(sync);
    assert_eq!(held(&target, "mirror/tool", "2.1.1").await, Some(image::single(1).digest()));
    let verify = program.run(&["verify", "-i", "images.yaml", "--output", "json"]).await;
    assert_eq!(verify.code, Some(1), "{verify}");
    for expected in ["\"up-to-date\": 3", "\"failed\": 2", "\"class\": \"selection\""] {
        assert!(verify.stdout.contains(expected), "{expected}: {verify}");
    }
}

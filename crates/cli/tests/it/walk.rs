//! The main walk: a list, a first run that copies, a second that finds everything up to date.

use testkit::{Registry, image, path};

use crate::program::{Program, add, assert_done, held};

/// A registry with an index that has attestations, a single image and a nested index.
async fn upstream() -> Registry {
    let registry = Registry::start().await;
    add(&registry, "team/app", "1.0", &image::with_attestations(1)).await;
    add(&registry, "team/base", "2", &image::single(2)).await;
    add(&registry, "tool", "3.10", &image::nested(3)).await;
    registry
}

fn list(registry: &Registry) -> String {
    let host = registry.host();
    let pinned = image::single(2).digest();
    [
        "images:".to_owned(),
        format!("- source: {host}/team/app:1.0"),
        "  destination: oci:mirror/team/app".to_owned(),
        format!("- source: {host}/team/base@{pinned}"),
        "  tag: pinned".to_owned(),
        "  destination: oci:mirror/team/base".to_owned(),
        format!("- source: {host}/tool:3.10"),
        "  destination: oci:mirror/tool\n".to_owned(),
    ]
    .join("\n")
}

/// What all tests here begin with: the upstream, and a program with its list.
async fn begin() -> (Registry, Program) {
    let source = upstream().await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").file("images.yaml", list(&source));
    (source, program)
}

#[tokio::test]
async fn the_first_run_copies_and_the_second_finds_it() {
    let (source, program) = begin().await;
    let first = program.run(&["-i", "images.yaml", "--concurrency", "1"]).await;
    assert_done!(first);
    for (repository, tag, image) in [
        ("team/app", "1.0", image::with_attestations(1)),
        ("team/base", "pinned", image::single(2)),
        ("tool", "3.10", image::nested(3)),
    ] {
        let layout = program.layout(&format!("mirror/{repository}"));
        let tag: oci::Tag = tag.parse().unwrap();
        let found = layout.resolve(&tag.into()).await.unwrap().unwrap();
        assert_eq!(found.digest, image.digest(), "{repository}");
    }
    source.log().clear();
    let second = program.run(&["-i", "images.yaml", "--concurrency", "1"]).await;
    assert_done!(second);
    assert_eq!(source.log().count("GET", path::BLOBS), 0);
    let verified = program.run(&["verify", "-i", "images.yaml"]).await;
    assert_eq!(verified.code, Some(0), "{verified}");
}

#[tokio::test]
async fn a_dry_run_and_a_plan_say_the_same_and_write_nothing() {
    let (_source, program) = begin().await;
    let dry = program.run(&["-i", "images.yaml", "--dry-run", "--concurrency", "1"]).await;
    let plan = program.run(&["plan", "-i", "images.yaml", "--concurrency", "1"]).await;
    insta::allow_duplicates! {
        for done in [dry, plan] {
            assert_done!(done);
        }
    }
    assert!(!program.folder().join("mirror").exists());
    let pending = program.run(&["plan", "-i", "images.yaml", "--exit-code"]).await;
    assert_eq!(pending.code, Some(6), "{pending}");
    let lacking = program.run(&["verify", "-i", "images.yaml"]).await;
    assert_eq!(lacking.code, Some(1), "{lacking}");
    program.run(&["-i", "images.yaml"]).await;
    let done = program.run(&["plan", "-i", "images.yaml", "--exit-code"]).await;
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test]
async fn the_json_report_on_standard_output_and_in_a_file() {
    let (source, program) = begin().await;
    let arguments = ["-i", "images.yaml", "--output", "json", "--report", "json=report.json"];
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(0), "{done}");
    let file = std::fs::read_to_string(program.folder().join("report.json")).unwrap();
    let host = source.host().to_string();
    let folder = program.folder().display().to_string();
    let shown = file.replace(&host, "127.0.0.1:11111").replace(&folder, "[folder]");
    assert_eq!(shown, done.stdout);
    insta::with_settings!({ filters => crate::program::FILTERS.to_vec(), omit_expression => true }, {
        insta::assert_snapshot!(done.stdout);
    });
}

#[tokio::test]
async fn from_registry_to_registry() {
    let source = upstream().await;
    let target = Registry::start().await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222");
    program.file(
        "images.yaml",
        format!(
            "images:\n- source: {}/team/app:1.0\n  destination: {}/app\n",
            source.host(),
            target.host()
        ),
    );
    let first = program.run(&["sync", "-i", "images.yaml"]).await;
    assert_done!(first);
    let digest = image::with_attestations(1).digest();
    assert_eq!(held(&target, "app", "1.0").await, Some(digest));
    source.log().clear();
    target.log().clear();
    let second = program.run(&["sync", "-i", "images.yaml", "--late-referrers", "off"]).await;
    assert_eq!(second.code, Some(0), "{second}");
    assert_eq!(target.log().writes().len(), 0);
    assert!(source.log().requests().len() + target.log().requests().len() <= 4);
}

#[tokio::test]
async fn one_image_without_a_list() {
    let source = upstream().await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111");
    let from = format!("{}/team/base:2", source.host());
    let dry = program.run(&["copy", &from, "oci:mirror/base", "--dry-run"]).await;
    assert_eq!(dry.code, Some(0), "{dry}");
    assert!(!program.folder().join("mirror").exists());
    assert_done!(program.run(&["copy", &from, "oci:mirror/base"]).await);
    let to_archive = program.run(&["copy", "oci:mirror/base:2", "oci-archive:base.tar:2"]).await;
    assert_eq!(to_archive.code, Some(0), "{to_archive}");
    let back = program.run(&["copy", "oci-archive:base.tar:2", "oci:again:other"]).await;
    assert_eq!(back.code, Some(0), "{back}");
    let tag: oci::Tag = "other".parse().unwrap();
    let found = program.layout("again").resolve(&tag.into()).await.unwrap().unwrap();
    assert_eq!(found.digest, image::single(2).digest());
}

/// The name cannot be resolved: only a proxy can have answered for it.
#[tokio::test]
async fn a_proxy_of_the_environment_leads_to_a_registry() {
    let behind = Registry::start().await;
    add(&behind, "app", "1", &image::single(1)).await;
    let mut program = Program::new();
    program.file(
        "images.yaml",
        "images: [{source: 'registry.invalid/app:1', destination: 'oci:mirror/app'}]\n\
         registries: {registry.invalid: {insecure: true}}\n",
    );
    let done = program.run(&["-i", "images.yaml"]).await;
    assert_eq!(done.code, Some(1), "{done}");
    program.variable("HTTP_PROXY", &behind.url());
    let done = program.run(&["-i", "images.yaml"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(behind.log().count("GET", "/v2/app/blobs/*") > 0, "{}", behind.log());

    program.variable("NO_PROXY", "registry.invalid");
    let done = program.run(&["-i", "images.yaml"]).await;
    assert_eq!(done.code, Some(1), "{done}");
}

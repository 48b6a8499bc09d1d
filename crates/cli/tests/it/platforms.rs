//! Only some platforms of an image, in a list and for a single copy.

use oci::{Digest, Platforms, subset};
use testkit::image::{self, MadeImage};
use testkit::{Registry, path};

use crate::program::{Program, add, assert_done, held};

fn part(image: &MadeImage, platforms: &[&str]) -> Digest {
    let platforms = Platforms::new(platforms.iter().map(|text| text.parse().unwrap())).unwrap();
    subset::of(image.manifest(), &platforms).unwrap().digest()
}

/// A source with an index for three platforms, an empty target, and a program that knows both.
async fn begin() -> (Registry, Registry, Program) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::index(1)).await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222");
    (source, target, program)
}

fn list(source: &Registry, target: &Registry, platforms: &str) -> String {
    let (from, to) = (source.host(), target.host());
    format!(
        "images:\n- source: {from}/app:1\n  destination: {to}/some\n  platforms: {platforms}\n- \
         source: {from}/app:1\n  destination: {to}/one\n  amd64Only: true\n"
    )
}

#[tokio::test]
async fn a_list_says_which_and_the_report_tells() {
    let (source, target, program) = begin().await;
    let wanted = list(&source, &target, "[linux/arm64, linux/arm/v7]");
    program.file("images.yaml", wanted);
    assert_done!(program.run(&["check", "images.yaml"]).await);
    let plan = program.run(&["plan", "-i", "images.yaml", "--exit-code"]).await;
    assert_eq!(plan.code, Some(6), "{plan}");
    assert_eq!(target.log().writes().len(), 0);

    let image = image::index(1);
    let some = part(&image, &["linux/arm64", "linux/arm"]);
    let done = program.run(&["sync", "-i", "images.yaml", "--output", "json"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let items = report["items"].as_array().unwrap();
    assert_eq!(items[0]["platforms"], serde_json::json!(["linux/arm/v7", "linux/arm64"]));
    assert_eq!(items[0]["sourceDigest"], image.digest().to_string());
    assert_eq!(items[0]["targetDigest"], some.to_string());
    assert_eq!(items[1]["platforms"], serde_json::json!(["linux/amd64"]));
    assert_eq!(items[1]["targetDigest"], image.manifests[0].digest().to_string());
    assert_eq!(held(&target, "some", "1").await, Some(some));
    assert_eq!(held(&target, "one", "1").await, Some(image.manifests[0].digest()));

    let verified = program.run(&["verify", "-i", "images.yaml"]).await;
    assert_eq!(verified.code, Some(0), "{verified}");
    target.log().clear();
    let again = program.run(&["sync", "-i", "images.yaml"]).await;
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(target.log().writes().len(), 0);
}

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let (source, target, program) = begin().await;
    program.file("images.yaml", list(&source, &target, "[linux/amd64, linux/s390x]"));
    assert_done!(program.run(&["sync", "-i", "images.yaml", "--concurrency", "1"]).await);
    assert_eq!(held(&target, "some", "1").await, None);
}

#[tokio::test]
async fn one_image_with_some_platforms() {
    let (source, target, mut program) = begin().await;
    let from = format!("{}/app:1", source.host());
    let to = format!("{}/copy", target.host());
    let arguments =
        ["copy", &from, &to, "--platform", "linux/amd64", "--platform", "linux/arm64/v8"];
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(0), "{done}");
    let some = part(&image::index(1), &["linux/amd64", "linux/arm64"]);
    assert_eq!(held(&target, "copy", "1").await, Some(some));
    source.log().clear();
    let again = program.run(&arguments).await;
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(source.log().count("GET", path::MANIFESTS), 0, "{}", source.log());
    let drift = program.run(&["copy", &from, &to, "--platform", "linux/arm64"]).await;
    assert_eq!(drift.code, Some(3), "{drift}");
    let wrong = program.run(&["copy", &from, &to, "--platform", "amd64"]).await;
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert!(wrong.stderr.contains("such as `linux/amd64`"), "{wrong}");

    program.variable("SYNCER_PLATFORM", "linux/amd64, linux/arm64");
    target.log().clear();
    let done = program.run(&["copy", &from, &to]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(target.log().writes().len(), 0, "{}", target.log());
    program.variable("SYNCER_PLATFORM", "linux");
    let wrong = program.run(&["copy", &from, &to]).await;
    assert_eq!(wrong.code, Some(2), "{wrong}");
    assert!(wrong.stderr.contains("SYNCER_PLATFORM"), "{wrong}");
}

#[tokio::test]
async fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/platforms.yaml");
    let done = Program::new().run(&["check", example, "-r", "registry.example.com/mirror/"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "ok: 2 images, 2 targets\n"));
}

//! `--deadline`: what is under way is finished, the rest is put off, and the exit code is 75.

use testkit::personality::Rule;
use testkit::{Fault, Personality, Registry, RetryAfter, image, path};

use crate::program::{Program, add, assert_done, held};
use crate::signals::until;

async fn two_images(program: &mut Program) -> (Registry, Registry) {
    two_images_at(Registry::start().await, program).await
}

async fn two_images_at(source: Registry, program: &mut Program) -> (Registry, Registry) {
    let target = Registry::start().await;
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222");
    add(&source, "first", "1", &image::single(1)).await;
    add(&source, "second", "1", &image::single(2)).await;
    program.file(
        "images.yaml",
        format!(
            "images:\n\
             - source: {0}/first:1\n  destination: {1}/first\n\
             - source: {0}/second:1\n  destination: {1}/second\n",
            source.host(),
            target.host()
        ),
    );
    (source, target)
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_the_rest_put_off() {
    let mut program = Program::new();
    let (source, target) = two_images(&mut program).await;
    let (fault, release) = Fault::stall();
    source.inject(fault.on("GET", path::BLOBS));
    let arguments = ["-i", "images.yaml", "--concurrency=1", "--deadline=10s"];
    let mut child = program.start(&arguments);
    release.reached(1).await;
    until(&mut child, "the deadline has come: finishing what is under way").await;
    release.release();
    let done = program.end(child).await;
    assert_eq!(done.code, Some(75), "{done}");
    assert!(held(&target, "first", "1").await.is_some());
    assert!(held(&target, "second", "1").await.is_none());
    assert!(done.stdout.contains("deferred: 1 item\n  the deadline came before it was done\n"));
    assert!(done.stdout.trim_end().ends_with("; stopped at its deadline"), "{done}");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let mut program = Program::new();
    program.variable("SYNCER_DEADLINE", "1h30m");
    let (source, _target) = two_images(&mut program).await;
    source.inject(Fault::too_many_requests(RetryAfter::Seconds(5401)).on("*", path::MANIFESTS));
    let done = program.run(&["-i", "images.yaml", "--concurrency=1"]).await;
    assert_eq!(done.code, Some(75), "{done}");
    assert_eq!(source.log().count("*", path::MANIFESTS), 1);
    assert!(done.stdout.contains("2 deferred"), "{done}");
    let slowed = "127.0.0.1:11111 answered \"too many requests\" once";
    assert!(done.stdout.contains(slowed), "{done}");
}

#[tokio::test]
async fn a_plan_says_what_its_copies_cost_in_pulls() {
    let hub = Personality { rules: vec![Rule::PullLimit(100)], ..Personality::default() };
    let hub = Registry::builder().personality(hub).start().await;
    let mut program = Program::new();
    let (source, _target) = two_images_at(hub, &mut program).await;
    let arguments = ["plan", "-i", "images.yaml", "--concurrency=1", "--report=json=plan.json"];
    let done = program.run(&arguments).await;
    assert_done!(done);
    assert_eq!(source.log().count("GET", path::MANIFESTS), 0);
    let plan = std::fs::read_to_string(program.folder().join("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let pulls = &plan["registries"][0]["pulls"];
    let expected = serde_json::json!({
        "planned": 2, "limit": 100, "remaining": 100, "windowSeconds": 21600,
    });
    assert_eq!(*pulls, expected, "{plan}");
}

#[tokio::test]
async fn what_is_reserved_is_not_pulled() {
    let hub = Personality { rules: vec![Rule::PullLimit(3)], ..Personality::default() };
    let hub = Registry::builder().personality(hub).start().await;
    let mut program = Program::new();
    let (source, _target) = two_images_at(hub, &mut program).await;
    let file = std::fs::read_to_string(program.folder().join("images.yaml")).unwrap();
    let reserve = format!("registries:\n  '{}': {{ reserve: 2 }}\n", source.host());
    program.file("images.yaml", format!("{file}{reserve}"));
    let done = program.run(&["-i", "images.yaml", "--concurrency=1", "--no-progress"]).await;
    assert_done!(done);
    assert_eq!(source.log().count("GET", path::MANIFESTS), 1);
}

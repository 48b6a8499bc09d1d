//! Lock files: what `lock` writes, what `sync` makes of it, and how git merges it.

use std::path::Path;
use std::process::Command;

use oci::Digest;
use testkit::{Fault, Registry, image};

use crate::program::{Program, add, assert_done, held};

const SYNC: [&str; 4] = ["sync", "-i", "images.yaml", "--late-referrers=off"];
const LOCK: [&str; 3] = ["lock", "-i", "images.yaml"];

/// A source with an image and a tool of three versions, and a program with a list of both.
async fn begin() -> (Registry, Program) {
    let source = Registry::start().await;
    add(&source, "app", "1", &image::single(1)).await;
    for (tag, seed) in [("1.0.0", 10), ("1.1.0", 11), ("2.0.0", 12)] {
        add(&source, "tool", tag, &image::single(seed)).await;
    }
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111");
    let host = source.host();
    program.file(
        "images.yaml",
        format!(
            "images:\n\
             - {{ source: '{host}/app:1', destination: 'oci:mirror/app' }}\n\
             - {{ source: '{host}/tool', destination: 'oci:mirror/tool', tags: {{ latest: 2 }} }}\n"
        ),
    );
    (source, program)
}

async fn mirrored(program: &Program, repository: &str, tag: &str) -> Option<Digest> {
    let tag: oci::Tag = tag.parse().unwrap();
    let layout = program.layout(&format!("mirror/{repository}"));
    layout.resolve(&tag.into()).await.unwrap().map(|found| found.digest)
}

fn text(program: &Program) -> String {
    std::fs::read_to_string(program.folder().join("images.lock")).unwrap()
}

async fn run(program: &Program, arguments: &[&str], code: i32) -> String {
    let done = program.run(arguments).await;
    assert_eq!(done.code, Some(code), "{done}");
    format!("{}{}", done.stdout, done.stderr)
}

#[tokio::test]
async fn a_lock_is_made_kept_and_followed() {
    let (source, program) = begin().await;
    assert_done!(program.run(&LOCK).await);
    let first = text(&program);
    assert_eq!(first.lines().count(), 4, "{first}");
    run(&program, &["lock", "-i", "images.yaml", "--check"], 0).await;

    // The app moves, and a version comes that pushes another one out.
    add(&source, "app", "1", &image::single(2)).await;
    add(&source, "tool", "3.0.0", &image::single(13)).await;
    let told = run(&program, &["lock", "-i", "images.yaml", "--check"], 6).await;
    assert!(told.contains("/app:1 is locked to") && told.contains("/tool:3.0.0"), "{told}");
    assert_eq!(text(&program), first);

    let told = run(&program, &SYNC, 0).await;
    assert!(told.contains("source-moved") && told.contains("deferred"), "{told}");
    assert_eq!(mirrored(&program, "app", "1").await, Some(image::single(1).digest()));
    for (tag, there) in [("1.1.0", true), ("2.0.0", true), ("3.0.0", false), ("1.0.0", false)] {
        assert_eq!(mirrored(&program, "tool", tag).await.is_some(), there, "{tag}");
    }

    // What moved stays, what came and went is followed.
    let told = run(&program, &LOCK, 0).await;
    assert!(told.contains("1 added, 1 removed"), "{told}");
    let second = text(&program);
    let app = |text: &str| text.lines().find(|line| line.contains("/app:1")).unwrap().to_owned();
    assert_eq!(app(&first), app(&second));
    run(&program, &["lock", "-i", "images.yaml", "--update", "*/tool:*"], 0).await;
    assert_eq!(text(&program), second);
    run(&program, &["lock", "-i", "images.yaml", "--update"], 0).await;
    assert!(app(&text(&program)).contains(&image::single(2).digest().to_string()));
}

#[tokio::test]
async fn a_lock_that_is_as_it_should_be_asks_for_nothing_but_lists() {
    let (source, program) = begin().await;
    run(&program, &LOCK, 0).await;
    source.log().clear();
    run(&program, &LOCK, 0).await;
    assert_eq!(source.log().count("*", "/v2/*/manifests/*"), 0, "{}", source.log());
}

#[tokio::test]
async fn what_is_named_and_not_locked_is_not_copied() {
    let (source, program) = begin().await;
    program.file("images.lock", "# image-syncer lock v1\n");
    let told = run(&program, &SYNC, 1).await;
    assert!(told.contains("is not in the lock file"), "{told}");
    assert!(told.contains("image-syncer lock"), "{told}");
    assert_eq!(mirrored(&program, "app", "1").await, None);
    assert_eq!(source.log().count("GET", "/v2/*/manifests/*"), 0);
    run(&program, &["sync", "-i", "images.yaml", "--no-lock"], 0).await;
    assert_eq!(mirrored(&program, "app", "1").await, Some(image::single(1).digest()));
}

#[tokio::test]
async fn what_is_wrong_with_a_lock_is_told_before_anybody_is_asked() {
    let (source, program) = begin().await;
    for (text, expected) in [
        ("<<<<<<< HEAD\n", "images.lock: line 1: a merge has left a conflict here"),
        ("# image-syncer lock v1\nnonsense\n", "images.lock: line 2: it must be"),
    ] {
        program.file("images.lock", text);
        let told = run(&program, &SYNC, 2).await;
        assert!(told.contains(expected), "{told}");
    }
    let told = run(&program, &["plan", "-i", "images.yaml", "--lock-file", "no.lock"], 2).await;
    assert!(told.contains("there is no lock file `no.lock`"), "{told}");
    assert!(source.log().requests().is_empty());
}

#[tokio::test]
async fn a_pin_that_contradicts_the_lock_is_a_mistake() {
    let (source, program) = begin().await;
    let other = image::single(2).digest();
    program.file(
        "images.yaml",
        format!(
            "images: [{{ source: '{}/app:1@{other}', destination: 'oci:mirror/app' }}]\n",
            source.host()
        ),
    );
    let locked = image::single(1).digest();
    let line = format!("{}/app:1 {locked} 2026-11-21T08:00:00Z\n", source.host());
    program.file("images.lock", &line);
    for arguments in [&SYNC[..], &LOCK] {
        let told = run(&program, arguments, 2).await;
        assert!(told.contains("images.yaml:1") && told.contains("is locked to"), "{told}");
    }
    assert!(source.log().requests().is_empty());
    run(&program, &["lock", "-i", "images.yaml", "--update"], 0).await;
    assert!(text(&program).contains(&other.to_string()));
}

#[tokio::test]
async fn a_source_that_cannot_be_seen_costs_no_line() {
    let (source, program) = begin().await;
    run(&program, &LOCK, 0).await;
    let before = text(&program);
    source.inject(Fault::drop_connection());
    run(&program, &LOCK, 1).await;
    assert_eq!(text(&program), before);
}

#[tokio::test]
async fn a_plan_is_held_to_the_lock_and_refused_when_it_was_changed() {
    let (source, program) = begin().await;
    run(&program, &LOCK, 0).await;
    add(&source, "app", "1", &image::single(2)).await;
    run(&program, &["plan", "-i", "images.yaml", "-o", "plan.json"], 0).await;
    let locked = text(&program);
    program.file("images.lock", format!("{locked}# a remark\n"));
    let told = run(&program, &["apply", "plan.json"], 2).await;
    assert!(told.contains("`images.lock` was changed"), "{told}");
    program.file("images.lock", locked);
    run(&program, &["apply", "plan.json"], 0).await;
    assert_eq!(mirrored(&program, "app", "1").await, Some(image::single(1).digest()));
}

#[tokio::test]
async fn from_registry_to_registry_by_the_lock() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::index(1)).await;
    let program = Program::new();
    let (from, to) = (source.host(), target.host());
    program.file(
        "images.yaml",
        format!("images: [{{ source: '{from}/app:1', destination: '{to}/app' }}]\n"),
    );
    run(&program, &["lock", "-i", "images.yaml", "--lock-file", "all.lock"], 0).await;
    add(&source, "app", "1", &image::index(2)).await;
    run(&program, &["sync", "-i", "images.yaml", "--lock-file", "all.lock"], 0).await;
    assert_eq!(held(&target, "app", "1").await, Some(image::index(1).digest()));
    run(&program, &["verify", "-i", "images.yaml", "--lock-file", "all.lock"], 0).await;
    run(&program, &["verify", "-i", "images.yaml"], 3).await;
}

fn git(folder: &Path, arguments: &[&str]) -> bool {
    let done = Command::new("git")
        .args(["-c", "user.name=test", "-c", "user.email=test@example.com"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    done.status.success()
}

/// Two branches that each lock what the other does not have.
#[tokio::test]
async fn git_merges_locks() {
    let (source, program) = begin().await;
    let folder = program.folder();
    for repository in ["alpha", "beta", "gamma", "omega"] {
        add(&source, repository, "1", &image::single(20)).await;
    }
    let list = |names: &[&str]| {
        let entries = names.iter().map(|name| {
            let host = source.host();
            format!("- {{ source: '{host}/{name}:1', destination: 'oci:mirror/{name}' }}\n")
        });
        format!("images:\n{}", entries.collect::<String>())
    };
    let commit = |message: &str| {
        assert!(git(folder, &["add", "images.lock"]));
        assert!(git(folder, &["commit", "-qm", message]));
    };
    assert!(git(folder, &["init", "-qb", "main"]));
    program.file("images.yaml", list(&["app", "beta"]));
    run(&program, &LOCK, 0).await;
    commit("both begin here");
    for (branch, more) in [("one", "alpha"), ("two", "omega")] {
        assert!(git(folder, &["checkout", "-q", "main"]));
        assert!(git(folder, &["checkout", "-qb", branch]));
        program.file("images.yaml", list(&["app", "beta", more]));
        run(&program, &LOCK, 0).await;
        commit(branch);
    }
    assert!(git(folder, &["merge", "-q", "one", "-m", "merged"]));
    program.file("images.yaml", list(&["app", "beta", "alpha", "omega"]));
    run(&program, &["lock", "-i", "images.yaml", "--check"], 0).await;

    // Neighbours conflict, unless git is told that lines are all there is.
    for (branch, more) in [("three", "gamma"), ("four", "betb")] {
        add(&source, "betb", "1", &image::single(20)).await;
        assert!(git(folder, &["checkout", "-qb", branch, "two"]));
        program.file("images.yaml", list(&["app", "beta", "alpha", "omega", more]));
        run(&program, &LOCK, 0).await;
        commit(branch);
    }
    assert!(!git(folder, &["merge", "-q", "three", "-m", "merged"]));
    let told = run(&program, &LOCK, 2).await;
    assert!(told.contains("a merge has left a conflict here"), "{told}");
    assert!(git(folder, &["merge", "--abort"]));
    program.file(".gitattributes", "*.lock merge=union\n");
    assert!(git(folder, &["merge", "-q", "three", "-m", "merged"]));
    program.file("images.yaml", list(&["app", "beta", "alpha", "omega", "gamma", "betb"]));
    run(&program, &["lock", "-i", "images.yaml", "--check"], 0).await;
}

//! Items that do not end well: each says what happened, where, and what to do; none stops the rest.

use testkit::{Auth, Certificate, Fault, Registry, image, path};

use crate::program::{Program, add, assert_done, held};

#[tokio::test]
async fn drift_leaves_the_target_alone_and_shows_the_pin() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let (old, new) = (image::single(1), image::single(2));
    add(&source, "app", "1", &new).await;
    add(&target, "mirror/app", "1", &old).await;
    add(&source, "other", "1", &image::single(3)).await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222").file(
        "images.yaml",
        format!(
            "images:\n\
             # moved upstream\n\
             - source: \"{0}/app:1\"\n  destination: {1}/mirror/app\n\
             - source: \"{0}/other:1\"\n  destination: {1}/mirror/other\n",
            source.host(),
            target.host()
        ),
    );
    let dry = program.run(&["-i", "images.yaml", "--dry-run"]).await;
    assert_eq!(dry.code, Some(3), "{dry}");
    assert_eq!(target.log().writes().len(), 0);
    assert_done!(program.run(&["-i", "images.yaml", "--concurrency", "1"]).await);
    assert_eq!(held(&target, "mirror/app", "1").await, Some(old.digest()));
    assert_eq!(held(&target, "mirror/other", "1").await, Some(image::single(3).digest()));
}

#[tokio::test]
async fn what_the_source_does_not_have() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::single(1)).await;
    add(&target, "lost", "1", &image::single(2)).await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222").file(
        "images.yaml",
        format!(
            "images:\n\
             - source: {0}/app:typo\n  destination: {1}/app:typo\n\
             - source: {0}/nothing:1\n  destination: {1}/nothing\n\
             - source: {0}/lost:1\n  destination: {1}/lost\n",
            source.host(),
            target.host()
        ),
    );
    assert_done!(program.run(&["-i", "images.yaml", "--concurrency", "1"]).await);
    let single = format!(
        "images:\n- source: {0}/lost:1\n  destination: {1}/lost\n",
        source.host(),
        target.host()
    );
    program.file("lost.yaml", single);
    let warned = program.run(&["-i", "lost.yaml"]).await;
    assert_eq!(warned.code, Some(0), "{warned}");
    let failed = program.run(&["-i", "lost.yaml", "--source-lost", "fail"]).await;
    assert_eq!(failed.code, Some(1), "{failed}");
}

#[tokio::test]
async fn wrong_bytes_are_never_published() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::single(1)).await;
    source.inject(Fault::flip_byte(3).on("GET", path::BLOBS));
    let program = Program::new();
    let (from, to) = (format!("{}/app:1", source.host()), format!("{}/app", target.host()));
    let done = program.run(&["copy", &from, &to]).await;
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stdout.contains("source:"), "{done}");
    assert_eq!(held(&target, "app", "1").await, None);
}

#[tokio::test]
async fn fail_fast_begins_nothing_after_a_failure() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::single(1)).await;
    let mut program = Program::new();
    program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222").file(
        "images.yaml",
        format!(
            "images:\n\
             - source: {0}/nothing:1\n  destination: {1}/nothing\n\
             - source: {0}/app:1\n  destination: {1}/app\n",
            source.host(),
            target.host()
        ),
    );
    let done = program.run(&["-i", "images.yaml", "--fail-fast", "--concurrency", "1"]).await;
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(held(&target, "app", "1").await, None);
    let done = program.run(&["-i", "images.yaml", "--concurrency", "1"]).await;
    assert_eq!(done.code, Some(1), "{done}");
    assert!(held(&target, "app", "1").await.is_some());
}

#[tokio::test]
async fn every_failure_names_the_item_the_side_the_cause_and_the_next_step() {
    let good = Registry::start().await;
    add(&good, "app", "1", &image::single(1)).await;
    let guarded = Registry::builder().auth(Auth::basic("u", "p")).start().await;
    add(&guarded, "app", "1", &image::single(1)).await;
    let expired = Registry::builder().certificate(Certificate::Expired).start().await;
    let denying = Registry::builder()
        .fault(Fault::error(403, "DENIED", "not yours").on("*", path::MANIFESTS))
        .start()
        .await;
    let refusing = Registry::builder()
        .fault(Fault::error(403, "DENIED", "read only").on("POST", path::UPLOADS))
        .start()
        .await;
    let (good, guarded, expired, denying, refusing) =
        (good.host(), guarded.host(), expired.host(), denying.host(), refusing.host());
    let table = [
        (format!("{guarded}/app:1"), "oci:a".to_owned(), 4, "source: ", "401"),
        (format!("{good}/app:1"), format!("{guarded}/app"), 4, "target: ", "401"),
        (format!("{denying}/app:1"), "oci:b".to_owned(), 4, "source: ", "403"),
        (format!("{good}/app:1"), format!("{refusing}/app"), 4, "target: ", "403"),
        (format!("{expired}/app:1"), "oci:c".to_owned(), 1, "source: ", "expired"),
        (format!("{good}/app:1"), format!("{expired}/app"), 1, "target: ", "expired"),
        (format!("{good}/app:2"), "oci:d".to_owned(), 1, "source: ", "no such tag"),
        (format!("{good}/nothing:1"), "oci:e".to_owned(), 1, "source: ", "no such tag"),
    ];
    let program = Program::new();
    for (from, to, code, side, cause) in table {
        let done = program.run(&["copy", &from, &to, "--log-level", "error"]).await;
        assert_eq!(done.code, Some(code), "{from} {to} {done}");
        let told = done.stdout.lines().find(|line| line.trim_start().starts_with(side));
        assert!(told.is_some_and(|line| line.contains(cause)), "{from} {to} {done}");
        assert!(done.stdout.contains(&format!(": {to}")), "{from} {to} {done}");
        assert!(done.stdout.contains("  hint: "), "{from} {to} {done}");
    }
}

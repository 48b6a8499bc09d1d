//! Where things are written, and in which form.

use testkit::{Registry, image};

use crate::program::{Program, add};

#[tokio::test]
async fn logs_are_json_lines_where_asked_for() {
    let source = Registry::start().await;
    add(&source, "app", "1", &image::single(1)).await;
    let mut program = Program::new();
    let from = format!("{}/app:1", source.host());
    program.variable("SYNCER_LOG_FORMAT", "json");
    let done = program.run(&["copy", &from, "oci:mirror", "-a", "token"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    let messages: Vec<String> = done
        .stderr
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["fields"]["message"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(messages[0].starts_with("the access token stands"), "{messages:?}");
    assert_eq!(messages[1..], ["copying", "copied"]);
}

#[tokio::test]
async fn a_log_level_hides_lines_and_never_the_result() {
    let source = Registry::start().await;
    add(&source, "app", "1", &image::single(1)).await;
    let mut program = Program::new();
    program.variable("LOG_LEVEL", "WARNING");
    let done = program.run(&["copy", &format!("{}/app:1", source.host()), "oci:mirror"]).await;
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
    assert!(done.stdout.contains("1 item: 1 copied"), "{done}");
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_a_failure_and_the_result_is_still_told() {
    let source = Registry::start().await;
    add(&source, "app", "1", &image::single(1)).await;
    let program = Program::new();
    // A link into nowhere: it passes every check that can be made beforehand.
    std::os::unix::fs::symlink("missing/report.json", program.folder().join("report.json"))
        .unwrap();
    let from = format!("{}/app:1", source.host());
    let done = program.run(&["copy", &from, "oci:mirror", "--report", "json=report.json"]).await;
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("cannot write the report into `report.json`"), "{done}");
    assert!(done.stdout.contains("1 item: 1 copied"), "{done}");
}

//! Signals: the first lets what is under way be finished, the second does not; the report is
//! written either way.

use testkit::{Fault, Registry, image, path};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::program::{Program, add, held};

pub(crate) fn send(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(sent.success());
}

/// Reads standard error until a line has this in it.
pub(crate) async fn until(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains(text) {
            return;
        }
    }
    panic!("no line with `{text}`");
}

/// Two registries and a program with a list of two images, of which one is walked at a time.
async fn begin() -> (Registry, Registry, Program) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "first", "1", &image::single(1)).await;
    add(&source, "second", "1", &image::single(2)).await;
    let program = Program::new();
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
    (source, target, program)
}

const ARGUMENTS: [&str; 6] =
    ["-i", "images.yaml", "--concurrency=1", "--report=json=report.json", "--output", "table"];

fn outcomes(program: &Program) -> Vec<String> {
    let text = std::fs::read_to_string(program.folder().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["run"]["interrupted"], true);
    let items = report["items"].as_array().unwrap();
    items.iter().map(|item| item["outcome"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_signal_lets_a_transfer_be_finished() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let (source, target, program) = begin().await;
        let (fault, release) = Fault::stall();
        source.inject(fault.on("GET", path::BLOBS));
        let mut child = program.start(&ARGUMENTS);
        release.reached(1).await;
        send(&child, signal);
        until(&mut child, "finishing what is under way").await;
        release.release();
        let done = program.end(child).await;
        assert_eq!(done.code, Some(code), "{done}");
        assert_eq!(outcomes(&program), ["copied", "deferred"]);
        assert!(held(&target, "first", "1").await.is_some());
        assert!(held(&target, "second", "1").await.is_none());
    }
}

#[tokio::test]
async fn the_second_signal_ends_a_transfer() {
    let (source, target, program) = begin().await;
    let (fault, release) = Fault::stall();
    source.inject(fault.on("GET", path::BLOBS));
    let mut child = program.start(&ARGUMENTS);
    release.reached(1).await;
    send(&child, "-TERM");
    until(&mut child, "finishing what is under way").await;
    send(&child, "-INT");
    let done = program.end(child).await;
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(outcomes(&program), ["failed", "deferred"]);
    assert!(held(&target, "first", "1").await.is_none());
}

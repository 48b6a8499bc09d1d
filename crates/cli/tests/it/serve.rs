//! `serve`, by its own client: what one run pushes another reads.

use testkit::image;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::program::{Program, add};

/// Starts a server and returns the host it listens on.
async fn serve(program: &Program, arguments: &[&str]) -> (Child, String) {
    let arguments = [&["serve", "served", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut child = program.start(&arguments);
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    let host = line.trim().rsplit("//").next().unwrap().to_owned();
    assert!(line.starts_with("serving served at http"), "{line}");
    (child, host)
}

fn terminate(child: &Child) {
    let id = child.id().unwrap().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn a_served_folder_is_a_registry_and_ends_on_a_signal() {
    let source = testkit::Registry::start().await;
    add(&source, "team/app", "1", &image::with_attestations(1)).await;
    let program = Program::new();
    let (child, host) = serve(&program, &[]).await;
    let from = format!("{}/team/app:1", source.host());
    let to = format!("{host}/mirror/app");
    let pushed = program.run(&["copy", &from, &to]).await;
    assert_eq!(pushed.code, Some(0), "{pushed}");
    let pulled = program.run(&["copy", &format!("{to}:1"), "oci:pulled"]).await;
    assert_eq!(pulled.code, Some(0), "{pulled}");
    terminate(&child);
    assert_eq!(program.end(child).await.code, Some(0));
    assert!(program.folder().join("served/mirror/app/oci-layout").is_file());
    let tag: oci::Tag = "1".parse().unwrap();
    let found = program.layout("pulled").resolve(&tag.into()).await.unwrap().unwrap();
    assert_eq!(found.digest, image::with_attestations(1).digest());
}

#[tokio::test]
async fn a_read_only_folder_takes_nothing() {
    let source = testkit::Registry::start().await;
    add(&source, "app", "1", &image::single(1)).await;
    let program = Program::new();
    let (child, host) = serve(&program, &["--read-only"]).await;
    let from = format!("{}/app:1", source.host());
    let refused = program.run(&["copy", &from, &format!("{host}/app:1")]).await;
    assert!(matches!(refused.code, Some(1 | 4)), "{refused}");
    terminate(&child);
    program.end(child).await;
}

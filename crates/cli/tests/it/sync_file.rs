//! Sync files that are wrong, and `check`.

use crate::program::{Program, assert_done};

const WRONG: &str = "\
images:
- source: nginx
- sorce: redis:7
- source: \"busybox@sha256:31a54a0cf86d7354788a8265f60ae6acb4b348a67efbcf7c1007dd3cf7af05ab\"
- source: postgres:16
  tag: a b
";

#[tokio::test]
async fn all_mistakes_are_shown_in_one_go_and_no_registry_is_asked() {
    let program = Program::new();
    program.file("images.yaml", WRONG);
    assert_done!(program.run(&["sync", "-i", "images.yaml", "-r", "a.invalid/m/"]).await);
    let check = program.run(&["check", "images.yaml", "-r", "a.invalid/m/"]).await;
    let sync = program.run(&["-i", "images.yaml", "-r", "a.invalid/m/"]).await;
    assert_eq!(check.to_string(), sync.to_string());
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    let program = Program::new();
    assert_done!(program.run(&["-i", "images.yaml", "-r", "a.invalid/m/"]).await);
}

#[tokio::test]
async fn check_says_that_files_are_right() {
    let program = Program::new();
    program
        .file("lists/a.yaml", "images:\n- source: nginx:1.27\n")
        .file("lists/b.yaml", "images:\n- source: redis:7\n- source: redis:7\n");
    assert_done!(program.run(&["check", "lists", "-r", "a.invalid/m/", "-r", "oci:mirror/"]).await);
}

#[tokio::test]
async fn an_empty_list_is_a_warning() {
    let program = Program::new();
    program.file("images.yaml", "images: []\n");
    assert_done!(program.run(&["-i", "images.yaml", "-r", "a.invalid/m/"]).await);
}

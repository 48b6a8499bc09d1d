//! What of signatures is known before any registry is asked.

use crate::program::{Done, Program};

async fn run(program: &Program, line: &str) -> Done {
    program.run(&line.split(' ').collect::<Vec<_>>()).await
}

#[tokio::test]
async fn the_example_is_right() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/signed.yaml");
    let done = run(&Program::new(), &format!("check {example}")).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "ok: 3 images, 3 targets\n"), "{done}");
    assert_eq!(done.stderr, "");
}

#[tokio::test]
async fn a_file_that_asks_for_signatures_needs_a_key_from_somewhere() {
    let mut program = Program::new();
    program.file("images.yaml", "images:\n- source: nginx:1.27\n  sign: true\n");
    let check = "check images.yaml -r registry.example.com/mirror/";
    for line in [check, "plan -i images.yaml -r registry.example.com/mirror/"] {
        let done = run(&program, line).await;
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains("error[no-signing-key]"), "{done}");
        assert!(done.stderr.contains("images.yaml:3:3"), "{done}");
    }
    let done = run(&program, &format!("{check} -k hashivault://mirror")).await;
    assert_eq!(done.code, Some(0), "{done}");
    program.variable("SYNCER_KMS_KEY", "hashivault://mirror");
    let done = run(&program, check).await;
    assert_eq!(done.code, Some(0), "{done}");
}

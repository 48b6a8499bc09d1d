//! What the program says of itself.

use crate::program::{Program, assert_done};

#[tokio::test]
async fn the_short_help_fits_a_screen() {
    assert_done!(Program::new().run(&["-h"]).await);
}

#[tokio::test]
async fn every_command_has_help() {
    let program = Program::new();
    for command in [
        "sync",
        "plan",
        "verify",
        "check",
        "copy",
        "doctor",
        "sign",
        "verify-signature",
        "tags",
        "watch",
        "serve",
        "schema",
        "completions",
        "man",
    ] {
        let done = program.run(&[command, "-h"]).await;
        insta::with_settings!({ snapshot_suffix => command, omit_expression => true }, {
            insta::assert_snapshot!(done.to_string());
        });
    }
}

#[tokio::test]
async fn the_version() {
    assert_done!(Program::new().run(&["--version"]).await);
}

#[tokio::test]
async fn manual_pages_and_completions_are_printed() {
    let program = Program::new();
    for (arguments, expected) in [
        (&["man"][..], ".TH image-syncer 1"),
        (&["man", "sync"], "SYNCER_DRY_RUN"),
        (&["completions", "bash"], "--dry-run"),
        (&["completions", "zsh"], "--dry-run"),
        (&["completions", "fish"], "dry-run"),
    ] {
        let done = program.run(arguments).await;
        assert_eq!(done.code, Some(0), "{arguments:?}: {done}");
        assert!(done.stdout.contains(expected), "{arguments:?}: {done}");
        assert_eq!(done.stderr, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn schemas_are_the_ones_in_the_repository() {
    let program = Program::new();
    for (arguments, file) in [
        (&["schema"][..], "sync-file"),
        (&["schema", "sync-file"], "sync-file"),
        (&["schema", "report"], "report"),
        (&["schema", "tags"], "tags"),
        (&["schema", "signature"], "signature"),
    ] {
        let path = format!("{}/../../schema/{file}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let done = program.run(arguments).await;
        assert_eq!(done.stdout, std::fs::read_to_string(path).unwrap(), "{arguments:?}");
        assert_eq!(done.code, Some(0));
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let program = Program::new();
    for arguments in [&["schema"][..], &["man"], &["completions", "bash"], &["--help"]] {
        let mut child = program.start(arguments);
        drop(child.stdout.take());
        let done = program.end(child).await;
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

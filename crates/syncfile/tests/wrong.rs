//! Every mistake is told, with its place and what would be right: the whole text, file by file.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::PathBuf;

use syncfile::{Defaults, Input, load};

#[test]
fn every_mistake_of_a_wrong_file_is_told() {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/data/wrong")
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let diagnostics = load(&[Input::Path(file)], &Defaults::default()).expect_err(&name);
        insta::assert_snapshot!(name, diagnostics.to_string());
    }
}

//! Lists as people have them load, and become what they say.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;

use oci::Extent;
use syncfile::{Defaults, Input, Loaded, load};

/// What a list became, as text.
fn told(loaded: &Loaded) -> String {
    let mut text = String::new();
    for image in &loaded.sync_file.images {
        writeln!(text, "{}  {}", image.origin, image.source).expect("a string takes it");
        match &image.extent {
            Extent::Whole => {}
            Extent::Platforms(platforms) => {
                writeln!(text, "  an index of {platforms}").expect("a string takes it");
            }
            Extent::Image(platform) => {
                writeln!(text, "  the image for {platform}").expect("a string takes it");
            }
        }
        for target in &image.targets {
            writeln!(text, "  -> {target}").expect("a string takes it");
        }
    }
    for one in &loaded.sync_file.selections {
        writeln!(text, "{}  {}  {}", one.origin, one.source, one.rules).expect("a string takes it");
        for target in &one.targets {
            writeln!(text, "  -> {target}").expect("a string takes it");
        }
    }
    for warning in &loaded.warnings {
        write!(text, "\n{warning}\n").expect("a string takes it");
    }
    text
}

#[test]
fn lists_as_people_have_them_load() {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/data/lists")
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let own = ["with-prefix", "pairs", "anchors", "tag-selections"].contains(&name.as_str());
        let prefix = (!own).then(|| "europe-docker.pkg.dev/kyma-project/prod/external/".to_owned());
        let defaults =
            Defaults { target_repo_prefixes: prefix.into_iter().collect(), ..Defaults::default() };
        let loaded = load(&[Input::Path(file)], &defaults);
        let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{name}:\n{diagnostics}"));
        insta::assert_snapshot!(name, told(&loaded));
    }
}

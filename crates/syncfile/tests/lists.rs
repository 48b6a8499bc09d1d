//! Lists as people have them load, and become what they say.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;

use oci::Extent;
use syncfile::{ChartSource, ChartVersions, Defaults, EcrDefaults, Input, Loaded, load};

/// What a list became, as text.
fn told(loaded: &Loaded) -> String {
    let mut text = String::new();
    for image in &loaded.sync_file.images {
        writeln!(text, "{}  {}", image.origin, image.source).expect("a string takes it");
        match &image.extent {
            Extent::Whole | Extent::Chart => {}
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
    for one in &loaded.sync_file.repositories {
        let how = if one.creation_only { "where it is missing" } else { "as it is described" };
        writeln!(text, "{}  {}, {how}\n  {:?}", one.origin, one.location(), one.settings)
            .expect("a string takes it");
    }
    for one in &loaded.sync_file.charts {
        let sources: Vec<String> = one
            .sources
            .iter()
            .map(|source| match source {
                ChartSource::Repository { url, chart } => format!("{chart} in {url}"),
                ChartSource::Registry(location) => location.to_string(),
            })
            .collect();
        let versions = match &one.versions {
            ChartVersions::Exact(versions) => versions.join(" "),
            ChartVersions::Range(range) => format!("in {range}"),
        };
        writeln!(text, "{}  {}  {versions}", one.origin, sources.join(" or "))
            .expect("a string takes it");
        if one.list_images {
            writeln!(text, "  its images are listed").expect("a string takes it");
        }
        for target in &one.targets {
            writeln!(text, "  -> {target}").expect("a string takes it");
        }
    }
    for warning in &loaded.warnings {
        write!(text, "\n{warning}\n").expect("a string takes it");
    }
    text
}

/// The lists that say themselves where everything goes.
const OWN: [&str; 7] =
    ["with-prefix", "pairs", "anchors", "tag-selections", "repositories", "charts", "ecr-sync"];

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
        let own = OWN.contains(&name.as_str());
        let prefix = (!own).then(|| "europe-docker.pkg.dev/kyma-project/prod/external/".to_owned());
        let ecr = EcrDefaults {
            account: Some("123456789012".to_owned()),
            region: Some("us-east-1".to_owned()),
            ..EcrDefaults::default()
        };
        let defaults = Defaults { target_repo_prefixes: prefix.into_iter().collect(), ecr };
        let loaded = load(&[Input::Path(file)], &defaults);
        let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{name}:\n{diagnostics}"));
        insta::assert_snapshot!(name, told(&loaded));
    }
}

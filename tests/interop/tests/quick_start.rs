//! What README says first: the example list, without network or account, twice.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use interop::Workbench;

/// Every file below the folder, with when it was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_first_command_of_the_readme() {
    let tools = ["skopeo", "umoci", "cp"];
    let Some(bench) = Workbench::with_image_syncer("quick start", &tools) else { return };
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let copy = bench.folder().join("examples");
    std::fs::create_dir(&copy).unwrap();
    // Not `examples/mirror`, which a user of this checkout may have made.
    let parts = [examples.join("images.yaml"), examples.join("source")];
    bench.tool("cp").args(["-r"]).args(parts).args([&copy]).succeed();
    let sync =
        || bench.image_syncer().args(["sync", "-i", "examples/images.yaml"]).run().expect_code(0);
    let mirror = copy.join("mirror");

    sync();
    let written = files(&mirror);
    assert!(!written.is_empty());
    let image = format!("{}/team/notes:2.1-mirrored", mirror.display());
    bench.tool("skopeo").args(["inspect", &format!("oci:{image}")]).succeed();
    let bundle = bench.folder().join("bundle");
    bench.tool("umoci").args(["unpack", "--image", &image]).args([bundle]).succeed();

    sync();
    assert_eq!(files(&mirror), written, "a second run writes nothing");
}

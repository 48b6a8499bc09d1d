//! A Debian root file system of more than 100 MB, made by mmdebstrap and buildah, goes through and is
//! unpacked by umoci; `tar --compare` says that every file is what it was.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use interop::{Kind, Workbench};

const TOOLS: [&str; 9] = [
    "crane",
    "skopeo",
    "umoci",
    "buildah",
    "mmdebstrap",
    "tar",
    "htpasswd",
    "docker-registry",
    "distribution3",
];

/// Unpacks `oci:FOLDER:TAG` and compares it with what it was made from.
fn expect_debian(bench: &Workbench, image: &str) {
    let bundle = bench.folder().join("bundle");
    bench.tool("umoci").args(["unpack", "--image", image]).args([&bundle]).succeed();
    let root = bench.images().debian_root();
    assert!(root.metadata().unwrap().len() > 100_000_000, "it is a real one");
    bench
        .tool("tar")
        .args([Path::new("--compare"), Path::new("-f"), &root])
        .args([Path::new("-C"), &bundle.join("rootfs")])
        .succeed();
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn debian_from_registry_to_registry() {
    let Some(bench) = Workbench::with_image_syncer("real images", &TOOLS) else { return };
    let (source, target) = (bench.start(Kind::DockerRegistry), bench.start(Kind::Distribution3));
    let debian = bench.images().debian();
    bench.push(&debian, &format!("{}/debian:12", source.host()));
    let copy = format!("{}/copy/debian:12", target.host());
    let entry = format!("- source: \"{}/debian:12\"\n  destination: \"{copy}\"", source.host());
    let list = bench.list(&entry, &[&source, &target]);
    bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]).run().expect_code(0);

    assert_eq!(bench.crane(["digest", &copy]), debian.digest());
    let pulled = format!("oci:{}:12", bench.folder().join("pulled").display());
    bench
        .tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet", &format!("docker://{copy}"), &pulled])
        .succeed();
    expect_debian(&bench, pulled.trim_start_matches("oci:"));
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn debian_from_layout_to_layout_and_archive() {
    let Some(bench) = Workbench::with_image_syncer("real images", &TOOLS) else { return };
    let debian = bench.images().debian();
    let (folder, digest) = (debian.folder().display(), debian.digest());
    let (layout, archive) =
        (bench.folder().join("mirror/debian"), bench.folder().join("debian.tar"));
    let list = bench.list(
        &format!(
            r#"
- source: "oci:{folder}@{digest}"
  tag: "12"
  destination: "oci:{}"
- source: "oci:{folder}@{digest}"
  tag: "12"
  destination: "oci-archive:{}"
"#,
            layout.display(),
            archive.display(),
        ),
        &[],
    );
    bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]).run().expect_code(0);
    expect_debian(&bench, &format!("{}:12", layout.display()));

    let inspected = bench
        .tool("skopeo")
        .args(["inspect", "--format={{.Digest}}", &format!("oci-archive:{}:12", archive.display())])
        .succeed();
    assert_eq!(inspected.trim(), digest);
    // skopeo reads every blob on the way and checks it against its digest.
    bench
        .tool("skopeo")
        .args(["--insecure-policy", "copy", "--quiet"])
        .args([format!("oci-archive:{}:12", archive.display())])
        .args([format!("dir:{}", bench.folder().join("unpacked").display())])
        .succeed();
}

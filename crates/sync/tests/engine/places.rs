//! Layouts and archives, as source and as target.

use std::path::Path;

use layout::{Archive, Layout};
use oci::Selector;
use sync::{Mode, Outcome};
use testkit::image::{self, MadeImage};

use crate::rig::{Rig, outcomes, tag_name, wish};

async fn assert_layout_holds(layout: &Layout, tag: &str, image: &MadeImage) {
    let held = layout.resolve(&Selector::Tag(tag_name(tag))).await.unwrap();
    assert_eq!(held.map(|descriptor| descriptor.digest), Some(image.digest()));
    for digest in image.digests() {
        assert!(layout.blob_size(&digest).await.unwrap().is_some(), "{digest} is not there");
    }
}

fn oci(scheme: &str, path: &Path, tag: &str) -> String {
    format!("{scheme}:{}:{tag}", path.display())
}

#[tokio::test]
async fn from_a_layout_through_an_archive_into_a_registry() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (from, archive) = (folder.path().join("from"), folder.path().join("to.tar"));
    let (first, second) = (image::nested(1), image::single(2));
    first.write_to(&Layout::at(&from)).await;
    let layout = Layout::at(&from);
    layout.tag(&tag_name("1"), &first.root).await.unwrap();
    second.write_to(&layout).await;
    layout.tag(&tag_name("2"), &second.root).await.unwrap();

    let into = vec![
        wish(&oci("oci", &from, "1"), &oci("oci-archive", &archive, "one")),
        wish(&oci("oci", &from, "2"), &oci("oci-archive", &archive, "two")),
    ];
    let report = rig.run(into.clone()).await;
    assert_eq!(outcomes(&report), [Outcome::Copied, Outcome::Copied], "{report:?}");
    let opened = Archive::open(&archive).await.unwrap().unwrap();
    assert_eq!(opened.tags().await.unwrap(), [tag_name("one"), tag_name("two")]);

    let before = std::fs::metadata(&archive).unwrap().modified().unwrap();
    let report = rig.run(into).await;
    assert_eq!(outcomes(&report), [Outcome::UpToDate, Outcome::UpToDate], "{report:?}");
    assert_eq!(std::fs::metadata(&archive).unwrap().modified().unwrap(), before);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "nothing is left beside the layout and the archive");

    let out = wish(&oci("oci-archive", &archive, "one"), &format!("{}/app:1", rig.target.host()));
    assert_eq!(rig.run_one(out).await.outcome, Outcome::Copied);
    rig.assert_holds("app", "1", &first).await;
}

#[tokio::test]
async fn layouts_of_one_tree_share_blobs_by_links() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let images = image::shared_base(1, 2);
    let mut wanted = Vec::new();
    for (name, image) in ["a", "b"].into_iter().zip(&images) {
        rig.offer(name, "1", image).await;
        let target = oci("oci", &folder.path().join(name), "1");
        wanted.push(wish(&format!("{}/{name}:1", rig.source.host()), &target));
    }
    let report = rig.run(wanted.clone()).await;
    assert_eq!(outcomes(&report), [Outcome::Copied, Outcome::Copied], "{report:?}");
    for (name, image) in ["a", "b"].into_iter().zip(&images) {
        assert_layout_holds(&Layout::at(folder.path().join(name)), "1", image).await;
    }
    assert!(report.transferred().mounted > 0, "{report:?}");
    let report = rig.run(wanted).await;
    assert_eq!(outcomes(&report), [Outcome::UpToDate, Outcome::UpToDate]);
}

#[tokio::test]
async fn a_plan_leaves_no_trace_in_a_file_system() {
    let rig = Rig::new().await.mode(Mode::Plan);
    rig.offer("app", "1", &image::single(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}/app:1", rig.source.host());
    let report = rig
        .run(vec![
            wish(&source, &oci("oci", &folder.path().join("layout"), "1")),
            wish(&source, &oci("oci-archive", &folder.path().join("archive.tar"), "1")),
        ])
        .await;
    assert_eq!(outcomes(&report), [Outcome::WouldCopy, Outcome::WouldCopy], "{report:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_blob_of_a_layout_is_not_passed_on() {
    let rig = Rig::new().await;
    let folder = tempfile::tempdir().unwrap();
    let image = image::single(1);
    let layout = Layout::at(folder.path());
    image.write_to(&layout).await;
    layout.tag(&tag_name("1"), &image.root).await.unwrap();
    let (blob, content) = image.blobs.last().unwrap();
    let mut damaged = content.to_vec();
    damaged[0] ^= 1;
    let file = folder.path().join("blobs").join("sha256").join(blob.digest.hex());
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, damaged).unwrap();
    let target = format!("{}/app:1", rig.target.host());
    let item = rig.run_one(wish(&oci("oci", folder.path(), "1"), &target)).await;
    assert_eq!(item.outcome, Outcome::Failed);
    assert_eq!(item.failure.unwrap().side, sync::Side::Source);
    rig.assert_absent("app", "1").await;
}

#[tokio::test]
async fn an_archive_that_is_not_there_is_said_to_be_missing() {
    let rig = Rig::new().await;
    let target = format!("{}/app:1", rig.target.host());
    let item = rig.run_one(wish("oci-archive:/nowhere/x.tar:1", &target)).await;
    assert_eq!(item.outcome, Outcome::Failed);
    let message = item.failure.unwrap().message;
    assert!(message.contains("/nowhere/x.tar"), "{message}");
}

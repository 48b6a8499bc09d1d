//! Several processes at work on one layout, and some of them dying: what is left is always whole.
//!
//! This test program is its own helper: run again with `LAYOUT` in its environment, it writes
//! images into that layout.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test's helper fails")]

mod made;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use layout::{Layout, Tagged};
use made::tag;
use oci::{Digest, Selector};

/// What `index` images of one process are made of; large enough to be written in several pieces.
fn seed(writer: &str, index: usize) -> Vec<u8> {
    format!("{writer}-{index} ").repeat(30_000).into_bytes()
}

/// The helper: writes images, saying so, until it has written all.
#[tokio::test]
async fn writes_images() {
    let Ok(folder) = std::env::var("LAYOUT") else { return };
    let writer = std::env::var("WRITER").unwrap();
    let count: usize = std::env::var("COUNT").unwrap().parse().unwrap();
    let layout = Layout::at(folder);
    for index in 0..count {
        let image = made::store(&layout, &seed(&writer, index)).await;
        let name = tag(&format!("{writer}-{index}"));
        assert_eq!(layout.tag(&name, &image.descriptor()).await.unwrap(), Tagged::Written);
        println!("\nwrote {name}");
        std::io::stdout().flush().unwrap();
    }
}

fn start(folder: &Path, writer: &str, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_images", "--nocapture"])
        .env("LAYOUT", folder)
        .env("WRITER", writer)
        .env("COUNT", count.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until a writer has said `count` times that it wrote something.
fn wait_for(writer: &mut Child, count: usize) {
    let lines = BufReader::new(writer.stdout.as_mut().unwrap()).lines();
    let wrote = lines.map(Result::unwrap).filter(|line| line.starts_with("wrote "));
    assert_eq!(wrote.take(count).count(), count, "the writer ended too early");
}

/// Every tag's manifest and blob is there and right.
async fn check(layout: &Layout) -> BTreeSet<String> {
    let tags = layout.tags().await.unwrap();
    for tag in &tags {
        let manifest = layout.manifest(&Selector::Tag(tag.clone())).await.unwrap();
        for blob in manifest.unwrap_or_else(|| panic!("{tag} has no manifest")).blobs() {
            let path = layout.folder().join("blobs/sha256").join(blob.digest.hex());
            assert_eq!(Digest::sha256(&std::fs::read(path).unwrap()), blob.digest);
        }
    }
    // Blobs that no tag names yet are whole too.
    for blob in std::fs::read_dir(layout.folder().join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let digest = Digest::sha256(&std::fs::read(&path).unwrap());
        assert_eq!(path.file_name().unwrap().to_str(), Some(digest.hex().as_str()));
    }
    tags.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn several_processes_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("layout");
    let mut writers: Vec<_> =
        ["a", "b", "c"].map(|writer| start(&folder, writer, 8)).into_iter().collect();
    for writer in &mut writers {
        wait_for(writer, 8);
        assert!(writer.wait().unwrap().success());
    }
    let expected: BTreeSet<_> =
        ["a", "b", "c"].iter().flat_map(|w| (0..8).map(move |i| format!("{w}-{i}"))).collect();
    assert_eq!(check(&Layout::at(&folder)).await, expected);
}

#[tokio::test]
async fn many_tasks_and_instances_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let layouts = [Layout::at(folder.path()), Layout::at(folder.path())];
    let writes = (0..40).map(|index| {
        let layout = layouts[index % 2].clone();
        tokio::spawn(async move {
            // All images share a blob, and each tag is fought for by two.
            made::store(&layout, b"shared").await;
            let image = made::store(&layout, format!("{index}").as_bytes()).await;
            let name = tag(&format!("v{}", index / 2));
            (name.clone(), image.digest(), layout.tag(&name, &image.descriptor()).await.unwrap())
        })
    });
    let results = futures::future::join_all(writes.collect::<Vec<_>>()).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    let written: Vec<_> = results.iter().filter(|result| result.2 == Tagged::Written).collect();
    assert_eq!(written.len(), 20);
    for (name, digest, tagged) in &results {
        let found = layouts[0].resolve(&Selector::Tag(name.clone())).await.unwrap().unwrap();
        match tagged {
            Tagged::Written => assert_eq!(found.digest, *digest),
            Tagged::Holds(other) => assert_eq!(found.digest, *other),
            Tagged::Same => panic!("{name} was written by nobody else"),
        }
    }
    assert_eq!(check(&layouts[0]).await.len(), 20);
}

#[tokio::test]
async fn a_killed_writer_leaves_a_whole_layout() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("layout");
    let mut expected = BTreeSet::new();
    for round in 0..4 {
        let writer = format!("w{round}");
        let mut process = start(&folder, &writer, 1000);
        wait_for(&mut process, round + 1);
        process.kill().unwrap();
        process.wait().unwrap();
        let found = check(&Layout::at(&folder)).await;
        // What it said it wrote is there.
        expected.extend((0..=round).map(|index| format!("{writer}-{index}")));
        assert!(found.is_superset(&expected), "{found:?}");
        expected = found;
    }
    // The next writer is not held up, and ends as if nothing had happened.
    let mut process = start(&folder, "last", 2);
    wait_for(&mut process, 2);
    assert!(process.wait().unwrap().success());
    assert_eq!(check(&Layout::at(&folder)).await.len(), expected.len() + 2);
}

//! `kill -9` at every point of a run: the target never shows a tag whose content is not all there,
//! and the next run ends as if nothing had happened.

use layout::Layout;
use oci::Selector;
use testkit::image::{self, MadeImage};
use testkit::{Fault, Registry, Release, path};
use tokio::process::Child;

use crate::program::{Program, add};

fn images() -> Vec<(&'static str, MadeImage)> {
    let [one, two] = image::shared_base(1, 2).try_into().unwrap();
    vec![("one", one), ("two", two), ("index", image::with_attestations(3))]
}

async fn source() -> Registry {
    let source = Registry::start().await;
    for (name, image) in images() {
        add(&source, name, "1", &image).await;
    }
    source
}

/// A program with a list of all images, to be copied to `prefix`.
fn program(source: &Registry, prefix: &str) -> Program {
    let program = Program::new();
    let mut list = "images:\n".to_owned();
    for (name, _) in images() {
        let source = source.host();
        list += &format!("- source: {source}/{name}:1\n  destination: {prefix}{name}\n");
    }
    program.file("images.yaml", list);
    program
}

/// Kills the program when a request is held; false if it came to its end before.
async fn killed(mut child: Child, held: &Release) -> bool {
    tokio::select! {
        () = held.reached(1) => {
            child.kill().await.unwrap();
            true
        }
        status = child.wait() => {
            assert_eq!(status.unwrap().code(), Some(0));
            false
        }
    }
}

/// How many of the tags are there. Each that is has all of its content.
async fn whole(layout: impl Fn(&str) -> Layout) -> usize {
    let mut tags = 0;
    for (name, image) in images() {
        let layout = layout(name);
        let tag = Selector::Tag("1".parse().unwrap());
        let Some(found) = layout.resolve(&tag).await.unwrap() else { continue };
        assert_eq!(found.digest, image.digest());
        for digest in image.digests() {
            let size = layout.blob_size(&digest).await.unwrap();
            assert!(size.is_some(), "{name} has its tag but not {digest}");
        }
        tags += 1;
    }
    tags
}

#[tokio::test]
async fn a_registry_never_shows_half_an_image() {
    let source = source().await;
    let mut kills = 0;
    loop {
        let target = Registry::start().await;
        let program = program(&source, &format!("{}/", target.host()));
        let (fault, held) = Fault::stall();
        target.inject(fault.on("POST|PATCH|PUT", "/v2/**").nth(kills + 1));
        let arguments = ["-i", "images.yaml", "--concurrency=2"];
        let was_killed = killed(program.start(&arguments), &held).await;
        let layout = |name: &str| target.layout(&name.parse().unwrap());
        whole(layout).await;
        held.release();
        target.clear_faults();
        let done = program.run(&arguments).await;
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(whole(layout).await, 3);
        if !was_killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 15, "only {kills} writes were held");
}

#[tokio::test]
async fn a_folder_never_shows_half_an_image() {
    let source = source().await;
    let mut kills = 0;
    loop {
        let program = program(&source, "oci:mirror/");
        // In the middle of a blob: some of it is written already.
        let (fault, held) = Fault::stall_response(100);
        source.inject(fault.on("GET", path::BLOBS).nth(kills + 1));
        let was_killed = killed(program.start(&["-i", "images.yaml"]), &held).await;
        let layout = |name: &str| program.layout(&format!("mirror/{name}"));
        whole(layout).await;
        held.release();
        source.clear_faults();
        let done = program.run(&["-i", "images.yaml"]).await;
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(whole(layout).await, 3);
        if !was_killed {
            break;
        }
        kills += 1;
    }
    assert!(kills > 5, "only {kills} reads were held");
}

//! `kill -9` of a sync between two real registries, after every write that the target takes: whatever
//! tag is there then is whole, and the next run ends as if nothing had happened.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use interop::{Kind, Layout, Workbench};

const TOOLS: [&str; 4] = ["crane", "buildah", "htpasswd", "distribution3"];

/// An image, and where its copy is to be.
type Wanted = (Layout, String);

/// How many of the copies are there. Each that is has every blob and every byte of them.
fn whole(bench: &Workbench, wanted: &[Wanted]) -> usize {
    let mut tags = 0;
    for (image, copy) in wanted {
        let digest = bench.tool("crane").args(["digest", copy]).run();
        if digest.code == Some(0) {
            bench.expect_copy(image, copy);
            tags += 1;
        } else {
            let absent = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "404"];
            let said = &digest.stderr;
            assert!(absent.iter().any(|text| said.contains(text)), "{copy}: {said}");
        }
    }
    tags
}

/// What became of a sync that was to be killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    Killed,
    /// It made so many writes, and was at its end when it was killed.
    TooLate,
    /// It has not so many writes to make.
    Done,
}

/// Starts a sync and kills it when the target has taken so many writes. If it comes to its end, that is
/// success.
fn killed(bench: &Workbench, list: &Path, target: &interop::Server, writes: usize) -> Ended {
    bench.forget_requests(target);
    let arguments = ["sync", "-i", list.to_str().unwrap(), "--concurrency", "2"];
    let mut running = bench.image_syncer().args(arguments).start();
    let has_written = target.wait_for_writes(writes, &mut running);
    let output = if has_written { running.kill() } else { running.end() };
    if has_written && output.code.is_none() {
        return Ended::Killed;
    }
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let made = bench.requests(target).iter().filter(|request| request.is_write()).count();
    if made >= writes { Ended::TooLate } else { Ended::Done }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn after_every_write() {
    let Some(bench) = Workbench::with_image_syncer("kill", &TOOLS) else { return };
    let (source, target) = (bench.start(Kind::Distribution3), bench.start(Kind::Distribution3));
    let images = bench.images();
    let table = [
        ("single", images.small("amd64", "single")),
        ("other", images.small("arm64", "other")),
        ("index", images.index_with_attestations()),
    ];
    for (name, image) in &table {
        bench.push(image, &format!("{}/{name}:1", source.host()));
    }

    let (mut kills, mut between) = (0, 0);
    for writes in 1.. {
        // Repositories that hold nothing yet, so that each round begins where the first did.
        let prefix = format!("{}/round-{writes}", target.host());
        let mut entries = String::new();
        let mut wanted = vec![];
        for (name, image) in &table {
            let copy = format!("{prefix}/{name}:1");
            let from = format!("{}/{name}:1", source.host());
            entries += &format!("- source: \"{from}\"\n  destination: \"{copy}\"\n");
            wanted.push((image.clone(), copy));
        }
        let list = bench.list(&entries, &[&source, &target]);

        let first = killed(&bench, &list, &target, writes);
        let tags = whole(&bench, &wanted);
        between += usize::from(tags > 0 && tags < wanted.len());
        // And once more, in what the first left.
        let second = (first == Ended::Killed).then(|| killed(&bench, &list, &target, writes));
        let ends = [Some(first), second];
        kills += ends.iter().filter(|end| **end == Some(Ended::Killed)).count();
        assert!(whole(&bench, &wanted) >= tags, "a tag is gone");

        let run = bench
            .image_syncer()
            .args(["sync", "-i", list.to_str().unwrap(), "--output", "json"])
            .run()
            .expect_code(0);
        assert_eq!(whole(&bench, &wanted), wanted.len());
        for (image, copy) in &wanted {
            let item = run.item(copy.trim_start_matches(target.host()));
            assert!(["copied", "up-to-date"].contains(&item.text("outcome").as_str()));
            assert_eq!(item.text("targetDigest"), image.digest());
        }
        if first == Ended::Done {
            break;
        }
    }
    assert!(kills > 15, "only {kills} runs were killed");
    assert!(between > 0, "no run was killed while some tags were there and some were not");
}

//! A source tag that moved leaves the target as it was: exit code 3, both digests, the line that pins
//! what the target has; all other items are done. A dry run says the same and writes nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::Path;

use interop::{ImageSyncer, Kind, Request, Workbench};

const TOOLS: [&str; 6] =
    ["crane", "buildah", "htpasswd", "docker-registry", "distribution3", "ggcr-registry"];

fn left_alone(kind: Kind) {
    let name = format!("drift {}", kind.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(kind), bench.start(kind));
    let (from, to) = (source.host(), target.host());
    let images = bench.images();
    let (before, after) = (images.small("amd64", "before"), images.small("amd64", "after"));
    let names = ["moved", "steady", "new"];
    let entries = names
        .map(|name| format!("- source: \"{from}/{name}:1\"\n  destination: \"{to}/{name}:1\""));
    let list = |entries: &[String]| bench.list(&entries.join("\n"), &[&source, &target]);
    let (first, all) = (list(&entries[..2]), list(&entries));
    let sync = |list: &Path| -> ImageSyncer {
        bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()])
    };

    bench.push(&before, &format!("{from}/moved:1"));
    bench.push(&images.index_with_attestations(), &format!("{from}/steady:1"));
    sync(&first).run().expect_code(0);
    bench.push(&after, &format!("{from}/moved:1"));
    bench.push(&before, &format!("{from}/new:1"));

    for (dry_run, new) in [(true, "would-copy"), (false, "copied")] {
        bench.forget_requests(&source);
        bench.forget_requests(&target);
        let mut run = sync(&all).args(["--output", "json"]);
        if dry_run {
            run = run.args(["--dry-run"]);
        }
        let run = run.run().expect_code(3);
        let moved = run.item("/moved:1");
        assert_eq!(moved.text("outcome"), "drift");
        assert_eq!(moved.text("sourceDigest"), after.digest());
        assert_eq!(moved.text("targetDigest"), before.digest());
        let pin = moved.text("pinLine");
        assert!(pin.contains(&format!("{from}/moved:1@{}", before.digest())), "{pin}");
        assert_eq!(run.item("/steady:1").text("outcome"), "up-to-date");
        assert_eq!(run.item("/new:1").text("outcome"), new);

        assert_eq!(bench.crane(["digest", &format!("{to}/moved:1")]), before.digest());
        let source_requests = bench.requests(&source);
        assert!(!source_requests.iter().any(Request::is_write), "{source_requests:#?}");
        let wrote = bench.requests(&target).iter().any(Request::is_write);
        assert_eq!(wrote, !dry_run, "a dry run writes nothing");
    }
    bench.expect_copy(&before, &format!("{to}/new:1"));

    // What a person reads has it all.
    let said = sync(&all).run().expect_code(3).stdout;
    for part in [before.digest(), after.digest(), format!("{from}/moved:1@{}", before.digest())] {
        assert!(said.contains(&part), "`{part}` is not in:\n{said}");
    }

    // The line that it says is the way out.
    let pinned = entries[0].replace(":1\"\n", &format!(":1@{}\"\n", before.digest()));
    let run = sync(&list(&[pinned])).args(["--output", "json"]).run().expect_code(0);
    assert_eq!(run.item("/moved:1").text("outcome"), "source-moved");
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry() {
    left_alone(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3() {
    left_alone(Kind::Distribution3);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn go_containerregistry() {
    left_alone(Kind::GoContainerregistry);
}

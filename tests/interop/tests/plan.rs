//! A plan against real registries, and an outsider who moves tags before it is carried out: what was
//! planned is published, or nothing is.
#![allow(clippy::unwrap_used, reason = "test code")]

use interop::{Kind, Request, Workbench};

const TOOLS: [&str; 5] = ["crane", "buildah", "htpasswd", "docker-registry", "distribution3"];

fn carried_out(kind: Kind) {
    let name = format!("plan {}", kind.program());
    let Some(bench) = Workbench::with_image_syncer(&name, &TOOLS) else { return };
    let (source, target) = (bench.start(kind), bench.start(kind));
    let (from, to) = (source.host(), target.host());
    let images = bench.images();
    let planned = images.index_with_attestations();
    let (before, after) = (images.small("amd64", "before"), images.small("amd64", "after"));
    let entries = ["steady", "moved"]
        .map(|name| format!("- source: \"{from}/{name}:1\"\n  destination: \"{to}/{name}:1\""));
    let list = bench.list(&entries.join("\n"), &[&source, &target]);
    let (list, file) = (list.to_str().unwrap(), bench.folder().join("plan.json"));
    let file = file.to_str().unwrap();
    let apply = || bench.image_syncer().args(["apply", file, "--output", "json"]);
    let wrote = || bench.requests(&target).iter().any(Request::is_write);

    bench.push(&planned, &format!("{from}/steady:1"));
    bench.push(&before, &format!("{from}/moved:1"));
    let plan = bench.image_syncer().args(["plan", "-i", list, "-o", file]).run();
    plan.expect_code(0);
    assert!(!wrote(), "a plan writes nothing");

    // Somebody moves the source's tag, and takes the target's of another image.
    bench.push(&after, &format!("{from}/moved:1"));
    bench.push(&after, &format!("{to}/steady:1"));
    bench.forget_requests(&target);
    let stopped = apply().run().expect_code(3);
    let says = format!("the target holds {}", after.digest());
    assert!(stopped.stderr.contains(&says), "{}", stopped.stderr);
    assert!(!wrote(), "{:#?}", bench.requests(&target));

    // Another target, so that the plan can be carried out.
    let entries = entries.map(|entry| entry.replace(&format!("{to}/"), &format!("{to}/second/")));
    bench.crane(["tag", &format!("{from}/moved@{}", before.digest()), "1"]);
    let list = bench.list(&entries.join("\n"), &[&source, &target]);
    let list = list.to_str().unwrap();
    bench.image_syncer().args(["plan", "-i", list, "-o", file]).run().expect_code(0);
    bench.crane(["tag", &format!("{from}/moved@{}", after.digest()), "1"]);
    let done = apply().run().expect_code(0);
    assert_eq!(done.item("/second/moved:1").text("outcome"), "source-moved");
    assert_eq!(done.item("/second/steady:1").text("outcome"), "copied");
    bench.expect_copy(&planned, &format!("{to}/second/steady:1"));
    bench.expect_copy(&before, &format!("{to}/second/moved:1"));

    // What is there is left as it is.
    bench.forget_requests(&target);
    apply().run().expect_code(0);
    assert!(!wrote(), "{:#?}", bench.requests(&target));
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn docker_registry() {
    carried_out(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn distribution3() {
    carried_out(Kind::Distribution3);
}

//! A plan on its way: made, read by a person, carried out later, in a world that may have moved.

use oci::Digest;
use serde_json::Value;
use testkit::{Fault, KeyPair, Registry, image};

use crate::program::{Done, Program, add, assert_done, held};
use crate::signals::{send, until};

/// A source with an image and its signature, an empty target, and a program with a list of both.
struct World {
    source: Registry,
    target: Registry,
    program: Program,
}

impl World {
    async fn new() -> Self {
        let (source, target) = (Registry::start().await, Registry::start().await);
        let app = image::with_attestations(1);
        add(&source, "team/app", "1.0", &app).await;
        let signature = format!("sha256-{}.sig", app.digest().hex());
        add(&source, "team/app", &signature, &image::single(7)).await;
        let mut program = Program::new();
        program.name(&source, "127.0.0.1:11111").name(&target, "127.0.0.1:22222");
        let world = Self { source, target, program };
        world.list("");
        world
    }

    fn list(&self, more: &str) {
        let (from, to) = (self.source.host(), self.target.host());
        let image = format!("- source: {from}/team/app:1.0\n  destination: {to}/app\n");
        self.program.file("images.yaml", format!("images:\n{image}{more}"));
    }

    async fn plan(&self) -> Done {
        let arguments = ["plan", "-i", "images.yaml", "-o", "plan.json", "--concurrency", "1"];
        let done = self.program.run(&arguments).await;
        assert_eq!(self.target.log().writes().len(), 0, "{done}");
        done
    }

    async fn apply(&self) -> Done {
        self.program.run(&["apply", "plan.json", "--concurrency", "1"]).await
    }

    /// That a plan is not carried out, and that nothing was written.
    async fn assert_stops(&self, code: i32, says: &str) {
        let done = self.apply().await;
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(says), "{done}");
        assert_eq!(self.target.log().writes().len(), 0, "{done}");
    }

    fn planned(&self) -> Digest {
        image::with_attestations(1).digest()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.program.folder().join("plan.json")).unwrap()
    }
}

#[tokio::test]
async fn a_plan_says_what_would_be_written_and_apply_does_that() {
    let world = World::new().await;
    assert_done!(world.plan().await);
    let plan: serde_json::Value = serde_json::from_str(&world.text()).unwrap();
    assert_eq!(plan["items"][0]["digest"], world.planned().to_string());
    assert_eq!(plan["items"][0]["companions"].as_array().unwrap().len(), 1);
    assert_done!(world.apply().await);
    assert_eq!(held(&world.target, "app", "1.0").await, Some(world.planned()));
    let signature = format!("sha256-{}.sig", world.planned().hex());
    let there = held(&world.target, "app", &signature).await;
    assert_eq!(there, Some(image::single(7).digest()));
    let missing = world.target.missing(&"app".parse().unwrap(), &image::with_attestations(1)).await;
    assert!(missing.is_empty(), "{missing:?}");

    // What is done is not done twice.
    world.target.log().clear();
    let again = world.apply().await;
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(world.target.log().writes().len(), 0, "{again}");
}

#[tokio::test]
async fn a_plan_without_a_file_reads_no_manifest() {
    let world = World::new().await;
    world.source.log().clear();
    let done = world.program.run(&["plan", "-i", "images.yaml"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(world.source.log().count("GET", "/v2/team/app/manifests/*"), 0);
}

#[tokio::test]
async fn what_is_looked_at_anew_is_not_pulled_twice() {
    let world = World::new().await;
    world.plan().await;
    world.source.log().clear();
    let done = world.apply().await;
    assert_eq!(done.code, Some(0), "{done}");
    // The index, its four children and the signature, each once.
    let manifests = world.text().matches("\"mediaType\"").count() + 1;
    let pulls = world.source.log().count("GET", "/v2/team/app/manifests/*");
    assert_eq!(pulls, manifests, "{}", world.source.log());
}

#[tokio::test]
async fn a_tag_that_moved_is_not_followed() {
    let world = World::new().await;
    world.plan().await;
    add(&world.source, "team/app", "1.0", &image::with_attestations(2)).await;
    let done = world.apply().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("source-moved"), "{done}");
    assert_eq!(held(&world.target, "app", "1.0").await, Some(world.planned()));
}

#[tokio::test]
async fn planned_content_that_is_gone_stops_everything() {
    let world = World::new().await;
    let other = image::single(3);
    add(&world.source, "team/other", "2", &other).await;
    let (from, to) = (world.source.host(), world.target.host());
    world.list(&format!("- source: {from}/team/other:2\n  destination: {to}/other\n"));
    world.plan().await;
    let folder = world.source.folder().join("team/other/blobs/sha256");
    std::fs::remove_file(folder.join(other.layers()[0].digest.hex())).unwrap();
    world.assert_stops(1, "is gone from the source").await;
    std::fs::remove_dir_all(&folder).unwrap();
    world.assert_stops(1, "127.0.0.1:22222/other:2").await;
}

#[tokio::test]
async fn a_signature_that_is_gone_stops_everything() {
    let world = World::new().await;
    world.plan().await;
    let folder = world.source.folder().join("team/app/blobs/sha256");
    std::fs::remove_file(folder.join(image::single(7).digest().hex())).unwrap();
    world.assert_stops(1, "is gone from the source").await;
}

#[tokio::test]
async fn a_target_that_holds_something_else_stops_everything() {
    let world = World::new().await;
    world.plan().await;
    add(&world.target, "app", "1.0", &image::single(9)).await;
    world.assert_stops(3, "planned is").await;
    assert_eq!(held(&world.target, "app", "1.0").await, Some(image::single(9).digest()));
}

#[tokio::test]
async fn what_came_since_is_told_and_not_copied() {
    let world = World::new().await;
    world.plan().await;
    let late = image::referrer_of(&image::with_attestations(1).root, 5);
    world.source.add_untagged(&"team/app".parse().unwrap(), &late).await;
    let done = world.apply().await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("came since the plan was made, and was not copied"), "{done}");
    let missing = world.target.missing(&"app".parse().unwrap(), &late).await;
    assert!(!missing.is_empty());
}

/// `attest` that is turned on later is work like any other: planned, carried out, and verified.
#[tokio::test]
async fn a_statement_about_the_mirroring_is_planned() {
    let world = World::new().await;
    add(&world.source, "team/other", "1", &image::single(3)).await;
    world.program.file("mirror.key", &KeyPair::new().private);
    let (from, to) = (world.source.host(), world.target.host());
    let list = |attest: bool| {
        let image = format!("- source: {from}/team/other:1\n  destination: {to}/other\n");
        let keys = format!("kmsKey: mirror.key\nsign: true\nattest: {attest}\n");
        world.program.file("images.yaml", format!("{keys}images:\n{image}"));
    };
    let run = async |line: &str, code: i32| {
        let done = world.program.run(&line.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(done.code, Some(code), "{line}: {done}");
        done.stdout
    };
    list(false);
    run("sync -i images.yaml", 0).await;
    list(true);
    let verified = run("verify -i images.yaml", 5).await;
    assert!(verified.contains("there is no statement about its mirroring"), "{verified}");
    world.target.log().clear();
    let plan = run("plan -i images.yaml -o plan.json --exit-code", 6).await;
    assert!(plan.contains("+ a statement about its mirroring by"), "{plan}");
    assert_eq!(world.target.log().writes().len(), 0, "{}", world.target.log());
    let item = &serde_json::from_str::<Value>(&world.text()).unwrap()["items"][0];
    assert_eq!(item["digest"], image::single(3).digest().to_string());
    assert_eq!(item["signatures"]["attest"], true, "{item}");
    assert_eq!(item["signatures"]["subjects"], serde_json::json!([]), "{item}");
    assert!(item["cost"]["requests"].as_u64().unwrap() > 0, "{item}");
    for state in ["signed", "present"] {
        let done: Value =
            serde_json::from_str(&run("apply plan.json --output json", 0).await).unwrap();
        let signature = &done["items"][0]["signature"];
        assert_eq!((&signature["state"], &signature["statement"]), (&state.into(), &state.into()));
    }
    run("verify -i images.yaml", 0).await;
    run("plan -i images.yaml -o plan.json --exit-code", 0).await;
    let item = &serde_json::from_str::<Value>(&world.text()).unwrap()["items"][0];
    assert_eq!((item.get("digest"), item.get("signatures")), (None, None), "{item}");
}

#[tokio::test]
async fn a_plan_that_was_edited_is_refused() {
    let world = World::new().await;
    world.plan().await;
    let other = Digest::sha256(b"another image");
    let edited = world.text().replace(&world.planned().to_string(), &other.to_string());
    world.program.file("plan.json", edited);
    world.source.log().clear();
    world.assert_stops(2, "it was changed since it was made").await;
    assert!(world.source.log().requests().is_empty());
}

#[tokio::test]
async fn a_sync_file_that_was_changed_is_refused_before_anybody_is_asked() {
    let world = World::new().await;
    world.plan().await;
    world.list("# a remark\n");
    world.source.log().clear();
    world.assert_stops(2, "`images.yaml` was changed since the plan was made").await;
    assert!(world.source.log().requests().is_empty());
    world.list("");
    world.program.file("elsewhere/list.yaml", {
        std::fs::read_to_string(world.program.folder().join("images.yaml")).unwrap()
    });
    std::fs::remove_file(world.program.folder().join("images.yaml")).unwrap();
    let done = world.program.run(&["apply", "plan.json", "-i", "elsewhere/list.yaml"]).await;
    assert_eq!(done.code, Some(0), "{done}");
}

#[tokio::test]
async fn tags_of_rules_are_those_of_the_plan() {
    let world = World::new().await;
    for tag in ["2.0.0", "2.1.0"] {
        add(&world.source, "tool", tag, &image::single(4)).await;
    }
    let (from, to) = (world.source.host(), world.target.host());
    world.list(&format!(
        "- source: {from}/tool\n  tags: {{ semver: '>=2' }}\n  destination: {to}/tool\n"
    ));
    world.plan().await;
    add(&world.source, "tool", "2.2.0", &image::single(4)).await;
    let done = world.apply().await;
    assert_eq!(done.code, Some(0), "{done}");
    for (tag, expected) in [("2.0.0", true), ("2.1.0", true), ("2.2.0", false)] {
        assert_eq!(held(&world.target, "tool", tag).await.is_some(), expected, "{tag}");
    }
}

#[tokio::test]
async fn what_a_plan_leaves_stays_as_it_is() {
    let world = World::new().await;
    add(&world.target, "drifted", "1.0", &image::single(9)).await;
    let (from, to) = (world.source.host(), world.target.host());
    world.list(&format!("- source: {from}/team/app:1.0\n  destination: {to}/drifted\n"));
    assert_eq!(world.plan().await.code, Some(3));
    let done = world.apply().await;
    assert_eq!(done.code, Some(3), "{done}");
    assert_eq!(held(&world.target, "app", "1.0").await, Some(world.planned()));
    assert_eq!(held(&world.target, "drifted", "1.0").await, Some(image::single(9).digest()));
}

/// What a run that applied has left behind: its report, its audit log, its metrics.
struct Kept {
    report: Value,
    lines: Vec<Value>,
    metrics: String,
}

impl World {
    async fn apply_and_keep(&self) -> (Done, Kept) {
        let arguments = [
            "apply",
            "plan.json",
            "--concurrency=1",
            "--report=json=report.json",
            "--audit-log=audit.jsonl",
            "--metrics-file=metrics.prom",
        ];
        let done = self.program.run(&arguments).await;
        let read = |name| std::fs::read_to_string(self.program.folder().join(name)).unwrap();
        let report = serde_json::from_str(&read("report.json")).unwrap();
        let audit = read("audit.jsonl");
        let lines = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let verified = self.program.run(&["audit", "verify", "audit.jsonl"]).await;
        assert_eq!(verified.code, Some(0), "{verified}");
        (done, Kept { report, lines, metrics: read("metrics.prom") })
    }
}

impl Kept {
    /// That it was one run in all of them, which ended so; and its acts.
    fn one_run(&self, code: i32, result: &str) -> Vec<&str> {
        let acts: Vec<&str> = self.lines.iter().map(|line| line["act"].as_str().unwrap()).collect();
        let ([first, between @ .., last], [started, .., finished]) = (&acts[..], &self.lines[..])
        else {
            panic!("{acts:?}")
        };
        assert_eq!((*first, *last), ("run-started", "run-finished"), "{acts:?}");
        assert_eq!(started["started"]["command"], "apply");
        assert_eq!(finished["finished"]["exitCode"], code);
        assert_eq!(finished["finished"]["outcomes"], self.report["summary"]["outcomes"]);
        assert_eq!(self.report["summary"]["exitCode"], code);
        for line in &self.lines {
            assert_eq!(line["run"], self.report["run"]["id"]);
        }
        let runs: Vec<&str> = self.samples("image_syncer_runs_total");
        let expected = format!("image_syncer_runs_total{{mode=\"apply\",result=\"{result}\"}} 1");
        assert_eq!(runs, [expected]);
        for (outcome, items) in self.report["summary"]["outcomes"].as_object().unwrap() {
            let sample = format!("_items_total{{mode=\"apply\",outcome=\"{outcome}\"}} {items}");
            assert!(self.metrics.contains(&format!("{sample}\n")), "{sample}\n{}", self.metrics);
        }
        between.to_vec()
    }

    /// The samples of a metric that are not 0.
    fn samples(&self, name: &str) -> Vec<&str> {
        let of = |line: &&str| line.starts_with(&format!("{name}{{")) && !line.ends_with(" 0");
        self.metrics.lines().filter(of).collect()
    }
}

#[tokio::test]
async fn an_apply_is_one_run_for_all_who_follow_it() {
    let world = World::new().await;
    add(&world.target, "drifted", "1.0", &image::single(9)).await;
    let (from, to) = (world.source.host(), world.target.host());
    world.list(&format!("- source: {from}/team/app:1.0\n  destination: {to}/drifted\n"));
    world.plan().await;
    let (done, kept) = world.apply_and_keep().await;
    assert_eq!(done.code, Some(3), "{done}");
    let mut acts = kept.one_run(3, "drift");
    acts.sort_unstable();
    assert_eq!(acts, ["companion-tag-brought", "drift-left-alone", "tag-published"]);
    let outcomes = &kept.report["summary"]["outcomes"];
    assert_eq!(*outcomes, serde_json::json!({ "copied": 1, "drift": 1 }));
    assert_eq!(kept.samples("image_syncer_items_total").len(), 2, "{}", kept.metrics);
    // Both walks are asked for, and both take their time.
    let asked = kept.samples("image_syncer_registry_requests_total");
    assert!(!asked.is_empty(), "{}", kept.metrics);
}

#[tokio::test]
async fn the_one_end_says_that_the_world_has_moved() {
    let world = World::new().await;
    let (from, to) = (world.source.host(), world.target.host());
    add(&world.target, "there", "1.0", &image::with_attestations(1)).await;
    world.list(&format!(
        "- source: {from}/team/app:1.0\n  destination: {to}/other\n\
         - source: {from}/team/app:1.0\n  destination: {to}/there\n"
    ));
    world.plan().await;
    add(&world.target, "other", "1.0", &image::single(9)).await;
    let layout = world.target.folder().join("there");
    std::fs::remove_dir_all(layout).unwrap();
    let (done, kept) = world.apply_and_keep().await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("the world has moved since the plan was made"), "{done}");
    assert_eq!(world.target.log().writes().len(), 0, "{done}");
    let mut acts = kept.one_run(3, "drift");
    acts.sort_unstable();
    assert_eq!(acts, ["drift-left-alone", "failed"]);
    let outcomes = &kept.report["summary"]["outcomes"];
    assert_eq!(*outcomes, serde_json::json!({ "deferred": 1, "drift": 1, "failed": 1 }));
    let of = |number: usize| &kept.report["items"][number]["error"];
    assert!(of(0)["message"].as_str().unwrap().starts_with("the world has moved"), "{}", of(0));
    assert_eq!(of(2)["class"], "not-planned");
    assert_eq!(of(2)["message"], "the target does not have it any more");
}

#[tokio::test]
async fn the_deadline_counts_once_for_the_look_and_the_copies() {
    let world = World::new().await;
    world.plan().await;
    let (fault, release) = Fault::stall();
    world.target.inject(fault.on("HEAD", "/v2/app/manifests/*"));
    let mut child = world.program.start(&["apply", "plan.json", "--deadline=10s"]);
    release.reached(1).await;
    until(&mut child, "the deadline has come").await;
    release.release();
    let done = world.program.end(child).await;
    assert_eq!(done.code, Some(75), "{done}");
    assert_eq!(world.target.log().writes().len(), 0, "{done}");
    assert!(done.stdout.contains("deferred: 1 item\n  the deadline came before it was done\n"));
    // The look had its answer; it is the copy for which no time is left.
    assert!(!done.stderr.contains("nothing was written"), "{done}");
}

#[tokio::test]
async fn a_signal_in_the_look_leaves_everything_undone() {
    let world = World::new().await;
    world.plan().await;
    let (fault, release) = Fault::stall();
    world.target.inject(fault.on("HEAD", "/v2/app/manifests/*"));
    let mut child = world.program.start(&["apply", "plan.json"]);
    release.reached(1).await;
    send(&child, "-TERM");
    until(&mut child, "SIGTERM received").await;
    release.release();
    let done = world.program.end(child).await;
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(world.target.log().writes().len(), 0, "{done}");
    let says = "deferred: 1 item\n  the run was stopped before its turn came\n";
    assert!(done.stdout.contains(says), "{done}");
}

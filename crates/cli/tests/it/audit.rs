//! The audit log of the real program: its figures are the report's, a killed run shows, and a log that
//! was changed is refused.

use serde_json::{Value, json};
use testkit::{Fault, KeyPair, Registry, image};

use crate::program::{Program, add, held};

/// The lines of a log.
fn lines(program: &Program, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(program.folder().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn count(lines: &[Value], act: &str) -> usize {
    lines.iter().filter(|line| line["act"] == act).count()
}

/// A list of these repositories, all with tag 1.
fn list(source: &Registry, target: &Registry, names: &[&str]) -> String {
    let entries = names.iter().map(|name| {
        format!("- source: {}/{name}:1\n  destination: {}/m/{name}\n", source.host(), target.host())
    });
    format!("images:\n{}", entries.collect::<String>())
}

#[tokio::test]
async fn the_figures_of_the_log_are_the_reports() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let signed = image::index(1);
    for (name, image) in [
        ("new", &signed),
        ("more", &image::single(2)),
        ("same", &image::single(3)),
        ("moved", &image::single(4)),
        ("refused", &image::single(6)),
    ] {
        add(&source, name, "1", image).await;
    }
    add(&target, "m/same", "1", &image::single(3)).await;
    add(&target, "m/moved", "1", &image::single(5)).await;
    let mut program = Program::new();
    program.file("mirror.key", &KeyPair::new().private);
    // Both are signed by the team; one must be signed by somebody else as well.
    let (team, other) = (KeyPair::new(), KeyPair::new());
    program.file("team.key", &team.private).file("team.pub", &team.public);
    program.file("other.pub", &other.public);
    let [more, refused] = ["more", "refused"].map(|name| format!("{}/{name}", source.host()));
    for name in [&more, &refused] {
        let done = program.run(&["sign", &format!("{name}:1"), "-k", "team.key"]).await;
        assert_eq!(done.code, Some(0), "{done}");
    }
    let list = list(&source, &target, &["new", "more", "same", "moved", "missing", "refused"]);
    let list = format!(
        "{list}- source: {}/new:1\n  destination: {}/m/signed\n  sign: true\n",
        source.host(),
        target.host()
    );
    let rule = |name: &str, key: &str| format!("- source: \"{name}\"\n  keys: [{key}.pub]\n");
    let rules = [rule(&more, "team"), rule(&refused, "team"), rule(&refused, "other")].concat();
    program.file("images.yaml", format!("kmsKey: mirror.key\nverify:\n{rules}{list}"));
    program.variable("SYNCER_AUDIT_LOG", "audit.jsonl");
    let done = program.run(&["-i", "images.yaml", "--output", "json"]).await;
    assert_eq!(done.code, Some(5), "{done}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let lines = lines(&program, "audit.jsonl");
    let finished = &lines.last().unwrap()["finished"];
    assert_eq!(finished["exitCode"], 5);
    let items = report["items"].as_array().unwrap();
    for (act, outcome) in [
        ("tag-published", "copied"),
        ("drift-left-alone", "drift"),
        ("failed", "source-missing"),
        ("refused", "refused"),
    ] {
        let with = |item: &&Value| item["outcome"] == outcome;
        let expected: Vec<&Value> = items.iter().filter(with).collect();
        assert_eq!(count(&lines, act), expected.len(), "{act}: {lines:#?}");
        assert_eq!(finished["outcomes"][outcome], expected.len(), "{finished}");
        assert_eq!(finished["acts"][act], expected.len(), "{finished}");
        for item in expected {
            let line =
                lines.iter().find(|line| line["act"] == act && line["target"] == item["target"]);
            let line = line.unwrap_or_else(|| panic!("{item} has no line"));
            assert_eq!(line["source"], item["source"]);
            let line_digest = &line["evidence"]["sourceDigest"];
            assert_eq!(line_digest, &item["sourceDigest"]);
        }
    }
    let line_of = |name: &str| {
        let is_source = |line: &&Value| line["source"] == format!("{name}:1");
        lines.iter().find(is_source).unwrap_or_else(|| panic!("{name} has no line"))
    };
    let rules = |line: &Value| -> Vec<String> {
        let rules = line["evidence"]["rules"].as_array().unwrap().iter();
        rules.map(|rule| rule.as_str().unwrap().to_owned()).collect()
    };
    let line = line_of(&more);
    let fingerprint = signing::PublicKey::from_pem(&team.public).unwrap().fingerprint();
    assert_eq!(line["evidence"]["verified"], json!([format!("key {fingerprint}")]), "{line}");
    assert_eq!(rules(line), ["images.yaml:3"], "{line}");
    let line = line_of(&refused);
    let (act, digest) = (&line["act"], image::single(6).digest().to_string());
    assert_eq!((act, &line["to"]), (&"refused".into(), &digest.into()), "{line}");
    assert_eq!(line["evidence"]["sourceDigest"], line["to"], "{line}");
    assert_eq!(line["evidence"].get("verified"), None, "not by all who must have: {line}");
    assert_eq!(rules(line), ["images.yaml:5", "images.yaml:7"], "{line}");
    let failure = &line["evidence"]["failure"];
    assert_eq!((&failure["side"], &failure["class"]), (&"source".into(), &"signature".into()));
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("no signature by somebody trusted"), "{line}");
    assert!(message.contains("images.yaml:7"), "the rule that is not met: {line}");
    assert_eq!(finished["outcomes"]["up-to-date"], 1, "{finished}");
    assert_eq!(count(&lines, "signature-made"), 1);
    assert_eq!(count(&lines, "unfinished"), 0);
    let signature = lines.iter().find(|line| line["act"] == "signature-made").unwrap();
    assert!(signature["evidence"]["key"].as_str().unwrap().ends_with("mirror.key"));
    assert_eq!(signature["evidence"]["subject"], signed.digest().to_string());
    for line in &lines {
        assert_eq!(line["run"], report["run"]["id"]);
        assert!(line["config"].as_str().unwrap().starts_with("sha256:"));
    }
    let verified = program.run(&["audit", "verify", "audit.jsonl"]).await;
    assert_eq!(verified.code, Some(0), "{verified}");
    let hash = lines.last().unwrap()["hash"].as_str().unwrap();
    assert!(verified.stdout.contains(hash), "{verified}");
    assert!(
        !std::fs::read_to_string(program.folder().join("audit.jsonl")).unwrap().contains("PRIVATE")
    );

    // What looks only has a line for what is wrong, and one begin and end.
    for command in ["plan", "verify"] {
        let done = program.run(&[command, "-i", "images.yaml", "--audit-log", "looks.jsonl"]).await;
        assert_eq!(done.code, Some(5), "{done}");
    }
    let looks = self::lines(&program, "looks.jsonl");
    let acts: Vec<&str> = looks.iter().map(|line| line["act"].as_str().unwrap()).collect();
    assert_eq!(acts.len(), 10, "{acts:?}");
    assert_eq!(count(&looks, "drift-left-alone"), 2, "{acts:?}");
    assert_eq!(count(&looks, "refused"), 2, "{acts:?}");
}

#[tokio::test]
async fn a_log_that_was_changed_is_refused_at_its_line() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::single(1)).await;
    let program = Program::new();
    program.file("images.yaml", list(&source, &target, &["app"]));
    let done = program.run(&["-i", "images.yaml", "--audit-log", "audit.jsonl"]).await;
    assert_eq!(done.code, Some(0), "{done}");
    let path = program.folder().join("audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    program.file("audit.jsonl", text.replacen("tag-published", "tag-publishes", 1));
    let broken = program.run(&["audit", "verify", "audit.jsonl"]).await;
    assert_eq!(broken.code, Some(5), "{broken}");
    assert!(broken.stdout.starts_with("broken: audit.jsonl:2: "), "{broken}");
    let broken = program.run(&["audit", "verify", "audit.jsonl", "--output", "json"]).await;
    let verdict: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!((&verdict["unbroken"], &verdict["broken"]["line"]), (&false.into(), &2.into()));
    // Nothing is done where it could not be added to it.
    target.log().clear();
    program.file("audit.jsonl", &text[..text.len() - 3]);
    program.file("audit.jsonl", "something else\n");
    let refused = program.run(&["-i", "images.yaml", "--audit-log", "audit.jsonl"]).await;
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("is no audit log"), "{refused}");
    assert_eq!(target.log().writes().len(), 0);
    let missing = program.run(&["audit", "verify", "nothing.jsonl"]).await;
    assert_eq!(missing.code, Some(1), "{missing}");
    let unlogged = program.run(&["-i", "images.yaml", "--audit-key", "mirror.key"]).await;
    assert_eq!(unlogged.code, Some(2), "{unlogged}");
}

#[tokio::test]
async fn a_killed_run_shows_and_the_next_one_makes_the_log_whole() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    for (name, seed) in [("one", 1), ("two", 2)] {
        add(&source, name, "1", &image::single(seed)).await;
    }
    let program = Program::new();
    program.file("images.yaml", list(&source, &target, &["one", "two"]));
    let arguments = ["-i", "images.yaml", "--audit-log", "audit.jsonl", "--concurrency=1"];
    // The second image's tag hangs: by then the first one's has its line.
    let (fault, held_request) = Fault::stall();
    target.inject(fault.on("PUT", "/v2/*/*/manifests/*").nth(2));
    let mut child = program.start(&arguments);
    held_request.reached(1).await;
    child.kill().await.unwrap();
    held_request.release();
    target.clear_faults();
    let killed = program.run(&["audit", "verify", "audit.jsonl"]).await;
    assert_eq!(killed.code, Some(5), "{killed}");
    assert!(killed.stdout.contains("in the middle of run"), "{killed}");
    assert_eq!(count(&lines(&program, "audit.jsonl"), "tag-published"), 1);
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(0), "{done}");
    let whole = program.run(&["audit", "verify", "audit.jsonl"]).await;
    assert_eq!(whole.code, Some(0), "{whole}");
    assert!(whole.stdout.contains("was killed"), "{whole}");
}

#[tokio::test]
async fn the_end_of_the_log_is_signed_and_pushed() {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "app", "1", &image::single(1)).await;
    let (ours, theirs) = (KeyPair::new(), KeyPair::new());
    let program = Program::new();
    program.file("mirror.key", &ours.private).file("mirror.pub", &ours.public);
    program.file("other.pub", &theirs.public);
    program.file("images.yaml", list(&source, &target, &["app"]));
    let push = format!("{}/m/audit", target.host());
    let arguments = [
        "-i",
        "images.yaml",
        "--audit-log",
        "audit.jsonl",
        "--audit-key",
        "mirror.key",
        "--audit-push",
        &push,
    ];
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(0), "{done}");
    let verify =
        async |key: &str| program.run(&["audit", "verify", "audit.jsonl", "--key", key]).await;
    let verified = verify("mirror.pub").await;
    assert_eq!(verified.code, Some(0), "{verified}");
    let verified = verify("other.pub").await;
    assert_eq!(verified.code, Some(5), "{verified}");
    let run = lines(&program, "audit.jsonl")[0]["run"].as_str().unwrap().to_owned();
    let tag = format!("run-{run}");
    assert!(held(&target, "m/audit", &tag).await.is_some(), "{tag}");
    let reference = format!("{push}:{tag}");
    let signed = program.run(&["verify-signature", &reference, "--key", "mirror.pub"]).await;
    assert_eq!(signed.code, Some(0), "{signed}");
    // A whole run that is removed at the end only shows by the signed head.
    let before = std::fs::read_to_string(program.folder().join("audit.jsonl")).unwrap();
    let again = program.run(&arguments).await;
    assert_eq!(again.code, Some(0), "{again}");
    program.file("audit.jsonl", before);
    let unsigned = program.run(&["audit", "verify", "audit.jsonl"]).await;
    assert_eq!(unsigned.code, Some(0), "{unsigned}");
    let removed = verify("mirror.pub").await;
    assert_eq!(removed.code, Some(5), "{removed}");
    // And the next run does not go on as if nothing had been there.
    let refused = program.run(&arguments).await;
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("line 5 had been written"), "{refused}");
}

#[tokio::test]
async fn one_image_that_is_signed_is_on_record() {
    let target = Registry::start().await;
    add(&target, "app", "1", &image::single(1)).await;
    let program = Program::new();
    program.file("mirror.key", &KeyPair::new().private);
    let reference = format!("{}/app:1", target.host());
    for _ in 0..2 {
        let line = ["sign", &reference, "-k", "mirror.key", "--audit-log", "audit.jsonl"];
        let done = program.run(&line).await;
        assert_eq!(done.code, Some(0), "{done}");
    }
    let lines = lines(&program, "audit.jsonl");
    let acts: Vec<&str> = lines.iter().map(|line| line["act"].as_str().unwrap()).collect();
    let [started, finished] = ["run-started", "run-finished"];
    assert_eq!(acts, [started, "signature-made", finished, started, finished]);
}

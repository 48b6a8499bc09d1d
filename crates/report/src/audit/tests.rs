//! What an audit log promises: nothing that was done is missing, and nothing can be changed unseen.

use std::path::{Path, PathBuf};

use oci::Digest;
use proptest::prelude::{ProptestConfig, any, proptest};
use sync::{Act, ActKind, Evidence, Witness};
use tempfile::TempDir;

use super::*;

const DIGEST: Digest = Digest::Sha256([7; 32]);

fn run(id: &str) -> AuditRun {
    AuditRun {
        id: id.to_owned(),
        command: "sync".to_owned(),
        tool: "image-syncer 1.2.3".to_owned(),
        who: Who { name: "user ci".to_owned(), claims: [("user".into(), "ci".into())].into() },
        files: vec![AuditFile { path: "images.yaml".to_owned(), digest: DIGEST.to_string() }],
        fips: false,
    }
}

fn act(target: &str) -> Act {
    Act {
        kind: ActKind::TagPublished,
        source: Some("nginx:1".to_owned()),
        target: target.to_owned(),
        from: None,
        to: Some(DIGEST),
        decision: "copy",
        evidence: Evidence { source_digest: Some(DIGEST), ..Evidence::default() },
    }
}

/// A log after a run with so many acts.
async fn recorded(path: &Path, id: &str, acts: usize) -> Head {
    let log = AuditLog::open(path, run(id)).await.unwrap();
    for number in 0..acts {
        let _room = log.ready().await.unwrap();
        log.record(act(&format!("r.example/app:{number}"))).await.unwrap();
    }
    log.finish(Ending { outcomes: [("copied".into(), acts as u64)].into(), exit_code: 0 })
        .await
        .unwrap()
}

fn check(files: &[&Path], expected: &Expected) -> Result<Verified, Break> {
    let files: Vec<PathBuf> = files.iter().map(|file| file.to_path_buf()).collect();
    verify(&files, expected).map_err(|error| match error {
        VerifyError::Broken(broken) => broken,
        VerifyError::Unreadable(file, error) => panic!("{}: {error}", file.display()),
    })
}

fn unbroken(files: &[&Path]) -> Verified {
    check(files, &Expected::default()).unwrap()
}

fn broken(files: &[&Path]) -> Break {
    check(files, &Expected::default()).unwrap_err()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended_and_fits_its_schema() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    recorded(&path, "one", 2).await;
    let head = recorded(&path, "two", 1).await;
    let verified = unbroken(&[&path]);
    assert_eq!((verified.lines, verified.runs, verified.sequence), (7, 2, 7));
    assert_eq!((verified.hash.as_str(), verified.remarks.len()), (head.hash.as_str(), 0));
    let schema = serde_json::to_value(audit_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for line in lines(&path) {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(validator.is_valid(&value), "{line}");
        let read: AuditLine = serde_json::from_str(&line).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), value);
    }
    // Room that was taken and not needed was given back.
    assert_eq!(std::fs::read(&path).unwrap().len(), lines(&path).concat().len());
}

/// After a wanted change: `image-syncer schema audit > schema/audit.schema.json`.
#[test]
fn the_schema_in_the_repository_is_this_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/audit.schema.json");
    let expected = serde_json::to_string_pretty(&audit_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
}

/// After a wanted change: `image-syncer schema audit-verdict > schema/audit-verdict.schema.json`.
#[test]
fn verdicts_fit_the_schema_in_the_repository() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/audit-verdict.schema.json");
    let expected = serde_json::to_string_pretty(&audit_verdict_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(file, &expected).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), expected);
    let schema = serde_json::to_value(audit_verdict_schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let remark = Remark { file: "a".into(), line: 2, text: "killed".to_owned() };
    let good =
        Verified { lines: 3, runs: 1, sequence: 3, hash: "00".into(), remarks: vec![remark] };
    let bad = Break { file: "a".into(), line: 2, problem: "cut".into(), hint: "look".into() };
    let verdicts = [AuditVerdict::unbroken(&good), AuditVerdict::broken(&bad)];
    assert_eq!(verdicts.each_ref().map(|verdict| verdict.exit_code), [0, 5]);
    let texts = verdicts.each_ref().map(ToString::to_string);
    assert_eq!(texts[0], "a:2: killed\nunbroken: 3 lines of 1 run, the last one has hash 00\n");
    assert_eq!(texts[1], "broken: a:2: cut\n  hint: look\n");
    for verdict in verdicts {
        let value = serde_json::from_str(&verdict.to_json().unwrap()).unwrap();
        assert!(validator.is_valid(&value), "{value}");
    }
}

#[tokio::test]
async fn acts_of_many_tasks_are_all_recorded() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    let log = AuditLog::open(&path, run("one")).await.unwrap();
    let all = (0..500).map(|number| {
        let log = &log;
        async move {
            let _room = log.ready().await.unwrap();
            log.record(act(&format!("r.example/app:{number}"))).await.unwrap();
        }
    });
    futures::future::join_all(all).await;
    // What nobody waits for is recorded as well.
    drop(log.record(act("r.example/app:given-up")));
    log.finish(Ending::default()).await.unwrap();
    assert_eq!(unbroken(&[&path]).lines, 503);
}

#[tokio::test]
async fn two_runs_do_not_write_one_log() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    let first = AuditLog::open(&path, run("one")).await.unwrap();
    let second = AuditLog::open(&path, run("two")).await.unwrap_err();
    assert!(matches!(second, AuditError::Busy(_)), "{second}");
    first.finish(Ending::default()).await.unwrap();
    recorded(&path, "three", 0).await;
    assert_eq!(unbroken(&[&path]).runs, 2);
}

#[tokio::test]
async fn another_file_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("images.yaml");
    for content in ["images: []\n", "images: []", "{\"schema\":\"other\"}\n", "{\"a\":1"] {
        std::fs::write(&path, content).unwrap();
        let error = AuditLog::open(&path, run("one")).await.unwrap_err();
        assert!(matches!(error, AuditError::NoLog(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_killed_run_leaves_half_a_line_and_the_next_one_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    recorded(&path, "one", 2).await;
    let whole = std::fs::read(&path).unwrap();
    // Killed while it wrote its last line, at every byte of it.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [last, last + 1, last + 40, whole.len() - 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        std::fs::remove_file(folder.path().join("audit.jsonl.chain")).unwrap();
        let ended = broken(&[&path]);
        assert!(ended.line >= 3, "{ended}");
        recorded(&path, "two", 1).await;
        let verified = unbroken(&[&path]);
        let texts: Vec<&str> = verified.remarks.iter().map(|remark| remark.text.as_str()).collect();
        // Where only the line's end is missing, the line is whole.
        let is_whole = cut == whole.len() - 1;
        let has = |text: &str| texts.iter().any(|remark| remark.contains(text));
        assert_eq!(has("run one was killed"), !is_whole, "{texts:?}");
        assert_eq!(has("vouches"), cut != last && !is_whole, "{texts:?}");
        assert!(std::fs::read(&path).unwrap().starts_with(&whole[..cut]), "nothing is lost");
        // What was left is part of what cannot be changed.
        if cut > last + 1 {
            let mut changed = std::fs::read(&path).unwrap();
            changed[last] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert_eq!(broken(&[&path]).line, 4);
        }
    }
}

#[tokio::test]
async fn a_log_that_was_cut_is_not_gone_on_with() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    recorded(&path, "one", 1).await;
    let before = std::fs::read(&path).unwrap();
    recorded(&path, "two", 1).await;
    std::fs::write(&path, before).unwrap();
    let error = AuditLog::open(&path, run("three")).await.unwrap_err();
    assert!(matches!(error, AuditError::Cut { there: 3, known: 6, .. }), "{error}");
    let mut changed = std::fs::read(&path).unwrap();
    let length = changed.len();
    changed[length - 5] ^= 1;
    std::fs::write(&path, changed).unwrap();
    let error = AuditLog::open(&path, run("three")).await.unwrap_err();
    assert!(matches!(error, AuditError::Changed(_)), "{error}");
}

#[tokio::test]
async fn rotation_keeps_the_chain() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = at("audit.jsonl");
    recorded(&path, "one", 1).await;
    std::fs::rename(&path, at("audit.jsonl.2")).unwrap();
    recorded(&path, "two", 1).await;
    std::fs::copy(&path, at("audit.jsonl.1")).unwrap();
    std::fs::write(&path, "").unwrap(); // logrotate's copytruncate
    recorded(&path, "three", 1).await;
    let [two, one] = [at("audit.jsonl.2"), at("audit.jsonl.1")];
    assert_eq!(unbroken(&[&two, &one, &path]).lines, 9);
    assert_eq!(unbroken(&[&two, &one]).lines, 6);
    for (files, file, line) in [
        (vec![&one, &path], &one, 1),
        (vec![&two, &path], &path, 1),
        (vec![&one, &two], &one, 1),
        (vec![&two, &one, &one], &one, 1),
    ] {
        let files: Vec<&Path> = files.into_iter().map(PathBuf::as_path).collect();
        let found = broken(&files);
        assert_eq!((&found.file, found.line), (file, line), "{found}");
    }
    let previous = Some(unbroken(&[&two]).hash);
    let expected = Expected { previous, ..Expected::default() };
    assert_eq!(check(&[&one, &path], &expected).unwrap().lines, 6);
}

#[tokio::test]
async fn only_a_head_tells_that_whole_runs_are_gone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    let first = recorded(&path, "one", 1).await;
    let before = std::fs::read(&path).unwrap();
    let second = recorded(&path, "two", 1).await;
    let expect = |head: &Head| Expected { head: Some(head.clone()), ..Expected::default() };
    assert_eq!(check(&[&path], &expect(&second)).unwrap().remarks, []);
    let grown = check(&[&path], &expect(&first)).unwrap();
    assert!(grown.remarks[0].text.contains("3 lines came after it"), "{:?}", grown.remarks);
    std::fs::write(&path, before).unwrap();
    unbroken(&[&path]);
    assert!(check(&[&path], &expect(&second)).unwrap_err().problem.contains("is not there"));
    let hashes = vec![second.hash.clone()];
    assert!(check(&[&path], &Expected { hashes, ..Expected::default() }).is_err());
    assert_eq!(Head::read(first.to_json().unwrap().as_bytes()).unwrap(), first);
    assert!(Head::read(b"{}").is_err());
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_says_so() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    let log = AuditLog::open(&path, run("one")).await.unwrap();
    let mut long = act("r.example/app:1");
    long.evidence.changes = vec!["\u{1}ä".repeat(5000); 40];
    log.record(long).await.unwrap();
    log.finish(Ending::default()).await.unwrap();
    unbroken(&[&path]);
    let line = &lines(&path)[1];
    assert!(line.len() <= line::LINE_ROOM && line.contains("\"cut\":true"), "{}", line.len());
}

/// A log of two runs, made once.
fn sample() -> &'static [u8] {
    static SAMPLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.jsonl");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            recorded(&path, "one", 3).await;
            recorded(&path, "two", 2).await;
        });
        std::fs::read(&path).unwrap()
    })
}

/// Where the first difference is found.
fn found(bytes: &[u8]) -> Break {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    broken(&[file.path()])
}

fn line_of(offset: usize) -> u64 {
    sample()[..offset].iter().filter(|byte| **byte == b'\n').count() as u64 + 1
}

fn sample_lines() -> Vec<&'static [u8]> {
    sample().split_inclusive(|byte| *byte == b'\n').collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_byte_that_is_changed_is_found_in_its_line(at in any::<proptest::sample::Index>(), mask in 1_u8..) {
        let mut bytes = sample().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        proptest::prop_assert_eq!(found(&bytes).line, line_of(at));
    }

    #[test]
    fn any_line_that_is_removed_is_missed_where_it_was(at in any::<proptest::sample::Index>()) {
        let mut lines = sample_lines();
        let at = at.index(lines.len());
        lines.remove(at);
        let last = lines.len() as u64;
        // Where it was the last one, the end is where it is missed.
        proptest::prop_assert_eq!(found(&lines.concat()).line, (at as u64 + 1).min(last));
    }

    #[test]
    fn any_two_lines_that_are_swapped_are_found_at_the_first(
        one in any::<proptest::sample::Index>(), other in any::<proptest::sample::Index>(),
    ) {
        let mut lines = sample_lines();
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        proptest::prop_assume!(one != other);
        lines.swap(one, other);
        proptest::prop_assert_eq!(found(&lines.concat()).line, one.min(other) as u64 + 1);
    }

    #[test]
    fn any_line_that_is_inserted_is_found(
        which in any::<proptest::sample::Index>(), at in any::<proptest::sample::Index>(),
    ) {
        let mut lines = sample_lines();
        let inserted = lines[which.index(lines.len())];
        let at = at.index(lines.len() + 1);
        // Before itself or after itself is the same; the second of the two is one too many.
        let is_before_itself = lines.get(at) == Some(&inserted);
        lines.insert(at, inserted);
        let expected = at as u64 + 1 + u64::from(is_before_itself);
        proptest::prop_assert_eq!(found(&lines.concat()).line, expected);
    }

    #[test]
    fn a_log_that_is_cut_anywhere_is_refused_unless_a_run_ends_there(length in any::<proptest::sample::Index>()) {
        let length = length.index(sample().len());
        let cut = &sample()[..length];
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), cut).unwrap();
        let ends_a_run = cut.ends_with(b"\n") && cut.split(|byte| *byte == b'\n').count() == 6;
        proptest::prop_assert_eq!(check(&[file.path()], &Expected::default()).is_ok(), ends_a_run);
    }

    #[test]
    fn whatever_a_file_holds_it_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        found(&bytes);
    }
}

/// By hand: `cargo test -p report --release audit -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn a_million_lines() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.jsonl");
    let log = AuditLog::open(&path, run("one")).await.unwrap();
    let begin = std::time::Instant::now();
    for batch in 0..1000 {
        let all =
            (0..1000).map(|one| log.record(act(&format!("r.example/team/app-{batch}:{one}"))));
        for recorded in futures::future::join_all(all).await {
            recorded.unwrap();
        }
    }
    let written = begin.elapsed();
    log.finish(Ending::default()).await.unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(unbroken(&[&path]).lines, 1_000_002);
    let size = std::fs::metadata(&path).unwrap().len();
    #[allow(clippy::print_stderr, reason = "what was measured")]
    {
        eprintln!("{size} bytes, written in {written:?}, verified in {:?}", begin.elapsed());
    }
}

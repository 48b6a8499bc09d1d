//! The report of one run in every form: their figures are the same, and what registries say stays text.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::{Fault, Registry, image, path};

use crate::program::{Done, Program, add};

/// What a registry says that would like to be more than text.
const HOSTILE: &str = "</script><script>alert(1)</script> | `x` @octocat ::error::x";

const REPORTS: [&str; 8] = [
    "--report",
    "report.html",
    "--report",
    "junit=report.xml",
    "--report",
    "report.md",
    "--report",
    "sarif=report.sarif",
];

/// A run with one item copied, one up to date, one with drift, one missing, and one refused by its registry
/// with words that are not meant well.
async fn mixed() -> (Vec<Registry>, Program) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    for (name, seed) in [("new", 1), ("same", 2), ("moved", 3), ("denied", 4)] {
        add(&source, name, "1", &image::single(seed)).await;
    }
    add(&target, "same", "1", &image::single(2)).await;
    add(&target, "moved", "1", &image::single(9)).await;
    source.inject(Fault::error(403, "DENIED", HOSTILE).on("*", "/v2/denied/manifests/*"));
    let program = Program::new();
    let names = ["new", "same", "moved", "missing", "denied"];
    let entry = |name: &str| {
        format!("- source: {}/{name}:1\n  destination: {}/{name}\n", source.host(), target.host())
    };
    program.file("images.yaml", format!("images:\n{}", names.map(entry).concat()));
    (vec![source, target], program)
}

fn read(program: &Program, name: &str) -> String {
    std::fs::read_to_string(program.folder().join(name)).unwrap()
}

/// How many have each outcome, from text such as `5 items: 1 copied, 1 drift`.
fn counted(text: &str) -> BTreeMap<String, u64> {
    let (_, rest) = text.split_once("5 items: ").unwrap();
    let end = rest.find([';', '*', '\n']).unwrap();
    rest[..end]
        .split(", ")
        .map(|part| part.split_once(' ').unwrap())
        .map(|(count, outcome)| (outcome.to_owned(), count.parse().unwrap()))
        .collect()
}

fn attribute(element: &str, name: &str) -> u64 {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn every_form_has_the_same_figures() {
    let (_registries, program) = mixed().await;
    let mut arguments = vec!["-i", "images.yaml", "--report", "report.json"];
    arguments.extend(REPORTS);
    arguments.extend(["--audit-log", "audit.jsonl", "--metrics-file", "run.prom"]);
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(3), "{done}");

    let json: Value = serde_json::from_str(&read(&program, "report.json")).unwrap();
    let outcomes: BTreeMap<String, u64> =
        serde_json::from_value(json["summary"]["outcomes"].clone()).unwrap();
    let expected = ["copied", "drift", "failed", "source-missing", "up-to-date"];
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), expected);
    assert!(outcomes.values().all(|count| *count == 1));
    let copied = json["summary"]["bytes"]["copied"].as_u64().unwrap();
    assert!(copied > 0);
    let timed = json["items"].as_array().unwrap().iter().filter(|item| item["timing"].is_object());
    assert_eq!(timed.count(), 5);

    let markdown = read(&program, "report.md");
    assert_eq!(counted(&done.stdout), outcomes, "the terminal");
    assert_eq!(counted(&markdown), outcomes, "Markdown");
    // `5 items: …; 1.2 KiB copied, …`: sizes in words are the same wherever people read them.
    let (_, last_line) = done.stdout.split_once("5 items: ").unwrap();
    let sizes = last_line.split("; ").nth(1).unwrap();
    let size = sizes.split(" copied").next().unwrap();

    let html = read(&program, "report.html");
    for (outcome, count) in &outcomes {
        let rows = html.matches(&format!("<tr data-outcome=\"{outcome}\"")).count();
        assert_eq!(u64::try_from(rows).unwrap(), *count, "{outcome} in HTML");
    }
    let sizes: u64 =
        html.split("<tr data-outcome").skip(1).map(|row| attribute(row, "data-copied")).sum();
    assert_eq!(sizes, copied, "bytes in HTML");
    for (name, text) in [("HTML", &html), ("Markdown", &markdown)] {
        assert!(text.contains(size), "`{size}` is not in {name}");
    }

    let junit = read(&program, "report.xml");
    let suites = junit.split("<testsuites ").nth(1).unwrap().split('>').next().unwrap();
    let suites = format!(" {suites}");
    let figures = ["tests", "failures", "errors"].map(|name| attribute(&suites, name));
    assert_eq!(figures, [5, outcomes["drift"] + outcomes["source-missing"], outcomes["failed"]]);
    assert_eq!(junit.matches("<testcase ").count(), 5);

    let sarif: Value = serde_json::from_str(&read(&program, "report.sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let found: Vec<&str> = results.iter().map(|one| one["ruleId"].as_str().unwrap()).collect();
    assert_eq!(found, ["drift", "failed", "source-missing"]);
    let lines: Vec<&Value> = results
        .iter()
        .map(|one| &one["locations"][0]["physicalLocation"]["region"]["startLine"])
        .collect();
    assert_eq!(lines, [6, 10, 8], "SARIF points at the entries of the sync file");

    let audit = read(&program, "audit.jsonl");
    let last: Value = serde_json::from_str(audit.lines().last().unwrap()).unwrap();
    let counts = serde_json::from_value(last["finished"]["outcomes"].clone()).unwrap();
    assert_eq!(outcomes, counts, "the audit log");
    assert_eq!(last["finished"]["exitCode"], json["summary"]["exitCode"]);
    assert_eq!(last["run"], json["run"]["id"]);

    let metrics = read(&program, "run.prom");
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().parse().unwrap_or_else(|_| panic!("{name} in {metrics}"))
    };
    for (outcome, count) in &outcomes {
        let name = format!("image_syncer_items_total{{mode=\"sync\",outcome=\"{outcome}\"}}");
        assert_eq!(value(&name), *count, "{outcome} in metrics");
    }
    assert_eq!(value("image_syncer_blob_bytes_total{way=\"copied\"}"), copied);

    // The registry's words are in all of them, and are words in all of them.
    assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;alert"));
    assert!(!markdown.contains("<script") && markdown.contains("&#60;script"));
    assert!(!junit.contains("<script") && junit.contains("&lt;script"));
}

async fn on_github(mut program: Program, more: &[&str]) -> (Done, String) {
    program.file("summary.md", "# Before\n\n");
    let folder = program.folder().display().to_string();
    program
        .variable("GITHUB_ACTIONS", "true")
        .variable("GITHUB_WORKSPACE", &folder)
        .variable("GITHUB_STEP_SUMMARY", &format!("{folder}/summary.md"));
    let list = format!("{folder}/images.yaml");
    let mut arguments = vec!["-i", &list, "--output", "json"];
    arguments.extend(more);
    let done = program.run(&arguments).await;
    let summary = read(&program, "summary.md");
    (done, summary)
}

#[tokio::test]
async fn a_job_of_github_is_told_and_standard_output_stays_the_result() {
    let (_registries, program) = mixed().await;
    let (done, summary) = on_github(program, &[]).await;
    assert_eq!(done.code, Some(3), "{done}");
    serde_json::from_str::<Value>(&done.stdout).unwrap();
    let commands: Vec<&str> =
        done.stderr.lines().filter(|line| line.trim_start().starts_with("::")).collect();
    let [drift, failed, missing] = commands[..] else { panic!("{commands:?}") };
    assert!(drift.starts_with("::error file=images.yaml,line=6,title=drift::"), "{drift}");
    assert!(failed.starts_with("::error file=images.yaml,line=10,title=failed::"), "{failed}");
    assert!(missing.starts_with("::error file=images.yaml,line=8,title=source-missing::"));
    assert!(summary.starts_with("# Before\n\n## ❌ image-syncer sync\n"), "{summary}");
    assert_eq!(counted(&summary).len(), 5);
}

#[tokio::test]
async fn a_job_of_github_is_not_told_where_that_is_off() {
    let (_registries, program) = mixed().await;
    let (done, summary) = on_github(program, &["--github=off"]).await;
    assert!(!done.stderr.contains("::error file"), "{done}");
    assert_eq!(summary, "# Before\n\n");
}

#[tokio::test]
async fn a_plan_is_markdown_for_a_pull_request() {
    let (_registries, program) = mixed().await;
    let done = program.run(&["plan", "-i", "images.yaml", "--output", "markdown"]).await;
    assert_eq!(done.code, Some(3), "{done}");
    let change = done.stdout.find("### Would change").unwrap();
    assert!(change < done.stdout.find("### Look at").unwrap(), "{done}");
    assert!(done.stdout.contains("| **would-copy** | `127.0.0.1:"), "{done}");
}

/// What a registry answers must not become a command of GitHub's, whichever stream and form it is in.
#[tokio::test]
async fn no_answer_begins_a_line_with_a_command() {
    let source = Registry::start().await;
    source.inject(
        Fault::error(403, "DENIED", "no\n::add-mask::x\r\n::error::y").on("*", path::MANIFESTS),
    );
    let program = Program::new();
    let from = format!("{}/app:1", source.host());
    let done = program.run(&["copy", &from, "oci:mirror", "--debug"]).await;
    for line in done.stdout.lines().chain(done.stderr.lines()) {
        assert!(!line.trim_start().starts_with("::"), "{done}");
    }
}

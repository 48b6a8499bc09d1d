//! The report of a real run, judged by what reads it: the page by Chromium and axe, JUnit's XML by Jenkins'
//! schema and a Python library, Markdown by the parser that GitHub uses. One registry answers with words that
//! would like to be more than text.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write;
use std::path::{Path, PathBuf};

use interop::Workbench;
use serde_json::Value;
use testkit::{Fault, Registry, image};

/// How many items the page has to bear.
const ITEMS: usize = 2_000;

const HOSTILE: &str =
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> | `x` @octocat";

fn tool_folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "tools", name].iter().collect()
}

/// Writes the reports of a run with many items, some of which are not as they should be.
async fn run(bench: &Workbench, items: usize) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    let tag = "1".parse().unwrap();
    for (name, seed) in [("moved", 1), ("denied", 2)] {
        source.add(&name.parse().unwrap(), &tag, &image::single(seed)).await;
    }
    for seed in 3..items.min(100) {
        let name = format!("image-{seed}");
        source.add(&name.parse().unwrap(), &tag, &image::single(seed as u64)).await;
    }
    target.add(&"moved".parse().unwrap(), &tag, &image::single(9)).await;
    source.inject(Fault::error(403, "DENIED", HOSTILE).on("*", "/v2/denied/manifests/*"));
    let entry = |from: &str, to: &str| {
        format!("- source: {}/{from}:1\n  destination: {}/{to}\n", source.host(), target.host())
    };
    let mut list = String::from("images:\n");
    for name in ["moved", "missing", "denied"] {
        list.push_str(&entry(name, name));
    }
    for number in 3..items {
        let from = 3 + (number - 3) % (items.min(100) - 3);
        let to = format!("team-{}/app-{number}", number % 20);
        list.push_str(&entry(&format!("image-{from}"), &to));
    }
    let file = bench.folder().join("images.yaml");
    std::fs::write(&file, list).unwrap();
    let binary = bench.image_syncer().args(["sync", "-i", file.to_str().unwrap()]);
    let reports = ["report.html", "report.md", "report.xml", "report.json", "report.sarif"]
        .map(|name| format!("--report={}", bench.folder().join(name).display()));
    let binary = binary.args(reports.each_ref().map(String::as_str));
    let done = tokio::task::spawn_blocking(move || binary.run()).await.unwrap();
    done.expect_code(3);
}

fn text(bench: &Workbench, name: &str) -> String {
    std::fs::read_to_string(bench.folder().join(name)).unwrap()
}

/// What the page's judge says of it; screenshots stay where `IMAGE_SYNCER_SCREENSHOTS` says.
fn verdict(bench: &Workbench, page: &Path) -> Value {
    let folder = std::env::var_os("IMAGE_SYNCER_SCREENSHOTS")
        .map_or_else(|| bench.folder().to_owned(), PathBuf::from);
    let chromium = bench.command("chromium").get_program().to_owned();
    let said = bench
        .tool("page-judge")
        .args([chromium.to_str().unwrap(), page.to_str().unwrap(), folder.to_str().unwrap()])
        .succeed();
    serde_json::from_str(&said).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and other judges: tests/tools/install"]
async fn a_page_of_2000_items_is_quick_and_open_to_all() {
    let Some(bench) = Workbench::with_image_syncer("html", &["page-judge", "chromium"]) else {
        return;
    };
    run(&bench, ITEMS).await;
    let verdict = verdict(&bench, &bench.folder().join("report.html"));
    let none = Value::Array(Vec::new());
    assert_eq!(verdict["complaints"], none, "errors on the console");
    assert_eq!(verdict["requests"], none, "a page that is whole asks for nothing");
    assert_eq!(verdict["violations"], none, "axe, in light and dark, wide and narrow");
    assert_eq!(verdict["overflows"], none, "nothing is wider than the screen");

    let filter = &verdict["filter"];
    assert_eq!(filter["rows"], ITEMS);
    assert_eq!(filter["counts"][""], ITEMS);
    // app-19, app-190 to app-199, app-1900 to app-1999.
    assert_eq!(filter["counts"]["app-19"], 111);
    assert_eq!(filter["counts"]["nothing is like this"], 0);
    // A machine that is busy with other things says nothing of the page, so it is judged where somebody asks.
    let is_judged = std::env::var_os("IMAGE_SYNCER_TIMED").is_some();
    for (text, time) in filter["least"].as_object().unwrap() {
        let time = time.as_f64().unwrap();
        let _ = writeln!(std::io::stderr(), "until `{text}` is painted it takes {time} ms");
        assert!(!is_judged || time < 100.0, "`{text}` takes {time} ms");
    }

    let keyboard = &verdict["keyboard"];
    assert_eq!(keyboard["focused"], "text");
    assert_eq!((&keyboard["sorted"], &keyboard["opened"]), (&true.into(), &true.into()));
    assert_eq!(verdict["plain"]["filter"], false);
    assert_eq!(verdict["plain"]["title"], "3 of 2,000 items need a look");
    let outcomes: Vec<&str> =
        verdict["outcome"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(outcomes, ["drift (1)", "failed (1)", "source-missing (1)", "copied (1,997)"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Chromium and other judges: tests/tools/install"]
async fn junit_and_markdown_are_what_their_readers_expect() {
    let judges = ["xmllint", "report-judges-python"];
    let Some(bench) = Workbench::with_image_syncer("html junit and markdown", &judges) else {
        return;
    };
    run(&bench, 200).await;
    let schema = tool_folder("report-judges").join("junit-10.xsd");
    let junit = bench.folder().join("report.xml");
    let arguments =
        ["--nonet", "--noout", "--schema", schema.to_str().unwrap(), junit.to_str().unwrap()];
    bench.tool("xmllint").args(arguments).succeed();
    let script = "import json, sys; from junitparser import JUnitXml\n\
        xml = JUnitXml.fromfile(sys.argv[1])\n\
        cases = [case for suite in xml for case in suite]\n\
        bad = {case.name.split('/')[-1]: type(case.result[0]).__name__ for case in cases if case.result}\n\
        print(json.dumps([xml.tests, xml.failures, xml.errors, len(cases), bad]))";
    let python = bench.tool("report-judges-python");
    let said = python.args(["-c", script, junit.to_str().unwrap()]).succeed();
    let expected = serde_json::json!([200, 2, 1, 200, {
        "moved:1": "Failure", "missing:1": "Failure", "denied:1": "Error"
    }]);
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), expected);

    // What GitHub makes of it, before it takes out what it does not allow.
    let script = "import sys, cmarkgfm; from cmarkgfm.cmark import Options as o\n\
        text = open(sys.argv[1], encoding='utf-8').read()\n\
        print(cmarkgfm.github_flavored_markdown_to_html(text, o.CMARK_OPT_UNSAFE))";
    let markdown = bench.folder().join("report.md");
    let python = bench.tool("report-judges-python");
    let html = python.args(["-c", script, markdown.to_str().unwrap()]).succeed();
    assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
    let outside_code: String = html
        .split("<code>")
        .map(|part| part.split_once("</code>").map_or(part, |(_, outside)| outside))
        .collect();
    assert!(!outside_code.contains("@octocat"), "nobody is notified");
    // One row for each item that was copied or is to be looked at, and the heads of both tables.
    assert_eq!(html.matches("<tr>").count(), 200 + 2, "{html}");
    assert_eq!(html.matches("<td>").count(), 200 * 3, "no cell was torn in two");
    assert!(text(&bench, "report.md").len() <= 65_536);
}

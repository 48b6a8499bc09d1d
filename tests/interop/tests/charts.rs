//! Charts through the built binary: from a repository that `helm repo index` made, and from where
//! `helm push` put them, into registries and folders; what came of it, real helm and cosign judge.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use interop::{
    ChartServer, Charts, Door, Kind, PASSWORD, Request, Run, SIGNED, Server, UNSIGNED, USER,
    Workbench,
};
use serde_json::Value;

const TOOLS: [&str; 9] = [
    "cosign",
    "cosign2",
    "crane",
    "docker-registry",
    "distribution3",
    "htpasswd",
    "helm",
    "helm3",
    "gpg",
];
/// The tag of [`SIGNED`].
const SIGNED_TAG: &str = "1.2.3_b.1";

/// Charts on the web, and a registry to bring them to.
struct Setting {
    charts: Charts,
    web: ChartServer,
    target: Server,
}

impl Setting {
    fn new(suite: &str, kind: Kind) -> Option<Self> {
        Self::behind(suite, kind, Door::default())
    }

    fn behind(suite: &str, kind: Kind, door: Door) -> Option<Self> {
        let name = format!("charts {suite} {}", kind.program());
        let charts = Charts::made_on(Workbench::with_image_syncer(&name, &TOOLS)?);
        let web = ChartServer::start(&charts, door);
        let target = charts.bench.start(kind);
        Some(Self { charts, web, target })
    }

    fn bench(&self) -> &Workbench {
        &self.charts.bench
    }

    /// A repository of the target's.
    fn at(&self, repository: &str) -> String {
        format!("{}/{repository}", self.target.host())
    }

    /// The entry of `charts:` that brings versions of the chart from the web to a repository.
    fn entry(&self, versions: &str, repository: &str) -> String {
        let (source, target) = (self.web.url(), self.at(repository));
        format!(
            "- source: \"{source}/demo\"\n  versions: {versions}\n  destination: \"{target}\"\n"
        )
    }

    fn list(&self, text: &str) -> PathBuf {
        self.bench().sync_file(text, &[&self.target])
    }

    /// Runs a command over a file.
    fn run(&self, command: &str, file: &Path) -> Run {
        let image_syncer = self.bench().image_syncer().env("COSIGN_PASSWORD", PASSWORD);
        image_syncer.args([command, "-i", text(file), "--output", "json"]).run()
    }

    /// Runs a command over these charts.
    #[track_caller]
    fn charts(&self, command: &str, entries: &str, code: i32) -> Run {
        let file = self.list(&format!("charts:\n{entries}"));
        self.run(command, &file).expect_code(code)
    }

    /// Ends the test unless the web was asked for its index, and by `verify` whether the chart without a
    /// provenance file has one by now.
    #[track_caller]
    fn expect_only_looks(&self, command: &str) {
        let provenance = format!("GET /demo-{UNSIGNED}.tgz.prov");
        let looks = ["GET /index.yaml", &provenance];
        let looks = if command == "verify" { &looks[..] } else { &looks[..1] };
        assert_eq!(self.web.take_requests(), looks, "{command}");
    }

    fn writes(&self) -> Vec<Request> {
        let mut requests = self.bench().requests(&self.target);
        requests.retain(Request::is_write);
        requests
    }

    fn digest(&self, reference: &str) -> String {
        self.bench().crane(["digest", reference])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `REPOSITORY:TAG kind outcome` of every item, sorted.
fn outcomes(run: &Run) -> Vec<String> {
    let report = run.report();
    let mut outcomes: Vec<String> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let target = item["target"].as_str().unwrap_or_default();
            let target = target.split_once('/').map_or(target, |(_, rest)| rest);
            let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
            format!("{target} {} {}", text("kind"), text("outcome"))
        })
        .collect();
    outcomes.sort();
    outcomes
}

/// The notes of the one item with this target.
fn notes(run: &Run, target: &str) -> Vec<String> {
    let report = run.report();
    let items = report["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["target"].as_str().unwrap().ends_with(target));
    let notes = item.and_then(|item| item["notes"].as_array()).cloned().unwrap_or_default();
    notes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn every_chart_is_one_that_helm_uses(kind: Kind) {
    let Some(setting) = Setting::new("all", kind) else { return };
    let pushed = setting.bench().start(Kind::Distribution3);
    for version in [SIGNED, UNSIGNED] {
        setting.charts.push("helm3", &pushed, version, &format!("{}/from", pushed.host()));
    }
    let (web, helm) = (setting.web.url(), pushed.host());
    let (one, two) = (setting.at("one/demo"), setting.at("two/demo"));
    let (three, four) = (setting.at("three/demo"), setting.at("four/demo"));
    let file = setting.bench().sync_file(
        &format!(
            "charts:\n\
             - {{source: \"{web}/demo\", versions: [{SIGNED}], destination: [\"{one}\", \"{two}\"]}}\n\
             - {{source: \"{web}\", name: demo, versions: \">=1.2.0-0\", destination: \"{three}\", \
               images: true}}\n\
             - {{source: \"oci://{helm}/from/demo\", versions: \"1.x-0\", destination: \"{four}\"}}\n"
        ),
        &[&setting.target, &pushed],
    );
    let all = [
        (&one, SIGNED, "one/demo:1.2.3_b.1"),
        (&two, SIGNED, "two/demo:1.2.3_b.1"),
        (&three, SIGNED, "three/demo:1.2.3_b.1"),
        (&three, UNSIGNED, "three/demo:1.3.0"),
        (&four, SIGNED, "four/demo:1.2.3_b.1"),
        (&four, UNSIGNED, "four/demo:1.3.0"),
    ];
    let expected = |outcome: &str| {
        let mut expected: Vec<String> =
            all.iter().map(|(_, _, target)| format!("{target} chart {outcome}")).collect();
        expected.sort();
        expected
    };

    setting.bench().forget_requests(&setting.target);
    let plan = setting.run("plan", &file).expect_code(0);
    assert_eq!(outcomes(&plan), expected("would-copy"), "{}", plan.text());
    assert_eq!(setting.writes().len(), 0);
    let named = notes(&plan, "three/demo:1.3.0");
    let nginx = named.iter().any(|note| note.contains("names the image nginx:1.16.0"));
    let other = named.iter().any(|note| note.contains("quay.io/team/demo:1.16.0"));
    assert!(nginx && other, "{named:?}");
    assert_eq!(notes(&plan, "one/demo:1.2.3_b.1"), Vec::<String>::new());

    let sync = setting.run("sync", &file).expect_code(0);
    assert_eq!(outcomes(&sync), expected("copied"), "{}", sync.text());
    for (repository, version, _) in all {
        setting.charts.expect_usable(&setting.target, repository, version);
    }
    // The same chart is the same image, wherever it goes.
    let digest = setting.digest(&format!("{one}:{SIGNED_TAG}"));
    assert_eq!(setting.digest(&format!("{three}:{SIGNED_TAG}")), digest);
    // A chart from a registry is copied by digest.
    let from = setting.digest(&format!("{helm}/from/demo:1.3.0"));
    assert_eq!(setting.digest(&format!("{four}:1.3.0")), from);

    setting.web.take_requests();
    setting.bench().forget_requests(&setting.target);
    for (command, outcome) in [("sync", "up-to-date"), ("plan", "up-to-date")] {
        // What a plan lists of the images that a chart names, is in its archive.
        let again = setting.run(command, &file).expect_code(0);
        assert_eq!(outcomes(&again), expected(outcome), "{}", again.text());
        let asked = setting.web.take_requests();
        let archives = asked.iter().filter(|line| line.ends_with(".tgz")).count();
        let fetched = if command == "plan" { 2 } else { 0 };
        assert_eq!(archives, fetched, "{command}: {asked:?}");
        // A provenance file goes with every archive.
        assert_eq!(asked.len(), 1 + 2 * archives, "{command}: {asked:?}");
    }
    assert!(setting.writes().is_empty(), "{:#?}", setting.writes());
    let verified = setting.run("verify", &file).expect_code(0);
    assert_eq!(outcomes(&verified), expected("up-to-date"), "{}", verified.text());
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn every_chart_in_docker_registry_is_one_that_helm_uses() {
    every_chart_is_one_that_helm_uses(Kind::DockerRegistry);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn every_chart_in_distribution3_is_one_that_helm_uses() {
    every_chart_is_one_that_helm_uses(Kind::Distribution3);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn every_chart_in_serve_is_one_that_helm_uses() {
    every_chart_is_one_that_helm_uses(Kind::Serve);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn what_helm_pushed_is_up_to_date_and_another_chart_is_drift() {
    let Some(setting) = Setting::new("present", Kind::Distribution3) else { return };
    let at = setting.at("charts/demo");
    // helm writes into the manifest when the archive was written to its disk, we what the archive says of its
    // files: not the same second.
    let archive = std::fs::File::options().append(true).open(setting.charts.archive(UNSIGNED));
    archive.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    setting.charts.push("helm", &setting.target, UNSIGNED, &setting.at("charts"));
    let before = setting.digest(&format!("{at}:{UNSIGNED}"));
    setting.bench().forget_requests(&setting.target);
    let entry = setting.entry(&format!("[{UNSIGNED}]"), "charts/demo");
    for command in ["sync", "plan", "verify"] {
        let run = setting.charts(command, &entry, 0);
        assert_eq!(outcomes(&run), [format!("charts/demo:{UNSIGNED} chart up-to-date")]);
        setting.expect_only_looks(command);
    }
    assert!(setting.writes().is_empty(), "{:#?}", setting.writes());
    // Our own image of it would be another.
    let other = setting.entry(&format!("[{UNSIGNED}]"), "other/demo");
    setting.charts("sync", &other, 0);
    assert_ne!(setting.digest(&format!("{}:{UNSIGNED}", setting.at("other/demo"))), before);
    // One source, a target that has it from helm and one that lacks it.
    setting.bench().forget_requests(&setting.target);
    let both = format!("{entry}{}", setting.entry(&format!("[{UNSIGNED}]"), "third/demo"));
    let run = setting.charts("sync", &both, 0);
    let expected = ["charts/demo:1.3.0 chart up-to-date", "third/demo:1.3.0 chart copied"];
    assert_eq!(outcomes(&run), expected);

    // The chart changes, its version does not.
    std::fs::write(setting.charts.source().join("more.txt"), "more").unwrap();
    setting.charts.package("helm", UNSIGNED, false);
    setting.charts.index("helm");
    setting.bench().forget_requests(&setting.target);
    for command in ["sync", "plan", "verify"] {
        let run = setting.charts(command, &entry, 3);
        assert_eq!(outcomes(&run), [format!("charts/demo:{UNSIGNED} chart drift")], "{command}");
    }
    assert!(setting.writes().is_empty(), "{:#?}", setting.writes());
    assert_eq!(setting.digest(&format!("{at}:{UNSIGNED}")), before);
}

#[test]
#[ignore = "needs helm, cosign and real registries: tests/tools/install"]
fn cosign_verifies_a_signed_chart() {
    let Some(setting) = Setting::new("signed", Kind::Distribution3) else { return };
    let cosign = |tool: &str, arguments: &[&str]| {
        let home = setting.bench().folder();
        let cosign = setting.bench().tool(tool).env("HOME", home).env("TUF_ROOT", home.join("tuf"));
        cosign.env("COSIGN_PASSWORD", PASSWORD).args(arguments).succeed();
    };
    let key = setting.bench().folder().join("ours");
    cosign("cosign2", &["generate-key-pair", "--output-key-prefix", text(&key)]);
    let entry = setting.entry("\"*-0\"", "charts/demo");
    let file = setting.list(&format!("kmsKey: ours.key\nsign: true\ncharts:\n{entry}"));
    setting.run("sync", &file).expect_code(0);
    let at = setting.at("charts/demo");
    for tag in [SIGNED_TAG, UNSIGNED] {
        let reference = format!("{at}:{tag}");
        let key = key.with_extension("pub");
        let verify = ["verify", "--insecure-ignore-tlog", "--key", text(&key), &reference];
        cosign("cosign", &verify);
    }
    setting.charts.expect_usable(&setting.target, &at, SIGNED);
    setting.bench().forget_requests(&setting.target);
    setting.web.take_requests();
    for command in ["sync", "plan", "verify"] {
        let item = setting.run(command, &file).expect_code(0).item(&format!("demo:{UNSIGNED}"));
        assert_eq!(item.text("signature.state"), "present", "{command}");
        setting.expect_only_looks(command);
    }
    assert!(setting.writes().is_empty(), "{:#?}", setting.writes());
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_repository_may_ask_who_comes_and_have_a_certificate_of_its_own() {
    let door = Door { locked: true, tls: true };
    let Some(setting) = Setting::behind("locked", Kind::Serve, door) else { return };
    let charts = format!("charts:\n{}", setting.entry(&format!("[{SIGNED}]"), "charts/demo"));
    let host = setting.web.host();
    let authority = setting.bench().certificate_authority().display().to_string();
    let knows = |more: &str| {
        let file = format!("{charts}registries:\n  \"{host}\": {{ {more} }}\n");
        setting.list(&file)
    };
    let error = |run: Run, code: i32, class: &str| {
        let item = run.expect_code(code);
        let report = item.report();
        let error = &report["items"][0]["error"];
        assert_eq!(error["class"], class, "{report:#}");
        assert!(!item.text().contains(PASSWORD));
        format!("{} {}", error["message"], error["hint"])
    };
    // Nobody that is trusted has made the certificate.
    let told = error(setting.run("sync", &setting.list(&charts)), 1, "network");
    assert!(told.contains("certificate"), "{told}");
    let ca = format!("ca: \"{authority}\"");
    let told = error(setting.run("sync", &knows(&ca)), 4, "credentials");
    assert!(told.contains("401") && told.contains("auth"), "{told}");
    let auth = |password: &str| {
        let auth = format!("{{ username: {USER}, password: {{ env: CHARTS }} }}");
        let file = knows(&format!("{ca}, auth: {auth}"));
        let image_syncer = setting.bench().image_syncer().env("CHARTS", password);
        image_syncer.args(["sync", "-i", text(&file), "--output", "json"]).run()
    };
    let told = error(auth("wrong"), 4, "credentials");
    assert!(told.contains("401"), "{told}");
    let run = auth(PASSWORD).expect_code(0);
    assert_eq!(outcomes(&run), ["charts/demo:1.2.3_b.1 chart copied"]);
    assert!(!run.text().contains(PASSWORD));
    setting.charts.expect_usable(&setting.target, &setting.at("charts/demo"), SIGNED);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn what_cannot_be_had_is_told_and_the_rest_is_copied() {
    let Some(setting) = Setting::new("failures", Kind::Serve) else { return };
    let (web, at) = (setting.web.url(), setting.at("charts"));
    let unknown = format!(
        "- {{source: \"{web}/unknown\", versions: [\"1.0.0\"], destination: \"{at}/unknown\"}}\n"
    );
    // A port that was free a moment ago.
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let down = format!(
        "- {{source: \"http://{down}/demo\", versions: [{UNSIGNED}], destination: \"{at}/down\"}}\n"
    );
    let none = setting.entry("[7.7.7]", "charts/none");
    let out_of_range = setting.entry("\">=7\"", "charts/range");
    let good = setting.entry(&format!("[{UNSIGNED}]"), "charts/demo");
    let entries = [unknown, down, none, out_of_range, good].concat();
    let run = setting.charts("sync", &entries, 1);
    let report = run.report();
    let items: Vec<String> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let source = item["source"].as_str().unwrap_or_default();
            let source = source.rsplit_once('/').map_or(source, |(_, name)| name);
            format!(
                "{source} {} {} {}",
                item["outcome"].as_str().unwrap_or_default(),
                item["error"]["class"].as_str().unwrap_or_default(),
                item["error"]["message"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let expected = [
        ("unknown failed not-found", "there is no `"),
        ("demo failed network", "Connection refused"),
        ("demo:7.7.7 source-missing not-found", "there is no version `7.7.7`"),
        ("demo failed selection", "no version of the chart is in the range `>=7`"),
        ("demo:1.3.0 copied", ""),
    ];
    for (item, (begins, has)) in items.iter().zip(expected) {
        assert!(item.starts_with(begins) && item.contains(has), "{items:#?}");
    }
    assert_eq!(items.len(), expected.len());
    let hint = format!("the newest version there is `{UNSIGNED}`");
    assert_eq!(report["items"][2]["error"]["hint"], hint);
    setting.charts.expect_usable(&setting.target, &setting.at("charts/demo"), UNSIGNED);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_name_that_helm_cannot_use_is_told_of() {
    let Some(setting) = Setting::new("names", Kind::Serve) else { return };
    let entry = setting.entry(&format!("[{UNSIGNED}]"), "charts/other");
    let run = setting.charts("sync", &entry, 0);
    assert!(run.stderr.contains("`helm pull --verify` fails"), "{}", run.text());
    let (output, _) = setting.charts.pull(
        "helm",
        &setting.target,
        &setting.at("charts/other"),
        &["--version", UNSIGNED],
    );
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn what_wants_one_tag_twice_is_refused() {
    let Some(setting) = Setting::new("twice", Kind::Serve) else { return };
    // Two ranges of one chart that have a version in common: it is wanted once.
    let ranges =
        [setting.entry("\">=1.2.0-0\"", "charts/demo"), setting.entry("\">=1.3\"", "charts/demo")];
    let run = setting.charts("plan", &ranges.concat(), 0);
    let once = ["charts/demo:1.2.3_b.1 chart would-copy", "charts/demo:1.3.0 chart would-copy"];
    assert_eq!(outcomes(&run), once);
    // Two charts, or a chart and an image, in one tag.
    let pushed = setting.bench().start(Kind::Serve);
    setting.charts.push("helm", &pushed, UNSIGNED, &format!("{}/from", pushed.host()));
    let (from, at) = (format!("{}/from/demo", pushed.host()), setting.at("charts/demo"));
    let other =
        format!("- {{source: \"oci://{from}\", versions: \"1.x\", destination: \"{at}\"}}\n");
    let image = format!("images:\n- {{source: \"{from}:1.3.0\", destination: \"{at}:1.3.0\"}}\n");
    let range = setting.entry("\">=1.3\"", "charts/demo");
    for file in [format!("charts:\n{range}{other}"), format!("{image}charts:\n{range}")] {
        let run = setting.run("sync", &setting.list(&file)).expect_code(1);
        assert!(run.text().contains("wanted from several sources"), "{}", run.text());
        assert!(outcomes(&run).iter().any(|line| line.ends_with("chart failed")), "{}", run.text());
    }
    // Where both say the tag, nothing is asked to find out.
    let exact = setting.entry("[1.3.0]", "charts/demo");
    let run = setting.run("check", &setting.list(&format!("{image}charts:\n{exact}")));
    assert_ne!(run.code, 0, "{}", run.text());
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn charts_go_into_a_folder_and_on_from_there() {
    let Some(setting) = Setting::new("folder", Kind::Serve) else { return };
    let web = setting.web.url();
    let entry = format!(
        "- {{source: \"{web}/demo\", versions: \"*-0\", destination: \"oci:mirror/demo\"}}\n"
    );
    for outcome in ["copied", "up-to-date"] {
        setting.web.take_requests();
        let run = setting.charts("sync", &entry, 0);
        let told = outcomes(&run);
        assert!(told.len() == 2 && told.iter().all(|line| line.ends_with(outcome)), "{told:?}");
        let archives = setting.web.take_requests().iter().filter(|it| it.ends_with(".tgz")).count();
        assert_eq!(archives, if outcome == "copied" { 2 } else { 0 });
    }
    let at = setting.at("on/demo");
    let on = format!(
        "images:\n- {{source: \"oci:mirror/demo:{SIGNED_TAG}\", destination: \"{at}:{SIGNED_TAG}\"}}\n"
    );
    setting.run("sync", &setting.list(&on)).expect_code(0);
    setting.charts.expect_usable(&setting.target, &at, SIGNED);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_chart_of_a_classic_repository_cannot_prove_who_signed_it() {
    let Some(setting) = Setting::new("demanded", Kind::Serve) else { return };
    let entry = setting.entry(&format!("[{SIGNED}]"), "charts/demo");
    let key = setting.bench().folder().join("theirs");
    let made = ["generate-key-pair", "--output-key-prefix", text(&key)];
    let cosign = setting.bench().tool("cosign2").env("COSIGN_PASSWORD", PASSWORD);
    cosign.env("HOME", setting.bench().folder()).args(made).succeed();
    let verify = "verify:\n- source: \"**\"\n  keys: [theirs.pub]\n";
    let file = setting.list(&format!("{verify}charts:\n{entry}"));
    let run = setting.run("sync", &file).expect_code(5);
    assert!(run.text().contains("has no signature"), "{}", run.text());
    assert_eq!(outcomes(&run), ["charts/demo:1.2.3_b.1 chart refused"]);
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn what_is_odd_about_a_chart_is_noted() {
    let Some(setting) = Setting::new("notes", Kind::Serve) else { return };
    // The provenance file of another archive.
    let provenance =
        |version: &str| setting.charts.folder().join(format!("demo-{version}.tgz.prov"));
    std::fs::copy(provenance(SIGNED), provenance(UNSIGNED)).unwrap();
    let entry = setting.entry(&format!("[{UNSIGNED}]"), "charts/demo");
    for command in ["plan", "sync"] {
        let noted = notes(&setting.charts(command, &entry, 0), "charts/demo:1.3.0");
        assert!(noted.iter().any(|note| note.contains("is about another archive")), "{noted:?}");
    }
    // One that comes when the chart was published already.
    let moved = setting.bench().folder().join("moved.prov");
    std::fs::rename(provenance(SIGNED), &moved).unwrap();
    let entry = setting.entry(&format!("[{SIGNED}]"), "late/demo");
    setting.charts("sync", &entry, 0);
    let name = format!("late/demo:{SIGNED_TAG}");
    assert_eq!(notes(&setting.charts("verify", &entry, 0), &name), Vec::<String>::new());
    std::fs::rename(&moved, provenance(SIGNED)).unwrap();
    setting.web.take_requests();
    assert_eq!(notes(&setting.charts("sync", &entry, 0), &name), Vec::<String>::new());
    assert_eq!(setting.web.take_requests(), ["GET /index.yaml"]);
    let noted = notes(&setting.charts("verify", &entry, 0), &name);
    assert!(noted.iter().any(|note| note.contains("has a provenance file by now")), "{noted:?}");
    let asked = setting.web.take_requests();
    assert!(!asked.iter().any(|line| line.ends_with(".tgz")), "{asked:?}");
}

#[test]
#[ignore = "needs helm and real registries: tests/tools/install"]
fn a_version_may_be_written_with_a_v_or_without() {
    let Some(setting) = Setting::new("v", Kind::Serve) else { return };
    setting.charts.package("helm", "v1.4.0", false);
    setting.charts.index("helm");
    let entry = setting.entry("[1.4.0, v1.3.0]", "charts/demo");
    let run = setting.charts("sync", &entry, 0);
    assert_eq!(
        outcomes(&run),
        ["charts/demo:1.4.0 chart copied", "charts/demo:v1.3.0 chart copied"]
    );
}

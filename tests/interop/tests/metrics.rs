//! Metrics, judged by Prometheus itself: it scrapes a run while it lasts and a Pushgateway after it, finds the
//! data of every panel of the dashboard, and has nothing against the names and the rules.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use interop::{Kind, Workbench};
use serde_json::Value;
use testkit::{Direction, Proxy};
use tokio::runtime::Runtime;

const TOOLS: [&str; 7] = [
    "crane",
    "buildah",
    "ggcr-registry",
    "prometheus",
    "promtool",
    "prometheus-pushgateway",
    "curl",
];

/// A server that is killed when it is dropped.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn deployed(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "deploy", file].iter().collect()
}

/// Asks again until there is an answer; what there never is ends the test.
#[track_caller]
fn wait_for<T>(runtime: &Runtime, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "there is never {what}");
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(100)).await });
    }
}

struct Prometheus<'b> {
    bench: &'b Workbench,
    runtime: &'b Runtime,
    url: String,
    _server: Background,
}

impl<'b> Prometheus<'b> {
    fn scraping(
        bench: &'b Workbench,
        runtime: &'b Runtime,
        run: SocketAddr,
        push: SocketAddr,
    ) -> Self {
        let (folder, address) = (bench.folder().join("prometheus"), free_address());
        fs::create_dir(&folder).unwrap();
        let configuration = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s }}
rule_files: ['{}']
scrape_configs:
- {{ job_name: live, static_configs: [{{ targets: ['{run}'] }}] }}
- {{ job_name: push, honor_labels: true, static_configs: [{{ targets: ['{push}'] }}] }}
",
            deployed("prometheus/alerts.yaml").canonicalize().unwrap().display()
        );
        let file = folder.join("prometheus.yaml");
        fs::write(&file, configuration).unwrap();
        bench.tool("promtool").args(["check", "config", file.to_str().unwrap()]).succeed();
        let server = Background::start(
            bench
                .command("prometheus")
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address={address}")),
        );
        let prometheus = Self { bench, runtime, url: format!("http://{address}"), _server: server };
        wait_for(runtime, "a Prometheus that is ready", || prometheus.get("/-/ready"));
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        get(self.bench, &format!("{}{path}", self.url))
    }

    /// The samples that an expression has now, by their labels.
    fn query(&self, expression: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let query: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={query}"));
        let answer = answer.unwrap_or_else(|| panic!("{expression} is refused"));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{expression}");
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|sample| {
                let labels = serde_json::from_value(sample["metric"].clone()).unwrap();
                (labels, sample["value"][1].as_str().unwrap().parse().unwrap())
            })
            .collect()
    }

    /// Waits until an expression has samples.
    fn data(&self, expression: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        wait_for(self.runtime, expression, || {
            Some(self.query(expression)).filter(|samples| !samples.is_empty())
        })
    }

    fn value(&self, expression: &str) -> f64 {
        self.data(expression)[0].1
    }
}

fn get(bench: &Workbench, url: &str) -> Option<String> {
    let output = bench.tool("curl").args(["--silent", "--fail", "--max-time", "10", url]).run();
    (output.code == Some(0)).then_some(output.stdout)
}

fn promtool_checks(bench: &Workbench, metrics: &Path) {
    // It reads from standard input, and says what it has against names, types and missing helps.
    let input = fs::File::open(metrics).unwrap();
    let checked =
        bench.command("promtool").args(["check", "metrics"]).stdin(input).output().unwrap();
    let said =
        [checked.stdout, checked.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(checked.status.success() && said.is_empty(), "{}: {said}", metrics.display());
}

/// The expressions of the dashboard's panels, as Grafana would send them.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(deployed("grafana/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression.replace("$__rate_interval", "1m").replace("$job", ".*");
            assert!(!expression.contains('$'), "{expression}");
            expressions.push((panel["title"].as_str().unwrap().to_owned(), expression));
        }
    }
    expressions
}

#[test]
#[ignore = "needs Prometheus and real registries: tests/tools/install"]
fn prometheus_has_what_a_run_does_and_the_dashboard_shows_it() {
    let Some(bench) = Workbench::with_image_syncer("metrics", &TOOLS) else { return };
    let runtime = Runtime::new().unwrap();
    let source = bench.start(Kind::GoContainerregistry);
    let target = bench.start(Kind::GoContainerregistry);
    let images = bench.images();
    for name in ["fast", "held", "moved"] {
        bench.push(&images.small("amd64", name), &format!("{}/{name}:1", source.host()));
    }
    bench.push(&images.small("amd64", "other"), &format!("{}/moved:1", target.host()));

    // A source of which nothing comes until it is released: a run that lasts as long as we look at it.
    let behind: SocketAddr = source.host().parse().unwrap();
    let slow = runtime.block_on(Proxy::to(behind)).unwrap();
    let held: Vec<_> = (0..200).map(|_| slow.stall_after(0, Direction::ToClient)).collect();
    let (from, to, slow_host) = (source.host(), target.host(), slow.address());
    let list = bench.list(
        &format!(
            "- {{ source: '{from}/fast:1', destination: '{to}/fast:1' }}
- {{ source: '{slow_host}/held:1', destination: '{to}/held:1' }}
- {{ source: '{from}/moved:1', destination: '{to}/moved:1' }}
- {{ source: '{from}/missing:1', destination: '{to}/missing:1' }}
"
        ),
        &[],
    );
    let (live, push) = (free_address(), free_address());
    let _gateway = Background::start(
        bench.command("prometheus-pushgateway").arg(format!("--web.listen-address={push}")),
    );
    wait_for(&runtime, "a Pushgateway that is ready", || {
        get(&bench, &format!("http://{push}/-/ready"))
    });
    let prometheus = Prometheus::scraping(&bench, &runtime, live, push);

    let file = bench.folder().join("image-syncer.prom");
    let report = bench.folder().join("report.json");
    let running = bench
        .image_syncer()
        .args(["sync", "-i", list.to_str().unwrap()])
        .args(["--report", &format!("json={}", report.display())])
        .args(["--metrics-listen", &live.to_string(), "--metrics-file", file.to_str().unwrap()])
        .args(["--metrics-push", &format!("http://{push}")])
        .start();

    // In the middle of the run.
    prometheus.data("image_syncer_items_total{job='live',outcome='copied'} == 1");
    prometheus.data("image_syncer_items_in_progress{job='live'} == 1");
    prometheus.data("image_syncer_last_success_timestamp_seconds{job='live'} == 0");
    assert!(prometheus.value("image_syncer_blob_bytes_total{job='live',way='copied'}") > 0.0);
    assert!(prometheus.value("sum(image_syncer_registry_requests_total{job='live'})") > 0.0);
    prometheus.data("rate(image_syncer_streamed_bytes_total{job='live'}[1m])");
    prometheus.data("image_syncer_build_info{job='live'} == 1");
    let scraped = bench.folder().join("scraped.prom");
    fs::write(&scraped, get(&bench, &format!("http://{live}/metrics")).unwrap()).unwrap();
    promtool_checks(&bench, &scraped);

    // After it: the last word is the Pushgateway's.
    drop(held);
    drop(slow);
    let ended = running.end();
    assert_eq!(ended.code, Some(3), "drift\n{}", ended.stderr);
    assert_eq!(get(&bench, &format!("http://{live}/metrics")), None, "it lives with the run");
    prometheus.data("image_syncer_runs_total{job='image-syncer',result='drift'} == 1");
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    for (outcome, items) in report["summary"]["outcomes"].as_object().unwrap() {
        let is = |metric: &str| {
            let labels = format!("job='image-syncer',outcome='{outcome}'");
            prometheus.value(&format!("sum({metric}{{{labels}}})"))
        };
        let items = items.as_f64().unwrap();
        for metric in ["image_syncer_items_total", "image_syncer_last_run_items"] {
            let is = is(metric);
            assert!((is - items).abs() < 0.1, "{metric} of {outcome}: {is}, not {items}");
        }
    }
    for way in ["copied", "mounted", "present"] {
        let metric = format!("image_syncer_blob_bytes_total{{job='image-syncer',way='{way}'}}");
        let bytes = report["summary"]["bytes"][way].as_f64().unwrap();
        assert!((prometheus.value(&metric) - bytes).abs() < 0.1, "{way}");
    }
    for usage in report["registries"].as_array().unwrap() {
        let text = |key: &str| usage[key].as_str().unwrap().to_owned();
        let labels = format!("registry='{}',side='{}'", text("registry"), text("side"));
        let metric = format!("image_syncer_registry_requests_total{{job='image-syncer',{labels}}}");
        let answers = usage["answers"].as_object().unwrap().values();
        let answers: f64 = answers.map(|count| count.as_f64().unwrap()).sum();
        // Who never answered has no status to be counted by.
        if answers == 0.0 {
            continue;
        }
        assert!((prometheus.value(&format!("sum({metric})")) - answers).abs() < 0.1, "{metric}");
    }
    promtool_checks(&bench, &file);

    // None of these registries counts pulls, and no notice was to be sent.
    let without = ["image_syncer_registry_pulls_remaining", "image_syncer_notices_total"];
    let mut shown = 0;
    for (panel, expression) in panels() {
        if without.iter().any(|metric| expression.contains(metric)) {
            assert_eq!(prometheus.query(&expression), [], "{panel}");
        } else {
            assert!(!prometheus.data(&expression).is_empty(), "{panel}: {expression}");
            shown += 1;
        }
    }
    assert!(shown > 14, "{shown} panels");

    // The rules see what is wrong.
    prometheus.data("ALERTS{alertname='ImageSyncerDrift',alertstate='firing',job='image-syncer'}");
}

#[test]
#[ignore = "needs Prometheus: tests/tools/install"]
fn the_rules_are_right_and_each_has_its_page() {
    let Some(bench) = Workbench::with_tools("metrics rules", &["promtool"]) else { return };
    let (rules, tests) =
        (deployed("prometheus/alerts.yaml"), deployed("prometheus/alerts_test.yaml"));
    bench.tool("promtool").args(["check", "rules", rules.to_str().unwrap()]).succeed();
    bench.tool("promtool").args(["test", "rules", tests.to_str().unwrap()]).succeed();
    let docs = fs::read_to_string(deployed("../docs/metrics.md")).unwrap();
    let (rules, tests) = (fs::read_to_string(rules).unwrap(), fs::read_to_string(tests).unwrap());
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 9);
    for alert in alerts {
        assert!(docs.contains(&format!("\n### {alert}\n")), "{alert} has no page");
        assert!(rules.contains(&format!("runbook: docs/metrics.md#{}\n", alert.to_lowercase())));
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn a_failed_run_keeps_the_time_of_the_last_success() {
    let tools = ["crane", "buildah", "ggcr-registry", "promtool"];
    let Some(bench) = Workbench::with_image_syncer("metrics last success", &tools) else { return };
    let (source, target) =
        (bench.start(Kind::GoContainerregistry), bench.start(Kind::GoContainerregistry));
    bench.push(&bench.images().small("amd64", "app"), &format!("{}/app:1", source.host()));
    let entry = format!(
        "- {{ source: '{}/app:1', destination: '{}/app:1' }}",
        source.host(),
        target.host()
    );
    let list = bench.list(&entry, &[]);
    let file = bench.folder().join("image-syncer.prom");
    let sync = || {
        let run = bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]);
        run.args(["--metrics-file", file.to_str().unwrap()]).run()
    };
    let last_success = || {
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().find(|line| line.contains("last_success_timestamp_seconds{"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    sync().expect_code(0);
    let succeeded = last_success();
    assert!(succeeded > 1_700_000_000.0);
    drop(source);
    drop(target);
    sync().expect_code(1);
    promtool_checks(&bench, &file);
    assert!((last_success() - succeeded).abs() < 0.001, "{} {succeeded}", last_success());
}

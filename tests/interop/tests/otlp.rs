//! Traces and metrics by OTLP, judged by an OpenTelemetry Collector: what it received of a run is one trace
//! with the right parents, and the figures of Prometheus' metrics. Needs a binary with the feature `otlp`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use interop::{Kind, Server, Workbench};
use serde_json::Value;
use testkit::{Direction, Proxy};
use tokio::runtime::Runtime;

const TOOLS: [&str; 4] = ["crane", "buildah", "ggcr-registry", "otel-collector"];
const SECRET: &str = "hunter2-of-the-collector";

fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

#[track_caller]
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let runtime = Runtime::new().unwrap();
    let end = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "there is never {what}");
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    }
}

/// A collector that writes what it gets into files. Dropped, it is killed.
struct Collector {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    fn start(bench: &Workbench) -> Self {
        let (folder, address) = (bench.folder().join("collector"), free_address());
        fs::create_dir(&folder).unwrap();
        let file = |signal: &str| {
            format!("{{ path: '{}', flush_interval: 50ms }}", folder.join(signal).display())
        };
        let (traces, metrics) = (file("traces"), file("metrics"));
        let configuration = format!(
            "receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: '{address}' }} }} }} }}
exporters: {{ file/traces: {traces}, file/metrics: {metrics} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [file/traces] }}
    metrics: {{ receivers: [otlp], exporters: [file/metrics] }}
"
        );
        let file = folder.join("collector.yaml");
        fs::write(&file, configuration).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command: Command = bench.command("otel-collector");
        command.arg(format!("--config=file:{}", file.display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut collector = Self { child, url: format!("http://{address}"), folder };
        wait_for("a collector that is ready", || {
            let log = fs::read_to_string(collector.folder.join("log")).unwrap();
            assert!(collector.child.try_wait().unwrap().is_none(), "{log}");
            TcpStream::connect(address).ok()
        });
        collector
    }

    fn text(&self, signal: &str) -> String {
        fs::read_to_string(self.folder.join(signal)).unwrap_or_default()
    }

    /// What it received, message by message; the last line may still be written.
    fn messages(&self, signal: &str) -> Vec<Value> {
        let text = self.text(signal);
        text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }

    fn spans(&self) -> Spans {
        let mut spans = Vec::new();
        for message in self.messages("traces") {
            for resource in array(&message["resourceSpans"]) {
                let service = attributes(&resource["resource"]["attributes"]);
                for scope in array(&resource["scopeSpans"]) {
                    spans.extend(array(&scope["spans"]).map(|span| Span::new(span, &service)));
                }
            }
        }
        Spans(spans)
    }

    /// The spans when there is this number of whole runs among them.
    fn runs(&self, runs: usize) -> Spans {
        wait_for(&format!("{runs} runs: {}", self.text("traces")), || {
            let spans = self.spans();
            (spans.named("run").len() >= runs).then_some(spans)
        })
    }

    /// All samples of the last message, each as a line of Prometheus' text format.
    fn samples(&self) -> BTreeSet<String> {
        let messages = self.messages("metrics");
        let mut samples = BTreeSet::new();
        let Some(message) = messages.last() else { return samples };
        for metric in array(&message["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]) {
            let name = metric["name"].as_str().unwrap();
            for kind in ["sum", "gauge"] {
                for point in array(&metric[kind]["dataPoints"]) {
                    let value = number(&point["asInt"]).or(point["asDouble"].as_f64()).unwrap();
                    samples.insert(sample(name, &attributes(&point["attributes"]), value));
                }
            }
            for point in array(&metric["histogram"]["dataPoints"]) {
                assert_eq!(metric["unit"], "s", "{name}");
                let labels = attributes(&point["attributes"]);
                let sum = point["sum"].as_f64().unwrap_or_default();
                samples.insert(sample(&format!("{name}_sum"), &labels, sum));
                let count = number(&point["count"]).unwrap();
                samples.insert(sample(&format!("{name}_count"), &labels, count));
                let bounds = array(&point["explicitBounds"]).map(|bound| bound.as_f64().unwrap());
                let bounds = bounds.chain([f64::INFINITY]);
                let mut smaller = 0.0;
                for (bound, count) in bounds.zip(array(&point["bucketCounts"])) {
                    smaller += number(count).unwrap();
                    let mut labels = labels.clone();
                    labels.insert("le".to_owned(), bound.to_string());
                    samples.insert(sample(&format!("{name}_bucket"), &labels, smaller));
                }
            }
        }
        samples
    }
}

type Labels = BTreeMap<String, String>;

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// JSON of Protobuf has whole numbers as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn attributes(pairs: &Value) -> Labels {
    let pair = |pair: &Value| {
        let value = pair["value"].as_object().unwrap().values().next().unwrap();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (pair["key"].as_str().unwrap().to_owned(), value)
    };
    array(pairs).map(pair).collect()
}

fn sample(name: &str, labels: &Labels, value: f64) -> String {
    format!("{name} {labels:?} {value}")
}

/// The samples of a file of `--metrics-file`.
fn samples_of(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sampled = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
        let pair = |label: &str| {
            let (name, value) = label.split_once("=\"").unwrap();
            let value = value.trim_end_matches('"');
            let bound = value.parse::<f64>().ok().filter(|_| name == "le");
            let value = bound.map_or_else(|| value.to_owned(), |bound| bound.to_string());
            (name.to_owned(), value)
        };
        sample(name, &labels.map(pair).collect(), value.parse().unwrap())
    };
    lines.map(sampled).collect()
}

#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    is_error: bool,
    attributes: Labels,
    service: Labels,
}

impl Span {
    fn new(span: &Value, service: &Labels) -> Self {
        let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
        Self {
            trace: text("traceId"),
            id: text("spanId"),
            parent: text("parentSpanId"),
            name: text("name"),
            kind: span["kind"].as_u64().unwrap_or_default(),
            is_error: span["status"]["code"] == 2,
            attributes: attributes(&span["attributes"]),
            service: service.clone(),
        }
    }

    #[track_caller]
    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("{name} of {self:?}"))
    }
}

#[derive(Debug)]
struct Spans(Vec<Span>);

impl Spans {
    fn named(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    fn requests(&self) -> Vec<&Span> {
        let is_request = |span: &&Span| span.attributes.contains_key("http.request.method");
        self.0.iter().filter(is_request).collect()
    }

    fn item(&self, target: &str) -> &Span {
        let found = self.named("item").into_iter();
        let mut found = found.filter(|span| span.attribute("image_syncer.target") == target);
        found.next().unwrap_or_else(|| panic!("{target}: {self:#?}"))
    }

    /// The names of all spans above one, from the next to the root.
    fn above(&self, span: &Span) -> Vec<&str> {
        let mut above = Vec::new();
        let mut parent = &span.parent;
        while let Some(span) = self.0.iter().find(|span| span.id == *parent) {
            above.push(span.name.as_str());
            parent = &span.parent;
        }
        above
    }

    /// Whether the parent of each is there, and as many traces as runs.
    fn are_all_there(&self) -> bool {
        let ids: BTreeSet<&str> = self.0.iter().map(|span| span.id.as_str()).collect();
        let traces: BTreeSet<&str> = self.0.iter().map(|span| span.trace.as_str()).collect();
        let has_parent = |span: &Span| span.parent.is_empty() || ids.contains(span.parent.as_str());
        self.0.iter().all(has_parent) && traces.len() == self.named("run").len()
    }

    /// Each span but the roots has its parent, in its trace; the roots are runs.
    #[track_caller]
    fn expect_whole(&self) {
        for span in &self.0 {
            let root = self.above(span).last().copied().unwrap_or(&span.name);
            assert_eq!(root, "run", "{span:?}");
            if span.parent.is_empty() {
                assert_eq!(span.name, "run", "{span:?}");
                continue;
            }
            let parent = self.0.iter().find(|other| other.id == span.parent).unwrap();
            assert_eq!(parent.trace, span.trace, "{span:?}");
        }
    }
}

/// A list of one image, which is at its source.
fn one_image(bench: &Workbench, source: &Server, target: &Server) -> PathBuf {
    bench.push(&bench.images().small("amd64", "app"), &format!("{}/app:1", source.host()));
    let (from, to) = (source.host(), target.host());
    bench.list(&format!("- {{ source: '{from}/app:1', destination: '{to}/app:1' }}"), &[])
}

fn pair(bench: &Workbench) -> (Server, Server) {
    (bench.start(Kind::GoContainerregistry), bench.start(Kind::GoContainerregistry))
}

#[test]
#[ignore = "needs an OpenTelemetry Collector and real registries: tests/tools/install"]
fn a_run_is_one_trace_and_has_the_figures_of_prometheus() {
    let Some(bench) = Workbench::with_image_syncer("otlp", &TOOLS) else { return };
    let collector = Collector::start(&bench);
    let (source, target) = pair(&bench);
    let images = bench.images();
    for name in ["app", "moved"] {
        bench.push(&images.small("amd64", name), &format!("{}/{name}:1", source.host()));
    }
    bench.push(&images.small("amd64", "other"), &format!("{}/moved:1", target.host()));
    let (from, to) = (source.host(), target.host());
    let list = bench.list(
        &format!(
            "- {{ source: '{from}/app:1', destination: '{to}/one:1' }}
- {{ source: '{from}/app:1', destination: '{to}/two:1' }}
- {{ source: '{from}/moved:1', destination: '{to}/moved:1' }}
- {{ source: '{from}/missing:1', destination: '{to}/missing:1' }}
"
        ),
        &[],
    );
    let file = bench.folder().join("image-syncer.prom");
    let run = || {
        bench
            .image_syncer()
            .args(["sync", "-i", list.to_str().unwrap(), "--output=json"])
            .args(["--metrics-file", file.to_str().unwrap(), "--log-level=debug"])
            .args(["--otlp-endpoint", &collector.url])
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{SECRET}"))
            .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
            .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=interop")
            .run()
    };
    let ran = run().expect_code(3);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let spans = collector.runs(1);
    spans.expect_whole();

    let root = spans.named("run")[0];
    assert_eq!(root.attribute("image_syncer.run.id"), report["run"]["id"].as_str().unwrap());
    assert_eq!(root.attribute("image_syncer.mode"), "sync");
    assert_eq!(root.attribute("image_syncer.exit_code"), "3");
    assert!(root.is_error);
    for (outcome, items) in report["summary"]["outcomes"].as_object().unwrap() {
        let name = format!("image_syncer.items.{outcome}");
        assert_eq!(root.attribute(&name), items.to_string(), "{name}");
    }
    assert_eq!(root.service["service.name"], "image-syncer");
    assert_eq!(root.service["deployment.environment.name"], "interop");

    assert_eq!(spans.named("item").len(), 4);
    for (name, outcome, is_error) in [
        ("one", "copied", false),
        ("two", "copied", false),
        ("moved", "drift", true),
        ("missing", "source-missing", true),
    ] {
        let item = spans.item(&format!("{to}/{name}:1"));
        assert_eq!(item.parent, root.id);
        assert_eq!(item.attribute("image_syncer.outcome"), outcome);
        assert_eq!(item.is_error, is_error, "{name}");
        // What both items of one source need is done below one of them.
        let publishes = spans.named("publish").into_iter();
        let published = publishes.filter(|span| span.parent == item.id).count();
        assert_eq!(published, usize::from(outcome == "copied"), "{name}");
    }
    for (name, parent) in [("transfer", "copy"), ("companions", "copy"), ("copy", "item")] {
        let found = spans.named(name);
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(spans.above(found[0])[0], parent, "{name}");
    }

    // As many as were answered, each below an item. On loopback, TLS is tried first.
    let requests = spans.requests().into_iter();
    let is_answered = |span: &&Span| span.attributes.contains_key("http.response.status_code");
    let (requests, unanswered): (Vec<_>, Vec<_>) = requests.partition(is_answered);
    assert_eq!(unanswered.len(), 2, "{unanswered:#?}");
    for request in unanswered {
        assert!(request.is_error && request.attribute("url.full").starts_with("https://"));
        assert_eq!(request.attribute("error.type"), "network");
    }
    let answers = array(&report["registries"]).flat_map(|usage| {
        usage["answers"].as_object().unwrap().values().map(|count| count.as_u64().unwrap())
    });
    assert_eq!(requests.len() as u64, answers.sum::<u64>(), "{requests:#?}");
    for request in &requests {
        assert_eq!(request.kind, 3, "{request:?}");
        let (method, url) =
            (request.attribute("http.request.method"), request.attribute("url.full"));
        assert!(request.name.starts_with(&format!("{method} /v2/")), "{request:?}");
        assert!(!url.contains('?'), "{url}");
        let address =
            format!("{}:{}", request.attribute("server.address"), request.attribute("server.port"));
        assert!([from, to].contains(&address.as_str()), "{request:?}");
        let status: u16 = request.attribute("http.response.status_code").parse().unwrap();
        assert_eq!(request.is_error, status >= 400 && status != 404, "{request:?}");
        assert!(spans.above(request).contains(&"item"), "{request:?}");
    }
    let uploads = requests.iter().filter(|request| request.name.contains("/blobs/uploads/"));
    assert!(uploads.clone().count() >= 2, "{requests:#?}");
    for upload in uploads {
        assert_eq!(spans.above(upload)[..3], ["transfer", "copy", "item"]);
    }

    let samples = samples_of(&file);
    wait_for("as many samples", || (collector.samples().len() >= samples.len()).then_some(()));
    assert_eq!(collector.samples(), samples);

    // Logs are what they are without it, and nobody is told a secret.
    assert!(!ran.stderr.contains("item{"), "{}", ran.stderr);
    for text in [&ran.stderr, &ran.stdout, &collector.text("traces"), &collector.text("metrics")] {
        assert!(!text.contains(SECRET), "{text}");
    }

    // What is up to date costs little.
    let before = collector.spans().0.len();
    run().expect_code(3);
    let spans = collector.runs(2);
    spans.expect_whole();
    let trace = &spans.named("run")[1].trace;
    let of_item = |name: &str| {
        let items = spans.named("item").into_iter().filter(|span| span.trace == *trace);
        items
            .filter(|span| span.attribute("image_syncer.target") == format!("{to}/{name}:1"))
            .count()
    };
    assert_eq!(of_item("one"), 1);
    assert!(spans.0.len() - before < 40, "{}", spans.0.len() - before);
}

#[test]
#[ignore = "needs an OpenTelemetry Collector and real registries: tests/tools/install"]
fn plans_and_rounds_of_a_watch_are_traces_too() {
    let Some(bench) = Workbench::with_image_syncer("otlp watch", &TOOLS) else { return };
    let collector = Collector::start(&bench);
    let (source, target) = pair(&bench);
    let list = one_image(&bench, &source, &target);
    let list = list.to_str().unwrap();
    let planned = bench.image_syncer().args(["plan", "-i", list]);
    planned.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).run().expect_code(0);
    let spans = collector.runs(1);
    spans.expect_whole();
    assert_eq!(spans.named("run")[0].attribute("image_syncer.mode"), "plan");
    assert_eq!(spans.named("item")[0].attribute("image_syncer.outcome"), "would-copy");
    assert!(spans.named("copy").is_empty());

    let watching = bench
        .image_syncer()
        .args(["watch", "-i", list, "--interval=1s", "--otlp-endpoint", &collector.url])
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .start();
    let rounds = |text: &str, least: f64| {
        let is_it = |line: &str| {
            let value = line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            line.starts_with(text) && value >= least
        };
        collector.samples().iter().any(|line| is_it(line))
    };
    // While it watches, and not only at its end.
    let runs = "image_syncer_runs_total {\"mode\": \"sync\", \"result\": \"success\"}";
    wait_for("two rounds in the metrics", || rounds(runs, 2.0).then_some(()));
    collector.runs(3);
    watching.terminate();
    let ended = watching.end();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    // The collector writes what it took a little later.
    let spans = wait_for("one trace for each run, whole", || {
        Some(collector.spans()).filter(Spans::are_all_there)
    });
    spans.expect_whole();
    let outcomes =
        spans.named("item").into_iter().map(|item| item.attribute("image_syncer.outcome"));
    let outcomes: BTreeSet<&str> = outcomes.collect();
    assert_eq!(outcomes, BTreeSet::from(["copied", "up-to-date", "would-copy"]));
}

#[test]
#[ignore = "needs an OpenTelemetry Collector and real registries: tests/tools/install"]
fn a_run_that_is_stopped_has_its_trace() {
    let Some(bench) = Workbench::with_image_syncer("otlp stopped", &TOOLS) else { return };
    let collector = Collector::start(&bench);
    let runtime = Runtime::new().unwrap();
    let (source, target) = pair(&bench);
    bench.push(&bench.images().small("amd64", "app"), &format!("{}/app:1", source.host()));
    let slow = runtime.block_on(Proxy::to(source.host().parse().unwrap())).unwrap();
    let _held: Vec<_> = (0..50).map(|_| slow.stall_after(0, Direction::ToClient)).collect();
    let entry = format!(
        "- {{ source: '{}/app:1', destination: '{}/app:1' }}",
        slow.address(),
        target.host()
    );
    let list = bench.list(&entry, &[]);
    let running = bench
        .image_syncer()
        .args(["sync", "-i", list.to_str().unwrap(), "--otlp-endpoint", &collector.url])
        .env("OTEL_METRIC_EXPORT_INTERVAL", "100")
        .start();
    wait_for("an item under way", || {
        let under_way = "image_syncer_items_in_progress {} 1";
        collector.samples().contains(under_way).then_some(())
    });
    running.terminate();
    running.terminate();
    let ended = running.end();
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    let spans = collector.runs(1);
    spans.expect_whole();
    assert_eq!(spans.named("run")[0].attribute("image_syncer.exit_code"), "143");
    assert_eq!(spans.named("item")[0].attribute("image_syncer.outcome"), "failed");
    let runs = "image_syncer_runs_total {\"mode\": \"sync\", \"result\": \"interrupted\"} 1";
    wait_for("an interrupted run", || collector.samples().contains(runs).then_some(()));
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn a_collector_that_is_not_well_keeps_nobody_from_anything() {
    let tools = ["crane", "buildah", "ggcr-registry"];
    let Some(bench) = Workbench::with_image_syncer("otlp down", &tools) else { return };
    let runtime = Runtime::new().unwrap();
    let (source, target) = pair(&bench);
    let list = one_image(&bench, &source, &target);

    // One that fails, and shows the headers that it got.
    let seen: Arc<Mutex<Vec<(String, HeaderMap)>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let failing = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let failing_url = format!("http://{}", failing.local_addr().unwrap());
    let answer = move |uri: Uri, headers: HeaderMap| {
        heard.lock().unwrap().push((uri.path().to_owned(), headers));
        async { (StatusCode::INTERNAL_SERVER_ERROR, SECRET) }
    };
    runtime.spawn(async { axum::serve(failing, Router::new().fallback(answer)).await });
    // One that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let down_url = format!("http://{}", free_address());
    for (kind, url) in [("down", &down_url), ("failing", &failing_url), ("silent", &silent_url)] {
        let started = Instant::now();
        let ran = bench
            .image_syncer()
            .args(["sync", "-i", list.to_str().unwrap(), "--otlp-endpoint", url])
            .env("OTEL_EXPORTER_OTLP_HEADERS", format!("api-key={SECRET}"))
            .run()
            .expect_code(0);
        // 5 seconds are its own; a machine that is busy adds to them.
        assert!(started.elapsed() < Duration::from_secs(15), "{kind}: {:?}", started.elapsed());
        let warnings = ran.stderr.lines().filter(|line| line.contains("WARN"));
        let warnings: Vec<&str> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{kind}: {}", ran.stderr);
        let host = url.trim_start_matches("http://");
        let names = warnings[0].contains(host) || warnings[0].contains("not whole");
        assert!(names && !ran.stderr.contains(SECRET), "{kind}: {}", ran.stderr);
    }
    let seen = seen.lock().unwrap();
    let paths: BTreeSet<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, BTreeSet::from(["/v1/metrics", "/v1/traces"]));
    for (_, headers) in seen.iter() {
        assert_eq!(headers["api-key"], SECRET);
        assert_eq!(headers["content-type"], "application/x-protobuf");
    }
}

#[test]
#[ignore = "needs real registries: tests/tools/install"]
fn what_cannot_be_an_endpoint_is_refused_before_anything_is_touched() {
    let Some(bench) = Workbench::with_image_syncer("otlp endpoints", &["crane"]) else { return };
    let list = bench.list("- { source: '127.0.0.1:1/a:1', destination: '127.0.0.1:1/b:1' }", &[]);
    let sync = || bench.image_syncer().args(["sync", "-i", list.to_str().unwrap()]);
    for (run, problem) in [
        (sync().args(["--otlp-endpoint", "collector:4318"]), "--otlp-endpoint cannot be used"),
        (sync().env("SYNCER_OTLP_ENDPOINT", "hunter2"), "SYNCER_OTLP_ENDPOINT cannot be used"),
        (
            sync().env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://u:hunter2@c"),
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT cannot be used",
        ),
    ] {
        let ran = run.run().expect_code(2);
        assert!(ran.stderr.contains(problem), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2") && ran.stdout.is_empty(), "{}", ran.stderr);
    }
}

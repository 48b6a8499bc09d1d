//! Replicas of `image-syncer watch` that share a lease of a real API server, with the token of a service
//! account that may do what the Helm chart's Role allows, and nothing else. One of them works, whatever
//! happens to it or to the API server.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use interop::{Cluster, Kind, Running, Server, Workbench};
use serde_json::{Value, json};

const TOOLS: [&str; 6] = ["buildah", "crane", "curl", "etcd", "helm", "kubernetes"];
const NAMESPACE: &str = "sync";
/// What a slow machine may take for what happens at once.
const SLACK: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn one_replica_works() {
    let Some(bench) = Workbench::with_image_syncer("lease", &TOOLS) else { return };
    let mut cluster = Cluster::start(&bench);
    let namespace = cluster.kubectl(&["create", "namespace", NAMESPACE]).run();
    assert_eq!(namespace.code, Some(0), "{namespace:?}");
    let chart = Chart::apply(&bench, &cluster);
    let mirror = Mirror::new(&bench);

    who_may_not_have_it_is_told_so(&bench, &cluster, &chart, &mirror);
    let last = it_goes_from_one_to_the_next(&bench, &cluster, &chart, &mirror);
    let both = who_was_paused_has_it_no_longer(&bench, &cluster, &chart, &mirror, last);
    nobody_works_while_the_api_server_is_away(&mut cluster, &mirror, both);
}

fn who_may_not_have_it_is_told_so(
    bench: &Workbench,
    cluster: &Cluster<'_>,
    chart: &Chart,
    mirror: &Mirror<'_>,
) {
    let stranger = cluster.service_account(NAMESPACE, "default");
    let replica = Replica::start(bench, cluster, chart, mirror, "stranger", &stranger);
    let said = replica.process.says("403 Forbidden").replace('\\', "");
    let why = "the API server answered 403 Forbidden: leases.coordination.k8s.io \"mirror-image-syncer\" \
               is forbidden: User \"system:serviceaccount:sync:default\" cannot get resource \"leases\"";
    assert!(said.contains(why), "{said}");
    assert!(said.contains(&format!("`{}`", chart.lease)), "which lease: {said}");
    assert!(said.contains("needs the verbs"), "what to do: {said}");

    // One who has rights, for another lease alone.
    let elsewhere = Chart { lease: format!("{NAMESPACE}/other"), ..chart.clone() };
    let account = cluster.service_account(NAMESPACE, &chart.account);
    let other = Replica::start(bench, cluster, &elsewhere, mirror, "elsewhere", &account);
    other.process.says("leases.coordination.k8s.io \\\"other\\\" is forbidden");

    std::fs::write(stranger.join("token"), "no-token").unwrap();
    let unknown = Replica::start(bench, cluster, chart, mirror, "unknown", &stranger);
    unknown.process.says("the API server answered 401 Unauthorized");

    std::fs::copy(bench.certificate_authority(), stranger.join("ca.crt")).unwrap();
    let distrustful = Replica::start(bench, cluster, chart, mirror, "distrustful", &stranger);
    distrustful.process.says("UnknownIssuer");

    for replica in [replica, other, unknown, distrustful] {
        let status = replica.status();
        assert_eq!((status.leads, status.runs), (false, 0), "{}", replica.name);
        // It is no error that ends it: somebody may give it the rights.
        replica.process.terminate();
        let ended = replica.process.end();
        assert_eq!(ended.code, Some(143), "{ended:?}");
        let complaints = ended.stderr.split("the API server answered").skip(1);
        let mut complaints: Vec<_> = complaints.map(|it| it.lines().next()).collect();
        let all = complaints.len();
        complaints.dedup();
        assert_eq!(complaints.len(), all, "the same is said once: {}", ended.stderr);
    }
    assert!(cluster.items("leases", NAMESPACE).is_empty());
}

/// By SIGTERM at once, by SIGKILL when it has run out. Returns who has it in the end.
fn it_goes_from_one_to_the_next<'a>(
    bench: &'a Workbench,
    cluster: &Cluster<'_>,
    chart: &Chart,
    mirror: &Mirror<'_>,
) -> Replica<'a> {
    let account = cluster.service_account(NAMESPACE, &chart.account);
    let start = |name: &str| Replica::start(bench, cluster, chart, mirror, name, &account);
    let one = start("one");
    watch("the first has it", &[&one], |seen| seen[0].leads && seen[0].runs > 1);
    mirror.expect_copy();
    let lease = lease(cluster);
    assert!(holder_of(&lease).starts_with("one_"), "{lease}");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(lease["spec"]["leaseTransitions"], 0);

    let two = start("two");
    // Renewed twice, while both ask for it.
    let renewed = Cell::new(0);
    let before = Cell::new(lease["spec"]["renewTime"].clone());
    watch("it is renewed", &[&one, &two], |seen| {
        let now = self::lease(cluster)["spec"]["renewTime"].clone();
        if now != before.replace(now.clone()) {
            renewed.set(renewed.get() + 1);
        }
        assert!(seen[0].leads && !seen[1].leads && seen[1].runs == 0, "{seen:?}");
        renewed.get() == 2
    });

    one.process.terminate();
    let asked = Instant::now();
    let ended = one.process.end();
    assert_eq!(ended.code, Some(143), "{ended:?}");
    watch("given back, it has the next holder", &[&two], |seen| seen[0].leads);
    let took = asked.elapsed();
    // It looks every five seconds.
    assert!(took < Duration::from_secs(5) + SLACK, "after {took:?}");
    let lease = self::lease(cluster);
    assert!(holder_of(&lease).starts_with("two_"), "{lease}");
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease}");
    watch("the next one works", &[&two], |seen| seen[0].runs > 1);

    let three = start("three");
    watch("another one stands by", &[&two, &three], |seen| {
        assert!(seen[0].leads && !seen[1].leads, "{seen:?}");
        seen[0].runs > 4
    });
    let killed = Instant::now();
    two.process.kill();
    watch("it runs out", &[&three], |seen| seen[0].leads);
    let took = killed.elapsed();
    // It was renewed up to five seconds before, or a little more where an answer was on its way, and is
    // looked at every five seconds.
    let range = Duration::from_secs(7)..Duration::from_secs(25) + SLACK;
    assert!(range.contains(&took), "after {took:?}");
    watch("the third one works", &[&three], |seen| seen[0].runs > 1);
    three
}

/// Returns who has it then, and who had it.
fn who_was_paused_has_it_no_longer<'a>(
    bench: &'a Workbench,
    cluster: &Cluster<'_>,
    chart: &Chart,
    mirror: &Mirror<'_>,
    three: Replica<'a>,
) -> [Replica<'a>; 2] {
    let account = cluster.service_account(NAMESPACE, &chart.account);
    let four = Replica::start(bench, cluster, chart, mirror, "four", &account);
    watch("one stands by", &[&three, &four], |seen| seen[0].leads && seen[0].runs > 4);
    three.process.freeze();
    watch("it runs out, though its holder is there", &[&four], |seen| {
        seen[0].leads && seen[0].runs > 1
    });
    three.process.thaw();
    three.process.says("this replica no longer has the lease");
    let runs = three.status().runs;
    watch("who was paused rests", &[&four, &three], |seen| {
        assert!(seen[0].leads && !seen[1].leads, "{seen:?}");
        // One may have been under way, or have been due.
        assert!(seen[1].runs <= runs + 1, "{seen:?}");
        seen[0].runs > 5
    });
    [four, three]
}

fn nobody_works_while_the_api_server_is_away(
    cluster: &mut Cluster<'_>,
    mirror: &Mirror<'_>,
    [holder, other]: [Replica<'_>; 2],
) {
    let both = [&holder, &other];
    // A run that goes on for longer than the lease.
    mirror.wait_for_nobody();
    holder.process.says("the sync files changed and are used as they are now");
    watch("a long run", &both, |seen| seen[0].leads && seen[0].running);
    cluster.freeze_api_server();
    let frozen = Instant::now();
    watch("the holder gives it up", &both, |seen| seen.iter().all(|one| !one.leads));
    let took = frozen.elapsed();
    assert!(took < Duration::from_secs(10) + SLACK, "after {took:?}");
    holder.process.says("the lease was lost: the run is stopped");
    expect_rest(&both);
    cluster.thaw_api_server();
    watch("one goes on", &both, |seen| seen.iter().any(|one| one.leads && one.running));

    mirror.wait_for_the_source();
    let runs = Cell::new(u64::MAX);
    let goes_on = |seen: &[Status]| {
        let now = seen.iter().map(|one| one.runs).sum();
        runs.set(runs.get().min(now));
        seen.iter().any(|one| one.leads) && now > runs.get() + 1
    };
    watch("short runs", &both, goes_on);
    cluster.kill_api_server();
    watch("the holder gives it up again", &both, |seen| seen.iter().all(|one| !one.leads));
    expect_rest(&both);
    cluster.start_api_server();
    runs.set(u64::MAX);
    watch("one goes on again", &both, goes_on);
    for replica in [holder, other] {
        replica.process.terminate();
        let ended = replica.process.end();
        assert_eq!(ended.code, Some(143), "{ended:?}");
    }
    assert_eq!(holder_of(&lease(cluster)), "", "given back");
}

/// Nothing is begun for longer than the lease is good for.
fn expect_rest(replicas: &[&Replica<'_>]) {
    let begin = Instant::now();
    watch("no run is under way", replicas, |seen| seen.iter().all(|one| !one.running));
    let runs = |seen: &[Status]| -> u64 { seen.iter().map(|one| one.runs).sum() };
    let before = Cell::new(None);
    watch("they rest", replicas, |seen| {
        assert!(seen.iter().all(|one| !one.leads && !one.running), "{seen:?}");
        assert_eq!(before.replace(Some(runs(seen))).unwrap_or(runs(seen)), runs(seen));
        begin.elapsed() > Duration::from_secs(17)
    });
}

/// Asks replicas how they are until it is as expected. Never do two of them have the lease at once.
#[track_caller]
fn watch(what: &str, replicas: &[&Replica<'_>], is_so: impl Fn(&[Status]) -> bool) {
    let end = Instant::now() + Duration::from_secs(90);
    let (_sender, pause) = mpsc::channel::<()>();
    loop {
        let seen: Vec<Status> = replicas.iter().map(|replica| replica.status()).collect();
        if let [first, second] = seen.as_slice()
            && first.leads
            && second.leads
        {
            // They were asked one after the other.
            assert!(!replicas[0].status().leads, "{what}: both have the lease: {seen:?}");
            continue;
        }
        if is_so(&seen) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {seen:?}");
        // Nobody sends: it is a pause, since others need the processors too.
        let _ = pause.recv_timeout(Duration::from_millis(100));
    }
}

/// What the chart makes of two replicas.
#[derive(Clone, Debug)]
struct Chart {
    lease: String,
    account: String,
}

impl Chart {
    fn apply(bench: &Workbench, cluster: &Cluster<'_>) -> Self {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/helm/image-syncer");
        let helm = bench.tool("helm").args(["template", "mirror"]).args([&chart]);
        let helm = helm.args(["--namespace", NAMESPACE, "--kube-version", "1.34.2", "--values"]);
        let helm = helm.args([chart.join("ci/watch-replicas-values.yaml")]);
        let parts = ["templates/deployment.yaml", "templates/serviceaccount.yaml"];
        let helm = helm.args(parts.map(|part| format!("--show-only={part}")));
        let manifests = bench.folder().join("manifests.yaml");
        std::fs::write(&manifests, helm.succeed()).unwrap();
        let applied = cluster.apply(&manifests, NAMESPACE);
        assert_eq!(applied.code, Some(0), "{applied:?}");
        let deployment = cluster.items("deployments", NAMESPACE).remove(0);
        let pod = &deployment["spec"]["template"]["spec"];
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        let mut lease = arguments.iter().filter_map(|one| one.as_str()?.strip_prefix("--lease="));
        Self {
            lease: lease.next().unwrap().to_owned(),
            account: pod["serviceAccountName"].as_str().unwrap().to_owned(),
        }
    }
}

/// What is copied.
struct Mirror<'a> {
    bench: &'a Workbench,
    source: Server,
    target: Server,
    /// Takes connections, and never answers; none when nobody is waited for any more.
    silent: RefCell<Option<TcpListener>>,
    list: PathBuf,
}

impl<'a> Mirror<'a> {
    fn new(bench: &'a Workbench) -> Self {
        let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
        let image = bench.images().small("amd64", "lease");
        bench.push(&image, &format!("{}/team/app:1", source.host()));
        let silent = RefCell::default();
        let list = bench.folder().join("images.yaml");
        let mirror = Self { bench, source, target, silent, list };
        mirror.wait_for_the_source();
        mirror
    }

    fn write(&self, source: &str, tag: &str) {
        let destination = format!("{}/mirror/app:{tag}", self.target.host());
        let images = json!({ "images": [{ "source": source, "destination": destination }] });
        let new = self.list.with_extension("new");
        std::fs::write(&new, images.to_string()).unwrap();
        std::fs::rename(new, &self.list).unwrap();
    }

    fn wait_for_the_source(&self) {
        // Who waits for nobody is refused from now on, and ends soon.
        self.silent.take();
        self.write(&format!("{}/team/app:1", self.source.host()), "1");
    }

    fn wait_for_nobody(&self) {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        self.write(&format!("{}/team/app:1", silent.local_addr().unwrap()), "2");
        self.silent.replace(Some(silent));
    }

    fn expect_copy(&self) {
        let copy = format!("{}/mirror/app:1", self.target.host());
        let original = format!("{}/team/app:1", self.source.host());
        let digest = |reference: &str| self.bench.crane(["digest", reference]);
        assert_eq!(digest(&copy), digest(&original));
    }
}

/// A process that would be a pod.
struct Replica<'a> {
    bench: &'a Workbench,
    name: String,
    process: Running,
    doors: String,
}

/// What it says of itself.
#[derive(Clone, Copy, Debug)]
struct Status {
    leads: bool,
    running: bool,
    runs: u64,
}

impl<'a> Replica<'a> {
    fn start(
        bench: &'a Workbench,
        cluster: &Cluster<'_>,
        chart: &Chart,
        mirror: &Mirror<'_>,
        name: &str,
        account: &Path,
    ) -> Self {
        let (host, port) = cluster.address();
        let process = bench
            .image_syncer()
            .args(["watch", "--interval=1s", "--listen=127.0.0.1:0", "--lease", &chart.lease])
            .args(["--lease-service-account", account.to_str().unwrap()])
            .args(["-i", mirror.list.to_str().unwrap()])
            .env("KUBERNETES_SERVICE_HOST", host)
            .env("KUBERNETES_SERVICE_PORT", port)
            .env("HOSTNAME", name)
            .start();
        let said = process.says("answering at http://127.0.0.1:");
        let address = said.split("answering at ").nth(1).unwrap();
        let doors = address.split('/').nth(2).unwrap().to_owned();
        Self { bench, name: name.to_owned(), process, doors }
    }

    fn status(&self) -> Status {
        let url = format!("http://{}/readyz", self.doors);
        let curl = self.bench.tool("curl").args(["--silent", "--fail", "--max-time", "20", &url]);
        let status: Value = serde_json::from_str(&curl.succeed()).unwrap();
        Status {
            leads: status["leads"].as_bool().unwrap(),
            running: status["running"].as_bool().unwrap(),
            runs: status["runs"].as_u64().unwrap(),
        }
    }
}

/// The lease as the API server has it.
fn lease(cluster: &Cluster<'_>) -> Value {
    let leases = cluster.items("leases", NAMESPACE);
    assert_eq!(leases.len(), 1, "{leases:?}");
    leases[0].clone()
}

fn holder_of(lease: &Value) -> &str {
    lease["spec"]["holderIdentity"].as_str().unwrap()
}

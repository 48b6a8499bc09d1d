//! The rule for ArgoCD that says how a Job of the chart is (`deploy/argocd/job-health.lua`), run by the Lua that
//! ArgoCD uses, on Jobs as Kubernetes' own Job controller writes them: here pods end as the test says.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use interop::{Cluster, Workbench};
use serde_json::{Value, json};

const TOOLS: [&str; 4] = ["etcd", "health-rule", "helm", "kubernetes"];
const NAMESPACE: &str = "sync";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn what_argocd_says_of_each_job() {
    let Some(bench) = Workbench::with_tools("health rule", &TOOLS) else { return };
    let cluster = Cluster::start(&bench);
    let namespace = cluster.kubectl(&["create", "namespace", NAMESPACE]).run();
    assert_eq!(namespace.code, Some(0), "{namespace:?}");

    // Stopped by people, and let go on. (ArgoCD's own rule then takes it for Healthy.)
    let job = Job::new(&bench, &cluster, "plain", &json!({}));
    job.expect("Progressing", "the run goes on");
    job.suspend(true);
    job.wait("Suspended", "True");
    job.expect("Suspended", "the Job is suspended");
    job.suspend(false);
    job.wait("Suspended", "False");
    job.expect("Progressing", "the run goes on");
    job.end_pod(0, 0);
    job.wait("Complete", "True");
    job.expect("Healthy", "the target is as wanted");

    for (code, meaning) in [
        (2, "the list or a setting is wrong"),
        (3, "drift: a tag of the target holds other content"),
        (4, "a registry or key refused the login"),
        (5, "a signature or policy refused an image"),
    ] {
        let job = Job::new(&bench, &cluster, &format!("code-{code}"), &json!({}));
        job.end_pod(0, code);
        job.wait("Failed", "True");
        let message = job.expect("Degraded", &format!("exit code {code} matching FailJob rule"));
        assert!(message.starts_with(&format!("{meaning} (")), "{message}");
        // Without Lua's libraries, as ArgoCD comes: Kubernetes' own words.
        let (status, plain) = job.health(&[]);
        assert_eq!((status.as_str(), format!("{meaning} ({plain})")), ("Degraded", message));
    }

    let job = Job::new(&bench, &cluster, "again", &json!({ "job": { "backoffLimit": 0 } }));
    job.end_pod(0, 1);
    job.wait("Failed", "True");
    job.expect("Degraded", "Job has reached the specified backoff limit");

    let job = Job::new(&bench, &cluster, "shards", &json!({ "shards": 3 }));
    job.end_pod(1, 3);
    cluster.wait("an index that failed", |_| {
        (job.get()["status"]["failedIndexes"] == "1").then_some(())
    });
    job.expect("Progressing", "the run goes on");
    job.end_pod(0, 0);
    job.end_pod(2, 0);
    job.wait("Failed", "True");
    job.expect("Degraded", "Job has failed indexes: shards 1");
}

/// A Job that the chart made.
struct Job<'a> {
    bench: &'a Workbench,
    cluster: &'a Cluster<'a>,
    name: String,
}

impl<'a> Job<'a> {
    fn new(bench: &'a Workbench, cluster: &'a Cluster<'a>, release: &str, more: &Value) -> Self {
        let folder = bench.folder();
        let mut values = json!({
            "images": [{ "source": "nginx:1.27" }], "targetRepoPrefix": "registry.example.com/mirror/",
        });
        values.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let file = folder.join(format!("{release}-values.yaml"));
        std::fs::write(&file, values.to_string()).unwrap();
        let chart = project().join("deploy/helm/image-syncer");
        let helm = bench.tool("helm").args(["template", release]).args([&chart]);
        let helm = helm.args(["--namespace", NAMESPACE, "--kube-version", "1.34.2", "--values"]);
        let manifests = folder.join(format!("{release}.yaml"));
        std::fs::write(&manifests, helm.args([&file]).succeed()).unwrap();
        let applied = cluster.apply(&manifests, NAMESPACE);
        assert_eq!(applied.code, Some(0), "{applied:?}");
        let jobs = cluster.items("jobs", NAMESPACE);
        let name = |job: &Value| job["metadata"]["name"].as_str().unwrap().to_owned();
        let mut names = jobs.iter().map(name).filter(|name| name.starts_with(release));
        Self { bench, cluster, name: names.next().unwrap() }
    }

    fn get(&self) -> Value {
        let jobs = self.cluster.items("jobs", NAMESPACE);
        jobs.into_iter().find(|job| job["metadata"]["name"] == self.name.as_str()).unwrap()
    }

    fn suspend(&self, is_suspended: bool) {
        let patch = json!({ "spec": { "suspend": is_suspended } }).to_string();
        let kubectl = self.cluster.kubectl(&["patch", "job", &self.name, "--patch", &patch]);
        kubectl.args(["--namespace", NAMESPACE]).succeed();
    }

    /// Waits for a condition that the controller writes.
    fn wait(&self, kind: &str, status: &str) {
        self.cluster.wait(&format!("{kind}={status} of {}", self.name), |_| {
            let job = self.get();
            let mut conditions = job["status"]["conditions"].as_array()?.iter();
            conditions.any(|one| one["type"] == kind && one["status"] == status).then_some(())
        });
    }

    /// Says of a pod what the kubelet would when its container has ended.
    fn end_pod(&self, index: usize, code: i32) {
        let name = self.cluster.wait("a pod", |cluster| {
            let pods = cluster.items("pods", NAMESPACE);
            let pod = pods.iter().find(|pod| {
                let labels = &pod["metadata"]["labels"];
                let at = labels["batch.kubernetes.io/job-completion-index"].as_str().unwrap_or("0");
                labels["batch.kubernetes.io/job-name"] == self.name.as_str()
                    && at == index.to_string()
                    && pod["metadata"]["deletionTimestamp"].is_null()
            })?;
            Some(pod["metadata"]["name"].as_str().unwrap().to_owned())
        });
        let container = json!({
            "name": "image-syncer", "image": "image-syncer", "imageID": "image-syncer", "ready": false,
            "restartCount": 0, "state": { "terminated": { "exitCode": code } },
        });
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let patch = json!({ "status": { "phase": phase, "containerStatuses": [container] } });
        let patch = patch.to_string();
        let kubectl = self.cluster.kubectl(&["patch", "pod", &name, "--subresource=status"]);
        kubectl.args(["--type=merge", "--patch", &patch, "--namespace", NAMESPACE]).succeed();
    }

    /// What the rule says, with Lua's libraries: this health, and a message that has this in it.
    #[track_caller]
    fn expect(&self, health: &str, words: &str) -> String {
        let (status, message) = self.health(&["--open-libs"]);
        assert_eq!(status, health, "{message}");
        assert!(message.contains(words), "{message}");
        assert_eq!(self.health(&[]).0, health, "the same without Lua's libraries");
        message
    }

    fn health(&self, arguments: &[&str]) -> (String, String) {
        let mut rule = self.bench.command("health-rule");
        rule.arg(project().join("deploy/argocd/job-health.lua")).args(arguments);
        rule.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut rule = rule.spawn().unwrap();
        rule.stdin.take().unwrap().write_all(self.get().to_string().as_bytes()).unwrap();
        let said = rule.wait_with_output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let health: Value = serde_json::from_slice(&said.stdout).unwrap();
        let text = |field: &str| health[field].as_str().unwrap().to_owned();
        (text("status"), text("message"))
    }
}

//! [`Cluster`]: Kubernetes' own API server and controller manager over etcd, on loopback. There is no node, so
//! pods are made and stay pending.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use serde_json::Value;

use crate::{Process, Workbench};

const TOKEN: &str = "interop-token";
/// More than a start takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster without nodes. Dropped, all of it is gone.
#[derive(Debug)]
pub struct Cluster<'a> {
    bench: &'a Workbench,
    url: String,
    folder: PathBuf,
    // In the order in which they end.
    running: Vec<Program>,
}

impl<'a> Cluster<'a> {
    /// Starts the API server and the controller manager, and waits until they answer.
    pub fn start(bench: &'a Workbench) -> Self {
        let folder = bench.folder().join("cluster");
        std::fs::create_dir(&folder).unwrap();
        let [store, peer, api] = free_ports();
        let (store, peer) =
            (format!("http://127.0.0.1:{store}"), format!("http://127.0.0.1:{peer}"));
        let mut etcd = bench.command("etcd");
        etcd.arg("--data-dir").arg(folder.join("etcd"));
        etcd.args(["--listen-client-urls", &store, "--advertise-client-urls", &store]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}")]);

        let key = folder.join("service-accounts.key");
        let pair = KeyPair::generate().unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        let public_key = folder.join("service-accounts.pub");
        std::fs::write(&public_key, pair.public_key_pem()).unwrap();
        let tokens = folder.join("tokens.csv");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).unwrap();
        let url = format!("https://127.0.0.1:{api}");
        let mut server = bench.command("kubernetes");
        server.args(["kube-apiserver", "--bind-address=127.0.0.1", "--authorization-mode=RBAC"]);
        server.arg(format!("--secure-port={api}")).arg(format!("--etcd-servers={store}"));
        server.args([
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://interop",
        ]);
        for (flag, file) in [
            ("cert-dir", &folder.join("certificates")),
            ("token-auth-file", &tokens),
            ("service-account-key-file", &public_key),
            ("service-account-signing-key-file", &key),
        ] {
            server.arg(format!("--{flag}={}", file.display()));
        }

        let kubeconfig = folder.join("kubeconfig");
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": url, "insecure-skip-tls-verify": true } }],
            "users": [{ "name": "u", "user": { "token": TOKEN } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
        });
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let mut manager = bench.command("kubernetes");
        manager.args(["kube-controller-manager", "--secure-port=0", "--leader-elect=false"]);
        manager
            .args(["--controllers=job-controller,serviceaccount-controller,namespace-controller"]);
        manager.arg(format!("--kubeconfig={}", kubeconfig.display()));
        manager.arg(format!("--service-account-private-key-file={}", key.display()));

        let mut cluster = Self { bench, url, folder, running: Vec::new() };
        cluster.run(etcd, "etcd");
        cluster.run(server, "kube-apiserver");
        cluster.wait("an API server that is ready", |cluster| {
            (cluster.kubectl(&["get", "--raw", "/readyz"]).run().code == Some(0)).then_some(())
        });
        cluster.run(manager, "kube-controller-manager");
        cluster
    }

    /// kubectl, logged in as an administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Process {
        let config = self.folder.join("kubeconfig");
        let kubectl =
            self.bench.tool("kubernetes").args(["kubectl", "--kubeconfig"]).args([config]);
        // Its cache of what there is would miss a new kind.
        kubectl
            .env("KUBECACHEDIR", self.folder.join(format!("cache-{}", arguments.len())))
            .args(arguments)
    }

    /// Applies manifests, server-side; what kubectl says of them.
    pub fn apply(&self, manifests: &Path, namespace: &str) -> crate::Output {
        let apply = ["apply", "--server-side", "--namespace", namespace, "--filename"];
        self.kubectl(&apply).args([manifests]).run()
    }

    /// What there is of a kind, as JSON.
    pub fn items(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let text =
            self.kubectl(&["get", kind, "--namespace", namespace, "--output", "json"]).succeed();
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Asks until there is an answer.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, ask: impl Fn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        // Nobody sends: it is a pause.
        let (_sender, pause) = mpsc::channel::<()>();
        loop {
            if let Some(found) = ask(self) {
                return found;
            }
            assert!(Instant::now() < end, "{what} did not come:\n{}", self.logs());
            let _ = pause.recv_timeout(Duration::from_millis(300));
        }
    }

    fn run(&mut self, mut command: Command, name: &str) {
        let log = std::fs::File::create(self.folder.join(format!("{name}.log"))).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.insert(0, Program(command.spawn().unwrap()));
    }

    fn logs(&self) -> String {
        let log = |name: &str| {
            let text = std::fs::read_to_string(self.folder.join(format!("{name}.log")))
                .unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(10).collect();
            format!("{name} at {}:\n{}\n", self.url, last.join("\n"))
        };
        ["etcd", "kube-apiserver", "kube-controller-manager"].map(log).concat()
    }
}

#[derive(Debug)]
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that nobody had a moment ago; these programs cannot choose their own.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

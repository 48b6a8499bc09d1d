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
    api_server: Command,
    // In the order in which they end.
    manager: Option<Program>,
    running_api_server: Option<Program>,
    _etcd: Program,
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

        let etcd = Program::start(&folder, &mut etcd, "etcd");
        let mut cluster = Self {
            bench,
            url,
            folder,
            api_server: server,
            manager: None,
            running_api_server: None,
            _etcd: etcd,
        };
        cluster.start_api_server();
        cluster.manager =
            Some(Program::start(&cluster.folder, &mut manager, "kube-controller-manager"));
        cluster
    }

    /// Starts the API server again, where it was, and waits until it is ready.
    pub fn start_api_server(&mut self) {
        self.running_api_server =
            Some(Program::start(&self.folder, &mut self.api_server, "kube-apiserver"));
        self.wait("an API server that is ready", |cluster| {
            (cluster.kubectl(&["get", "--raw", "/readyz"]).run().code == Some(0)).then_some(())
        });
    }

    /// Ends the API server as `kill -9` does: connections are refused from now on.
    pub fn kill_api_server(&mut self) {
        self.running_api_server = None;
    }

    /// Stops the API server where it is: connections are made, and nothing is answered.
    pub fn freeze_api_server(&self) {
        self.signal_api_server("-STOP");
    }

    /// Lets a frozen API server go on.
    pub fn thaw_api_server(&self) {
        self.signal_api_server("-CONT");
    }

    fn signal_api_server(&self, signal: &str) {
        let id = self.running_api_server.as_ref().unwrap().0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Where a pod finds the API server: its host and port.
    pub fn address(&self) -> (&str, &str) {
        self.url.trim_start_matches("https://").split_once(':').unwrap()
    }

    /// What the kubelet mounts into a pod of a service account: a folder with a token of it and the
    /// certificates of the cluster.
    pub fn service_account(&self, namespace: &str, name: &str) -> PathBuf {
        // The controller manager makes the one that is called `default`.
        let token = self.wait("a token", |cluster| {
            let token = cluster.kubectl(&["create", "token", name, "--namespace", namespace]).run();
            (token.code == Some(0)).then_some(token.stdout)
        });
        let folder = self.folder.join(format!("service-account-{namespace}-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), token.trim()).unwrap();
        let certificate = self.folder.join("certificates/apiserver.crt");
        std::fs::copy(certificate, folder.join("ca.crt")).unwrap();
        folder
    }

    /// The file that logs kubectl and helm in as an administrator.
    pub fn config(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// kubectl, logged in as an administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Process {
        let config = self.config();
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

impl Program {
    fn start(folder: &Path, command: &mut Command, name: &str) -> Self {
        let log = folder.join(format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }
}

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

//! Against an API server of one resource, which keeps to the reference:
//! <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/>. A real one is
//! asked in `tests/interop`.

use std::sync::{Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use http::HeaderMap;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::lease::Keeper;

#[derive(Default)]
struct Held {
    object: Option<Value>,
    version: u64,
    token: String,
    is_down: bool,
    /// A write was refused because another one came first.
    conflict: Arc<Notify>,
    /// Whether the next write finds that another replica has just written, for a minute.
    races: bool,
    /// What holds up the next write.
    gate: Option<Arc<Gate>>,
}

/// A write is under way until it may go on.
#[derive(Default)]
struct Gate {
    reached: Notify,
    open: Notify,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Held>>);

type Answer = (StatusCode, String);

fn status(code: StatusCode, message: &str) -> Answer {
    (code, json!({ "kind": "Status", "status": "Failure", "message": message }).to_string())
}

impl Fake {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    fn spec(&self) -> Spec {
        self.held().object.as_ref().map(spec_of).unwrap_or_default()
    }

    fn holder(&self) -> String {
        self.spec().holder_identity.unwrap_or_default()
    }

    /// Carries out a write, as real servers do also for a client that no longer waits for it.
    async fn write(self, answer: impl FnOnce(&mut Held) -> Answer + Send + 'static) -> Answer {
        let gate = self.held().gate.take();
        let write = tokio::spawn(async move {
            if let Some(gate) = gate {
                gate.reached.notify_one();
                gate.open.notified().await;
            }
            answer(&mut self.held())
        });
        write.await.unwrap()
    }
}

impl Held {
    fn refusal(&self, headers: &HeaderMap) -> Option<Answer> {
        let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
        match shown == Some(&format!("Bearer {}", self.token)) {
            _ if self.is_down => Some(status(StatusCode::INTERNAL_SERVER_ERROR, "etcd is down")),
            false => Some(status(StatusCode::UNAUTHORIZED, "Unauthorized")),
            true => None,
        }
    }

    fn keep(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.object = Some(object.clone());
        object
    }
}

async fn read(State(fake): State<Fake>, headers: HeaderMap) -> Answer {
    let held = fake.held();
    if let Some(refusal) = held.refusal(&headers) {
        return refusal;
    }
    match &held.object {
        Some(object) => (StatusCode::OK, object.to_string()),
        None => status(StatusCode::NOT_FOUND, "leases.coordination.k8s.io \"mirror\" not found"),
    }
}

async fn make(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Answer {
    let object: Value = serde_json::from_slice(&body).unwrap();
    let create = move |held: &mut Held| {
        if let Some(refusal) = held.refusal(&headers) {
            return refusal;
        }
        if held.object.is_some() {
            let message = "leases.coordination.k8s.io \"mirror\" already exists";
            return status(StatusCode::CONFLICT, message);
        }
        (StatusCode::CREATED, held.keep(object).to_string())
    };
    fake.write(create).await
}

async fn replace(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Answer {
    let object: Value = serde_json::from_slice(&body).unwrap();
    let update = move |held: &mut Held| {
        if let Some(refusal) = held.refusal(&headers) {
            return refusal;
        }
        if std::mem::take(&mut held.races) {
            let mut other = held.object.clone().unwrap();
            other["spec"]["holderIdentity"] = json!("quicker");
            other["spec"]["leaseDurationSeconds"] = json!(60);
            held.keep(other);
        }
        let found = held.object.as_ref().map(|held| held["metadata"]["resourceVersion"].clone());
        if found != Some(object["metadata"]["resourceVersion"].clone()) {
            held.conflict.notify_one();
            return status(StatusCode::CONFLICT, "the object has been modified");
        }
        (StatusCode::OK, held.keep(object).to_string())
    };
    fake.write(update).await
}

struct Server {
    fake: Fake,
    cluster: Cluster,
    folder: TempDir,
}

async fn serve() -> Server {
    let fake = Fake::default();
    fake.held().token = "first".to_owned();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/tools/leases";
    let router = axum::Router::new()
        .route(leases, post(make))
        .route(&format!("{leases}/mirror"), get(read).put(replace))
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["kubernetes".to_owned()]).unwrap();
    std::fs::write(folder.path().join("ca.crt"), certified.cert.pem()).unwrap();
    std::fs::write(folder.path().join("token"), "first\n").unwrap();
    let cluster = Cluster::at(&server, folder.path()).unwrap();
    Server { fake, cluster, folder }
}

impl Server {
    /// A lease of three seconds: what runs out does so while a test waits for it, and what is renewed is
    /// renewed in time also where the machine is busy.
    fn keeper(&self, identity: &str) -> Keeper {
        self.keeper_for(identity, 3)
    }

    fn keeper_for(&self, identity: &str, seconds: u64) -> Keeper {
        let duration = Duration::from_secs(seconds);
        Keeper::of_cluster(self.cluster.clone(), "tools", "mirror", identity, duration)
    }
}

async fn until(keeper: &Keeper, leads: bool) {
    let mut receiver = keeper.leads();
    let waited = receiver.wait_for(|now| *now == leads);
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_has_it_renews_it_and_gives_it_to_the_next() {
    let server = serve().await;
    let one = server.keeper("one");
    until(&one, true).await;
    let first = server.fake.spec();
    assert_eq!((first.lease_duration_seconds, first.lease_transitions), (Some(3), Some(0)));
    let renewed = first.renew_time.clone().unwrap();
    assert!(renewed.len() == "2026-11-21T15:00:00.000000Z".len(), "{renewed}");
    let two = server.keeper("two");
    let mut leads = two.leads();
    // Longer than the lease is good for: it is renewed meanwhile, so nobody takes it.
    let taken = tokio::time::timeout(Duration::from_secs(4), leads.wait_for(|leads| *leads)).await;
    assert!(taken.is_err());
    let now = server.fake.spec();
    assert_eq!(
        (now.holder_identity.as_deref(), now.acquire_time),
        (Some("one"), first.acquire_time)
    );
    assert_ne!(now.renew_time, first.renew_time);
    // The kubelet replaces the token: the next request shows the new one.
    server.fake.held().token = "second".to_owned();
    std::fs::write(server.folder.path().join("token"), "second").unwrap();
    one.release().await;
    until(&two, true).await;
    assert_eq!(
        (server.fake.holder(), server.fake.spec().lease_transitions),
        ("two".into(), Some(1))
    );
}

#[tokio::test]
async fn what_is_given_back_is_nobodys() {
    let server = serve().await;
    // It has a third of that time.
    let one = server.keeper_for("one", 60);
    until(&one, true).await;
    one.release().await;
    assert_eq!(server.fake.holder(), "");
}

#[tokio::test]
async fn a_holder_that_is_gone_is_followed_when_its_lease_has_run_out() {
    let server = serve().await;
    let object = json!({
        "metadata": { "name": "mirror", "annotations": { "kept": "yes" } },
        "spec": { "holderIdentity": "gone", "leaseDurationSeconds": 2, "renewTime":
            "2999-01-01T00:00:00.000000Z", "leaseTransitions": 7 },
    });
    server.fake.held().keep(object);
    let begun = Instant::now();
    let one = server.keeper("one");
    until(&one, true).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    let object = server.fake.held().object.clone().unwrap();
    assert_eq!(object["metadata"]["annotations"]["kept"], "yes");
    assert_eq!(object["spec"]["leaseTransitions"], 8);
}

#[tokio::test]
async fn who_cannot_renew_it_no_longer_leads() {
    let server = serve().await;
    let one = server.keeper("one");
    until(&one, true).await;
    server.fake.held().is_down = true;
    until(&one, false).await;
    server.fake.held().is_down = false;
    until(&one, true).await;
    // Another one was quicker by a request: the server refuses ours, and we do not lead.
    let conflict = Arc::clone(&server.fake.held().conflict);
    server.fake.held().races = true;
    tokio::time::timeout(Duration::from_secs(20), conflict.notified()).await.unwrap();
    until(&one, false).await;
    assert_eq!(server.fake.holder(), "quicker");
    // What is not ours is not given back.
    one.release().await;
    assert_eq!(server.fake.holder(), "quicker");
}

#[tokio::test]
async fn what_was_being_written_when_it_was_stopped_is_given_back() {
    let returned = json!({ "metadata": { "name": "mirror" }, "spec": { "holderIdentity": "" } });
    for there in [None, Some(returned)] {
        let server = serve().await;
        let gate = Arc::new(Gate::default());
        server.fake.held().gate = Some(gate.clone());
        let is_first = there.is_none();
        there.map(|object| server.fake.held().keep(object));
        // It waits for an answer for a third of this.
        let one = server.keeper_for("one", 60);
        gate.reached.notified().await;
        let release = tokio::spawn(one.release());
        tokio::task::yield_now().await;
        gate.open.notify_one();
        release.await.unwrap();
        let spec = server.fake.spec();
        assert_eq!(spec.holder_identity.as_deref(), Some(""), "first: {is_first}");
        // It was written, and then given back.
        assert_eq!(server.fake.held().version, if is_first { 2 } else { 3 });
    }
}

#[test]
fn who_is_in_no_cluster_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let told = |variables: &[(&str, &str)]| {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Cluster::around_us(variable, folder.path()).unwrap_err().to_string()
    };
    assert!(told(&[]).contains("no pod"), "{}", told(&[]));
    let set = [("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "443")];
    assert!(told(&set).contains("ca.crt"), "{}", told(&set));
    std::fs::write(folder.path().join("ca.crt"), "no certificate").unwrap();
    assert!(told(&set).contains("has no certificate"), "{}", told(&set));
}

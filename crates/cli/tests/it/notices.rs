//! Notices and pushed metrics, as a server gets them; and that no run fails or waits long for one.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use testkit::{Registry, image};
use tokio::net::TcpListener;

use crate::program::{Done, Program, add};

/// What every address has in it; nothing that is shown may.
const SECRET: &str = "T0B0hunter2";

#[derive(Clone)]
pub(crate) struct Got {
    method: Method,
    path: String,
    headers: HeaderMap,
    pub(crate) body: String,
}

/// A server for all notices of a test. What it answers stands in the path: `/SECRET/503-200` is 503, then 200.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    got: Arc<Mutex<Vec<Got>>>,
    address: String,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}/{SECRET}", listener.local_addr().unwrap());
        let receiver = Self { address, ..Self::default() };
        let app = Router::new().fallback(answer).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub(crate) fn at(&self, answers: &str) -> String {
        format!("{}/{answers}", self.address)
    }

    /// The requests whose path ends so.
    pub(crate) fn got(&self, path: &str) -> Vec<Got> {
        let got = self.got.lock().unwrap();
        got.iter().filter(|one| one.path.ends_with(path)).cloned().collect()
    }
}

async fn answer(
    State(receiver): State<Receiver>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let before = receiver.got(&path).len();
    receiver.got.lock().unwrap().push(Got { method, path: path.clone(), headers, body });
    let plan: Vec<u16> =
        path.rsplit('/').next().unwrap().split('-').filter_map(|code| code.parse().ok()).collect();
    let status = plan.get(before).or(plan.last()).copied().unwrap_or(200);
    let status = StatusCode::from_u16(status).unwrap();
    // Longer than anybody waits; and many servers quote the address.
    (status, [(header::RETRY_AFTER, "3600")], path).into_response()
}

/// A program with an image to copy and one that drifted, and its sync file with these notices.
async fn prepared(notices: &str) -> (Program, [Registry; 2]) {
    let (source, target) = (Registry::start().await, Registry::start().await);
    add(&source, "new", "1", &image::single(1)).await;
    add(&source, "moved", "1", &image::single(2)).await;
    add(&target, "moved", "1", &image::single(3)).await;
    let (from, to) = (source.host(), target.host());
    let program = Program::new();
    let images = ["new", "moved"]
        .map(|name| format!("- {{ source: '{from}/{name}:1', destination: '{to}/{name}:1' }}\n"));
    program.file("images.yaml", format!("images:\n{}notices:\n{notices}", images.concat()));
    (program, [source, target])
}

fn report(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done}"))
}

#[tokio::test]
async fn everybody_hears_what_they_asked_for_in_their_own_form() {
    let receiver = Receiver::start().await;
    let (mut program, _registries) = prepared(
        "- slack: { env: SLACK }
- { teams: { file: teams }, on: change }
- { slack: { env: NEVER }, on: [failure, pending] }
- webhook: { env: HOOK }
  on: always
  secret: { env: HOOK_SECRET }
  headers: { X-Team: mirror, Authorization: { env: TOKEN } }
- webhook: { env: TEMPLATED }
  template: '{\"text\": {{ title }}, \"drift\": {{ summary.outcomes.drift }}}'
",
    )
    .await;
    program.file("teams", format!("{}\n", receiver.at("teams/202")));
    program
        .variable("SLACK", &receiver.at("slack/200"))
        .variable("NEVER", &receiver.at("never/200"))
        .variable("HOOK", &receiver.at("hook/204"))
        .variable("HOOK_SECRET", "it's a secret")
        .variable("TOKEN", "Bearer hunter2")
        .variable("TEMPLATED", &receiver.at("templated/200"));
    let done = program.run(&["-i", "images.yaml", "--output", "json", "--debug"]).await;
    assert_eq!(done.code, Some(3), "{done}");
    let body = |path: &str| {
        let got = receiver.got(path);
        assert_eq!(got.len(), 1, "{path}: {done}");
        serde_json::from_str::<Value>(&got[0].body).unwrap()
    };
    let title = "image-syncer: 1 drift of 2 items";
    assert_eq!(body("slack/200")["text"], title);
    assert_eq!(body("slack/200")["blocks"][0]["text"]["text"], title);
    let card = &body("teams/202")["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["body"][0]["text"], title);
    assert_eq!(body("hook/204")["summary"], report(&done)["summary"]);
    assert_eq!(body("hook/204")["run"]["id"], report(&done)["run"]["id"]);
    assert_eq!(body("hook/204")["items"].as_array().unwrap().len(), 2);
    assert_eq!(body("templated/200"), serde_json::json!({ "text": title, "drift": 1 }));
    assert!(receiver.got("never/200").is_empty());

    let hook = &receiver.got("hook/204")[0];
    assert_eq!(hook.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(
        (&hook.headers["x-team"], hook.method.as_str()),
        (&"mirror".parse().unwrap(), "POST")
    );
    assert_eq!(hook.headers["authorization"], "Bearer hunter2");
    let time = hook.headers["x-image-syncer-timestamp"].to_str().unwrap();
    let signed = report::WebhookSignature::new(
        &"it's a secret".into(),
        jiff::Timestamp::from_second(time.parse().unwrap()).unwrap(),
        &hook.body,
    );
    assert_eq!(hook.headers["x-image-syncer-signature-256"], signed.signature.as_str());

    let notices = report(&done)["notices"].clone();
    let notices = notices.as_array().unwrap();
    assert_eq!(notices.len(), 4, "{done}");
    assert!(notices.iter().all(|notice| notice["delivered"] == true && notice["attempts"] == 1));
    assert!(!done.to_string().contains(SECRET) && !done.to_string().contains("hunter2"), "{done}");
}

#[tokio::test]
async fn no_run_fails_for_a_notice_and_none_is_lost_in_silence() {
    let receiver = Receiver::start().await;
    let (mut program, _registries) = prepared(
        "- slack: { env: BUSY }
- slack: { env: GONE }
- webhook: { env: WRONG_TEMPLATE }
  template: 'no JSON: {{ title }}'
",
    )
    .await;
    program
        .variable("BUSY", &receiver.at("busy/429"))
        .variable("GONE", &receiver.at("gone/404"))
        .variable("WRONG_TEMPLATE", &receiver.at("template/200"));
    let arguments = ["-i", "images.yaml", "--output", "json", "--metrics-file", "a.prom"];
    let done = program.run(&arguments).await;
    assert_eq!(done.code, Some(3), "{done}");
    let report = report(&done);
    let errors: Vec<(&str, bool)> = report["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| (notice["error"].as_str().unwrap(), notice["delivered"] == true))
        .collect();
    let expected = [
        ("the server answered 429 (1 attempt)", false),
        ("the server answered 404 (1 attempt)", false),
    ];
    assert_eq!(errors[..2], expected);
    assert!(errors[2].0.contains("does not make JSON"), "{errors:?}");
    assert_eq!(done.stderr.matches("notice not delivered").count(), 3, "{done}");
    assert!(receiver.got("template/200").is_empty());
    assert!(!done.to_string().contains(SECRET), "{done}");
    let metrics = std::fs::read_to_string(program.folder().join("a.prom")).unwrap();
    let failed = "image_syncer_notices_total{kind=\"slack\",result=\"failed\"} 2\n";
    assert!(metrics.contains(failed), "{metrics}");
}

#[tokio::test]
async fn a_plan_tells_only_who_asks_for_what_is_pending() {
    let receiver = Receiver::start().await;
    let (mut program, _registries) =
        prepared("- { slack: { env: A }, on: always }\n- { slack: { env: B }, on: pending }\n")
            .await;
    program.variable("A", &receiver.at("a/200")).variable("B", &receiver.at("b/200"));
    let done = program.run(&["plan", "-i", "images.yaml"]).await;
    assert_eq!(done.code, Some(3), "{done}");
    assert!(receiver.got("a/200").is_empty());
    assert_eq!(receiver.got("b/200").len(), 1, "{done}");
}

#[tokio::test]
async fn what_cannot_work_is_said_before_any_registry_is_asked() {
    for (notices, said) in [
        ("- slack: { env: UNSET }\n", "notices: images.yaml:5:3: the environment variable UNSET"),
        ("- slack: { file: none }\n", "notices: images.yaml:5:3: cannot read the secret"),
        ("- slack: { env: PLAIN }\n", "the URL for `slack` is plain http"),
        ("- slack: { env: NO_URL }\n", "the URL for `slack` cannot be read"),
        ("- webhook: { env: PLAIN }\n  template: '{{ title'\n", "error[invalid-template]"),
    ] {
        let (mut program, [source, target]) = prepared(notices).await;
        program
            .variable("PLAIN", "http://hooks.example/T0B0hunter2")
            .variable("NO_URL", "hooks.example/T0B0hunter2");
        let done = program.run(&["-i", "images.yaml"]).await;
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(said), "{done}");
        assert!(!done.to_string().contains(SECRET), "{done}");
        assert!(source.log().requests().is_empty() && target.log().requests().is_empty(), "{done}");
    }
}

#[tokio::test]
async fn metrics_are_pushed_at_the_end_and_a_push_that_fails_is_a_warning() {
    let receiver = Receiver::start().await;
    let (mut program, _registries) = prepared("").await;
    program
        .variable("SYNCER_METRICS_PUSH_USERNAME", "robot")
        .variable("SYNCER_METRICS_PUSH_PASSWORD", "hunter2");
    let push = format!("{}/503-200", receiver.address);
    let url = format!("{push}/metrics/job/mirror/503-200");
    let done = program.run(&["-i", "images.yaml", "--metrics-push", &url]).await;
    assert_eq!(done.code, Some(3), "{done}");
    // `Retry-After` is too long for a second attempt.
    let got = receiver.got("/metrics/job/mirror/503-200");
    assert_eq!((got.len(), got[0].method.as_str()), (1, "PUT"));
    assert!(done.stderr.contains("cannot push metrics to 127.0.0.1:"), "{done}");
    assert_eq!(got[0].headers["authorization"], "Basic cm9ib3Q6aHVudGVyMg==");
    assert!(got[0].body.contains("image_syncer_runs_total{mode=\"sync\",result=\"drift\"} 1\n"));

    let done = program.run(&["-i", "images.yaml", "--metrics-push", &receiver.address]).await;
    assert!(!done.stderr.contains("cannot push"), "{done}");
    assert_eq!(receiver.got("/metrics/job/image-syncer").len(), 1, "{done}");
}

#[tokio::test]
async fn where_metrics_cannot_go_is_said_before_the_run() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (program, _registries) = prepared("").await;
    for (arguments, said) in [
        (["--metrics-listen", address.as_str()], "cannot serve metrics at 127.0.0.1:"),
        (["--metrics-file", "none/a.prom"], "the folder `none` does not exist"),
        (
            ["--metrics-push", "https://robot:hunter2@p.example"],
            "must not have a user or a password",
        ),
    ] {
        let done = program.run(&[&["-i", "images.yaml"], &arguments[..]].concat()).await;
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(said) && !done.stderr.contains("hunter2"), "{done}");
    }
}

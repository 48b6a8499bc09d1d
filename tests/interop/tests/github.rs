//! What GitHub runs: the steps of the reusable workflow with the payload of each event, against real
//! repositories of git and real registries; what actionlint, zizmor and shellcheck say of them.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use interop::{Kind, Server, Workbench, Workflow};
use serde_json::{Value, json};

const TOOLS: [&str; 9] = [
    "bash",
    "crane",
    "curl",
    "git",
    "jq",
    "key-services-python",
    "buildah",
    "moto_server",
    "skopeo",
];
const SECRET: &str = "S3cret-of-the-pair";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn workflow() -> PathBuf {
    project().join(".github/workflows/image-syncer.yml")
}

/// A repository on a server of git's, with a list on `main`, and a pull request with another list.
struct Repository<'a> {
    bench: &'a Workbench,
    base: String,
    head: String,
}

impl<'a> Repository<'a> {
    fn new(bench: &'a Workbench, list: &str, proposed: impl Fn(&Path)) -> Self {
        let work = bench.folder().join("work");
        let bare = bench.folder().join("git/team/lists");
        std::fs::create_dir_all(&work).unwrap();
        std::fs::create_dir_all(&bare).unwrap();
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
            bench.tool("git").in_folder(&work).args(identity).args(arguments).succeed()
        };
        let file = work.join("external-images.yaml");
        git(&["init", "--quiet", "--initial-branch=main", "."]);
        std::fs::write(&file, list).unwrap();
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message=list"]);
        let base = git(&["rev-parse", "HEAD"]).trim().to_owned();
        git(&["checkout", "--quiet", "-b", "change"]);
        proposed(&work);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message=change"]);
        let head = git(&["rev-parse", "HEAD"]).trim().to_owned();
        git(&["checkout", "--quiet", "main"]);
        git(&["merge", "--quiet", "--no-ff", "--message=merge", "change"]);
        git(&["init", "--quiet", "--bare", bare.to_str().unwrap()]);
        let merge = "HEAD:refs/pull/7/merge";
        git(&[
            "push",
            "--quiet",
            bare.to_str().unwrap(),
            merge,
            &format!("{base}:refs/heads/main"),
        ]);
        Self { bench, base, head }
    }

    /// What `github` is, for an event.
    fn event(&self, name: &str, event: Value, reference: &str) -> Value {
        let mut event = event;
        event["repository"] = json!({ "default_branch": "main" });
        json!({
            "event_name": name, "event": event, "ref": reference, "sha": self.base,
            "repository": "team/lists", "token": "github-token", "run_id": "42",
            "server_url": format!("file://{}/git", self.bench.folder().display()),
        })
    }

    fn pull_request(&self, name: &str, head_repository: &Value) -> Value {
        let head = json!({ "sha": self.head, "repo": head_repository });
        self.event(
            name,
            json!({ "pull_request": { "number": 7, "head": head } }),
            "refs/pull/7/merge",
        )
    }

    fn job(&self, github: &Value, inputs: &Value) -> Workflow {
        let mut job = Workflow::new(self.bench, &workflow(), "sync", github, inputs);
        job.know("secrets", json!({ "source-username": "robot", "source-password": SECRET }));
        job.set("RETRY_SECONDS", "0");
        job
    }
}

fn own() -> Value {
    json!({ "full_name": "team/lists" })
}

fn fork() -> Value {
    json!({ "full_name": "stranger/lists" })
}

/// (event, payload, ref, inputs) → (dry-run, identity, trusted).
#[test]
#[ignore = "needs tools: tests/tools/install"]
fn what_each_event_may_do() {
    let Some(bench) = Workbench::with_tools("github events", &TOOLS) else { return };
    let repository = Repository::new(&bench, "images: []\n", |work| {
        std::fs::write(work.join("other"), "text").unwrap();
    });
    let main = "refs/heads/main";
    let on = |name: &str, reference: &str| repository.event(name, json!({}), reference);
    let of = |name: &str, head: &Value| repository.pull_request(name, head);
    let mut bare_schedule = on("schedule", "refs/heads/trunk");
    bare_schedule["event"] = json!({ "schedule": "0 * * * *" });
    let asked_dry = json!({ "dry-run": "true" });
    let nothing = json!({});
    let reader = json!({ "fork-identity": "reader" });
    let release = json!({ "branches": "other release/1" });
    let cases = [
        (on("push", main), &nothing, ("false", "writer", "true")),
        (on("push", main), &asked_dry, ("true", "reader", "true")),
        (on("schedule", main), &nothing, ("false", "writer", "true")),
        (bare_schedule, &nothing, ("false", "writer", "true")),
        (on("workflow_dispatch", main), &nothing, ("false", "writer", "true")),
        (on("workflow_dispatch", main), &asked_dry, ("true", "reader", "true")),
        // Whoever may push a branch could otherwise write.
        (on("push", "refs/heads/change"), &nothing, ("true", "reader", "true")),
        (on("push", "refs/tags/main"), &nothing, ("true", "reader", "true")),
        (on("workflow_dispatch", "refs/heads/change"), &nothing, ("true", "reader", "true")),
        (on("push", "refs/heads/release/1"), &nothing, ("true", "reader", "true")),
        (on("push", "refs/heads/release/1"), &release, ("false", "writer", "true")),
        (
            on("merge_group", "refs/heads/gh-readonly-queue/main/pr-7"),
            &nothing,
            ("true", "reader", "true"),
        ),
        (of("pull_request", &own()), &nothing, ("true", "reader", "true")),
        (of("pull_request_target", &own()), &nothing, ("true", "reader", "true")),
        (of("pull_request", &fork()), &nothing, ("true", "none", "false")),
        (of("pull_request", &fork()), &reader, ("true", "none", "false")),
        (of("pull_request_target", &fork()), &nothing, ("true", "none", "false")),
        (of("pull_request_target", &fork()), &reader, ("true", "reader", "false")),
        // A fork that is gone.
        (of("pull_request_target", &Value::Null), &nothing, ("true", "none", "false")),
    ];
    for (github, inputs, expected) in cases {
        let shown = format!("{github} {inputs}");
        let mut job = repository.job(&github, inputs);
        job.run(&bench);
        let (name, guard) = &job.ran[0];
        assert_eq!((name.as_str(), guard.code), ("What this event may do", Some(0)), "{shown}");
        let got = ["dry-run", "identity", "trusted"].map(|output| job.output("guard", output));
        assert_eq!(got, [expected.0, expected.1, expected.2], "{shown}");
        // What is not trusted meets no secret, and nothing writes but the writer.
        let variables = job.variables_of("image-syncer");
        let secrets = variables.values().filter(|value| *value == SECRET).count();
        assert_eq!(secrets, usize::from(expected.2 == "true"), "{shown}");
        assert_eq!(variables["DRY_RUN"] == "false", expected.1 == "writer", "{shown}");
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn what_is_refused_before_anything_is_fetched() {
    let Some(bench) = Workbench::with_tools("github refusals", &TOOLS) else { return };
    let repository = Repository::new(&bench, "images: []\n", |work| {
        std::fs::write(work.join("other"), "text").unwrap();
    });
    let push = || repository.event("push", json!({}), "refs/heads/main");
    let no_number = repository.event("pull_request", json!({}), "refs/pull/7/merge");
    let cases = [
        (
            repository.event("issue_comment", json!({}), "refs/heads/main"),
            json!({}),
            "is not supported",
        ),
        (
            repository.event("workflow_run", json!({}), "refs/heads/main"),
            json!({}),
            "is not supported",
        ),
        (no_number, json!({}), "no pull request"),
        (push(), json!({ "dry-run": "yes" }), "`true` or `false`"),
        (push(), json!({ "file": "../../etc/passwd" }), "a path within the repository"),
        (push(), json!({ "file": "/etc/passwd" }), "a path within the repository"),
    ];
    for (github, inputs, words) in cases {
        let mut job = repository.job(&github, &inputs);
        assert!(!job.run(&bench));
        assert_eq!(job.ran.len(), 1, "nothing comes after it: {}", job.said());
        assert!(job.said().contains("::error") && job.said().contains(words), "{}", job.said());
    }
}

/// The source and the target of a list, and the list.
fn registries(bench: &Workbench) -> (Server, Server, String) {
    let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
    let image = bench.images().small("amd64", "github");
    bench.push(&image, &format!("{}/team/app:1", source.host()));
    let list = format!(
        "targetRepoPrefix: {}/mirror/\nimages:\n- source: {}/team/app:1\n  tag: first\n",
        target.host(),
        source.host()
    );
    (source, target, list)
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn a_push_writes_and_a_pull_request_plans() {
    let Some(bench) = Workbench::with_image_syncer("github life", &TOOLS) else { return };
    let (source, target, list) = registries(&bench);
    let more = format!("{list}- source: {}/team/app:1\n  tag: second\n", source.host());
    let repository = Repository::new(&bench, &list, |work| {
        std::fs::write(work.join("external-images.yaml"), &more).unwrap();
    });
    let copy = format!("{}/mirror/{}/team/app", target.host(), source.host().replace(':', "_"));
    let tags = || bench.tool("crane").args(["ls", &copy]).run().stdout;
    let with_program = |mut job: Workflow| {
        job.set("IMAGE_SYNCER", bench.binary().to_str().unwrap());
        job
    };

    for (head, name) in [(own(), "pull_request"), (fork(), "pull_request_target")] {
        let mut job =
            with_program(repository.job(&repository.pull_request(name, &head), &json!({})));
        assert!(job.run(&bench), "{}", job.said());
        assert_eq!(tags(), "", "a pull request writes nothing");
        assert_eq!(job.output("run", "code"), "0");
        // Of the merge commit, not of the branch.
        assert!(job.summary.contains(":second"), "{}", job.summary);
        assert!(job.output("summary", "report").contains(":second"), "{}", job.said());
        assert!(!job.said().contains(SECRET));
    }

    let push = repository.event("push", json!({}), "refs/heads/main");
    let mut job = with_program(repository.job(&push, &json!({})));
    assert!(job.run(&bench), "{}", job.said());
    assert_eq!(tags(), "first\n");
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn a_hostile_pull_request_learns_nothing() {
    let Some(bench) = Workbench::with_image_syncer("github hostile", &TOOLS) else { return };
    let repository = Repository::new(&bench, "images: []\n", |work| {
        std::fs::remove_file(work.join("external-images.yaml")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.join("external-images.yaml")).unwrap();
        // It would run whenever git touches a file that it names.
        std::fs::write(work.join(".gitattributes"), "* filter=evil\n").unwrap();
    });
    let github = repository.pull_request("pull_request_target", &fork());
    let mut job = repository.job(&github, &json!({}));
    job.set("IMAGE_SYNCER", bench.binary().to_str().unwrap());
    assert!(!job.run(&bench));
    assert_eq!(job.output("run", "code"), "2", "{}", job.said());
    assert!(!job.said().contains("root:"), "a link leads nowhere: {}", job.said());

    // Somebody pushed after the event.
    let mut github = repository.pull_request("pull_request_target", &fork());
    github["event"]["pull_request"]["head"]["sha"] = json!("0".repeat(40));
    let mut job = repository.job(&github, &json!({}));
    assert!(!job.run(&bench));
    assert!(job.said().contains("somebody pushed since"), "{}", job.said());
    assert_eq!(job.ran.len(), 2, "nothing is run");
}

/// A web server that notes what it is asked, and answers by its rule.
struct Web {
    url: String,
    requests: Requests,
    _runtime: tokio::runtime::Runtime,
}

type Rule = fn(&str) -> String;

/// Lines and bodies.
type Requests = Arc<Mutex<Vec<(String, String)>>>;

impl Web {
    fn start(rule: Rule) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let app = axum::Router::new().fallback(answer).with_state((rule, Arc::clone(&requests)));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { url, requests, _runtime: runtime }
    }

    fn requests(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

async fn answer(State((rule, requests)): State<(Rule, Requests)>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let bearer =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    assert!(bearer.is_some_and(|value| value.starts_with("Bearer ")), "{line} without a token");
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    requests.lock().unwrap().push((line.clone(), String::from_utf8_lossy(&body).into_owned()));
    ([("content-type", "application/json")], rule(&line)).into_response()
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn who_a_run_is() {
    let Some(bench) = Workbench::with_tools("github identities", &TOOLS) else { return };
    let repository = Repository::new(&bench, "images: []\n", |work| {
        std::fs::write(work.join("other"), "text").unwrap();
    });
    // GitHub's own: a token that names who asks.
    let github = Web::start(|_| r#"{"value": "head.body.sign"}"#.to_owned());
    let mut moto = bench.command("moto_server");
    moto.args(["-H", "127.0.0.1", "-p", "0"]);
    let moto = interop::Listening::start(moto);
    let inputs = json!({
        "google-provider": "projects/1/locations/global/workloadIdentityPools/p/providers/github",
        "google-reader": "reader@p.iam.gserviceaccount.com",
        "google-writer": "writer@p.iam.gserviceaccount.com",
        "aws-reader": "arn:aws:iam::123456789012:role/reader",
        "aws-writer": "arn:aws:iam::123456789012:role/writer",
        "aws-region": "eu-west-1",
    });
    let run = |event: Value| {
        let mut job = repository.job(&event, &inputs);
        job.set("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/token?v=1", github.url));
        job.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-token");
        job.set("AWS_STS_URL", &moto.url);
        // The program is not what is looked at here.
        job.set("IMAGE_SYNCER", "/bin/true");
        assert!(job.run(&bench), "{}", job.said());
        job
    };
    let folder = bench.folder().join("runner/image-syncer/credentials");
    for (event, who) in [
        (repository.event("push", json!({}), "refs/heads/main"), "writer"),
        (repository.pull_request("pull_request", &own()), "reader"),
    ] {
        let job = run(event);
        assert!(
            job.said().contains(&format!("AWS: arn:aws:iam::123456789012:role/{who}")),
            "{}",
            job.said()
        );
        let file = std::fs::read_to_string(folder.join("google.json")).unwrap();
        let google: Value = serde_json::from_str(&file).unwrap();
        assert_eq!(
            google["service_account_impersonation_url"],
            format!(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/\
                 {who}@p.iam.gserviceaccount.com:generateAccessToken"
            )
        );
        let url = format!(
            "{}/token?v=1&audience=https%3A%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Flocations%2Fglobal%2F\
             workloadIdentityPools%2Fp%2Fproviders%2Fgithub",
            github.url
        );
        assert_eq!(google["credential_source"]["url"], url);
        let asked = github.requests();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].0.ends_with("&audience=sts.amazonaws.com"), "{asked:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
    // Nobody vouches for a fork, so there is nothing to have.
    let job = run(repository.pull_request("pull_request_target", &fork()));
    assert!(job.said().contains("this run has no identity"), "{}", job.said());
    assert_eq!((folder.exists(), github.requests().len()), (false, 0));
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn one_comment_is_kept_up_to_date() {
    let Some(bench) = Workbench::with_tools("github comment", &TOOLS) else { return };
    let run = |rule: Rule, github: Value| {
        let api = Web::start(rule);
        let mut job =
            Workflow::new(&bench, &workflow(), "comment", &github, &json!({ "comment": "true" }));
        job.know("github.api_url", json!(api.url));
        job.know(
            "needs.sync.outputs",
            json!({ "report": "# Plan\n`a` \"b\" $c", "pull-request": "7" }),
        );
        let is_wanted = job.is_wanted();
        if is_wanted {
            assert!(job.run(&bench), "{}", job.said());
        }
        (is_wanted, api.requests())
    };
    let of = |name: &str, head: &Value| {
        let event = json!({ "pull_request": { "head": { "repo": head } } });
        json!({ "event_name": name, "event": event, "repository": "team/lists", "token": "t" })
    };
    let empty: Rule =
        |line| if line.starts_with("GET") { "[]".to_owned() } else { "{}".to_owned() };

    let (_, requests) = run(empty, of("pull_request", &own()));
    let lines: Vec<&str> = requests.iter().map(|(line, _)| line.as_str()).collect();
    let comments = "/repos/team/lists/issues/7/comments";
    assert_eq!(lines, [format!("GET {comments}?per_page=100&page=1"), format!("POST {comments}")]);
    let body: Value = serde_json::from_str(&requests[1].1).unwrap();
    let body = body["body"].as_str().unwrap();
    assert!(
        body.starts_with("<!-- image-syncer ") && body.contains("# Plan\n`a` \"b\" $c"),
        "{body}"
    );

    // The same comment by somebody else is not ours, the bot's is.
    let (_, requests) = run(
        |line| {
            let comment = |id: u32, kind: &str, marker: &str| json!({ "id": id, "user": { "type": kind }, "body": marker });
            if line.starts_with("GET") {
                json!([
                    comment(1, "User", MARKER),
                    comment(2, "Bot", "x"),
                    comment(3, "Bot", MARKER)
                ])
                .to_string()
            } else {
                "{}".to_owned()
            }
        },
        of("pull_request", &own()),
    );
    let marker = body.split_inclusive("-->").next().unwrap();
    assert_eq!(marker, MARKER, "the rule above goes by it");
    assert_eq!(requests[1].0, "PATCH /repos/team/lists/issues/comments/3");

    // The token of a fork's own workflow may not write.
    assert!(!run(empty, of("pull_request", &fork())).0);
    assert!(run(empty, of("pull_request_target", &fork())).0);
}

/// The comment of the default list.
const MARKER: &str = "<!-- image-syncer d706c8334a4f555b -->";

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn the_linters_are_content() {
    let tools = ["actionlint", "linters-python", "bash"];
    let Some(bench) = Workbench::with_tools("github linters", &tools) else { return };
    let folder = project();
    // The environment's own programs lie beside its Python.
    let beside = "import os, sys; path = os.path.join(os.path.dirname(sys.executable), sys.argv[1]); \
                  os.execv(path, [path, *sys.argv[2:]])";
    let python = || bench.tool("linters-python").in_folder(&folder);
    let linter = |name: &str| python().args(["-c", beside, name]);
    bench.tool("actionlint").in_folder(&folder).args([workflow()]).succeed();
    let zizmor = linter("zizmor").args(["--offline", "--quiet", "--persona", "pedantic"]);
    zizmor.args([".github", "action.yml"]).succeed();
    let scripts = ["guard", "checkout", "login", "run", "summary", "comment"];
    let scripts = scripts.map(|name| format!("deploy/github/{name}"));
    let shellcheck = linter("shellcheck").args(["--severity", "warning", "deploy/container/build"]);
    shellcheck.args(scripts).succeed();
    let checkov = linter("checkov").args(["--quiet", "--compact", "--framework", "terraform"]);
    checkov.args(["--skip-download", "--directory", "deploy/terraform"]).succeed();
    python().args(["deploy/github/generate", "--check"]).succeed();
}

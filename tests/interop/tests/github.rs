//! What GitHub runs: the steps of the reusable workflow with the payload of each event, against real
//! repositories of git and real registries; what actionlint, zizmor and shellcheck say of them.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use interop::{Docker, Kind, PASSWORD, Server, USER, Workbench, Workflow};
use serde_json::{Value, json};

const TOOLS: [&str; 9] =
    ["bash", "crane", "curl", "git", "htpasswd", "jq", "key-services-python", "buildah", "skopeo"];
const SECRET: &str = "S3cret-of-the-pair";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn workflow() -> PathBuf {
    project().join(".github/workflows/image-syncer.yml")
}

fn comment_workflow() -> PathBuf {
    project().join(".github/workflows/image-syncer-comment.yml")
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

/// What says who a run is: all of it is in the audit log (docs/audit.md).
const WHO: [(&str, &str, &str); 10] = [
    (
        "workflowRef",
        "GITHUB_WORKFLOW_REF",
        "team/lists/.github/workflows/images.yml@refs/heads/main",
    ),
    ("repository", "GITHUB_REPOSITORY", "team/lists"),
    ("actor", "GITHUB_ACTOR", "octocat"),
    ("triggeringActor", "GITHUB_TRIGGERING_ACTOR", "hubot"),
    ("event", "GITHUB_EVENT_NAME", "an event"),
    ("ref", "GITHUB_REF", "refs/heads/main"),
    ("sha", "GITHUB_SHA", "6dcb09b5b57875f334f61aebed695e2e4193db5e"),
    ("run", "GITHUB_RUN_ID", "42"),
    ("attempt", "GITHUB_RUN_ATTEMPT", "2"),
    ("server", "GITHUB_SERVER_URL", "https://github.com"),
];

/// What is of no use in the container, or a secret of the runner itself.
const OUTSIDE: [&str; 4] =
    ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "GITHUB_ENV", "VARIABLES"];

/// Each run that the workflow and the action make, as it is made: by `docker run`.
#[test]
#[ignore = "needs tools: tests/tools/install"]
fn a_container_is_given_what_a_run_reads_and_no_more() {
    let Some(bench) = Workbench::with_image_syncer("github docker", &TOOLS) else { return };
    let docker = Docker::of(&bench);
    let (source, target) = (bench.start(Kind::ServeSecured), bench.start(Kind::ServeSecured));
    let image = bench.images().small("amd64", "github");
    bench.push(&image, &format!("{}/team/app:1", source.host()));
    let list = format!(
        "targetRepoPrefix: {target}/mirror/\nregistries:\n\
         \x20 \"{source}\": {{ auth: {{ username: {USER}, password: {{ env: QUAY_PASSWORD }} }} }}\n\
         \x20 \"{target}\": {{ auth: {{ username: {USER}, password: {{ env: MIRROR_PASSWORD }} }} }}\n\
         images:\n- source: {source}/team/app:1\n  tag: first\n",
        source = source.host(),
        target = target.host()
    );
    let repository = Repository::new(&bench, &list, |work| {
        std::fs::write(work.join("other"), "text").unwrap();
    });
    let copy = format!("{}/mirror/{}/team/app", target.host(), source.host().replace(':', "_"));
    let tags = || bench.tool("crane").args(["ls", &copy]).run().stdout;
    let reports = bench.folder().join("runner/image-syncer/reports");
    let log = reports.join("audit.jsonl");
    let secrets = format!(
        "QUAY_PASSWORD={PASSWORD}\r\n\nMIRROR_PASSWORD={PASSWORD}\nODD=S3cret %0A$HOME `=\n"
    );
    let args = format!("--audit-log={}", log.display());
    let nobody = bench.folder().join("nobody");
    std::fs::create_dir(&nobody).unwrap();
    std::fs::write(nobody.join("config.json"), "{}").unwrap();
    // Whatever is not on this machine is behind a proxy that nobody listens at.
    let around = [
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", "127.0.0.1"),
        ("SYNCER_CONCURRENCY", "3"),
        ("REGISTRY_AUTH_FILE", nobody.join("config.json").to_str().unwrap()),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    let own_secrets = [
        ("GH_TOKEN", "S3cret-of-GitHub"),
        ("DOCKER_AUTH_CONFIG", r#"{"auths":{"r.example":{"auth":"UzNjcmV0OlMzY3JldA=="}}}"#),
        ("COSIGN_PASSWORD", "S3cret-of-cosign"),
    ];

    let push = repository.event("push", json!({}), "refs/heads/main");
    let own_pull = repository.pull_request("pull_request", &own());
    let fork_pull = repository.pull_request("pull_request_target", &fork());
    for is_action in [false, true] {
        for (event, is_trusted, wanted) in
            [(&own_pull, true, ""), (&fork_pull, false, ""), (&push, true, "first\n")]
        {
            let _ = std::fs::remove_dir_all(&reports);
            let mut job = if is_action {
                let inputs = json!({ "env": secrets, "args": args });
                Workflow::action(&bench, &project().join("action.yml"), event, &inputs)
            } else {
                let mut job = repository.job(event, &json!({ "args": args }));
                job.know("secrets", json!({ "env": secrets }));
                job
            };
            job.set("RETRY_SECONDS", "0");
            job.set("PATH", &docker.path());
            job.set("DOCKER_CONFIG", nobody.to_str().unwrap());
            for (name, value) in &around {
                job.set(name, value);
            }
            for (name, value) in own_secrets {
                job.set(name, value);
            }
            for (_, name, value) in WHO {
                job.set(name, value);
            }
            for name in OUTSIDE {
                job.set(name, "S3cret-of-the-runner");
            }
            let is_well = job.run(&bench);
            let shown = job.said();
            assert_eq!(is_well, is_trusted, "{shown}");
            assert_eq!(tags(), wanted, "{shown}");

            let variables = docker.variables();
            for (_, name, value) in WHO {
                assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
            }
            for (name, value) in &around[..3] {
                assert_eq!(variables.get(*name), Some(value), "{name}");
            }
            assert!(variables.contains_key("SSL_CERT_FILE"), "{variables:?}");
            for name in OUTSIDE {
                assert!(!variables.contains_key(name), "{name}: {variables:?}");
            }
            let has_secret = |name: &str| variables.contains_key(name);
            let given = ["QUAY_PASSWORD", "MIRROR_PASSWORD", "ODD", "REGISTRY_AUTH_FILE"];
            for name in own_secrets.map(|(name, _)| name).into_iter().chain(given) {
                assert_eq!(has_secret(name), is_trusted, "{name}: {variables:?}");
            }
            if !is_trusted {
                assert!(shown.contains("_PASSWORD is not set"), "it says what is missing: {shown}");
                assert_eq!(job.output("run", "code"), "2", "{shown}");
                assert!(variables.values().all(|value| !value.contains(PASSWORD)), "{variables:?}");
            }
            // The value is the text as it was given; the mask is escaped as GitHub reads it.
            if is_trusted {
                assert_eq!(variables["ODD"], "S3cret %0A$HOME `=");
                let said =
                    &job.ran.iter().find(|(name, _)| name == "image-syncer").unwrap().1.stdout;
                for mask in [PASSWORD, "S3cret %250A$HOME `="] {
                    assert!(
                        said.lines().any(|line| line == format!("::add-mask::{mask}")),
                        "{said}"
                    );
                }
            }
            // No secret is on a command line, or said but to mask it.
            let hidden =
                |text: &str| ["S3cret", PASSWORD].iter().all(|secret| !text.contains(secret));
            assert!(docker.arguments().iter().all(|argument| hidden(argument)));
            for (name, output) in &job.ran {
                let lines = output.stdout.lines().chain(output.stderr.lines());
                for line in lines.filter(|line| !line.starts_with("::add-mask::")) {
                    assert!(hidden(line), "{name}: {line}");
                }
            }
            if event == &push {
                let text = std::fs::read_to_string(&log).unwrap();
                let started: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
                let (_, _, workflow) = WHO[0];
                assert_eq!(started["who"], format!("github-actions {workflow} by octocat"));
                for (claim, _, value) in WHO {
                    assert_eq!(
                        started["started"]["who"]["claims"][format!("github.{claim}")],
                        value,
                        "{started}"
                    );
                }
                bench.tool("crane").args(["delete", &format!("{copy}:first")]).succeed();
            }
        }
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn variables_of_the_caller_are_names_and_values() {
    let Some(bench) = Workbench::with_tools("github variables", &TOOLS) else { return };
    let repository = Repository::new(&bench, "images: []\n", |work| {
        std::fs::write(work.join("other"), "text").unwrap();
    });
    let run = |variables: &str| {
        let event = repository.event("push", json!({}), "refs/heads/main");
        let mut job = repository.job(&event, &json!({}));
        job.know("secrets", json!({ "env": variables }));
        job.set("IMAGE_SYNCER", "/bin/true");
        let is_well = job.run(&bench);
        (is_well, job.said())
    };
    for variables in ["", "\n", "A=", "A=b=c\n_B1=x", "GITHUB_TOKEN=t\nDOCKER_AUTH_CONFIG={}"] {
        assert!(run(variables).0, "{variables}");
    }
    for (variables, words) in [
        ("S3cret", "line 1 of `env` is not NAME=VALUE"),
        ("A=1\nlower=S3cret", "line 2 of `env` is not NAME=VALUE"),
        ("=S3cret", "line 1 of `env` is not NAME=VALUE"),
        ("A-B=S3cret", "line 1 of `env` is not NAME=VALUE"),
        ("\n\nPATH=S3cret", "line 3 of `env` sets what the runner itself goes by"),
        ("LD_PRELOAD=S3cret", "line 1 of `env` sets"),
        ("BASH_ENV=S3cret", "line 1 of `env` sets"),
        ("DOCKER_HOST=S3cret", "line 1 of `env` sets"),
        ("GITHUB_OUTPUT=S3cret", "line 1 of `env` sets"),
        ("ACTIONS_RUNTIME_TOKEN=S3cret", "line 1 of `env` sets"),
    ] {
        let (is_well, said) = run(variables);
        assert!(!is_well && said.contains(words), "{variables}: {said}");
        assert!(!said.replace("::add-mask::S3cret", "").contains("S3cret"), "{said}");
    }
}

/// A workflow of somebody who comes from kyma's, with `uses` changed and nothing else.
const FROM_KYMA: &str = "
on:
  push: { branches: [main] }
  pull_request_target: { branches: [main] }
permissions:
  id-token: write # This is required for requesting the JWT token
  contents: read # This is required for actions/checkout
jobs:
  sync-external-images:
    uses: image-syncer/image-syncer/.github/workflows/image-syncer.yml@main
    with:
      debug: true
";

/// GitHub refuses a workflow before anything of it runs where a job of what it calls asks for more than its
/// caller has, whatever the job's `if` says.
/// <https://docs.github.com/en/actions/how-tos/reuse-automations/reuse-workflows#supported-keywords-for-jobs-that-call-a-reusable-workflow>
#[test]
#[ignore = "needs tools: tests/tools/install"]
fn nothing_asks_for_more_than_its_caller_may() {
    let tools = ["key-services-python", "actionlint"];
    let Some(bench) = Workbench::with_tools("github permissions", &tools) else { return };
    let mut callers = vec![("kyma's".to_owned(), FROM_KYMA.to_owned())];
    for page in ["deploy/github.md", "migrating/kyma.md"] {
        let text = std::fs::read_to_string(project().join("docs").join(page)).unwrap();
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let calls = blocks.filter(|block| block.contains("image-syncer/.github/workflows/"));
        let before = callers.len();
        callers.extend(calls.map(|block| (page.to_owned(), block.to_owned())));
        assert!(callers.len() > before, "{page} shows a caller");
    }
    for (place, text) in callers {
        let file = bench.folder().join("caller.yml");
        let indent = text.lines().find_map(|line| line.find(|letter: char| letter != ' ')).unwrap();
        let lines = text.lines().map(|line| format!("{}\n", line.get(indent..).unwrap_or("")));
        let mut text: String = lines.collect();
        if !text.contains("jobs:") {
            // One job of it.
            let job: String = text.lines().map(|line| format!("    {line}\n")).collect();
            text = format!(
                "on: push\npermissions: {{ contents: read, id-token: write }}\njobs:\n  images:\n{job}"
            );
        }
        std::fs::write(&file, text).unwrap();
        bench.tool("actionlint").args([&file]).succeed();
        let caller = Workflow::read(&bench, &file);
        for (name, job) in caller["jobs"].as_object().unwrap() {
            let granted = [&job["permissions"], &caller["permissions"]];
            let granted = granted.into_iter().find(|found| !found.is_null()).unwrap();
            let (_, called) = job["uses"].as_str().unwrap().split_once("/.github/").unwrap();
            let called = called.split('@').next().unwrap();
            let called = Workflow::read(&bench, &project().join(".github").join(called));
            for (nested, nested_job) in called["jobs"].as_object().unwrap() {
                let asked =
                    nested_job["permissions"].as_object().expect("each job says what it needs");
                for (what, asked) in asked {
                    let granted = &granted[what];
                    assert!(
                        granted == asked || (granted == "write" && asked == "read"),
                        "{place}, {name}: its job {nested} asks for `{what}: {asked}`, granted is {granted}"
                    );
                }
            }
            // What GitHub checks likewise: inputs and secrets that are not there.
            for kind in ["with", "secrets"] {
                let declared = if kind == "with" { "inputs" } else { "secrets" };
                let declared = &called["on"]["workflow_call"][declared];
                for given in job[kind].as_object().into_iter().flat_map(|given| given.keys()) {
                    assert!(!declared[given].is_null(), "{place}, {name}: no `{given}` of {kind}");
                }
            }
        }
    }
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
    let mut moto = bench.command("key-services-python");
    moto.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).env("PYTHONUNBUFFERED", "1");
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
        let inputs = json!({ "report": "# Plan\n`a` \"b\" $c", "pull-request": "7" });
        let mut job = Workflow::new(&bench, &comment_workflow(), "comment", &github, &inputs);
        job.know("github.api_url", json!(api.url));
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
    let actionlint = bench.tool("actionlint").in_folder(&folder);
    actionlint.args([workflow(), comment_workflow()]).succeed();
    let zizmor = linter("zizmor").args(["--offline", "--quiet", "--persona", "pedantic"]);
    let zizmor = zizmor.args([".github", "action.yml"]).run();
    assert_eq!(zizmor.code, Some(0), "{zizmor:?}");
    // A file that is no YAML is a warning to it, and nothing that it finds fault with.
    assert!(!zizmor.stderr.contains("failed to parse"), "{zizmor:?}");
    let scripts = ["guard", "checkout", "login", "run", "summary", "comment"];
    let scripts = scripts.map(|name| format!("deploy/github/{name}"));
    let shellcheck = linter("shellcheck").args(["--severity", "warning", "deploy/container/build"]);
    shellcheck.args(scripts).succeed();
    let checkov = linter("checkov").args(["--quiet", "--compact", "--framework", "terraform"]);
    checkov.args(["--skip-download", "--directory", "deploy/terraform"]).succeed();
    python().args(["deploy/github/generate", "--check"]).succeed();
}

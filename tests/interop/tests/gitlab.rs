//! What GitLab runs: the component's jobs for each kind of pipeline, with GitLab's variables, against real
//! registries; and what GitLab's own schema says of it.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use interop::{Kind, Output, Workbench};
use serde_json::{Value, json};

const TOOLS: [&str; 5] = ["bash", "buildah", "crane", "linters-python", "skopeo"];
const FILE: &str = "external-images.yaml";

/// The component as GitLab reads it with some inputs.
struct Component<'a> {
    bench: &'a Workbench,
    file: PathBuf,
    config: Value,
}

impl<'a> Component<'a> {
    /// GitLab puts the inputs into the text, and reads that as YAML:
    /// <https://docs.gitlab.com/ci/inputs/>.
    fn new(bench: &'a Workbench, inputs: &Value) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../deploy/gitlab/templates/image-syncer.yml");
        let text = std::fs::read_to_string(file).unwrap();
        let (header, body) = text.split_once("\n---\n").unwrap();
        let specification = yaml(bench, "specification.yml", header);
        let mut body = body.to_owned();
        for (name, input) in specification["spec"]["inputs"].as_object().unwrap() {
            let value = match inputs.get(name).unwrap_or(&input["default"]) {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let block = format!("$[[ inputs.{name} ]]");
            assert!(body.contains(&block), "the input `{name}` is used");
            body = body.replace(&block, &value);
        }
        assert!(!body.contains("$[["), "an input that is none: {body}");
        let config = yaml(bench, ".gitlab-ci.yml", &body);
        Self { bench, file: bench.folder().join(".gitlab-ci.yml"), config }
    }

    /// The jobs of a pipeline, where these files changed.
    fn jobs(&self, variables: &Variables, changed: &[&str]) -> Vec<&str> {
        let jobs = self.config.as_object().unwrap().iter();
        let jobs = jobs.filter(|(name, job)| {
            let applies = |rule| applies(rule, variables, changed);
            !name.starts_with('.') && job["rules"].as_array().unwrap().iter().any(applies)
        });
        jobs.map(|(name, _)| name.as_str()).collect()
    }

    /// A job with what it extends.
    fn job(&self, name: &str) -> Value {
        let own = &self.config[name];
        let mut job = self.config[own["extends"].as_str().unwrap()].clone();
        merge(&mut job, own);
        job
    }

    /// Runs a job's script in a folder, as a runner does: its variables, those of the project, which go before
    /// them, and the pipeline's.
    fn run(&self, name: &str, project: &Variables, folder: &Path) -> Output {
        self.run_job(&self.job(name), project, folder)
    }

    fn run_job(&self, job: &Value, project: &Variables, folder: &Path) -> Output {
        let lines = ["before_script", "script"].map(|part| job[part].as_array().unwrap().clone());
        let lines: Vec<String> =
            lines.concat().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        let temporary = format!("{}/", folder.display());
        let binary = self.bench.binary().parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut shell = self.bench.tool("bash").in_folder(folder).env("PATH", path);
        for (name, value) in job["variables"].as_object().unwrap() {
            shell = shell.env(name, value.as_str().unwrap().replace("/tmp/", &temporary));
        }
        for name in job["id_tokens"].as_object().unwrap().keys() {
            shell = shell.env(name, "head.body.sign");
        }
        for (name, value) in project {
            shell = shell.env(name, value);
        }
        let script = lines.join("\n").replace("/tmp/", &temporary);
        shell.args(["-eo", "pipefail", "-c", &script]).run()
    }
}

type Variables = BTreeMap<&'static str, &'static str>;

/// A rule of `rules`: `if`, of variables and texts that are equal, and `changes`, which GitLab knows of pushes
/// and merge requests alone: <https://docs.gitlab.com/ci/jobs/job_rules/>.
fn applies(rule: &Value, variables: &Variables, changed: &[&str]) -> bool {
    let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
    assert!(keys.iter().all(|key| ["if", "changes"].contains(&key.as_str())), "{keys:?}");
    let value = |term: &str| match term.strip_prefix('$') {
        Some(name) => variables.get(name).map(|text| (*text).to_owned()),
        None => Some(term.strip_prefix('"').unwrap().strip_suffix('"').unwrap().to_owned()),
    };
    let condition = rule["if"].as_str().unwrap();
    let is_so = condition.split(" && ").all(|part| {
        let (left, right) = part.split_once(" == ").unwrap();
        value(left) == value(right)
    });
    let changes = rule["changes"].as_array();
    let is_changed =
        |files: &Vec<Value>| files.iter().any(|file| changed.contains(&file.as_str().unwrap()));
    is_so && changes.is_none_or(is_changed)
}

/// As `extends` does: hashes are merged, all else is replaced.
fn merge(job: &mut Value, own: &Value) {
    for (name, value) in own.as_object().unwrap() {
        match (&mut job[name], value) {
            (place @ Value::Object(_), Value::Object(_)) => merge(place, value),
            (place, value) => *place = value.clone(),
        }
    }
}

/// A text of YAML, which is in the bench's folder after that.
fn yaml(bench: &Workbench, name: &str, text: &str) -> Value {
    let file = bench.folder().join(name);
    std::fs::write(&file, text).unwrap();
    let read = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let json = bench.tool("linters-python").args(["-c", read]).args([file]).succeed();
    serde_json::from_str(&json).unwrap()
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn gitlabs_schema_takes_it() {
    let Some(bench) = Workbench::with_tools("gitlab schema", &["linters-python"]) else { return };
    let check = |file: &Path| {
        let check = bench.tool("linters-python").args(["-m", "check_jsonschema"]);
        check.args(["--builtin-schema", "vendor.gitlab-ci"]).args([file]).run()
    };
    let inputs = json!({ "prefix": "registry.example.com/mirror/", "dry-run": true, "args": "-v" });
    for inputs in [json!({}), inputs] {
        let component = Component::new(&bench, &inputs);
        for file in [component.file, bench.folder().join("specification.yml")] {
            let checked = check(&file);
            assert_eq!(checked.code, Some(0), "{}: {checked:?}", file.display());
        }
    }
    // What it would not: a variable without a value.
    let wrong = bench.folder().join("wrong.yml");
    std::fs::write(&wrong, "job: { script: [ls], variables: { EMPTY: } }").unwrap();
    assert_ne!(check(&wrong).code, Some(0));
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn what_each_pipeline_may_do() {
    let Some(bench) = Workbench::with_tools("gitlab pipelines", &["linters-python"]) else {
        return;
    };
    let component = Component::new(&bench, &json!({}));
    let of = |source: &'static str, more: &[(&'static str, &'static str)]| {
        let known = [("CI_PIPELINE_SOURCE", source), ("CI_DEFAULT_BRANCH", "main")];
        Variables::from_iter(known.into_iter().chain(more.iter().copied()))
    };
    let (main, other) = ([("CI_COMMIT_BRANCH", "main")], [("CI_COMMIT_BRANCH", "change")]);
    let tag = [("CI_COMMIT_TAG", "main")];
    // Of a merge request there is no CI_COMMIT_BRANCH.
    let from = |project: &'static str| {
        [("CI_PROJECT_ID", "1"), ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", project)]
    };
    let (list, another) = ([FILE], ["README.md"]);
    let (plan, sync) = (vec!["image-syncer-plan"], vec!["image-syncer-sync"]);
    let mut cases = vec![
        (of("push", &main), &list[..], sync.clone()),
        (of("push", &main), &another, vec![]),
        (of("push", &other), &list, vec![]),
        (of("push", &tag), &list, vec![]),
        (of("schedule", &main), &[], sync.clone()),
        (of("schedule", &other), &[], vec![]),
        (of("schedule", &tag), &[], vec![]),
        (of("web", &main), &[], sync),
        (of("web", &other), &list, vec![]),
        (of("merge_request_event", &from("1")), &list, plan.clone()),
        (of("merge_request_event", &from("1")), &another, vec![]),
        // A fork's, which a member lets run in the project.
        (of("merge_request_event", &from("2")), &list, plan),
    ];
    for source in ["api", "chat", "external", "parent_pipeline", "pipeline", "trigger"] {
        cases.push((of(source, &main), &list, vec![]));
    }
    for (variables, changed, jobs) in cases {
        assert_eq!(component.jobs(&variables, changed), jobs, "{variables:?} {changed:?}");
    }

    let (plan, sync) = (component.job("image-syncer-plan"), component.job("image-syncer-sync"));
    assert_eq!(plan["environment"]["name"], "image-syncer/reader");
    assert!(plan["script"][0].as_str().unwrap().starts_with("image-syncer plan "));
    assert_eq!(sync["environment"]["name"], "image-syncer/writer");
    assert!(sync["resource_group"].is_string());
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn a_merge_request_plans_and_the_default_branch_writes() {
    let Some(bench) = Workbench::with_image_syncer("gitlab life", &TOOLS) else { return };
    let (source, target) = (bench.start(Kind::Serve), bench.start(Kind::Serve));
    let image = bench.images().small("amd64", "gitlab");
    bench.push(&image, &format!("{}/team/app:1", source.host()));
    let list = json!({
        "targetRepoPrefix": format!("{}/mirror/", target.host()),
        "images": [{ "source": format!("{}/team/app:1", source.host()) }],
    });
    let copy = format!("{}/mirror/{}/team/app", target.host(), source.host().replace(':', "_"));
    let tags = || bench.tool("crane").args(["ls", &copy]).run().stdout;
    let none = Variables::new();
    // A variable of the project goes before one of the job.
    let not_dry = Variables::from([("SYNCER_DRY_RUN", "false")]);
    let dry = Component::new(&bench, &json!({ "dry-run": true }));
    let wet = Component::new(&bench, &json!({}));
    for (number, (component, job, project, written)) in [
        (&wet, "image-syncer-plan", &none, ""),
        (&wet, "image-syncer-plan", &not_dry, ""),
        (&dry, "image-syncer-sync", &none, ""),
        (&dry, "image-syncer-sync", &not_dry, ""),
        (&wet, "image-syncer-sync", &none, "1\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = bench.folder().join(format!("job-{number}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(FILE), list.to_string()).unwrap();
        let ran = component.run(job, project, &folder);
        assert_eq!(ran.code, Some(0), "{job} {project:?}: {ran:?}");
        assert_eq!(tags(), written, "{job} {project:?}: {ran:?}");
        let artifacts = &component.job(job)["artifacts"];
        let mut files = artifacts["paths"].as_array().unwrap().clone();
        files.push(artifacts["reports"]["junit"].clone());
        let mode = |file: &str| {
            let metadata = std::fs::metadata(folder.join(file));
            metadata.unwrap_or_else(|_| panic!("{job} leaves {file}")).mode() & 0o777
        };
        let usual = mode(FILE);
        for file in files {
            let file = file.as_str().unwrap();
            assert_eq!(mode(file), usual, "{file}: who collects artifacts may be somebody else");
        }
        let token = folder.join("image-syncer-token");
        assert_eq!(mode("image-syncer-token"), 0o600, "a token is for nobody else");
        assert_eq!(std::fs::read_to_string(&token).unwrap(), "head.body.sign");
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn aws_sees_the_token_where_a_role_is_named() {
    let Some(bench) = Workbench::with_image_syncer("gitlab aws", &TOOLS) else { return };
    let component = Component::new(&bench, &json!({}));
    let mut job = component.job("image-syncer-plan");
    job["script"] = json!(["printf %s \"$AWS_WEB_IDENTITY_TOKEN_FILE\""]);
    let ours = bench.folder().join("image-syncer-token").display().to_string();
    let (role, own) = (("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"));
    let cases: [(&[(&str, &str)], &str); 4] =
        [(&[], ""), (&[role], &ours), (&[own], own.1), (&[role, own], own.1)];
    for (variables, expected) in cases {
        let project = variables.iter().copied().collect();
        let ran = component.run_job(&job, &project, bench.folder());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{variables:?}");
    }
}

#[test]
#[ignore = "needs tools: tests/tools/install"]
fn inputs_reach_the_program() {
    let Some(bench) = Workbench::with_tools("gitlab inputs", &["linters-python"]) else { return };
    let inputs = json!({
        "file": "lists/a.yaml", "stage": "mirror", "prefix": "r.example.com/m/", "kms-key": "awskms:///alias/k",
        "args": "--deadline 1h", "image": "r.example.com/i:1", "audience": "sts.amazonaws.com",
        "reader-environment": "r", "writer-environment": "w",
    });
    let component = Component::new(&bench, &inputs);
    let job = component.job("image-syncer-sync");
    for (name, value) in [
        ("SYNCER_IMAGES_FILE", "lists/a.yaml"),
        ("SYNCER_TARGET_REPO_PREFIX", "r.example.com/m/"),
        ("SYNCER_KMS_KEY", "awskms:///alias/k"),
    ] {
        assert_eq!(job["variables"][name], value, "{name}");
    }
    assert_eq!(job["stage"], "mirror");
    assert_eq!(job["image"]["name"], "r.example.com/i:1");
    assert_eq!(job["id_tokens"]["IMAGE_SYNCER_ID_TOKEN"]["aud"], "sts.amazonaws.com");
    assert_eq!(job["environment"]["name"], "w");
    assert_eq!(component.job("image-syncer-plan")["environment"]["name"], "r");
    assert!(job["script"][0].as_str().unwrap().ends_with(" --deadline 1h"));
    assert_eq!(job["rules"][2]["changes"][0], "lists/a.yaml");
}

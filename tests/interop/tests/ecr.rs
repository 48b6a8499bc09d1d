//! Repositories of ECR against moto's, with boto3 as an outsider that reads back what was set and edits it
//! by hand. Calls are counted by moto, not by us. What moto does not have (account settings, throttling)
//! is in crates/ecr/tests/calls.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider};
use interop::{Listening, Workbench};
use serde_json::{Value, json};

const TOOLS: [&str; 1] = ["key-services-python"];
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

/// moto, with what a test needs to work with it.
struct Moto {
    bench: Workbench,
    server: Listening,
}

impl Moto {
    fn start(suite: &str) -> Option<Self> {
        let bench = Workbench::with_tools(suite, &TOOLS)?;
        let mut command = bench.command("key-services-python");
        command
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONUNBUFFERED", "1")
            .env("MOTO_RECORDER_FILEPATH", bench.folder().join("requests"))
            // Who is not known is let in until a test turns IAM on.
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "1000000");
        Some(Self { server: Listening::start(command), bench })
    }

    /// The outsider.
    fn boto3(&self, command: &str, arguments: &[&str]) -> String {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/key-services/moto_ecr.py");
        self.bench
            .tool("key-services-python")
            .args([script.to_str().unwrap(), command, &self.server.url])
            .args(arguments)
            .succeed()
    }

    fn show(&self, region: &str, names: &[&str]) -> Value {
        serde_json::from_str(&self.boto3("show", &[&[region], names].concat())).unwrap()
    }

    /// Our run, with the calls of ECR that it made.
    fn run(&self, options: &[&str], region: &str, repositories: &[Value]) -> Run {
        self.run_as(options, region, repositories, ["testing", "testing"])
    }

    fn run_as(
        &self,
        options: &[&str],
        region: &str,
        repositories: &[Value],
        [id, secret]: [&str; 2],
    ) -> Run {
        self.boto3("record", &[]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_ecr-repositories"))
            .args(options)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_ENDPOINT_URL_ECR", &self.server.url)
            // No machine of a cloud is asked who we are.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // The region is the registry's, whatever else is said.
            .env("AWS_REGION", "ap-southeast-2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = json!({"account": ACCOUNT, "region": region, "repositories": repositories});
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let outcomes = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{shown}"));
        let calls = serde_json::from_str(&self.boto3("recorded", &[])).unwrap();
        Run { outcomes, calls }
    }
}

struct Run {
    outcomes: BTreeMap<String, Value>,
    calls: BTreeMap<String, u32>,
}

impl Run {
    fn changes(&self, name: &str) -> Vec<&str> {
        let changes = &self.outcomes[name]["changes"];
        let changes = changes.as_array().unwrap_or_else(|| panic!("{}", self.outcomes[name]));
        changes.iter().map(|change| change.as_str().unwrap()).collect()
    }

    /// The calls that change something.
    fn writes(&self) -> BTreeMap<&str, u32> {
        let is_reading = |action: &str| {
            ["Describe", "Get", "List"].iter().any(|start| action.starts_with(start))
        };
        let calls = self.calls.iter().map(|(action, count)| (action.as_str(), *count));
        calls.filter(|(action, _)| !is_reading(action)).collect()
    }
}

fn permission(action: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "AllowPull",
        "Effect": "Allow",
        "Principal": {"AWS": ["444455556666", "arn:aws:iam::111122223333:root"]},
        "Action": action,
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
    }]})
}

fn lifecycle() -> Value {
    json!({"rules": [
        {
            "rulePriority": 1,
            "description": "releases",
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*", "*-lts"],
                "countType": "imageCountMoreThan",
                "countNumber": 10,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 7,
            },
            "action": {"type": "expire"},
        },
    ]})
}

/// What seed files say: a folder of ten.
fn ten() -> Vec<Value> {
    let pull = json!(["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]);
    let mut ten: Vec<Value> = (0..10)
        .map(|number| {
            json!({
                "name": format!("team/app-{number}"),
                "permissionPolicy": permission(&pull),
                "lifecyclePolicy": lifecycle(),
                "resourceTags": {"team": "a", "number": number.to_string()},
                "immutableExcept": ["latest"],
                "scanOnPush": true,
            })
        })
        .collect();
    ten[7] = json!({"name": "team/app-7"});
    ten[8] = json!({"name": "team/app-8", "immutableExcept": [], "creationOnly": true});
    ten[9]["kmsKey"] = json!("arn:aws:kms:eu-west-1:123456789012:key/1234abcd");
    ten
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn a_folder_of_ten_is_made_and_then_left_alone() {
    let Some(moto) = Moto::start("ecr ten") else { return };
    let ten = ten();

    let plan = moto.run(&["--dry-run"], REGION, &ten);
    assert_eq!(plan.writes(), BTreeMap::new(), "a dry run only reads");
    assert!(plan.changes("team/app-0")[0].contains("+ mutability: immutable except `latest`"));
    assert!(plan.outcomes.values().all(|outcome| outcome["problems"] == json!([])));

    let first = moto.run(&[], REGION, &ten);
    let expected =
        [("CreateRepository", 10), ("PutLifecyclePolicy", 8), ("SetRepositoryPolicy", 8)];
    assert_eq!(first.writes(), expected.into());
    for (name, outcome) in &first.outcomes {
        assert_eq!(outcome["applied"], plan.changes(name).len(), "{outcome}");
    }

    let shown = moto.show(REGION, &["team/app-0", "team/app-7", "team/app-8", "team/app-9"]);
    assert_eq!(
        shown["team/app-0"],
        json!({
            "arn": "arn:aws:ecr:eu-west-1:123456789012:repository/team/app-0",
            "mutability": "IMMUTABLE_WITH_EXCLUSION",
            "exceptions": ["latest"],
            "scanOnPush": true,
            "encryption": {"encryptionType": "AES256"},
            "tags": {"team": "a", "number": "0"},
            "permissionPolicy": ten[0]["permissionPolicy"],
            "lifecyclePolicy": ten[0]["lifecyclePolicy"],
        })
    );
    assert_eq!(shown["team/app-7"]["mutability"], "MUTABLE");
    assert_eq!(shown["team/app-7"]["permissionPolicy"], Value::Null);
    assert_eq!(shown["team/app-8"]["mutability"], "IMMUTABLE");
    assert_eq!(
        shown["team/app-9"]["encryption"],
        json!({"encryptionType": "KMS", "kmsKey": ten[9]["kmsKey"]})
    );

    let second = moto.run(&[], REGION, &ten);
    assert_eq!(second.writes(), BTreeMap::new(), "nothing is left to do");
    let expected = [
        ("DescribeRepositories", 1),
        ("GetLifecyclePolicy", 9),
        ("GetRepositoryPolicy", 9),
        ("ListTagsForResource", 8),
    ];
    let expected: BTreeMap<String, u32> =
        expected.into_iter().map(|(action, count)| (action.to_owned(), count)).collect();
    assert_eq!(second.calls, expected);
    for outcome in second.outcomes.values() {
        assert_eq!((&outcome["changes"], &outcome["notes"]), (&json!([]), &json!([])));
    }
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn what_was_edited_by_hand_is_shown_and_put_back() {
    let Some(moto) = Moto::start("ecr edited") else { return };
    let ten = ten();
    moto.run(&[], REGION, &ten);
    let put = |name: &str, kind: &str, text: &str| {
        moto.boto3("put", &[REGION, name, kind, text]);
    };
    // Somebody gives away more than the file does.
    let edited = permission(&json!(["ecr:GetDownloadUrlForLayer", "ecr:*"]));
    put("team/app-1", "permission", &edited.to_string());
    // What the console and AWS make of the same meaning.
    put(
        "team/app-2",
        "permission",
        r#"{
          "Version" : "2012-10-17",
          "Statement" : [ {
            "Condition" : { "StringEquals" : { "aws:PrincipalOrgID" : [ "o-1" ] } },
            "Action" : [ "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ],
            "Principal" : { "AWS" : [ "111122223333", "arn:aws:iam::444455556666:root" ] },
            "Effect" : "Allow",
            "Sid" : "AllowPull"
          } ]
        }"#,
    );
    put(
        "team/app-3",
        "lifecycle",
        r#"{"rules":[
          {"action":{"type":"expire"},
           "selection":{"countNumber":7,"countUnit":"days","countType":"sinceImagePushed",
                        "tagStatus":"untagged"},
           "rulePriority":2},
          {"selection":{"tagPatternList":["*-lts","v*"],"countNumber":10,
                        "countType":"imageCountMoreThan","tagStatus":"tagged"},
           "description":"releases","action":{"type":"expire"},"rulePriority":1}
        ]}"#,
    );
    // A tag of ours is changed, and one of somebody else's comes along.
    moto.boto3("tag", &[REGION, "team/app-4", "team", "b"]);
    moto.boto3("tag", &[REGION, "team/app-4", "cost-center", "42"]);
    // Policies where the file has none.
    for name in ["team/app-7", "team/app-8"] {
        put(name, "permission", &edited.to_string());
    }

    let run = moto.run(&[], REGION, &ten);
    let expected = [("SetRepositoryPolicy", 1), ("TagResource", 1)];
    assert_eq!(run.writes(), expected.into());
    let [change] = run.changes("team/app-1")[..] else { panic!("{:?}", run.outcomes) };
    let lines: Vec<&str> = change
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("  +"))
        .map(|line| line.trim_start_matches(' '))
        .collect();
    assert!(change.starts_with("~ permission policy"), "{change}");
    assert_eq!(lines, [r#"-         "ecr:*","#, r#"+         "ecr:BatchGetImage","#], "{change}");
    assert_eq!(run.changes("team/app-4"), ["~ tags\n  - team=b\n  + team=a"]);
    let note = run.outcomes["team/app-7"]["notes"][0].as_str().unwrap();
    assert!(note.contains("--prune-policies"), "{note}");
    assert_eq!(run.outcomes["team/app-8"]["notes"], json!([]));

    let shown = moto.show(REGION, &["team/app-1", "team/app-4", "team/app-7", "team/app-8"]);
    assert_eq!(shown["team/app-1"]["permissionPolicy"], ten[1]["permissionPolicy"]);
    let tags = json!({"team": "a", "number": "4", "cost-center": "42"});
    assert_eq!(shown["team/app-4"]["tags"], tags);
    assert_eq!(shown["team/app-7"]["permissionPolicy"], edited);

    let pruned = moto.run(&["--prune-policies"], REGION, &ten);
    assert_eq!(pruned.writes(), [("DeleteRepositoryPolicy", 1)].into());
    let shown = moto.show(REGION, &["team/app-7", "team/app-8"]);
    assert_eq!(shown["team/app-7"]["permissionPolicy"], Value::Null);
    // Only its creation was wanted.
    assert_eq!(shown["team/app-8"]["permissionPolicy"], edited);
    assert_eq!(moto.run(&["--prune-policies"], REGION, &ten).writes(), BTreeMap::new());
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn a_few_missing_among_many_cost_a_call_each() {
    let Some(moto) = Moto::start("ecr many") else { return };
    let names: Vec<String> = (0..150).map(|number| format!("many/r{number:03}")).collect();
    let missing = [7, 99, 149];
    let there: Vec<&str> = names
        .iter()
        .enumerate()
        .filter(|(number, _)| !missing.contains(number))
        .map(|(_, name)| name.as_str())
        .collect();
    moto.boto3("create", &[&[REGION], &there[..]].concat());
    let wanted: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "creationOnly": true})).collect();
    let run = moto.run(&[], REGION, &wanted);
    assert_eq!(run.calls["DescribeRepositories"], 5);
    assert_eq!(run.writes(), [("CreateRepository", 3)].into());
    let again = moto.run(&[], REGION, &wanted);
    assert_eq!(again.calls, [("DescribeRepositories".to_owned(), 2)].into());
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn whoever_creates_it_first_it_is_as_wanted_in_the_end() {
    let Some(moto) = Moto::start("ecr race") else { return };
    let registry = oci::EcrRegistry::new(ACCOUNT, REGION).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let credentials = Credentials::new("testing", "testing", None, None, "test");
    let config = aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(&moto.server.url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let client = ecr::Client::new(&config, registry, ecr::Options::default());
    let wanted = ecr::Wanted {
        scan_on_push: Some(true),
        mutability: Some(ecr::Mutability::Immutable { except: vec![] }),
        lifecycle_policy: Some(lifecycle()),
        ..ecr::Wanted::new("team/raced".parse().unwrap())
    };
    runtime.block_on(async {
        let observed = client.observe(std::slice::from_ref(&wanted)).await;
        assert_eq!(observed[&wanted.name], Ok(None));
        let difference = ecr::diff(&wanted, None, false);
        moto.boto3("create", &[REGION, "team/raced"]);
        let applied = client.writer().apply(&wanted, &difference.changes).await.unwrap();
        assert!(!applied.is_created());
        assert_eq!(applied.changes.len(), 3, "{applied:?}");
    });
    let shown = moto.show(REGION, &["team/raced"]);
    assert_eq!(shown["team/raced"]["mutability"], "IMMUTABLE");
    assert_eq!(shown["team/raced"]["scanOnPush"], true);
    assert_eq!(shown["team/raced"]["lifecyclePolicy"], lifecycle());
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn gov_cloud_has_its_own_arns() {
    let Some(moto) = Moto::start("ecr gov") else { return };
    let region = "us-gov-west-1";
    let wanted = [json!({
        "name": "team/app",
        "permissionPolicy": permission(&json!("ecr:BatchGetImage")),
        "resourceTags": {"team": "a"},
    })];
    moto.run(&[], region, &wanted);
    moto.boto3("tag", &[region, "team/app", "team", "b"]);
    let text = permission(&json!("ecr:BatchGetImage")).to_string();
    let there = text.replace("\"444455556666\"", "\"arn:aws-us-gov:iam::444455556666:root\"");
    moto.boto3("put", &[region, "team/app", "permission", &there]);
    let again = moto.run(&[], region, &wanted);
    assert_eq!(again.changes("team/app"), ["~ tags\n  - team=b\n  + team=a"]);
    let shown = moto.show(region, &["team/app"]);
    assert_eq!(shown["team/app"]["tags"], json!({"team": "a"}));
    assert_eq!(
        shown["team/app"]["arn"],
        "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/team/app"
    );
}

#[test]
#[ignore = "needs moto: tests/tools/install"]
fn who_may_not_is_told_what_is_missing() {
    let Some(moto) = Moto::start("ecr denied") else { return };
    let key: Value = serde_json::from_str(&moto.boto3("user", &[])).unwrap();
    let [id, secret] = ["id", "secret"].map(|name| key[name].as_str().unwrap());
    let wanted = [json!({"name": "team/app"})];
    let run = moto.run_as(&[], REGION, &wanted, [id, secret]);
    let outcome = &run.outcomes["team/app"];
    assert_eq!(outcome["class"], "denied", "{outcome}");
    assert!(outcome["error"].as_str().unwrap().starts_with("team/app: ecr:CreateRepository"));
    assert!(outcome["hint"].as_str().unwrap().contains("allow ecr:CreateRepository"), "{outcome}");

    let run = moto.run_as(&[], REGION, &wanted, ["AKIAUNKNOWN", "nothing"]);
    let outcome = &run.outcomes["team/app"];
    assert_eq!(outcome["class"], "denied", "{outcome}");
}

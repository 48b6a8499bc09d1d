//! `ecr-repositories [--dry-run] [--prune-policies] < WANTED`: what the crate `ecr` does, in a process of its
//! own, so that AWS's SDK sees the environment that a test gives. Reads JSON,
//! `{"account", "region", "repositories": [{"name", "lifecyclePolicy", …}]}`, and prints for each
//! repository its changes and notes, and why it is not as wanted.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "test code")]

use std::io::Read;

use aws_config::BehaviorVersion;
use ecr::{Client, Encryption, Error, Mutability, Options, Wanted, check, diff};
use oci::EcrRegistry;
use serde_json::{Map, Value, json};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_asked = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let input: Value = serde_json::from_str(&text).unwrap();
    let [account, region] = ["account", "region"].map(|name| input[name].as_str().unwrap());
    let all: Vec<Wanted> = input["repositories"].as_array().unwrap().iter().map(wanted).collect();

    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let registry = EcrRegistry::new(account, region).unwrap();
    let prune_policies = is_asked("--prune-policies");
    let client = Client::new(&config, registry, Options { prune_policies, ..Options::default() });
    let mut observed = client.observe(&all).await;
    let mut output = Map::new();
    for wanted in &all {
        let problems: Vec<String> = check(wanted).iter().map(ToString::to_string).collect();
        let outcome = match observed.remove(&wanted.name).unwrap() {
            Err(error) => failure(&error),
            Ok(observed) => {
                let difference = diff(wanted, observed.as_ref(), prune_policies);
                let mut outcome = json!({
                    "changes": texts(&difference.changes),
                    "notes": texts(&difference.notes),
                    "problems": problems,
                });
                if !is_asked("--dry-run") {
                    match client.writer().apply(wanted, &difference.changes).await {
                        Ok(applied) => outcome["applied"] = applied.changes.len().into(),
                        Err(incomplete) => outcome = failure(&incomplete.error),
                    }
                }
                outcome
            }
        };
        output.insert(wanted.name.to_string(), outcome);
    }
    println!("{}", Value::Object(output));
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn failure(error: &Error) -> Value {
    json!({"error": error.to_string(), "class": error.class(), "hint": error.hint()})
}

fn wanted(entry: &Value) -> Wanted {
    let some = |name: &str| Some(&entry[name]).filter(|value| !value.is_null());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tags = some("resourceTags").and_then(Value::as_object).into_iter().flatten();
    Wanted {
        lifecycle_policy: some("lifecyclePolicy").cloned(),
        permission_policy: some("permissionPolicy").cloned(),
        resource_tags: tags.map(|(key, value)| (key.clone(), text(value))).collect(),
        mutability: some("immutableExcept").map(|except| {
            let except = except.as_array().unwrap().iter().map(text).collect();
            Mutability::Immutable { except }
        }),
        scan_on_push: some("scanOnPush").and_then(Value::as_bool),
        encryption: some("kmsKey").map(|key| Encryption::Kms { key: Some(text(key)) }),
        creation_only: entry["creationOnly"] == true,
        ..Wanted::new(entry["name"].as_str().unwrap().parse().unwrap())
    }
}

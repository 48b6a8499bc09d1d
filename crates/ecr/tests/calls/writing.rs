//! What is sent where something is changed, in which order, and what is made of refusals.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fake::{ACCOUNT, FakeEcr, description, refusal, with};
use ecr::{
    Applied, Encryption, ErrorClass, Incomplete, Mutability, Options, Wanted, Writer, diff,
    wanted_blob_mounting,
};
use serde_json::{Value, json};

fn wanted(change: impl FnOnce(&mut Wanted)) -> Wanted {
    let mut wanted = Wanted::new("team/app".parse().unwrap());
    change(&mut wanted);
    wanted
}

fn everything() -> Wanted {
    wanted(|wanted| {
        let except = vec!["latest".to_owned(), "*-dev".to_owned()];
        wanted.mutability = Some(Mutability::Immutable { except });
        wanted.scan_on_push = Some(true);
        wanted.encryption = Some(Encryption::Kms { key: Some("alias/mirror".to_owned()) });
        wanted.resource_tags = [("team".to_owned(), "a".to_owned())].into();
        wanted.permission_policy = Some(json!({"Statement": []}));
        wanted.lifecycle_policy = Some(json!({"rules": []}));
    })
}

async fn create(writer: &Writer, wanted: &Wanted) -> Result<Applied, Incomplete> {
    writer.apply(wanted, &diff(wanted, None, false).changes).await
}

fn actions(fake: &FakeEcr) -> Vec<String> {
    fake.calls().into_iter().map(|(action, _)| action).collect()
}

#[tokio::test]
async fn a_repository_is_created_with_all_that_protects_it() {
    let fake = FakeEcr::start(|_, _| (200, json!({}))).await;
    let writer = fake.client(Options::default()).writer();
    let applied = create(&writer, &everything()).await.unwrap();
    assert!(applied.is_created());
    assert_eq!((applied.changes.len(), applied.policies()), (3, 2));
    let expected = [
        (
            "CreateRepository",
            json!({
                "registryId": ACCOUNT,
                "repositoryName": "team/app",
                "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [
                    {"filterType": "WILDCARD", "filter": "latest"},
                    {"filterType": "WILDCARD", "filter": "*-dev"},
                ],
                "imageScanningConfiguration": {"scanOnPush": true},
                "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/mirror"},
                "tags": [{"Key": "team", "Value": "a"}],
            }),
        ),
        (
            "SetRepositoryPolicy",
            json!({
                "registryId": ACCOUNT,
                "repositoryName": "team/app",
                "policyText": "{\"Statement\":[]}",
            }),
        ),
        (
            "PutLifecyclePolicy",
            json!({
                "registryId": ACCOUNT,
                "repositoryName": "team/app",
                "lifecyclePolicyText": "{\"rules\":[]}",
            }),
        ),
    ];
    assert_eq!(fake.calls(), expected.map(|(action, input)| (action.to_owned(), input)));
}

#[tokio::test]
async fn what_nobody_wants_is_not_sent() {
    let fake = FakeEcr::start(|_, _| (200, json!({}))).await;
    let writer = fake.client(Options::default()).writer();
    create(&writer, &wanted(|_| ())).await.unwrap();
    let plain = json!({"registryId": ACCOUNT, "repositoryName": "team/app"});
    assert_eq!(fake.calls(), [("CreateRepository".to_owned(), plain)]);
}

#[tokio::test]
async fn exceptions_are_put_and_taken_away() {
    let fake = FakeEcr::start(|action, input| match action {
        "DescribeRepositories" => {
            let mut description = description("team/app");
            description["imageTagMutability"] = json!("IMMUTABLE");
            (200, json!({"repositories": [description]}))
        }
        _ => with(&[], action, input),
    })
    .await;
    let client = fake.client(Options::default());
    for (mutability, value, filters) in [
        (
            Mutability::Immutable { except: vec!["v*".to_owned()] },
            "IMMUTABLE_WITH_EXCLUSION",
            json!([{"filterType": "WILDCARD", "filter": "v*"}]),
        ),
        (
            Mutability::Mutable { except: vec!["v*".to_owned()] },
            "MUTABLE_WITH_EXCLUSION",
            json!([{"filterType": "WILDCARD", "filter": "v*"}]),
        ),
        (Mutability::Mutable { except: vec![] }, "MUTABLE", Value::Null),
    ] {
        let wanted = wanted(|wanted| wanted.mutability = Some(mutability));
        let observed = client.observe(std::slice::from_ref(&wanted)).await;
        let observed = observed[&wanted.name].as_ref().unwrap();
        let difference = diff(&wanted, observed.as_ref(), false);
        client.writer().apply(&wanted, &difference.changes).await.unwrap();
        let input = fake.inputs("PutImageTagMutability").pop().unwrap();
        assert_eq!(input["imageTagMutability"], value);
        assert_eq!(input["imageTagMutabilityExclusionFilters"], filters);
        assert_eq!(input["registryId"], ACCOUNT);
    }
}

#[tokio::test]
async fn who_comes_second_compares_anew() {
    // Somebody created it after we had looked, with a tag that is ours to change.
    let fake = FakeEcr::start(|action, input| match action {
        "CreateRepository" => refusal("RepositoryAlreadyExistsException", "it already exists"),
        "DescribeRepositories" => {
            let mut description = description("team/app");
            description["imageScanningConfiguration"] = json!({"scanOnPush": true});
            (200, json!({"repositories": [description]}))
        }
        "ListTagsForResource" => (200, json!({"tags": [{"Key": "team", "Value": "b"}]})),
        _ => with(&[], action, input),
    })
    .await;
    let writer = fake.client(Options::default()).writer();
    let applied = create(&writer, &everything()).await.unwrap();
    assert!(!applied.is_created());
    // AES256, and the file says KMS.
    assert_eq!(applied.notes.len(), 1);
    let writes: Vec<String> =
        actions(&fake).into_iter().filter(|action| !is_reading(action)).collect();
    let expected = [
        "CreateRepository",
        "PutImageTagMutability",
        "TagResource",
        "SetRepositoryPolicy",
        "PutLifecyclePolicy",
    ];
    assert_eq!(writes, expected);
    let tagged = &fake.inputs("TagResource")[0];
    assert_eq!(tagged["resourceArn"], "arn:aws:ecr:eu-west-1:123456789012:repository/team/app");
    assert_eq!(tagged["tags"], json!([{"Key": "team", "Value": "a"}]));

    // Where only the creation was wanted, nothing else is done to it.
    let before = fake.calls().len();
    let wanted = Wanted { creation_only: true, ..everything() };
    let applied = create(&writer, &wanted).await.unwrap();
    assert_eq!(applied, Applied::default());
    assert_eq!(actions(&fake)[before..], ["CreateRepository", "DescribeRepositories"]);
}

fn is_reading(action: &str) -> bool {
    ["Describe", "Get", "List"].iter().any(|start| action.starts_with(start))
}

#[tokio::test]
async fn nothing_is_done_after_a_failure() {
    let fake = FakeEcr::start(|action, _| match action {
        "SetRepositoryPolicy" => refusal(
            "InvalidParameterException",
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Principal not found'",
        ),
        _ => (200, json!({})),
    })
    .await;
    let writer = fake.client(Options::default()).writer();
    let incomplete = create(&writer, &everything()).await.unwrap_err();
    assert!(incomplete.applied.is_created());
    assert_eq!(incomplete.applied.policies(), 0);
    assert_eq!(incomplete.error.class(), ErrorClass::Failed);
    assert_eq!(incomplete.error.repository().unwrap().as_str(), "team/app");
    assert!(incomplete.error.hint().unwrap().contains("permissionPolicy"), "{incomplete:?}");
    // No lifecycle policy, which deletes images, where it is not settled who may see them.
    assert_eq!(actions(&fake), ["CreateRepository", "SetRepositoryPolicy"]);
}

#[tokio::test]
async fn a_policy_is_removed_only_where_that_was_asked_for() {
    let fake = FakeEcr::start(|action, input| match action {
        "GetRepositoryPolicy" => (200, json!({"policyText": "{\"Statement\":[]}"})),
        // Somebody else is faster.
        "DeleteLifecyclePolicy" => refusal("LifecyclePolicyNotFoundException", "none"),
        "GetLifecyclePolicy" => (200, json!({"lifecyclePolicyText": "{\"rules\":[]}"})),
        _ => with(&["team/app".to_owned()], action, input),
    })
    .await;
    let wanted = wanted(|_| ());
    for (prune_policies, writes) in
        [(false, &[][..]), (true, &["DeleteLifecyclePolicy", "DeleteRepositoryPolicy"])]
    {
        let client = fake.client(Options { prune_policies, ..Options::default() });
        let observed = client.observe(std::slice::from_ref(&wanted)).await;
        let observed = observed[&wanted.name].as_ref().unwrap();
        let difference = diff(&wanted, observed.as_ref(), prune_policies);
        assert_eq!(difference.notes.len(), if prune_policies { 0 } else { 2 });
        client.writer().apply(&wanted, &difference.changes).await.unwrap();
        let written: Vec<String> =
            actions(&fake).into_iter().filter(|action| !is_reading(action)).collect();
        assert_eq!(written, writes);
    }
}

#[tokio::test]
async fn a_throttled_action_waits_and_the_others_do_not() {
    let creations = AtomicUsize::new(0);
    let fake = FakeEcr::start(move |action, input| match action {
        "CreateRepository" => match creations.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => refusal("ThrottlingException", "Rate exceeded"),
            // Without one of AWS's codes, as from what stands before it.
            2 => (429, json!("slow down")),
            _ => (200, json!({})),
        },
        _ => with(&["team/app".to_owned()], action, input),
    })
    .await;
    let client = fake.client(Options::default());
    let wanted = wanted(|_| ());
    create(&client.writer(), &wanted).await.unwrap();
    assert_eq!(fake.inputs("CreateRepository").len(), 4);
    let waited = fake.clock.waited();
    assert!(waited > Duration::from_millis(1), "{waited:?}");
    // Another action does not wait for it.
    client.observe(std::slice::from_ref(&wanted)).await;
    assert_eq!(fake.clock.waited(), waited);
}

#[tokio::test]
async fn who_is_throttled_for_long_is_told_so() {
    let fake = FakeEcr::start(|_, _| refusal("ThrottlingException", "Rate exceeded")).await;
    let wanted = wanted(|_| ());
    let error = create(&fake.client(Options::default()).writer(), &wanted).await.unwrap_err().error;
    assert_eq!(error.class(), ErrorClass::Throttled);
    assert!(error.hint().unwrap().contains("MAX_PARALLEL_OPERATIONS"), "{error:?}");
    // Tried again by the SDK and by nobody else.
    assert_eq!(fake.calls().len(), 10);
}

#[tokio::test]
async fn blob_mounting_is_set_for_the_whole_registry() {
    // GetAccountSetting and PutAccountSetting are not in moto; their definition is that of the API.
    let fake = FakeEcr::start(|action, input| match action {
        "DescribeRegistry" => (200, json!({"registryId": ACCOUNT})),
        "GetAccountSetting" => (200, json!({"name": input["name"].clone(), "value": "DISABLED"})),
        "PutAccountSetting" => (200, input.clone()),
        other => panic!("{other}"),
    })
    .await;
    let client = fake.client(Options::default());
    let all = [wanted(|_| ()), wanted(|wanted| wanted.blob_mounting = Some(true))];
    let enabled = wanted_blob_mounting(&all).unwrap().unwrap();
    assert_eq!(client.blob_mounting(false).await.unwrap(), None);
    let change = client.blob_mounting(enabled).await.unwrap().unwrap();
    assert_eq!(change.to_string(), "~ blob mounting, in the whole registry: no → yes");
    assert_eq!(fake.inputs("PutAccountSetting"), [Value::Null; 0]);
    client.writer().apply_blob_mounting(change).await.unwrap();
    let sent = json!({"name": "BLOB_MOUNTING", "value": "ENABLED"});
    assert_eq!(fake.inputs("PutAccountSetting"), [sent]);
    assert_eq!(fake.inputs("GetAccountSetting")[0], json!({"name": "BLOB_MOUNTING"}));
}

#[tokio::test]
async fn a_setting_of_another_account_is_left_alone() {
    let fake = FakeEcr::start(|action, _| match action {
        "DescribeRegistry" => (200, json!({"registryId": "999999999999"})),
        "GetAccountSetting" => (200, json!({"value": "DISABLED"})),
        other => panic!("{other}"),
    })
    .await;
    let error = fake.client(Options::default()).blob_mounting(true).await.unwrap_err();
    assert!(error.to_string().contains("of account 999999999999"), "{error}");
    assert!(error.hint().unwrap().contains(ACCOUNT), "{error:?}");
}

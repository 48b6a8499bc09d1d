//! What is asked for, how often, and what is made of the answers.

use std::sync::Arc;

use crate::fake::{ACCOUNT, FakeEcr, names, not_found, refusal, with};
use ecr::{ErrorClass, Mutability, Observed, Options, Seen, Wanted};
use oci::Repository;
use proptest::prelude::*;
use serde_json::json;

fn repositories(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("team/r{number:03}")).collect()
}

/// Only whether they exist is asked.
fn creations(names: &[String]) -> Vec<Wanted> {
    let creation =
        |name: &String| Wanted { creation_only: true, ..Wanted::new(name.parse().unwrap()) };
    names.iter().map(creation).collect()
}

fn name(name: &str) -> Repository {
    name.parse().unwrap()
}

/// Looks at `asked` where `there` are, and checks the answer; the number of calls.
async fn calls_for(asked: &[String], there: Vec<String>) -> usize {
    let expected = there.clone();
    let fake = FakeEcr::start(move |action, input| {
        if action == "DescribeRepositories" {
            assert!(names(input).len() <= 100, "more than a call takes");
            assert_eq!(input["registryId"], ACCOUNT);
        }
        with(&there, action, input)
    })
    .await;
    let client = fake.client(Options::default());
    let observed = client.observe(&creations(asked)).await;
    assert_eq!(observed.len(), asked.len());
    for (name, found) in observed {
        let is_there = expected.iter().any(|there| there == name.as_str());
        assert_eq!(found.unwrap().is_some(), is_there, "{name}");
    }
    fake.calls().len()
}

#[tokio::test]
async fn a_hundred_repositories_cost_one_call() {
    let all = repositories(150);
    assert_eq!(calls_for(&all[..0], vec![]).await, 0);
    assert_eq!(calls_for(&all[..100], all.clone()).await, 1);
    assert_eq!(calls_for(&all, all.clone()).await, 2);
    // Each missing one costs a call more.
    let without_two: Vec<String> = all
        .iter()
        .enumerate()
        .filter(|(n, _)| ![17, 120].contains(n))
        .map(|(_, r)| r.clone())
        .collect();
    assert_eq!(calls_for(&all, without_two).await, 4);
    // Where all are missing, as on a first run: one each.
    assert_eq!(calls_for(&all, vec![]).await, 150);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_missing_is_found_in_few_calls(there in prop::collection::vec(any::<bool>(), 1..40)) {
        let all = repositories(there.len());
        let kept: Vec<String> =
            all.iter().zip(&there).filter(|(_, there)| **there).map(|(name, _)| name.clone()).collect();
        let (count, missing) = (all.len(), all.len() - kept.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let calls = runtime.block_on(calls_for(&all, kept));
        prop_assert!(calls <= (2 * missing + 1).min(2 * count - 1).max(1), "{calls} calls, {missing} of {count}");
    }
}

#[tokio::test]
async fn a_message_that_names_nobody_is_no_riddle() {
    let all = repositories(20);
    let there = all[..13].to_vec();
    let fake = FakeEcr::start(move |action, input| {
        let answer = with(&there, action, input);
        if answer.0 == 400 { refusal("RepositoryNotFoundException", "not found") } else { answer }
    })
    .await;
    let observed = fake.client(Options::default()).observe(&creations(&all)).await;
    let found: Vec<&Repository> = observed
        .iter()
        .filter(|(_, found)| found.as_ref().unwrap().is_some())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(found.len(), 13);
    assert_eq!(found[12].as_str(), "team/r012");
}

#[tokio::test]
async fn one_that_we_may_not_see_does_not_hide_the_others() {
    let all = repositories(5);
    let there = all.clone();
    let fake = FakeEcr::start(move |action, input| {
        if names(input).iter().any(|name| name == "team/r003") {
            return refusal(
                "AccessDeniedException",
                "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: \
                 ecr:DescribeRepositories on resource: \
                 arn:aws:ecr:eu-west-1:123456789012:repository/team/r003 because no policy allows it",
            );
        }
        with(&there, action, input)
    })
    .await;
    let observed = fake.client(Options::default()).observe(&creations(&all)).await;
    let denied = observed[&name("team/r003")].as_ref().unwrap_err();
    assert_eq!(denied.class(), ErrorClass::Denied);
    assert_eq!(denied.action(), "ecr:DescribeRepositories");
    assert!(denied.hint().unwrap().contains("allow ecr:DescribeRepositories"), "{denied:?}");
    assert_eq!(denied.repository(), Some(&name("team/r003")));
    assert_eq!(observed.values().filter(|found| found.is_ok()).count(), 4);
    assert_eq!(fake.calls().len(), 2);
}

#[tokio::test]
async fn credentials_that_are_refused_fail_all_with_one_call() {
    let fake =
        FakeEcr::start(|_, _| refusal("ExpiredTokenException", "The security token is expired"))
            .await;
    let observed = fake.client(Options::default()).observe(&creations(&repositories(30))).await;
    assert_eq!(fake.calls().len(), 1);
    for error in observed.values().map(|found| found.as_ref().unwrap_err()) {
        assert_eq!(error.class(), ErrorClass::Denied);
        assert!(error.hint().unwrap().contains("expired"), "{error:?}");
    }
}

#[tokio::test]
async fn a_repository_is_what_aws_says_it_is() {
    let fake = FakeEcr::start(|action, input| match action {
        "DescribeRepositories" => {
            let mut description = crate::fake::description("team/app");
            description["imageTagMutability"] = json!("IMMUTABLE_WITH_EXCLUSION");
            description["imageTagMutabilityExclusionFilters"] =
                json!([{"filterType": "WILDCARD", "filter": "latest"}]);
            description["imageScanningConfiguration"] = json!({"scanOnPush": true});
            let key = "arn:aws:kms:eu-west-1:123456789012:key/1";
            description["encryptionConfiguration"] =
                json!({"encryptionType": "KMS", "kmsKey": key});
            (200, json!({"repositories": [description]}))
        }
        "GetRepositoryPolicy" => (200, json!({"policyText": "{\"Version\":\"2012-10-17\"}"})),
        "GetLifecyclePolicy" => refusal("LifecyclePolicyNotFoundException", "none"),
        "ListTagsForResource" => {
            assert_eq!(
                input["resourceArn"],
                "arn:aws:ecr:eu-west-1:123456789012:repository/team/app"
            );
            (200, json!({"tags": [{"Key": "team", "Value": "a"}]}))
        }
        other => panic!("{other}"),
    })
    .await;
    let client = fake.client(Options::default());
    let mut wanted = Wanted::new(name("team/app"));
    wanted.resource_tags.insert("team".to_owned(), "b".to_owned());
    let observe = async |wanted: &Wanted| -> Observed {
        let observed = client.observe(std::slice::from_ref(wanted)).await;
        observed[&wanted.name].clone().unwrap().unwrap()
    };
    let observed = observe(&wanted).await;
    assert_eq!(observed.mutability, Mutability::Immutable { except: vec!["latest".to_owned()] });
    assert!(observed.scan_on_push);
    assert_eq!(
        observed.encryption.to_string(),
        "KMS with `arn:aws:kms:eu-west-1:123456789012:key/1`"
    );
    assert_eq!(observed.permission_policy, Seen::Present(json!({"Version": "2012-10-17"})));
    assert_eq!(observed.lifecycle_policy, Seen::Absent);
    let tags = [("team".to_owned(), "a".to_owned())].into();
    assert_eq!(observed.resource_tags, Seen::Present(tags));
    assert_eq!(fake.calls().len(), 4);

    // Tags that no file has are not asked for, and of one that is only to be created nothing is.
    wanted.resource_tags.clear();
    assert_eq!(observe(&wanted).await.resource_tags, Seen::Unknown);
    assert_eq!(fake.calls().len(), 7);
    wanted.creation_only = true;
    assert_eq!(observe(&wanted).await.permission_policy, Seen::Unknown);
    assert_eq!(fake.calls().len(), 8);
}

#[tokio::test]
async fn a_policy_that_nobody_wants_may_be_hidden_from_us() {
    let fake = FakeEcr::start(|action, input| match action {
        "GetRepositoryPolicy" | "GetLifecyclePolicy" => refusal("AccessDeniedException", "no"),
        _ => with(&["aa".to_owned()], action, input),
    })
    .await;
    let wanted = Wanted::new(name("aa"));
    let look = async |wanted: &Wanted, prune_policies| {
        let client = fake.client(Options { prune_policies, ..Options::default() });
        client.observe(std::slice::from_ref(wanted)).await.remove(&wanted.name).unwrap()
    };
    assert_eq!(look(&wanted, false).await.unwrap().unwrap().lifecycle_policy, Seen::Unknown);
    let error = look(&wanted, true).await.unwrap_err();
    assert_eq!((error.class(), error.repository()), (ErrorClass::Denied, Some(&wanted.name)));
    let wanted = Wanted { lifecycle_policy: Some(json!({})), ..wanted };
    assert_eq!(look(&wanted, false).await.unwrap_err().action(), "ecr:GetLifecyclePolicy");
}

#[tokio::test]
async fn so_many_calls_are_under_way_and_no_more() {
    // Three must be there at once for any of them to be answered.
    let barrier = Arc::new(tokio::sync::Barrier::new(3));
    let under_way = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = Arc::clone(&under_way);
    let all = repositories(6);
    let there = all.clone();
    let fake = FakeEcr::start_slow(move |action, input| {
        let (barrier, under_way) = (Arc::clone(&barrier), Arc::clone(&under_way));
        let answer = with(&there, &action, &input);
        Box::pin(async move {
            if action != "DescribeRepositories" {
                let before = under_way.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                assert!(before < 3, "{before} are under way already");
                barrier.wait().await;
                under_way.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            }
            answer
        })
    })
    .await;
    let wanted: Vec<Wanted> = all.iter().map(|all| Wanted::new(name(all))).collect();
    let client = fake.client(Options { parallel: 3, ..Options::default() });
    assert!(client.observe(&wanted).await.values().all(|found| matches!(found, Ok(Some(_)))));
    assert_eq!(fake.calls().len(), 13);
    assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_got_no_answer_says_where_to_look() {
    let fake = FakeEcr::start(|_, _| not_found("x")).await;
    let registry = || oci::EcrRegistry::new(ACCOUNT, "eu-west-1").unwrap();
    let wanted = [Wanted::new(name("aa"))];
    // Nobody said who we are.
    let config = crate::fake::config("http://127.0.0.1:1", &fake.clock);
    let client = ecr::Client::new(&config, registry(), Options::default());
    let error = client.observe(&wanted).await.remove(&wanted[0].name).unwrap().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Denied, "{error}");
    assert!(error.hint().unwrap().contains("AWS_PROFILE"), "{error:?}");
    // Nobody is there.
    let config = fake.config().into_builder().endpoint_url("http://127.0.0.1:1").build();
    let client = ecr::Client::new(&config, registry(), Options::default());
    let error = client.observe(&wanted).await.remove(&wanted[0].name).unwrap().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Failed, "{error}");
    assert!(error.hint().unwrap().contains("AWS_ENDPOINT_URL_ECR"), "{error:?}");
}

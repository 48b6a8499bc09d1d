//! What a permission policy means, however it is spelled.
//!
//! AWS gives a policy back otherwise than it was put: keys and lists in another order, a list of one as
//! its element, an account's id as the ARN of its root
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>,
//! hashicorp/terraform-provider-aws#19365). Two policies are the same if their [`normal`] forms are,
//! whatever the letters' case is where IAM does not heed it. A doubt is a difference: to put a policy once
//! too often does no harm.

use serde_json::Value;

use crate::lifecycle::{object, set, text};

/// Whether two permission policies mean the same in a partition of AWS (`aws`, `aws-us-gov`, `aws-cn`).
pub fn is_same(one: &Value, other: &Value, partition: &str) -> bool {
    of(one, partition, Case::Folded) == of(other, partition, Case::Folded)
}

/// A policy in the one spelling that all of its spellings have in common, for people to compare.
pub fn normal(policy: &Value, partition: &str) -> Value {
    of(policy, partition, Case::Kept)
}

/// Names of actions and of condition keys are the same in any case
/// (`reference_policies_elements_action.html`, `reference_policies_elements_condition.html`).
#[derive(Clone, Copy, Eq, PartialEq)]
enum Case {
    Kept,
    Folded,
}

fn of(policy: &Value, partition: &str, case: Case) -> Value {
    let Value::Object(elements) = policy else { return policy.clone() };
    // A policy without a version is of the first (`reference_policies_elements_version.html`).
    let version =
        (!elements.contains_key("Version")).then(|| ("Version".into(), "2008-10-17".into()));
    object(version.into_iter().chain(elements.iter().filter_map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("Id", Value::String(id)) if id.is_empty() => return None,
            ("Statement", Value::Array(statements)) => {
                statements.iter().map(|each| statement(each, partition, case)).collect()
            }
            ("Statement", one @ Value::Object(_)) => vec![statement(one, partition, case)].into(),
            _ => value.clone(),
        };
        // All statements count, in whatever order they stand.
        Some((name.clone(), if name == "Statement" { sorted_statements(value) } else { value }))
    })))
}

fn sorted_statements(statements: Value) -> Value {
    let Value::Array(mut statements) = statements else { return statements };
    let key = |statement: &Value| {
        let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default().to_owned();
        (sid, statement.to_string())
    };
    statements.sort_by_cached_key(key);
    statements.dedup();
    Value::Array(statements)
}

fn statement(statement: &Value, partition: &str, case: Case) -> Value {
    let Value::Object(elements) = statement else { return statement.clone() };
    object(elements.iter().filter_map(|(name, value)| {
        let value = match name.as_str() {
            "Sid" if value.as_str() == Some("") => return None,
            "Action" | "NotAction" => set(value, |action| match (case, action) {
                (Case::Folded, Value::String(action)) => action.to_ascii_lowercase().into(),
                _ => action.clone(),
            }),
            "Resource" | "NotResource" => set(value, Value::clone),
            "Principal" | "NotPrincipal" => principal(name, value, partition),
            "Condition" => condition(value, case),
            _ => value.clone(),
        };
        Some((name.clone(), value))
    }))
}

/// `"*"` is `{"AWS": "*"}` in `Principal` (`reference_policies_elements_principal.html`, "All principals").
fn principal(element: &str, value: &Value, partition: &str) -> Value {
    match value {
        Value::String(all) if all == "*" && element == "Principal" => {
            object([("AWS".to_owned(), value.clone())])
        }
        Value::Object(kinds) => object(kinds.iter().map(|(kind, who)| {
            let who = set(who, |who| match who {
                Value::String(id) if kind == "AWS" && is_account(id) => {
                    format!("arn:{partition}:iam::{id}:root").into()
                }
                _ => who.clone(),
            });
            (kind.clone(), who)
        })),
        _ => value.clone(),
    }
}

fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Values of a key are alternatives, and texts whatever their JSON type is.
fn condition(value: &Value, case: Case) -> Value {
    let Value::Object(operators) = value else { return value.clone() };
    object(operators.iter().map(|(operator, keys)| {
        let Value::Object(keys) = keys else { return (operator.clone(), keys.clone()) };
        let folded = |key: &str| key.to_ascii_lowercase();
        let is_alone =
            |key: &str| keys.keys().filter(|other| folded(other) == folded(key)).count() == 1;
        let keys = object(keys.iter().map(|(key, values)| {
            let key = if case == Case::Folded && is_alone(key) { folded(key) } else { key.clone() };
            (key, set(values, text))
        }));
        (operator.clone(), keys)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with(element: &str, value: &Value) -> Value {
        let mut statement = json!({
            "Sid": "Pull",
            "Effect": "Allow",
            "Principal": {"AWS": "111122223333"},
            "Action": "ecr:BatchGetImage",
        });
        statement[element] = value.clone();
        json!({"Version": "2012-10-17", "Statement": [statement]})
    }

    #[test]
    fn spellings_of_one_meaning() {
        let root = "arn:aws:iam::111122223333:root";
        let role = "arn:aws:iam::444455556666:role/ci";
        let table = [
            ("Action", json!("ecr:BatchGetImage"), json!(["ecr:BatchGetImage"])),
            ("Action", json!(["ecr:A", "ecr:B"]), json!(["ecr:B", "ecr:A", "ecr:B"])),
            ("Action", json!("ecr:BatchGetImage"), json!("ECR:batchgetimage")),
            ("NotAction", json!("ecr:A"), json!(["ecr:A"])),
            ("Resource", json!("*"), json!(["*"])),
            ("Principal", json!({"AWS": "111122223333"}), json!({"AWS": root})),
            ("Principal", json!({"AWS": ["111122223333", role]}), json!({"AWS": [role, root]})),
            ("Principal", json!({"AWS": ["111122223333", root]}), json!({"AWS": root})),
            ("Principal", json!("*"), json!({"AWS": "*"})),
            ("Principal", json!("*"), json!({"AWS": ["*"]})),
            ("Principal", json!({"Service": "a.b"}), json!({"Service": ["a.b"]})),
            ("NotPrincipal", json!({"AWS": "111122223333"}), json!({"AWS": [root]})),
            (
                "Condition",
                json!({"StringEquals": {"aws:PrincipalOrgID": ["o-1", "o-2"]}}),
                json!({"StringEquals": {"AWS:principalorgid": ["o-2", "o-1"]}}),
            ),
            (
                "Condition",
                json!({"Bool": {"aws:SecureTransport": false}}),
                json!({"Bool": {"aws:SecureTransport": ["false"]}}),
            ),
            (
                "Condition",
                json!({"NumericLessThan": {"aws:MultiFactorAuthAge": 300}}),
                json!({"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}}),
            ),
        ];
        for (element, one, other) in table {
            let (one, other) = (with(element, &one), with(element, &other));
            assert!(is_same(&one, &other, "aws"), "{one} {other}");
            assert!(is_same(&other, &one, "aws"), "{one} {other}");
        }
    }

    #[test]
    fn other_meanings_are_never_taken_for_one() {
        let table = [
            ("Action", json!("ecr:A"), json!("ecr:B")),
            ("Action", json!("ecr:A"), json!(["ecr:A", "ecr:B"])),
            ("Action", json!("ecr:A"), json!([])),
            ("Effect", json!("Allow"), json!("Deny")),
            ("Sid", json!("Pull"), json!("pull")),
            ("Sid", json!("Pull"), json!("")),
            ("Principal", json!({"AWS": "111122223333"}), json!({"AWS": "111122223334"})),
            ("Principal", json!({"AWS": "*"}), json!({"Service": "*"})),
            // Another partition's account is another account.
            (
                "Principal",
                json!({"AWS": "111122223333"}),
                json!({"AWS": "arn:aws-us-gov:iam::111122223333:root"}),
            ),
            // Federated users and services have no accounts.
            (
                "Principal",
                json!({"Federated": "111122223333"}),
                json!({"Federated": "arn:aws:iam::111122223333:root"}),
            ),
            // Only `Principal` has this shorthand.
            ("NotPrincipal", json!("*"), json!({"AWS": "*"})),
            (
                "Condition",
                json!({"StringEquals": {"aws:PrincipalTag/team": "A"}}),
                json!({"StringEquals": {"aws:PrincipalTag/team": "a"}}),
            ),
            (
                "Condition",
                json!({"StringEquals": {"aws:a": "A"}}),
                json!({"StringNotEquals": {"aws:a": "A"}}),
            ),
            ("Condition", json!({"StringEquals": {"aws:a": "A"}}), json!({})),
        ];
        for (element, one, other) in table {
            let (one, other) = (with(element, &one), with(element, &other));
            assert!(!is_same(&one, &other, "aws"), "{one} {other}");
        }
    }

    #[test]
    fn a_gov_cloud_account_is_its_root_there() {
        let id = with("Principal", &json!({"AWS": "111122223333"}));
        let root = with("Principal", &json!({"AWS": "arn:aws-us-gov:iam::111122223333:root"}));
        assert!(is_same(&id, &root, "aws-us-gov"));
        assert!(!is_same(&id, &root, "aws"));
    }

    #[test]
    fn statements_and_the_document() {
        let one = json!({"Effect": "Allow", "Principal": "*", "Action": "ecr:A"});
        let two = json!({"Sid": "2", "Effect": "Deny", "Principal": "*", "Action": "ecr:B"});
        let same = |a: Value, b: Value| is_same(&a, &b, "aws");
        assert!(same(json!({"Statement": one}), json!({"Statement": [one]})));
        assert!(same(json!({"Statement": [one, two]}), json!({"Statement": [two, one]})));
        assert!(same(
            json!({"Statement": one}),
            json!({"Version": "2008-10-17", "Id": "", "Statement": one})
        ));
        assert!(!same(
            json!({"Statement": one}),
            json!({"Version": "2012-10-17", "Statement": one})
        ));
        assert!(!same(json!({"Statement": one}), json!({"Id": "x", "Statement": one})));
        assert!(!same(json!({"Statement": [one, two]}), json!({"Statement": [one]})));
        assert!(!same(json!({"Statement": one}), json!({"Statement": one, "New": 1})));
        // Keys in another order: JSON text is compared as JSON.
        let text = r#"{"Statement":{"Action":"ecr:A","Principal":"*","Effect":"Allow"}}"#;
        assert!(same(json!({"Statement": one}), serde_json::from_str(text).unwrap()));
    }

    /// JSON of any shape, with the words of policies in it.
    fn anything() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("Statement"),
            Just("Principal"),
            Just("Action"),
            Just("Condition"),
            Just("AWS"),
            Just("*"),
            Just("Sid"),
            Just("111122223333"),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let entry = (word.clone().prop_map(str::to_owned), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                prop::collection::vec(entry, 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(policy in anything()) {
            let normal = normal(&policy, "aws");
            prop_assert_eq!(&super::normal(&normal, "aws"), &normal);
            prop_assert!(is_same(&policy, &normal, "aws"));
        }
    }
}

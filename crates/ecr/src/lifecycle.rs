//! What a lifecycle policy means, however it is spelled.
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Whether two lifecycle policies mean the same.
pub fn is_same(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

/// A policy in the one spelling that all of its spellings have in common: rules in the order in which
/// they are applied, tags sorted (an image must have all of them), without what is left out as well.
pub fn normal(policy: &Value) -> Value {
    let Value::Object(elements) = policy else { return policy.clone() };
    object(elements.iter().map(|(name, value)| match (name.as_str(), value) {
        ("rules", Value::Array(rules)) => {
            let mut rules: Vec<Value> = rules.iter().map(rule).collect();
            rules.sort_by_cached_key(|rule| {
                (rule.get("rulePriority").and_then(Value::as_i64), rule.to_string())
            });
            (name.clone(), rules.into())
        }
        _ => (name.clone(), value.clone()),
    }))
}

fn rule(rule: &Value) -> Value {
    let Value::Object(elements) = rule else { return rule.clone() };
    object(elements.iter().filter_map(|(name, value)| {
        let value = match name.as_str() {
            "rulePriority" => number(value),
            "description" if is_empty(value) => return None,
            "selection" => selection(value),
            _ => value.clone(),
        };
        Some((name.clone(), value))
    }))
}

fn selection(selection: &Value) -> Value {
    let Value::Object(elements) = selection else { return selection.clone() };
    object(elements.iter().filter_map(|(name, value)| {
        let value = match name.as_str() {
            "tagPrefixList" | "tagPatternList" if is_empty(value) => return None,
            "tagPrefixList" | "tagPatternList" => list(value),
            "countNumber" => number(value),
            "countUnit" if is_empty(value) => return None,
            // "If you omit this, the value of `standard` will be used."
            "storageClass" if is_empty(value) || value == "standard" => return None,
            _ => value.clone(),
        };
        Some((name.clone(), value))
    }))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// `10.0` is 10.
#[allow(clippy::cast_possible_truncation, reason = "only what loses nothing is taken")]
fn number(value: &Value) -> Value {
    match value.as_f64() {
        Some(float) if value.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
            Value::from(float as i64)
        }
        _ => value.clone(),
    }
}

/// A list whose order and repetitions do not matter.
fn list(value: &Value) -> Value {
    let Value::Array(elements) = value else { return value.clone() };
    let mut elements = elements.clone();
    elements.sort_by_cached_key(Value::to_string);
    elements.dedup();
    Value::Array(elements)
}

/// The same, where one element may stand without a list.
pub(crate) fn set(value: &Value, normal: impl Fn(&Value) -> Value) -> Value {
    let Value::Array(elements) = value else { return normal(value) };
    match list(&elements.iter().map(normal).collect()) {
        // A list in a list is nothing that a policy has; it stays what it is.
        Value::Array(elements) if elements.len() == 1 && !is_list(elements.first()) => {
            elements.into_iter().next().unwrap_or_default()
        }
        list => list,
    }
}

fn is_list(value: Option<&Value>) -> bool {
    value.is_some_and(Value::is_array)
}

/// A number or a truth value as text.
pub(crate) fn text(value: &Value) -> Value {
    match value {
        Value::Bool(value) => value.to_string().into(),
        Value::Number(value) => value.to_string().into(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

/// Sorted by name, whatever maps of JSON do.
pub(crate) fn object(elements: impl IntoIterator<Item = (String, Value)>) -> Value {
    let sorted: BTreeMap<String, Value> = elements.into_iter().collect();
    Value::Object(sorted.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut policy = json!({"rules": [
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
        ]});
        change(&mut policy);
        policy
    }

    #[test]
    fn spellings_of_one_meaning() {
        let policy = with(|_| ());
        let others = [
            with(|policy| policy["rules"].as_array_mut().unwrap().reverse()),
            with(|policy| {
                policy["rules"][0]["selection"]["tagPatternList"] = json!(["*-lts", "v*"]);
            }),
            with(|policy| policy["rules"][0]["selection"]["tagPrefixList"] = json!([])),
            with(|policy| policy["rules"][0]["selection"]["storageClass"] = json!("standard")),
            with(|policy| policy["rules"][0]["selection"]["countNumber"] = json!(10.0)),
            with(|policy| policy["rules"][1]["description"] = json!("")),
            with(|policy| policy["rules"][1]["description"] = Value::Null),
        ];
        for other in others {
            assert!(is_same(&policy, &other), "{other}");
        }
        let text =
            r#"{"rules":[{"selection":{"countNumber":1,"tagStatus":"any"},"rulePriority":1}]}"#;
        let ordered = json!({"rules": [
            {"rulePriority": 1, "selection": {"tagStatus": "any", "countNumber": 1}}
        ]});
        assert!(is_same(&ordered, &serde_json::from_str(text).unwrap()));
    }

    #[test]
    fn other_meanings() {
        let policy = with(|_| ());
        let others = [
            with(|policy| policy["rules"][0]["rulePriority"] = json!(3)),
            with(|policy| policy["rules"][0]["description"] = json!("Releases")),
            with(|policy| policy["rules"][0]["selection"]["tagPatternList"] = json!(["v*"])),
            with(|policy| policy["rules"][0]["selection"]["countNumber"] = json!(11)),
            with(|policy| policy["rules"][0]["selection"]["storageClass"] = json!("archive")),
            with(|policy| policy["rules"][1]["action"] = json!({"type": "transition"})),
            with(|policy| policy["rules"][1]["selection"]["tagStatus"] = json!("any")),
            with(|policy| {
                policy["rules"].as_array_mut().unwrap().pop();
            }),
            json!({}),
            json!([]),
        ];
        for other in others {
            assert!(!is_same(&policy, &other), "{other}");
        }
    }
}

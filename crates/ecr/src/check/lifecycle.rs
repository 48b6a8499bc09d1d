//! The shape of a lifecycle policy.
//! <https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{At, Problem};

/// Rules that a policy can have
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html>).
const RULES: usize = 50;
/// Wildcards in a pattern of tags.
const WILDCARDS: usize = 4;

/// What is not as it must be.
pub(super) fn check(policy: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let rules = policy.get("rules").and_then(Value::as_array);
    let Some(rules) = rules.filter(|rules| !rules.is_empty()) else {
        return vec![Problem::new("lifecyclePolicy", "it must be `rules` with a list of rules")];
    };
    unknown(policy.as_object(), &["rules"], "lifecyclePolicy", &mut problems);
    if rules.len() > RULES {
        let message = format!("a policy can have {RULES} rules, these are {}", rules.len());
        problems.push(Problem::new("lifecyclePolicy.rules", message));
    }
    let last = rules.iter().filter_map(priority).max();
    let mut used = BTreeSet::new();
    for (number, rule) in rules.iter().enumerate() {
        let key = At("lifecyclePolicy.rules", number).to_string();
        let Some(elements) = rule.as_object() else {
            problems.push(Problem::new(key, "a rule is a map"));
            continue;
        };
        let known = ["rulePriority", "description", "selection", "action"];
        unknown(Some(elements), &known, &key, &mut problems);
        match priority(rule) {
            None => problems.push(Problem::new(
                format!("{key}.rulePriority"),
                "it must be a whole number from 1, in which order the rules are applied",
            )),
            Some(priority) if !used.insert(priority) => {
                let message = format!("another rule has {priority} as well");
                problems.push(Problem::new(format!("{key}.rulePriority"), message));
            }
            Some(priority) => {
                let is_any =
                    rule.pointer("/selection/tagStatus").is_some_and(|status| status == "any");
                if is_any && Some(priority) < last {
                    let message =
                        "a rule with the tagStatus `any` must have the highest rulePriority";
                    problems.push(Problem::new(format!("{key}.rulePriority"), message));
                }
            }
        }
        match rule.get("selection").and_then(Value::as_object) {
            Some(elements) => selection(elements, &format!("{key}.selection"), &mut problems),
            None => problems.push(Problem::new(key.clone(), "it needs a map `selection`")),
        }
        match rule.get("action").and_then(Value::as_object) {
            Some(elements) => action(elements, &format!("{key}.action"), &mut problems),
            None => problems.push(Problem::new(key, "it needs `action: {type: expire}`")),
        }
    }
    problems
}

fn priority(rule: &Value) -> Option<u64> {
    rule.get("rulePriority").and_then(Value::as_u64).filter(|priority| *priority > 0)
}

fn unknown(
    elements: Option<&Map<String, Value>>,
    known: &[&str],
    key: &str,
    problems: &mut Vec<Problem>,
) {
    for name in elements.into_iter().flat_map(Map::keys) {
        if !known.contains(&name.as_str()) {
            let message = format!("`{}` is unknown; {}", name.escape_debug(), known.join(", "));
            problems.push(Problem::new(key, message));
        }
    }
}

fn selection(elements: &Map<String, Value>, key: &str, problems: &mut Vec<Problem>) {
    let known = [
        "tagStatus",
        "tagPatternList",
        "tagPrefixList",
        "storageClass",
        "countType",
        "countUnit",
        "countNumber",
    ];
    unknown(Some(elements), &known, key, problems);
    let mut add = |name: &str, message: &str| {
        problems.push(Problem::new(format!("{key}.{name}"), message));
    };
    let text = |name: &str| elements.get(name).and_then(Value::as_str);
    let patterns = list(elements, "tagPatternList");
    let prefixes = list(elements, "tagPrefixList");
    for (name, list) in [("tagPatternList", &patterns), ("tagPrefixList", &prefixes)] {
        if list.is_none() {
            add(name, "it must be a list of texts");
        }
    }
    let (patterns, prefixes) = (patterns.unwrap_or_default(), prefixes.unwrap_or_default());
    let lists = usize::from(!patterns.is_empty()) + usize::from(!prefixes.is_empty());
    match (text("tagStatus"), lists) {
        (Some("tagged"), 1) | (Some("untagged" | "any"), 0) => {}
        (Some("tagged"), _) => {
            add("tagStatus", "`tagged` needs tagPatternList or tagPrefixList, and not both");
        }
        (Some("untagged" | "any"), _) => {
            add("tagStatus", "tagPatternList and tagPrefixList go with `tagged` only");
        }
        _ => add("tagStatus", "it must be `tagged`, `untagged` or `any`"),
    }
    if patterns.iter().any(|pattern| pattern.matches('*').count() > WILDCARDS) {
        add("tagPatternList", "a pattern may have 4 times * at most");
    }
    let (unit, class) = (text("countUnit"), text("storageClass"));
    match text("countType") {
        Some("imageCountMoreThan") if elements.contains_key("countUnit") => {
            add("countUnit", "`imageCountMoreThan` has none");
        }
        Some("imageCountMoreThan") => {}
        Some("sinceImagePushed" | "sinceImagePulled" | "sinceImageTransitioned")
            if unit != Some("days") =>
        {
            add("countUnit", "it must be `days`");
        }
        Some("sinceImagePushed" | "sinceImagePulled" | "sinceImageTransitioned") => {}
        _ => add(
            "countType",
            "it must be `imageCountMoreThan`, `sinceImagePushed`, `sinceImagePulled` or \
             `sinceImageTransitioned`",
        ),
    }
    let is_archived = text("countType") == Some("sinceImageTransitioned");
    if is_archived && class != Some("archive") {
        add("storageClass", "it must be `archive` for `sinceImageTransitioned`");
    } else if !is_archived && !matches!(class, None | Some("standard")) {
        add("storageClass", "`standard` is the only one, but for `sinceImageTransitioned`");
    }
    if elements.get("countNumber").and_then(Value::as_u64).is_none_or(|count| count == 0) {
        add("countNumber", "it must be a whole number from 1");
    }
}

/// The texts of a list; an empty one where it is not there, none where it is something else.
fn list<'a>(elements: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    match elements.get(name) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

fn action(elements: &Map<String, Value>, key: &str, problems: &mut Vec<Problem>) {
    unknown(Some(elements), &["type", "targetStorageClass"], key, problems);
    let text = |name: &str| elements.get(name).and_then(Value::as_str);
    match (text("type"), text("targetStorageClass")) {
        (Some("expire"), None) | (Some("transition"), Some("archive")) => {}
        (Some("expire"), Some(_)) => {
            problems.push(Problem::new(key, "targetStorageClass goes with `transition` only"));
        }
        (Some("transition"), _) => {
            problems.push(Problem::new(key, "`transition` needs `targetStorageClass: archive`"));
        }
        _ => problems.push(Problem::new(key, "type must be `expire` or `transition`")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(priority: u32, status: &str) -> Value {
        let mut rule = json!({
            "rulePriority": priority,
            "selection": {"tagStatus": status, "countType": "imageCountMoreThan", "countNumber": 1},
            "action": {"type": "expire"},
        });
        if status == "tagged" {
            rule["selection"]["tagPatternList"] = json!(["v*"]);
        }
        rule
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut rule = rule(1, "tagged");
        change(&mut rule);
        json!({"rules": [rule]})
    }

    fn selecting(name: &str, value: &Value) -> Value {
        with(|rule| rule["selection"][name] = value.clone())
    }

    fn since(kind: &str, unit: Option<&str>, class: Option<&str>) -> Value {
        with(|rule| {
            rule["selection"]["countType"] = json!(kind);
            for (name, value) in [("countUnit", unit), ("storageClass", class)] {
                if let Some(value) = value {
                    rule["selection"][name] = json!(value);
                }
            }
        })
    }

    #[test]
    fn what_aws_takes() {
        let good = [
            with(|_| ()),
            json!({"rules": [rule(9, "any"), rule(1, "untagged"), rule(5, "tagged")]}),
            with(|rule| rule["description"] = json!("releases")),
            since("sinceImagePushed", Some("days"), None),
            since("sinceImagePulled", Some("days"), Some("standard")),
            since("sinceImageTransitioned", Some("days"), Some("archive")),
            with(|rule| {
                rule["action"] = json!({"type": "transition", "targetStorageClass": "archive"});
            }),
            selecting("tagPrefixList", &json!([])),
            json!({"rules": (1..=50).map(|priority| rule(priority, "tagged")).collect::<Vec<_>>()}),
        ];
        for policy in good {
            assert_eq!(check(&policy), [], "{policy}");
        }
    }

    #[test]
    fn what_it_refuses() {
        let many = json!({"rules": (1..=51).map(|n| rule(n, "tagged")).collect::<Vec<_>>()});
        let one = "lifecyclePolicy.rules[0]";
        let table = [
            (json!({}), "lifecyclePolicy".to_owned()),
            (json!([]), "lifecyclePolicy".to_owned()),
            (json!({"rules": []}), "lifecyclePolicy".to_owned()),
            (many, "lifecyclePolicy.rules".to_owned()),
            (json!({"rules": ["x"]}), one.to_owned()),
            (with(|rule| rule["priority"] = json!(1)), one.to_owned()),
            (with(|rule| rule["rulePriority"] = json!("1")), format!("{one}.rulePriority")),
            (with(|rule| rule["rulePriority"] = json!(0)), format!("{one}.rulePriority")),
            (
                json!({"rules": [rule(1, "tagged"), rule(1, "untagged")]}),
                "lifecyclePolicy.rules[1].rulePriority".to_owned(),
            ),
            (json!({"rules": [rule(1, "any"), rule(2, "tagged")]}), format!("{one}.rulePriority")),
            (with(|rule| rule["selection"] = json!(1)), one.to_owned()),
            (with(|rule| rule["action"] = json!(null)), one.to_owned()),
            (with(|rule| rule["action"] = json!({"type": "keep"})), format!("{one}.action")),
            (with(|rule| rule["action"] = json!({"type": "transition"})), format!("{one}.action")),
            (selecting("tagPatternList", &json!([])), format!("{one}.selection.tagStatus")),
            (selecting("tagPrefixList", &json!(["v"])), format!("{one}.selection.tagStatus")),
            (
                selecting("tagPatternList", &json!(["*****"])),
                format!("{one}.selection.tagPatternList"),
            ),
            (selecting("tagPrefixList", &json!("v")), format!("{one}.selection.tagPrefixList")),
            (selecting("tagStatus", &json!("all")), format!("{one}.selection.tagStatus")),
            (selecting("countNumber", &json!(0)), format!("{one}.selection.countNumber")),
            (selecting("countNumber", &json!("3")), format!("{one}.selection.countNumber")),
            (selecting("countUnit", &json!("days")), format!("{one}.selection.countUnit")),
            (selecting("storageClass", &json!("archive")), format!("{one}.selection.storageClass")),
            (since("sinceImagePushed", None, None), format!("{one}.selection.countUnit")),
            (since("sinceYesterday", None, None), format!("{one}.selection.countType")),
            (
                since("sinceImageTransitioned", Some("days"), None),
                format!("{one}.selection.storageClass"),
            ),
        ];
        for (policy, key) in table {
            let problems = check(&policy);
            assert_eq!(problems.len(), 1, "{policy} {problems:?}");
            assert_eq!(problems[0].key, key, "{policy}");
        }
    }
}

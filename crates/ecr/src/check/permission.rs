//! The shape of a permission policy, as far as IAM's grammar fixes it for any resource.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use serde_json::Value;

use super::{At, Problem};

/// What is not as it must be.
pub(super) fn check(policy: &Value) -> Vec<Problem> {
    let Some(elements) = policy.as_object() else {
        return vec![Problem::new("permissionPolicy", "it must be a map")];
    };
    let mut problems = Vec::new();
    if let Some(version) = elements.get("Version")
        && !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17"))
    {
        let message = "it must be \"2012-10-17\" or \"2008-10-17\"";
        problems.push(Problem::new("permissionPolicy.Version", message));
    }
    let statements = match elements.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => {
            problems.push(Problem::new("permissionPolicy.Statement", "it needs one at least"));
            return problems;
        }
    };
    for (number, statement) in statements.iter().enumerate() {
        let key = At("permissionPolicy.Statement", number).to_string();
        let Some(elements) = statement.as_object() else {
            problems.push(Problem::new(key, "a statement is a map"));
            continue;
        };
        if !matches!(elements.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            problems.push(Problem::new(format!("{key}.Effect"), "it must be Allow or Deny"));
        }
        for (one, other) in [("Principal", "NotPrincipal"), ("Action", "NotAction")] {
            if elements.contains_key(one) == elements.contains_key(other) {
                let message = format!("it needs either {one} or {other}");
                problems.push(Problem::new(key.clone(), message));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statements_say_who_may_do_what() {
        let good = json!({"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"});
        let keys = |policy: Value| -> Vec<String> {
            check(&policy).into_iter().map(|problem| problem.key).collect()
        };
        assert_eq!(keys(json!({"Version": "2012-10-17", "Statement": [good]})), [""; 0]);
        assert_eq!(keys(json!({"Statement": good})), [""; 0]);
        assert_eq!(keys(json!("x")), ["permissionPolicy"]);
        assert_eq!(keys(json!({"Statement": []})), ["permissionPolicy.Statement"]);
        // What YAML makes of a date without quotes.
        assert_eq!(keys(json!({"Version": 2012, "Statement": good})), ["permissionPolicy.Version"]);
        let one = "permissionPolicy.Statement[0]";
        assert_eq!(keys(json!({"Statement": ["x"]})), [one]);
        let without = |name: &str| {
            let mut statement = good.clone();
            statement.as_object_mut().unwrap().remove(name);
            keys(json!({"Statement": statement}))
        };
        assert_eq!(without("Effect"), [format!("{one}.Effect")]);
        assert_eq!(without("Principal"), [one]);
        assert_eq!(without("Action"), [one]);
    }
}

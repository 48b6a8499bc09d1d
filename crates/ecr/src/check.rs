//! [`check`]: what AWS would refuse, told before any call is made, by the limits that it documents.
//!
//! Numbers and patterns are those of the API's definition
//! (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/Welcome.html>), where nothing else is said.

mod lifecycle;
mod permission;

use std::fmt;

use serde::Serialize;

use crate::write::policy_text;
use crate::{Encryption, Wanted};

/// Something that AWS would refuse.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Problem {
    /// Where it is in the repository's entry: `lifecyclePolicy.rules[1].rulePriority`.
    pub key: String,
    /// What is wrong, and what would be right; a lower-case fragment.
    pub message: String,
}

impl Problem {
    fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

/// Tags that a repository can have
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-using-tags.html>).
const TAGS: usize = 50;
const TAG_KEY: usize = 128;
const TAG_VALUE: usize = 256;
const LIFECYCLE_POLICY: std::ops::RangeInclusive<usize> = 100..=30_720;
const PERMISSION_POLICY: usize = 10_240;
const KMS_KEY: std::ops::RangeInclusive<usize> = 1..=2_048;
const FILTERS: usize = 5;
const FILTER: std::ops::RangeInclusive<usize> = 1..=128;
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html>
const WILDCARDS: usize = 2;

/// Everything about a wanted repository that AWS would refuse, as far as it documents that.
pub fn check(wanted: &Wanted) -> Vec<Problem> {
    let mut problems = Vec::new();
    // The characters are those of any repository; 256 is more than `oci::Repository` takes.
    if wanted.name.as_str().len() < 2 {
        problems.push(Problem::new("name", "ECR's names have 2 characters at least"));
    }
    if let Some(policy) = &wanted.lifecycle_policy {
        let length = policy_text(policy).chars().count();
        if !LIFECYCLE_POLICY.contains(&length) {
            let message =
                format!("it has {length} characters as it is sent; 100 to 30720 are allowed");
            problems.push(Problem::new("lifecyclePolicy", message));
        }
        problems.extend(lifecycle::check(policy));
    }
    if let Some(policy) = &wanted.permission_policy {
        let length = policy_text(policy).chars().count();
        if length > PERMISSION_POLICY {
            let message = format!("it has {length} characters as it is sent; 10240 are allowed");
            problems.push(Problem::new("permissionPolicy", message));
        }
        problems.extend(permission::check(policy));
    }
    tags(wanted, &mut problems);
    exclusion_filters(wanted, &mut problems);
    if let Some(Encryption::Kms { key: Some(key) }) = &wanted.encryption
        && !KMS_KEY.contains(&key.chars().count())
    {
        problems.push(Problem::new("encryption", "the key must have 1 to 2048 characters"));
    }
    problems
}

fn tags(wanted: &Wanted, problems: &mut Vec<Problem>) {
    let count = wanted.resource_tags.len();
    if count > TAGS {
        let message = format!("a repository can have {TAGS} tags, these are {count}");
        problems.push(Problem::new("resourceTags", message));
    }
    for (key, value) in &wanted.resource_tags {
        let mut add = |message: String| {
            let key = format!("resourceTags.{}", key.escape_debug());
            problems.push(Problem::new(key, message));
        };
        if key.is_empty() || key.chars().count() > TAG_KEY {
            add(format!("a key has 1 to {TAG_KEY} characters"));
        }
        if value.chars().count() > TAG_VALUE {
            add(format!("a value has {TAG_VALUE} characters at most"));
        }
        for text in [key, value] {
            if let Some(bad) = text.chars().find(|c| !is_tag_character(*c)) {
                let bad = bad.escape_debug();
                add(format!(
                    "`{bad}` is not allowed, but letters, digits, spaces and + - = . _ : / @"
                ));
            }
            if is_reserved(text) {
                add("`aws:` at the beginning is reserved for AWS".to_owned());
            }
        }
    }
}

fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c)
}

/// "in any upper or lowercase combination", for keys and values.
fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

fn exclusion_filters(wanted: &Wanted, problems: &mut Vec<Problem>) {
    let Some(mutability) = &wanted.mutability else { return };
    let filters = mutability.except();
    if filters.len() > FILTERS {
        let message = format!("{FILTERS} exceptions are allowed, these are {}", filters.len());
        problems.push(Problem::new("mutability", message));
    }
    for filter in filters {
        let shown = filter.escape_debug();
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._*-".contains(c);
        if !FILTER.contains(&filter.chars().count()) || !filter.chars().all(is_allowed) {
            let message =
                format!("`{shown}` must be 1 to 128 letters, digits and . _ - with * for any text");
            problems.push(Problem::new("mutability", message));
        } else if filter.matches('*').count() > WILDCARDS {
            let message = format!("`{shown}` may have {WILDCARDS} times * at most");
            problems.push(Problem::new("mutability", message));
        }
    }
}

/// An element of a path.
struct At<'a>(&'a str, usize);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Mutability;

    fn problems(change: impl FnOnce(&mut Wanted)) -> Vec<String> {
        let mut wanted = Wanted::new("team/app".parse().unwrap());
        change(&mut wanted);
        check(&wanted).iter().map(ToString::to_string).collect()
    }

    fn tag(key: &str, value: &str) -> Vec<String> {
        problems(|wanted| {
            wanted.resource_tags.insert(key.to_owned(), value.to_owned());
        })
    }

    fn except(filters: &[&str]) -> Vec<String> {
        let except = filters.iter().map(ToString::to_string).collect();
        problems(|wanted| wanted.mutability = Some(Mutability::Immutable { except }))
    }

    fn one(problems: &[String], begin: &str) {
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(begin), "{problems:?}");
    }

    #[test]
    fn names() {
        assert_eq!(check(&Wanted::new("ab".parse().unwrap())), []);
        assert_eq!(check(&Wanted::new("a".parse().unwrap())).len(), 1);
    }

    #[test]
    fn tags_at_their_limits() {
        assert_eq!(tag(&"ä".repeat(128), &"v".repeat(256)), [""; 0]);
        assert_eq!(tag("a b+-=._:/@1", ""), [""; 0]);
        one(&tag(&"k".repeat(129), ""), "resourceTags.kkk");
        one(&tag("", ""), "resourceTags.: a key has");
        one(&tag("k", &"v".repeat(257)), "resourceTags.k: a value has");
        one(&tag("k;", ""), "resourceTags.k;: `;` is not allowed");
        one(&tag("k", "a\u{1b}"), "resourceTags.k: `\\u{1b}` is not allowed");
        one(&tag("Aws:x", ""), "resourceTags.Aws:x: `aws:`");
        one(&tag("x", "AWS:y"), "resourceTags.x: `aws:`");
        let many = |count: usize| {
            problems(|wanted| {
                wanted.resource_tags = (0..count).map(|n| (n.to_string(), String::new())).collect();
            })
        };
        assert_eq!(many(50), [""; 0]);
        one(&many(51), "resourceTags: a repository can have 50");
    }

    #[test]
    fn exceptions_at_their_limits() {
        assert_eq!(except(&["latest", "*-dev*", "v1.2_3"]), [""; 0]);
        assert_eq!(except(&["a"; 5]), [""; 0]);
        one(&except(&["a"; 6]), "mutability: 5 exceptions");
        one(&except(&["a*b*c*"]), "mutability: `a*b*c*` may have 2");
        for bad in ["", "a b", "v[0-9]", &"a".repeat(129)] {
            one(&except(&[bad]), "mutability: `");
        }
    }

    #[test]
    fn policies_have_a_length() {
        let long = |length: usize| {
            json!({"Version": "2012-10-17", "Id": "x".repeat(length), "Statement": [
                {"Effect": "Deny", "Principal": "*", "Action": "ecr:*"},
            ]})
        };
        let rest = policy_text(&long(0)).len();
        let permission =
            |length: usize| problems(|wanted| wanted.permission_policy = Some(long(length - rest)));
        assert_eq!(permission(10_240), [""; 0]);
        one(&permission(10_241), "permissionPolicy: it has 10241 characters");
        let lifecycle = |description: usize| {
            let rule = json!({
                "rulePriority": 1,
                "description": "x".repeat(description),
                "selection":
                    {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
                "action": {"type": "expire"},
            });
            problems(|wanted| wanted.lifecycle_policy = Some(json!({"rules": [rule]})))
        };
        assert_eq!(lifecycle(0), [""; 0]);
        assert_eq!(lifecycle(30_000), [""; 0]);
        one(&lifecycle(30_720), "lifecyclePolicy: it has");
    }

    #[test]
    fn a_key_has_a_length() {
        let key = |key: &str| {
            problems(|wanted| {
                wanted.encryption = Some(Encryption::Kms { key: Some(key.to_owned()) });
            })
        };
        assert_eq!(key("alias/x"), [""; 0]);
        one(&key(""), "encryption: ");
    }
}

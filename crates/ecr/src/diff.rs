//! [`diff()`]: what must change so that a repository is as wanted, in which order. Pure.

use oci::Repository;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Change, Note, Observed, PolicyKind, Seen, TagChange, Wanted, encryption, lifecycle, policy,
    text_diff,
};

/// How a repository differs from what is wanted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The repository.
    pub repository: Repository,
    /// What is put right, in this order.
    pub changes: Vec<Change>,
    /// What is not.
    pub notes: Vec<Note>,
}

impl Difference {
    /// Whether nothing is to be changed.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty()
    }
}

/// How a repository, or the want of one, differs from what is wanted. `prune`: a policy that the file
/// does not have is removed, not only noted.
///
/// The order of the changes leaves no image less protected than it was or will be, also where they end
/// half-way, which they do at the first failure:
/// 1. creation, with all that its call takes: no repository is ever there without its immutability,
///    encryption and tags (on which policies of IAM may depend);
/// 2. what protects: tags that can no longer be moved, scanning, resource tags;
/// 3. the permission policy: whoever may pull or push is settled before the next image comes;
/// 4. the lifecycle policy: it alone deletes images, and must not do so before the rest is right;
/// 5. what protects less: tags that can be moved again, no scanning, no permission policy.
pub fn diff(wanted: &Wanted, observed: Option<&Observed>, prune: bool) -> Difference {
    let (mut changes, mut notes) = (Vec::new(), Vec::new());
    match observed {
        None => creation(wanted, &mut changes),
        Some(_) if wanted.creation_only => {}
        Some(observed) => {
            compare(wanted, observed, prune, &mut changes, &mut notes);
            let wanted = wanted.encryption.as_ref();
            notes.extend(wanted.and_then(|wanted| encryption::note(wanted, &observed.encryption)));
        }
    }
    changes.sort_by_key(order);
    Difference { repository: wanted.name.clone(), changes, notes }
}

/// The list above.
fn order(change: &Change) -> u8 {
    match change {
        Change::Create { .. } => 1,
        Change::Mutability { from, to } if from.is_tightened_by(to) => 2,
        Change::ScanOnPush { to: true } | Change::ResourceTags { .. } => 2,
        Change::PutPolicy { policy: PolicyKind::Permission, .. } => 3,
        Change::PutPolicy { policy: PolicyKind::Lifecycle, .. }
        | Change::RemovePolicy { policy: PolicyKind::Lifecycle, .. } => 4,
        Change::Mutability { .. }
        | Change::ScanOnPush { to: false }
        | Change::RemovePolicy { policy: PolicyKind::Permission, .. } => 5,
    }
}

fn creation(wanted: &Wanted, changes: &mut Vec<Change>) {
    changes.push(Change::Create {
        mutability: wanted.mutability.clone(),
        scan_on_push: wanted.scan_on_push,
        encryption: wanted.encryption.clone(),
        resource_tags: wanted.resource_tags.clone(),
    });
    for (kind, to) in [
        (PolicyKind::Permission, &wanted.permission_policy),
        (PolicyKind::Lifecycle, &wanted.lifecycle_policy),
    ] {
        changes.extend(to.as_ref().map(|to| Change::PutPolicy {
            policy: kind,
            from: None,
            to: to.clone(),
            diff: text_diff::lines(None, Some(to)),
        }));
    }
}

fn compare(
    wanted: &Wanted,
    observed: &Observed,
    prune: bool,
    changes: &mut Vec<Change>,
    notes: &mut Vec<Note>,
) {
    if let Some(to) = &wanted.mutability
        && !to.means(&observed.mutability)
    {
        changes.push(Change::Mutability { from: observed.mutability.clone(), to: to.clone() });
    }
    if let Some(to) = wanted.scan_on_push
        && to != observed.scan_on_push
    {
        changes.push(Change::ScanOnPush { to });
    }
    changes.extend(tags(wanted, observed));
    for (kind, to, seen) in [
        (PolicyKind::Permission, &wanted.permission_policy, &observed.permission_policy),
        (PolicyKind::Lifecycle, &wanted.lifecycle_policy, &observed.lifecycle_policy),
    ] {
        let normal = |value: &Value| match kind {
            PolicyKind::Permission => policy::normal(value, observed.partition()),
            PolicyKind::Lifecycle => lifecycle::normal(value),
        };
        let is_same = |one: &Value, other: &Value| match kind {
            PolicyKind::Permission => policy::is_same(one, other, observed.partition()),
            PolicyKind::Lifecycle => lifecycle::is_same(one, other),
        };
        match (to, seen) {
            (Some(to), Seen::Present(from)) if is_same(to, from) => {}
            (Some(to), Seen::Present(from)) => changes.push(Change::PutPolicy {
                policy: kind,
                from: Some(from.clone()),
                to: to.clone(),
                diff: text_diff::lines(Some(&normal(from)), Some(&normal(to))),
            }),
            // Putting it where it was not seen is never wrong.
            (Some(to), Seen::Absent | Seen::Unknown) => changes.push(Change::PutPolicy {
                policy: kind,
                from: None,
                to: to.clone(),
                diff: text_diff::lines(None, Some(to)),
            }),
            (None, Seen::Present(from)) if prune => changes.push(Change::RemovePolicy {
                policy: kind,
                from: from.clone(),
                diff: text_diff::lines(Some(from), None),
            }),
            (None, Seen::Present(_)) => notes.push(Note::PolicyNotInFile { policy: kind }),
            (None, Seen::Absent | Seen::Unknown) => {}
        }
    }
}

/// The tags that have no value, or another. All others are somebody else's.
fn tags(wanted: &Wanted, observed: &Observed) -> Option<Change> {
    let has = |key: &str| match &observed.resource_tags {
        Seen::Present(tags) => tags.get(key),
        Seen::Absent | Seen::Unknown => None,
    };
    let set: std::collections::BTreeMap<String, TagChange> = wanted
        .resource_tags
        .iter()
        .filter(|(key, to)| has(key) != Some(*to))
        .map(|(key, to)| (key.clone(), TagChange { from: has(key).cloned(), to: to.clone() }))
        .collect();
    (!set.is_empty()).then_some(Change::ResourceTags { set })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{Encryption, Mutability, ObservedEncryption};

    fn wanted(change: impl FnOnce(&mut Wanted)) -> Wanted {
        let mut wanted = Wanted::new("team/app".parse().unwrap());
        change(&mut wanted);
        wanted
    }

    /// What AWS makes of a creation that says nothing.
    fn observed(change: impl FnOnce(&mut Observed)) -> Observed {
        let mut observed = Observed {
            arn: "arn:aws:ecr:eu-west-1:123456789012:repository/team/app".to_owned(),
            mutability: mutable(&[]),
            scan_on_push: false,
            encryption: ObservedEncryption { kind: "AES256".to_owned(), key: None },
            lifecycle_policy: Seen::Absent,
            permission_policy: Seen::Absent,
            resource_tags: Seen::Absent,
        };
        change(&mut observed);
        observed
    }

    fn mutable(except: &[&str]) -> Mutability {
        Mutability::Mutable { except: except.iter().map(ToString::to_string).collect() }
    }

    fn immutable(except: &[&str]) -> Mutability {
        Mutability::Immutable { except: except.iter().map(ToString::to_string).collect() }
    }

    fn tags(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn permission(action: &str) -> Value {
        json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "Pull", "Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": action}
        ]})
    }

    fn lifecycle(count: u32) -> Value {
        json!({"rules": [{
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count},
            "action": {"type": "expire"},
        }]})
    }

    /// The changes as people see them, a line each, without what policies hold.
    fn headlines(difference: &Difference) -> Vec<String> {
        let first = |change: &Change| change.to_string().lines().next().unwrap().to_owned();
        difference.changes.iter().map(first).collect()
    }

    #[test]
    fn what_is_changed() {
        let everything = wanted(|wanted| {
            wanted.mutability = Some(immutable(&[]));
            wanted.scan_on_push = Some(true);
            wanted.encryption = Some(Encryption::Aes256);
            wanted.resource_tags = tags(&[("team", "a")]);
            wanted.lifecycle_policy = Some(lifecycle(1));
            wanted.permission_policy = Some(permission("ecr:A"));
        });
        let all_of_it = observed(|has| {
            has.mutability = immutable(&[]);
            has.scan_on_push = true;
            has.resource_tags = Seen::Present(tags(&[("team", "a"), ("aws:x", "y"), ("z", "")]));
            has.lifecycle_policy = Seen::Present(lifecycle(1));
            has.permission_policy = Seen::Present(permission("ECR:a"));
        });
        let with_policies = observed(|has| {
            has.permission_policy = Seen::Present(permission("ecr:A"));
            has.lifecycle_policy = Seen::Present(lifecycle(1));
        });
        let loose = wanted(|wanted| {
            wanted.mutability = Some(mutable(&[]));
            wanted.scan_on_push = Some(false);
            wanted.permission_policy = Some(permission("ecr:B"));
            wanted.lifecycle_policy = Some(lifecycle(2));
        });
        let only_created = wanted(|wanted| {
            wanted.mutability = Some(immutable(&[]));
            wanted.permission_policy = Some(permission("ecr:A"));
            wanted.creation_only = true;
        });
        let new = ["+ repository", "+ permission policy", "+ lifecycle policy"];
        // Wanted, there, pruning, the changes.
        let table: [(&Wanted, Option<&Observed>, bool, &[&str]); 14] = [
            (&wanted(|_| ()), None, false, &["+ repository"]),
            (&wanted(|_| ()), Some(&observed(|_| ())), true, &[]),
            (&wanted(|_| ()), Some(&all_of_it), false, &[]),
            (&everything, None, false, &new),
            (&everything, Some(&all_of_it), true, &[]),
            (
                &everything,
                Some(&observed(|_| ())),
                false,
                &[
                    "~ mutability: mutable → immutable",
                    "~ scan on push: no → yes",
                    "~ tags",
                    "+ permission policy",
                    "+ lifecycle policy",
                ],
            ),
            (
                &loose,
                Some(&all_of_it),
                false,
                &[
                    "~ permission policy",
                    "~ lifecycle policy",
                    "~ mutability: immutable → mutable",
                    "~ scan on push: yes → no",
                ],
            ),
            (&wanted(|_| ()), Some(&with_policies), false, &[]),
            (
                &wanted(|_| ()),
                Some(&with_policies),
                true,
                &["- lifecycle policy", "- permission policy"],
            ),
            (&only_created, None, true, &["+ repository", "+ permission policy"]),
            (&only_created, Some(&with_policies), true, &[]),
            (
                &wanted(|wanted| wanted.mutability = Some(immutable(&["b", "a"]))),
                Some(&observed(|has| has.mutability = immutable(&["a", "b"]))),
                false,
                &[],
            ),
            (
                &wanted(|wanted| wanted.mutability = Some(immutable(&["latest"]))),
                Some(&observed(|has| has.mutability = immutable(&[]))),
                false,
                &["~ mutability: immutable → immutable except `latest`"],
            ),
            (
                &wanted(|wanted| wanted.permission_policy = Some(permission("ecr:A"))),
                Some(&observed(|has| has.permission_policy = Seen::Unknown)),
                false,
                &["+ permission policy"],
            ),
        ];
        for (number, (wanted, observed, prune, expected)) in table.into_iter().enumerate() {
            let difference = diff(wanted, observed, prune);
            assert_eq!(headlines(&difference), expected, "row {number}");
        }
    }

    #[test]
    fn what_is_noted() {
        let has_policies = observed(|has| {
            has.permission_policy = Seen::Present(permission("ecr:A"));
            has.lifecycle_policy = Seen::Present(lifecycle(1));
        });
        let kinds = [PolicyKind::Permission, PolicyKind::Lifecycle];
        let not_in_file = kinds.map(|policy| Note::PolicyNotInFile { policy }).to_vec();
        let kms = wanted(|wanted| wanted.encryption = Some(Encryption::Kms { key: None }));
        let table = [
            (wanted(|_| ()), false, not_in_file),
            (wanted(|_| ()), true, vec![]),
            (wanted(|wanted| wanted.creation_only = true), false, vec![]),
            (
                kms,
                true,
                vec![Note::OtherEncryption {
                    has: has_policies.encryption.clone(),
                    wanted: Encryption::Kms { key: None },
                }],
            ),
        ];
        for (number, (wanted, prune, expected)) in table.into_iter().enumerate() {
            let notes = diff(&wanted, Some(&has_policies), prune).notes;
            assert_eq!(notes, expected, "row {number}");
        }
    }

    #[test]
    fn a_change_reads_as_a_diff_and_as_json() {
        let wanted = wanted(|wanted| {
            wanted.permission_policy = Some(permission("ecr:BatchGetImage"));
            wanted.resource_tags = tags(&[("new", "1"), ("team", "b")]);
        });
        let observed = observed(|has| {
            let mut policy = permission("ecr:*");
            policy["Statement"][0]["Principal"]["AWS"] = json!(["arn:aws:iam::111122223333:root"]);
            has.permission_policy = Seen::Present(policy);
            has.resource_tags = Seen::Present(tags(&[("team", "a"), ("other", "x")]));
        });
        let difference = diff(&wanted, Some(&observed), false);
        let text: Vec<String> = difference.changes.iter().map(ToString::to_string).collect();
        // Only the action is shown as changed, although the principal is spelled otherwise.
        let expected = r#"
~ tags
  + new=1
  - team=a
  + team=b
~ permission policy
    {
      "Statement": [
        {
  -       "Action": "ecr:*",
  +       "Action": "ecr:BatchGetImage",
          "Effect": "Allow",
          "Principal": {
            "AWS": "arn:aws:iam::111122223333:root""#;
        assert_eq!(text.join("\n"), expected.trim_start_matches('\n'));
        let json = serde_json::to_value(&difference).unwrap();
        assert_eq!(json["repository"], "team/app");
        assert_eq!(json["changes"][0]["change"], "resourceTags");
        assert_eq!(json["changes"][0]["set"]["team"], json!({"from": "a", "to": "b"}));
        assert_eq!(json["changes"][1]["policy"], "permission");
        assert_eq!(json["changes"][1]["to"], permission("ecr:BatchGetImage"));
        assert_eq!(json["notes"], json!([]));
    }
}

//! [`Client::observe`]: what there is of what is wanted, in few calls, none of which changes anything.
//!
//! Repositories are described a hundred in a call. Of those that exist, each policy is asked for with a
//! call of its own, also where the file has none, because a policy that the file does not have must be
//! told; the tags only where the file has some. A repository of which only the creation is wanted costs
//! its share of the first call and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecr::types::{ImageTagMutability, Repository as Description};
use futures::future::{BoxFuture, FutureExt, join, join_all, join3};
use oci::Repository;
use serde_json::Value;

use crate::actions::Action;
use crate::{Client, Error, ErrorClass, Mutability, Observed, ObservedEncryption, Seen, Wanted};

/// What a call takes (API definition, `RepositoryNameList`).
const NAMES_A_CALL: usize = 100;

/// Names that a batch may miss, one by one, before it is split.
const MISSES_BEFORE_SPLIT: u32 = 2;

/// What was found of each name; none of those that do not exist.
type Found<T> = BTreeMap<Repository, Result<Option<T>, Error>>;

impl Client {
    /// Looks at these repositories, and at no other: each name is in the answer, with what there is of
    /// it, or why that is not known.
    pub async fn observe(&self, wanted: &[Wanted]) -> Found<Observed> {
        let by_name: BTreeMap<&Repository, &Wanted> =
            wanted.iter().map(|wanted| (&wanted.name, wanted)).collect();
        let names: Vec<Repository> = by_name.keys().map(|name| (*name).clone()).collect();
        let batches = names.chunks(NAMES_A_CALL).map(|batch| self.describe(batch.to_vec(), 0));
        let described = join_all(batches).await.into_iter().flatten();
        let details = described.map(async |(name, found)| {
            let observed = match (found, by_name.get(&name)) {
                (Ok(Some(description)), Some(wanted)) => {
                    self.details(wanted, &description).await.map(Some)
                }
                (Ok(_), _) => Ok(None),
                (Err(error), _) => Err(error),
            };
            (name, observed)
        });
        join_all(details).await.into_iter().collect()
    }

    /// Describes repositories with few calls.
    ///
    /// AWS documents that `RepositoryNotFoundException` means that "the specified repository could not
    /// be found", not how many names it tells; it tells one, in its message, and nothing of the others
    /// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html>).
    /// So what it tells is taken out and the rest asked for again: one call more for each missing name.
    /// A batch that misses more than a few, as on a first run, is split, so that its halves are asked for
    /// at once; of n names with k missing that takes at most min(2k + 1, 2n - 1) calls, and n where all
    /// are. One repository that we may not see, or whose name ECR does not take, is taken out likewise.
    fn describe(&self, names: Vec<Repository>, misses: u32) -> BoxFuture<'_, Found<Description>> {
        async move {
            let action = &self.reading().describe_repositories;
            let answer = action
                .call(|client, of_action| {
                    client
                        .describe_repositories()
                        .registry_id(self.registry().account())
                        .set_repository_names(Some(names.iter().map(ToString::to_string).collect()))
                        .customize()
                        .config_override(of_action)
                        .send()
                })
                .await;
            let error = match answer {
                Ok(answer) => return described(action, names, answer.repositories()),
                Err(error) => error,
            };
            let is_missing = error.is("RepositoryNotFoundException");
            let told: BTreeSet<&Repository> = if names.len() == 1 {
                names.iter().collect()
            } else {
                names.iter().filter(|name| tells(error.message(), name)).collect()
            };
            let outcome = |name: &Repository| match is_missing {
                true => Ok(None),
                false => Err(error.clone().of_repository(name)),
            };
            let of_one = is_missing
                || error.is("InvalidParameterException")
                || (error.class() == ErrorClass::Denied && !told.is_empty());
            if !of_one {
                return names.iter().map(|name| (name.clone(), outcome(name))).collect();
            }
            let mut found: Found<Description> =
                told.iter().map(|name| ((*name).clone(), outcome(name))).collect();
            let rest: Vec<Repository> =
                names.iter().filter(|name| !told.contains(name)).cloned().collect();
            let misses = misses.saturating_add(1);
            if rest.is_empty() {
            } else if !told.is_empty() && (misses <= MISSES_BEFORE_SPLIT || rest.len() == 1) {
                found.extend(self.describe(rest, misses).await);
            } else {
                let (one, other) = rest.split_at(rest.len().div_ceil(2));
                let (one, other) = (one.to_vec(), other.to_vec());
                let halves = [one, other].into_iter().filter(|half| !half.is_empty());
                let halves = halves.map(|half| self.describe(half, misses));
                found.extend(join_all(halves).await.into_iter().flatten());
            }
            found
        }
        .boxed()
    }

    async fn details(&self, wanted: &Wanted, description: &Description) -> Result<Observed, Error> {
        let mut observed = of_description(self, &wanted.name, description);
        if wanted.creation_only {
            return Ok(observed);
        }
        let (permission, lifecycle, tags) = join3(
            self.permission_policy(wanted),
            self.lifecycle_policy(wanted),
            self.resource_tags(wanted, &observed.arn),
        )
        .await;
        observed.permission_policy = permission.map_err(|e| e.of_repository(&wanted.name))?;
        observed.lifecycle_policy = lifecycle.map_err(|e| e.of_repository(&wanted.name))?;
        observed.resource_tags = tags.map_err(|e| e.of_repository(&wanted.name))?;
        Ok(observed)
    }

    async fn permission_policy(&self, wanted: &Wanted) -> Result<Seen<Value>, Error> {
        let action = &self.reading().get_repository_policy;
        let answer = action.call(|client, of_action| {
            client
                .get_repository_policy()
                .registry_id(self.registry().account())
                .repository_name(wanted.name.as_str())
                .customize()
                .config_override(of_action)
                .send()
        });
        let text = answer.await.map(|answer| answer.policy_text);
        let is_wanted = wanted.permission_policy.is_some();
        self.policy(action, text, "RepositoryPolicyNotFoundException", is_wanted)
    }

    async fn lifecycle_policy(&self, wanted: &Wanted) -> Result<Seen<Value>, Error> {
        let action = &self.reading().get_lifecycle_policy;
        let answer = action.call(|client, of_action| {
            client
                .get_lifecycle_policy()
                .registry_id(self.registry().account())
                .repository_name(wanted.name.as_str())
                .customize()
                .config_override(of_action)
                .send()
        });
        let text = answer.await.map(|answer| answer.lifecycle_policy_text);
        let is_wanted = wanted.lifecycle_policy.is_some();
        self.policy(action, text, "LifecyclePolicyNotFoundException", is_wanted)
    }

    /// A policy as AWS answers with it, or with the exception that says there is none. One that we may
    /// not see matters only where it must be changed or removed.
    fn policy(
        &self,
        action: &Action,
        text: Result<Option<String>, Error>,
        absent: &str,
        is_wanted: bool,
    ) -> Result<Seen<Value>, Error> {
        match text {
            Ok(text) => parsed(action, text.as_deref()),
            Err(error) if error.is(absent) => Ok(Seen::Absent),
            Err(error)
                if is_wanted
                    || self.options().prune_policies
                    || error.class() != ErrorClass::Denied =>
            {
                Err(error)
            }
            Err(error) => {
                tracing::debug!(%error, "a policy that no file has was not looked at");
                Ok(Seen::Unknown)
            }
        }
    }

    async fn resource_tags(
        &self,
        wanted: &Wanted,
        arn: &str,
    ) -> Result<Seen<BTreeMap<String, String>>, Error> {
        if wanted.resource_tags.is_empty() {
            return Ok(Seen::Unknown);
        }
        let action = &self.reading().list_tags_for_resource;
        let answer = action
            .call(|client, of_action| {
                client
                    .list_tags_for_resource()
                    .resource_arn(arn)
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await?;
        let tag = |tag: &aws_sdk_ecr::types::Tag| (tag.key().to_owned(), tag.value().to_owned());
        Ok(Seen::Present(answer.tags().iter().map(tag).collect()))
    }

    /// A repository that was just seen to exist.
    pub(crate) async fn observe_one(&self, wanted: &Wanted) -> Result<Option<Observed>, Error> {
        let one = std::slice::from_ref(wanted);
        self.observe(one).await.remove(&wanted.name).unwrap_or(Ok(None))
    }

    /// The account whose credentials we have: where a setting of the account goes.
    pub(crate) async fn own_account(&self) -> Result<String, Error> {
        let action = &self.reading().describe_registry;
        let answer = action
            .call(|client, of_action| {
                client.describe_registry().customize().config_override(of_action).send()
            })
            .await?;
        Ok(answer.registry_id().unwrap_or_default().to_owned())
    }

    /// The value of an account setting, and the account that has it.
    pub(crate) async fn account_setting(&self, name: &str) -> Result<(String, String), Error> {
        let action = &self.reading().get_account_setting;
        let setting = action.call(|client, of_action| {
            client.get_account_setting().name(name).customize().config_override(of_action).send()
        });
        let (account, setting) = join(self.own_account(), setting).await;
        Ok((account?, setting?.value().unwrap_or_default().to_owned()))
    }
}

/// Each name with its description.
fn described(
    action: &Action,
    names: Vec<Repository>,
    descriptions: &[Description],
) -> Found<Description> {
    let by_name: BTreeMap<&str, &Description> = descriptions
        .iter()
        .filter_map(|description| Some((description.repository_name()?, description)))
        .collect();
    let found = |name: Repository| {
        let found = by_name.get(name.as_str()).map(|description| (*description).clone());
        // Neither described nor said to be missing: AWS never does this, and to create it would be a guess.
        let found =
            found.ok_or_else(|| action.failed("AWS does not describe it").of_repository(&name));
        (name, found.map(Some))
    };
    names.into_iter().map(found).collect()
}

/// Whether a message names a repository: `The repository with name 'team/app' does not exist in the
/// registry with id '…'`, or at the end of an ARN, `on resource: arn:…:repository/team/app because …`.
fn tells(message: &str, name: &Repository) -> bool {
    if message.contains(&format!("name '{name}'")) {
        return true;
    }
    let arn = format!(":repository/{name}");
    message.match_indices(&arn).any(|(at, _)| {
        let next = message.get(at + arn.len()..).and_then(|rest| rest.chars().next());
        next.is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '.' | '"' | '\''))
    })
}

fn parsed(action: &Action, text: Option<&str>) -> Result<Seen<Value>, Error> {
    let Some(text) = text else { return Ok(Seen::Absent) };
    match serde_json::from_str(text) {
        Ok(policy) => Ok(Seen::Present(policy)),
        Err(error) => Err(action.failed(format!("the policy that AWS has is no JSON: {error}"))),
    }
}

fn of_description(client: &Client, name: &Repository, description: &Description) -> Observed {
    let filters = description.image_tag_mutability_exclusion_filters();
    let except = filters.iter().map(|filter| filter.filter().to_owned()).collect();
    let mutability = match description.image_tag_mutability() {
        Some(ImageTagMutability::Immutable | ImageTagMutability::ImmutableWithExclusion) => {
            Mutability::Immutable { except }
        }
        _ => Mutability::Mutable { except },
    };
    let encryption = description.encryption_configuration();
    Observed {
        arn: description.repository_arn().map_or_else(|| client.arn(name), ToOwned::to_owned),
        mutability,
        scan_on_push: description
            .image_scanning_configuration()
            .is_some_and(aws_sdk_ecr::types::ImageScanningConfiguration::scan_on_push),
        encryption: ObservedEncryption {
            kind: encryption.map_or("AES256", |has| has.encryption_type().as_str()).to_owned(),
            key: encryption.and_then(|has| has.kms_key()).map(str::to_owned),
        },
        lifecycle_policy: Seen::Unknown,
        permission_policy: Seen::Unknown,
        resource_tags: Seen::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_exactly_one_name() {
        let missing =
            "The repository with name 'team/app' does not exist in the registry with id '1'";
        let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: \
                      ecr:DescribeRepositories on resource: \
                      arn:aws:ecr:eu-west-1:1:repository/team/app because no policy allows it";
        let table = [
            (missing, "team/app", true),
            (missing, "app", false),
            (missing, "123456789012", false),
            (missing, "team/app2", false),
            (denied, "team/app", true),
            (denied, "team/ap", false),
            (denied, "app", false),
            ("arn:aws:ecr:eu-west-1:1:repository/team/app", "team/app", true),
            ("arn:aws:ecr:eu-west-1:1:repository/team/app/x", "team/app", false),
        ];
        for (message, name, expected) in table {
            assert_eq!(tells(message, &name.parse().unwrap()), expected, "{message} {name}");
        }
    }
}

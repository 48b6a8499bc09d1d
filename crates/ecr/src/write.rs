//! [`Writer`]: puts right what differs, in the order of the difference, and nothing else.

use std::collections::BTreeMap;

use aws_sdk_ecr::error::BuildError;
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability,
    ImageTagMutabilityExclusionFilter, ImageTagMutabilityExclusionFilterType, Tag,
};
use oci::Repository;
use serde_json::Value;

use crate::actions::Writing;
use crate::{
    Change, Client, Encryption, Error, Mutability, Note, PolicyKind, TagChange, Wanted, diff,
};

/// A registry of ECR that may be changed; made by [`Client::writer`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    client: Client,
    writing: Writing,
}

/// What was done to a repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The changes that were made, in their order.
    pub changes: Vec<Change>,
    /// What was noted where somebody else had created the repository meanwhile, and it was compared anew.
    pub notes: Vec<Note>,
}

impl Applied {
    /// Whether we created it.
    pub fn is_created(&self) -> bool {
        self.changes.iter().any(|change| matches!(change, Change::Create { .. }))
    }

    /// Policies that were put or removed.
    pub fn policies(&self) -> usize {
        let is_policy = |change: &&Change| {
            matches!(change, Change::PutPolicy { .. } | Change::RemovePolicy { .. })
        };
        self.changes.iter().filter(is_policy).count()
    }
}

/// A repository that was not brought to its end: no change was made after the one that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Incomplete {
    /// What had been done.
    pub applied: Applied,
    /// What failed.
    #[source]
    pub error: Error,
}

impl Writer {
    pub(crate) fn new(client: Client, writing: Writing) -> Self {
        Self { client, writing }
    }

    /// The same registry, to look at.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn writing(&self) -> &Writing {
        &self.writing
    }

    /// Makes these changes, which [`diff()`] found, one after the other, and stops at the first that
    /// fails. Where somebody else created the repository meanwhile, that is as good; then it is
    /// looked at and compared anew, and what differs from `wanted` is put right.
    ///
    /// # Errors
    /// [`Incomplete`], with what was done before.
    pub async fn apply(&self, wanted: &Wanted, changes: &[Change]) -> Result<Applied, Incomplete> {
        let mut applied = Applied::default();
        match self.apply_all(wanted, changes, &mut applied).await {
            Ok(()) => Ok(applied),
            Err(error) => Err(Incomplete { applied, error: error.of_repository(&wanted.name) }),
        }
    }

    async fn apply_all(
        &self,
        wanted: &Wanted,
        changes: &[Change],
        applied: &mut Applied,
    ) -> Result<(), Error> {
        for change in changes {
            match self.make(&wanted.name, change).await {
                Err(error) if error.is("RepositoryAlreadyExistsException") => {
                    let prune = self.client.options().prune_policies;
                    let Some(observed) = self.client.observe_one(wanted).await? else {
                        return Err(error.with_hint("it comes and goes: run again"));
                    };
                    let anew = diff(wanted, Some(&observed), prune);
                    applied.notes.extend(anew.notes);
                    for change in anew.changes {
                        self.make(&wanted.name, &change).await?;
                        applied.changes.push(change);
                    }
                    return Ok(());
                }
                answer => answer?,
            }
            applied.changes.push(change.clone());
        }
        Ok(())
    }

    async fn make(&self, name: &Repository, change: &Change) -> Result<(), Error> {
        match change {
            Change::Create { mutability, scan_on_push, encryption, resource_tags } => {
                let settings = (mutability.as_ref(), *scan_on_push, encryption.as_ref());
                self.create(name, settings, resource_tags).await
            }
            Change::Mutability { to, .. } => self.put_mutability(name, to).await,
            Change::ScanOnPush { to } => self.put_scan_on_push(name, *to).await,
            Change::ResourceTags { set } => self.tag(name, set).await,
            Change::PutPolicy { policy: PolicyKind::Permission, to, .. } => {
                self.put_permission_policy(name, to).await
            }
            Change::PutPolicy { policy: PolicyKind::Lifecycle, to, .. } => {
                self.put_lifecycle_policy(name, to).await
            }
            Change::RemovePolicy { policy: PolicyKind::Permission, .. } => {
                self.remove_permission_policy(name).await
            }
            Change::RemovePolicy { policy: PolicyKind::Lifecycle, .. } => {
                self.remove_lifecycle_policy(name).await
            }
        }
    }

    async fn create(
        &self,
        name: &Repository,
        (mutability, scan_on_push, encryption): (
            Option<&Mutability>,
            Option<bool>,
            Option<&Encryption>,
        ),
        resource_tags: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let action = &self.writing.create_repository;
        let unbuilt = |error: BuildError| action.unbuilt(&error);
        let filters = mutability.map(filters).transpose().map_err(unbuilt)?.flatten();
        let encryption = encryption.map(encryption_configuration).transpose().map_err(unbuilt)?;
        let pairs = resource_tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let tags = tags(pairs).map_err(unbuilt)?;
        action
            .call(|client, of_action| {
                client
                    .create_repository()
                    .registry_id(self.client.registry().account())
                    .repository_name(name.as_str())
                    .set_image_tag_mutability(mutability.map(mutability_value))
                    .set_image_tag_mutability_exclusion_filters(filters)
                    .set_image_scanning_configuration(scan_on_push.map(scanning))
                    .set_encryption_configuration(encryption)
                    .set_tags((!tags.is_empty()).then_some(tags))
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    async fn put_mutability(&self, name: &Repository, to: &Mutability) -> Result<(), Error> {
        let action = &self.writing.put_image_tag_mutability;
        let filters = filters(to).map_err(|error| action.unbuilt(&error))?;
        action
            .call(|client, of_action| {
                client
                    .put_image_tag_mutability()
                    .registry_id(self.client.registry().account())
                    .repository_name(name.as_str())
                    .image_tag_mutability(mutability_value(to))
                    .set_image_tag_mutability_exclusion_filters(filters)
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    async fn put_scan_on_push(&self, name: &Repository, to: bool) -> Result<(), Error> {
        let action = &self.writing.put_image_scanning_configuration;
        action
            .call(|client, of_action| {
                client
                    .put_image_scanning_configuration()
                    .registry_id(self.client.registry().account())
                    .repository_name(name.as_str())
                    .image_scanning_configuration(scanning(to))
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    async fn tag(&self, name: &Repository, set: &BTreeMap<String, TagChange>) -> Result<(), Error> {
        let action = &self.writing.tag_resource;
        let pairs = set.iter().map(|(key, change)| (key.as_str(), change.to.as_str()));
        let tags = tags(pairs).map_err(|error| action.unbuilt(&error))?;
        let arn = self.client.arn(name);
        action
            .call(|client, of_action| {
                client
                    .tag_resource()
                    .resource_arn(arn)
                    .set_tags(Some(tags))
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    /// Never with `force`: AWS then takes a policy that would lock us out of changing it.
    async fn put_permission_policy(&self, name: &Repository, to: &Value) -> Result<(), Error> {
        let action = &self.writing.set_repository_policy;
        action
            .call(|client, of_action| {
                client
                    .set_repository_policy()
                    .registry_id(self.client.registry().account())
                    .repository_name(name.as_str())
                    .policy_text(policy_text(to))
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    async fn put_lifecycle_policy(&self, name: &Repository, to: &Value) -> Result<(), Error> {
        let action = &self.writing.put_lifecycle_policy;
        action
            .call(|client, of_action| {
                client
                    .put_lifecycle_policy()
                    .registry_id(self.client.registry().account())
                    .repository_name(name.as_str())
                    .lifecycle_policy_text(policy_text(to))
                    .customize()
                    .config_override(of_action)
                    .send()
            })
            .await
            .map(drop)
    }

    async fn remove_permission_policy(&self, name: &Repository) -> Result<(), Error> {
        let action = &self.writing.delete_repository_policy;
        let answer = action.call(|client, of_action| {
            client
                .delete_repository_policy()
                .registry_id(self.client.registry().account())
                .repository_name(name.as_str())
                .customize()
                .config_override(of_action)
                .send()
        });
        gone(answer.await, "RepositoryPolicyNotFoundException")
    }

    async fn remove_lifecycle_policy(&self, name: &Repository) -> Result<(), Error> {
        let action = &self.writing.delete_lifecycle_policy;
        let answer = action.call(|client, of_action| {
            client
                .delete_lifecycle_policy()
                .registry_id(self.client.registry().account())
                .repository_name(name.as_str())
                .customize()
                .config_override(of_action)
                .send()
        });
        gone(answer.await, "LifecyclePolicyNotFoundException")
    }
}

/// A policy as it is sent, and as its length is counted.
pub(crate) fn policy_text(policy: &Value) -> String {
    policy.to_string()
}

/// What somebody else removed is removed.
fn gone<T>(answer: Result<T, Error>, absent: &str) -> Result<(), Error> {
    match answer {
        Err(error) if !error.is(absent) => Err(error),
        _ => Ok(()),
    }
}

fn mutability_value(mutability: &Mutability) -> ImageTagMutability {
    match (mutability, mutability.except().is_empty()) {
        (Mutability::Mutable { .. }, true) => ImageTagMutability::Mutable,
        (Mutability::Mutable { .. }, false) => ImageTagMutability::MutableWithExclusion,
        (Mutability::Immutable { .. }, true) => ImageTagMutability::Immutable,
        (Mutability::Immutable { .. }, false) => ImageTagMutability::ImmutableWithExclusion,
    }
}

/// None where there is no exception: AWS takes no empty list.
fn filters(
    mutability: &Mutability,
) -> Result<Option<Vec<ImageTagMutabilityExclusionFilter>>, BuildError> {
    let filter = |pattern: &String| {
        ImageTagMutabilityExclusionFilter::builder()
            .filter_type(ImageTagMutabilityExclusionFilterType::Wildcard)
            .filter(pattern)
            .build()
    };
    let filters: Vec<_> = mutability.except().iter().map(filter).collect::<Result<_, _>>()?;
    Ok((!filters.is_empty()).then_some(filters))
}

fn scanning(scan_on_push: bool) -> ImageScanningConfiguration {
    ImageScanningConfiguration::builder().scan_on_push(scan_on_push).build()
}

fn encryption_configuration(
    encryption: &Encryption,
) -> Result<EncryptionConfiguration, BuildError> {
    let (kind, key) = match encryption {
        Encryption::Aes256 => (EncryptionType::Aes256, None),
        Encryption::Kms { key } => (EncryptionType::Kms, key.clone()),
    };
    EncryptionConfiguration::builder().encryption_type(kind).set_kms_key(key).build()
}

fn tags<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<Tag>, BuildError> {
    pairs.map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

//! [`RepositorySettings`]: how an ECR repository is to be; the keys that an entry of `repositories`
//! and `ecr` of an image have in common.

use std::collections::BTreeMap;

use serde_json::Value;

/// How an ECR repository is to be. What is not said is not looked after: it stays as it is, and a new
/// repository has AWS's default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RepositorySettings {
    /// Which images expire when. An object.
    pub lifecycle_policy: Option<Value>,
    /// Who may do what with it. An object.
    pub permission_policy: Option<Value>,
    /// The tags that it has, at least these.
    pub resource_tags: BTreeMap<String, String>,
    /// Whether its image tags may move.
    pub mutability: Option<Mutability>,
    /// Whether images are scanned when they are pushed.
    pub scan_on_push: Option<bool>,
    /// How its content is encrypted, which cannot be changed later.
    pub encryption: Option<Encryption>,
    /// Whether blobs of other repositories can be mounted into it: a setting of its whole registry,
    /// for which no two repositories say different things.
    pub blob_mounting: Option<bool>,
}

/// Whether image tags may move.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mutability {
    /// They may, but for those that match one of these.
    Mutable {
        /// Patterns in which `*` stands for any characters.
        except: Vec<String>,
    },
    /// They may not, but for those that match one of these.
    Immutable {
        /// Patterns in which `*` stands for any characters.
        except: Vec<String>,
    },
}

/// How the content of a repository is encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// With a key of Amazon S3.
    Aes256,
    /// With a key of AWS KMS.
    Kms {
        /// Its id, ARN or alias; without one it is the account's own key for ECR.
        key: Option<String>,
    },
}

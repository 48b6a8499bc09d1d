//! [`RepositorySettings`]: how an ECR repository is to be; the keys that an entry of `repositories`
//! and `ecr` of an image have in common.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::policy;
use crate::reader::{Field, Reader};
use crate::yaml::Content;

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

/// Reads what the mapping says of it. What is wrong is left out, and noted.
pub(crate) fn read(reader: &mut Reader<'_>, keys: &mut Mapping<'_>) -> RepositorySettings {
    RepositorySettings {
        lifecycle_policy: keys
            .get("lifecyclePolicy")
            .and_then(|field| policy::lifecycle(reader, field)),
        permission_policy: keys
            .get("permissionPolicy")
            .and_then(|field| policy::permissions(reader, field)),
        resource_tags: keys
            .get("resourceTags")
            .and_then(|field| policy::resource_tags(reader, field))
            .unwrap_or_default(),
        mutability: keys.get("mutability").and_then(|field| mutability(reader, field)),
        scan_on_push: keys.get("scanOnPush").and_then(|field| reader.boolean(field)),
        encryption: keys.get("encryption").and_then(|field| encryption(reader, field)),
        blob_mounting: keys.get("blobMounting").and_then(|field| reader.boolean(field)),
    }
}

/// `mutable`, `immutable`, or one of them as `mode` with `except`.
fn mutability(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Mutability> {
    if let Content::Scalar { .. } = field.node.content {
        return mode(reader, field, Vec::new());
    }
    let mut keys = Mapping::open(reader, field.node, "`mutability`")?;
    let field = keys.require("mode");
    let except = match keys.get("except") {
        Some(field) => reader
            .one_or_more(field)
            .map(|patterns| patterns.into_iter().map(|pattern| pattern.value).collect()),
        None => Some(Vec::new()),
    };
    keys.close(reader);
    mode(reader, field?, except?)
}

/// AWS's own spelling is taken as well.
fn mode(reader: &mut Reader<'_>, field: Field<'_>, except: Vec<String>) -> Option<Mutability> {
    let text = reader.text(field)?;
    match text.value.as_str() {
        "mutable" | "MUTABLE" => Some(Mutability::Mutable { except }),
        "immutable" | "IMMUTABLE" => Some(Mutability::Immutable { except }),
        _ => {
            let message = format!("`{}` must be `mutable` or `immutable`", field.key);
            let error = reader.error(Code::WrongType, text.span, message);
            reader.push(error.help(
                "with exceptions it is `mutability: { mode: immutable, except: [\"latest*\"] }`",
            ));
            None
        }
    }
}

/// `AES256`, `KMS`, or `kms` with a key.
fn encryption(reader: &mut Reader<'_>, field: Field<'_>) -> Option<Encryption> {
    if let Content::Scalar { .. } = field.node.content {
        let text = reader.text(field)?;
        return match text.value.as_str() {
            "AES256" => Some(Encryption::Aes256),
            "KMS" => Some(Encryption::Kms { key: None }),
            _ => {
                let message = "`encryption` must be `AES256`, `KMS` or `{ kms: KEY }`";
                reader.push(reader.error(Code::WrongType, text.span, message));
                None
            }
        };
    }
    let mut keys = Mapping::open(reader, field.node, "`encryption`")?;
    let key = keys.require("kms").and_then(|field| reader.text(field));
    keys.close(reader);
    Some(Encryption::Kms { key: Some(key?.value) })
}

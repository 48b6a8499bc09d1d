//! [`Observed`]: a repository as it is, as far as it was looked at.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::Mutability;

/// A repository that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// Its ARN.
    pub arn: String,
    /// Whether its image tags can be moved.
    pub mutability: Mutability,
    /// Whether an image is scanned when it is pushed.
    pub scan_on_push: bool,
    /// How its content is encrypted.
    pub encryption: ObservedEncryption,
    /// Its lifecycle policy.
    pub lifecycle_policy: Seen<Value>,
    /// Its permission policy.
    pub permission_policy: Seen<Value>,
    /// All of its tags.
    pub resource_tags: Seen<BTreeMap<String, String>>,
}

impl Observed {
    /// What its ARN begins with after `arn:`, as in `aws-us-gov`.
    pub(crate) fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// Something that needs a call of its own to be seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen<T> {
    /// It was not asked for, or nobody wants it changed and we may not see it.
    Unknown,
    /// There is none.
    Absent,
    /// There is this one.
    Present(T),
}

/// How a repository is encrypted, in AWS's words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ObservedEncryption {
    /// `AES256`, `KMS`, `KMS_DSSE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The key in KMS, as AWS writes it: its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl fmt::Display for ObservedEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, " with `{}`", key.escape_debug()))
    }
}

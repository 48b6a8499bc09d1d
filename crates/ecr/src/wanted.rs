//! [`Wanted`]: a repository as it is to be. What is `None` is not looked after.

use std::collections::BTreeMap;
use std::fmt;

use oci::Repository;
use serde::Serialize;
use serde_json::Value;

/// A repository that is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its name, without the registry.
    pub name: Repository,
    /// Which of its images expire, in ECR's own JSON.
    pub lifecycle_policy: Option<Value>,
    /// Who may do what with it, in IAM's JSON.
    pub permission_policy: Option<Value>,
    /// Tags of the repository as a resource of AWS. Others that it has are left alone.
    pub resource_tags: BTreeMap<String, String>,
    /// Whether its image tags can be moved.
    pub mutability: Option<Mutability>,
    /// Whether an image is scanned when it is pushed.
    pub scan_on_push: Option<bool>,
    /// How its content is encrypted; it cannot be changed later.
    pub encryption: Option<Encryption>,
    /// Whether layers can be mounted from one repository into another: a setting of the whole registry.
    pub blob_mounting: Option<bool>,
    /// Only its creation is wanted: one that exists is left as it is.
    pub creation_only: bool,
}

impl Wanted {
    /// A repository of this name, of which nothing is looked after but that it exists.
    pub fn new(name: Repository) -> Self {
        Self {
            name,
            lifecycle_policy: None,
            permission_policy: None,
            resource_tags: BTreeMap::new(),
            mutability: None,
            scan_on_push: None,
            encryption: None,
            blob_mounting: None,
            creation_only: false,
        }
    }
}

/// Whether image tags can be moved, and which of them are an exception to that.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// Tags can be moved, but for those that one of these patterns matches (`*` stands for any text).
    Mutable {
        /// ECR's exclusion filters.
        except: Vec<String>,
    },
    /// Tags stay where they are, but for those that one of these patterns matches.
    Immutable {
        /// ECR's exclusion filters.
        except: Vec<String>,
    },
}

impl Mutability {
    /// The patterns of tags for which the opposite holds.
    pub fn except(&self) -> &[String] {
        match self {
            Self::Mutable { except } | Self::Immutable { except } => except,
        }
    }

    /// The same meaning, patterns in any order and however often.
    pub(crate) fn means(&self, other: &Self) -> bool {
        let sorted = |mutability: &Self| {
            let mut except = mutability.except().to_vec();
            except.sort_unstable();
            except.dedup();
            except
        };
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && sorted(self) == sorted(other)
    }

    /// Whether going from here to there lets no tag move that could not move before.
    pub(crate) fn is_tightened_by(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Immutable { except }) if except.is_empty() => true,
            (Self::Mutable { except }, Self::Immutable { .. }) => except.is_empty(),
            (Self::Immutable { except: from }, Self::Immutable { except: to }) => {
                to.iter().all(|pattern| from.contains(pattern))
            }
            (Self::Mutable { except: from }, Self::Mutable { except: to }) => {
                from.iter().all(|pattern| to.contains(pattern))
            }
            (Self::Immutable { .. }, Self::Mutable { .. }) => false,
        }
    }
}

impl fmt::Display for Mutability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mutable { .. } => "mutable",
            Self::Immutable { .. } => "immutable",
        })?;
        for (number, pattern) in self.except().iter().enumerate() {
            f.write_str(if number == 0 { " except " } else { ", " })?;
            write!(f, "`{}`", pattern.escape_debug())?;
        }
        Ok(())
    }
}

/// How a repository's content is encrypted at rest.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Encryption {
    /// With keys that S3 manages.
    Aes256,
    /// With a key in AWS KMS.
    Kms {
        /// Its ARN, id or alias; ECR's own key in KMS if there is none.
        key: Option<String>,
    },
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aes256 => f.write_str("AES256"),
            Self::Kms { key: None } => f.write_str("KMS"),
            Self::Kms { key: Some(key) } => write!(f, "KMS with `{}`", key.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutable(except: &[&str]) -> Mutability {
        Mutability::Mutable { except: except.iter().map(ToString::to_string).collect() }
    }

    fn immutable(except: &[&str]) -> Mutability {
        Mutability::Immutable { except: except.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn exceptions_are_a_set() {
        assert!(immutable(&["a", "b"]).means(&immutable(&["b", "a", "a"])));
        assert!(!immutable(&["a"]).means(&mutable(&["a"])));
        assert!(!immutable(&["a"]).means(&immutable(&[])));
    }

    #[test]
    fn what_lets_no_more_tags_move_is_tighter() {
        let table = [
            (mutable(&[]), immutable(&[]), true),
            (mutable(&[]), immutable(&["latest"]), true),
            (mutable(&["v*"]), immutable(&["v1"]), false),
            (mutable(&["v*"]), immutable(&[]), true),
            (immutable(&["latest"]), immutable(&[]), true),
            (immutable(&[]), immutable(&["latest"]), false),
            (mutable(&[]), mutable(&["v*"]), true),
            (mutable(&["v*"]), mutable(&[]), false),
            (immutable(&[]), mutable(&[]), false),
        ];
        for (from, to, is_tighter) in table {
            assert_eq!(from.is_tightened_by(&to), is_tighter, "{from} to {to}");
        }
    }

    #[test]
    fn they_read_well() {
        assert_eq!(
            immutable(&["latest", "*-dev"]).to_string(),
            "immutable except `latest`, `*-dev`"
        );
        assert_eq!(mutable(&[]).to_string(), "mutable");
        let key = Some("alias/mirror".to_owned());
        assert_eq!(Encryption::Kms { key }.to_string(), "KMS with `alias/mirror`");
    }
}

//! [`Change`]: one thing that differs and is put right, as a value, as lines for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{Encryption, Mutability, PolicyKind};

/// What is put right in a repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Change {
    /// It is created, all of this in one call.
    Create {
        /// Whether image tags can be moved; AWS's default if nothing is said.
        #[serde(skip_serializing_if = "Option::is_none")]
        mutability: Option<Mutability>,
        /// Whether an image is scanned when it is pushed.
        #[serde(skip_serializing_if = "Option::is_none")]
        scan_on_push: Option<bool>,
        /// How its content is encrypted.
        #[serde(skip_serializing_if = "Option::is_none")]
        encryption: Option<Encryption>,
        /// Its tags.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        resource_tags: BTreeMap<String, String>,
    },
    /// Other image tags can be moved.
    Mutability {
        /// What it was.
        from: Mutability,
        /// What it will be.
        to: Mutability,
    },
    /// Images are scanned when they are pushed, or no longer.
    ScanOnPush {
        /// Whether they will be.
        to: bool,
    },
    /// Tags get a value; no tag is removed.
    ResourceTags {
        /// By key.
        set: BTreeMap<String, TagChange>,
    },
    /// A policy is put.
    PutPolicy {
        /// Which.
        policy: PolicyKind,
        /// What there was.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<Value>,
        /// What there will be, as the file has it.
        to: Value,
        /// The difference in meaning.
        diff: Vec<String>,
    },
    /// A policy is removed, because the file has none and pruning was asked for.
    RemovePolicy {
        /// Which.
        policy: PolicyKind,
        /// What there was.
        from: Value,
        /// All of it.
        diff: Vec<String>,
    },
}

/// A tag's new value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TagChange {
    /// The value that it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value that it will have.
    pub to: String,
}

impl fmt::Display for Change {
    /// Lines without an end: `+` for what comes, `-` for what goes, `~` above what differs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { mutability, scan_on_push, encryption, resource_tags } => {
                f.write_str("+ repository")?;
                if let Some(mutability) = mutability {
                    write!(f, "\n  + mutability: {mutability}")?;
                }
                if let Some(scan_on_push) = scan_on_push {
                    write!(f, "\n  + scan on push: {}", yes(*scan_on_push))?;
                }
                if let Some(encryption) = encryption {
                    write!(f, "\n  + encryption: {encryption}")?;
                }
                for (key, value) in resource_tags {
                    write!(f, "\n  + tag {}", tag(key, value))?;
                }
                Ok(())
            }
            Self::Mutability { from, to } => write!(f, "~ mutability: {from} → {to}"),
            Self::ScanOnPush { to } => write!(f, "~ scan on push: {} → {}", yes(!to), yes(*to)),
            Self::ResourceTags { set } => {
                f.write_str("~ tags")?;
                for (key, change) in set {
                    if let Some(from) = &change.from {
                        write!(f, "\n  - {}", tag(key, from))?;
                    }
                    write!(f, "\n  + {}", tag(key, &change.to))?;
                }
                Ok(())
            }
            Self::PutPolicy { policy, from, diff, .. } => {
                write!(f, "{} {policy}{}", if from.is_some() { '~' } else { '+' }, Lines(diff))
            }
            Self::RemovePolicy { policy, diff, .. } => write!(f, "- {policy}{}", Lines(diff)),
        }
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn tag(key: &str, value: &str) -> String {
    format!("{}={}", key.escape_debug(), value.escape_debug())
}

/// Lines below a headline.
struct Lines<'a>(&'a [String]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

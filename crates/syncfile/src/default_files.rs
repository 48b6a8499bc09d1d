//! The files with what holds for all ECR repositories: policies and tags, as JSON.
//!
//! A file that is named must be there. Without a name, a file that is called as ecr-sync's own
//! defaults is taken, because such a folder must mean here what it meant there: next to the sync
//! file first, then in the working directory. That is said each time, because nobody asked for it here.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::EcrDefaults;
use crate::diagnostic::{Code, Diagnostic, Place};
use crate::sync_file::SyncFile;

/// What a file is for.
#[derive(Clone, Copy)]
struct Kind {
    what: &'static str,
    usual_name: &'static str,
    flag: &'static str,
}

const LIFECYCLE: Kind = Kind {
    what: "lifecycle policy",
    usual_name: "ecr-lifecycle.json",
    flag: "--default-lifecycle-policy-file",
};
const PERMISSIONS: Kind = Kind {
    what: "permission policy",
    usual_name: "ecr-permissions.json",
    flag: "--default-permission-policy-file",
};
const TAGS: Kind = Kind {
    what: "resource tags",
    usual_name: "default_resource_tags.json",
    flag: "--default-resource-tags-file",
};

/// Gives each ECR repository what it does not say itself.
pub(crate) fn apply(sync_file: &mut SyncFile, defaults: &EcrDefaults, found: &mut Vec<Diagnostic>) {
    let mut lifecycle = Files::new(LIFECYCLE, defaults.lifecycle_policy_file.as_deref(), policy);
    let mut permissions =
        Files::new(PERMISSIONS, defaults.permission_policy_file.as_deref(), policy);
    let mut tags = Files::new(TAGS, defaults.resource_tags_file.as_deref(), tags);
    for repository in &mut sync_file.repositories {
        // Standard input has no folder, and its name no parent but the working directory.
        let folder = repository.origin.file.parent().unwrap_or(Path::new(""));
        let settings = &mut repository.settings;
        let own = lifecycle.of(folder, settings.lifecycle_policy.is_some(), found);
        settings.lifecycle_policy = settings.lifecycle_policy.take().or(own);
        let own = permissions.of(folder, settings.permission_policy.is_some(), found);
        settings.permission_policy = settings.permission_policy.take().or(own);
        for (key, value) in tags.of(folder, false, found).unwrap_or_default() {
            settings.resource_tags.entry(key).or_insert(value);
        }
    }
}

/// The files of one kind, each read once.
struct Files<'a, T> {
    kind: Kind,
    named: Option<&'a Path>,
    parse: fn(Value) -> Result<T, &'static str>,
    read: HashMap<PathBuf, Option<T>>,
}

impl<'a, T: Clone> Files<'a, T> {
    fn new(
        kind: Kind,
        named: Option<&'a Path>,
        parse: fn(Value) -> Result<T, &'static str>,
    ) -> Self {
        Self { kind, named, parse, read: HashMap::new() }
    }

    /// What holds for a repository of a sync file in this folder. A file that is named is read also
    /// for one that has its own.
    fn of(&mut self, folder: &Path, has_own: bool, found: &mut Vec<Diagnostic>) -> Option<T> {
        if has_own && self.named.is_none() {
            return None;
        }
        let file = self.find(folder)?;
        if let Some(known) = self.read.get(&file) {
            return known.clone();
        }
        if self.named.is_none() {
            let (what, flag) = (self.kind.what, self.kind.flag);
            let place = Some(Place::file(file.clone()));
            let message = format!("this file is taken as the default {what} of ECR repositories");
            let warning = Diagnostic::warning(Code::DefaultFile, place, message);
            found.push(warning.help(format!(
                "name the file with `{flag}` to say that it is meant, or give it another name"
            )));
        }
        let value = match read(&file, self.kind.what, self.parse) {
            Ok(value) => Some(value),
            Err(error) if self.named.is_some() => {
                let flag = self.kind.flag;
                found.push(error.help(format!("`{flag}` or its variable names this file")));
                None
            }
            Err(error) => {
                found.push(*error);
                None
            }
        };
        self.read.insert(file, value.clone());
        value
    }

    /// The file that is named, as seen from the working directory or, where it is not there and only
    /// a name, from the folder; else the one with the usual name.
    fn find(&self, folder: &Path) -> Option<PathBuf> {
        if let Some(named) = self.named {
            let beside = folder.join(named);
            let is_name = named.components().count() == 1;
            let is_beside = is_name && !named.exists() && beside.exists();
            return Some(if is_beside { beside } else { named.to_owned() });
        }
        let usual = PathBuf::from(self.kind.usual_name);
        [folder.join(&usual), usual].into_iter().find(|file| file.is_file())
    }
}

/// Boxed, because it is large and rare.
fn read<T>(
    file: &Path,
    what: &str,
    parse: fn(Value) -> Result<T, &'static str>,
) -> Result<T, Box<Diagnostic>> {
    let place = |line, column| Some(Place { line, column, ..Place::file(file.to_owned()) });
    let text = fs::read_to_string(file).map_err(|error| {
        let message = format!("cannot read the file of the default {what}: {error}");
        Box::new(Diagnostic::error(Code::UnreadableFile, place(0, 0), message))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let value = serde_json::from_str(text).map_err(|error| {
        let message = format!("the default {what} must be JSON");
        let place = place(error.line(), error.column().max(1));
        let error = error.to_string();
        let why = error.split(" at line ").next().unwrap_or_default().to_owned();
        Box::new(Diagnostic::error(Code::InvalidDefaultFile, place, message).label(why))
    })?;
    parse(value).map_err(|problem| {
        let message = format!("the default {what} must be {problem}");
        Box::new(Diagnostic::error(Code::InvalidDefaultFile, place(0, 0), message))
    })
}

fn policy(value: Value) -> Result<Value, &'static str> {
    if value.is_object() { Ok(value) } else { Err("a JSON object") }
}

/// `{"key": "value"}`, or AWS's own `[{"Key": "key", "Value": "value"}]`.
fn tags(value: Value) -> Result<BTreeMap<String, String>, &'static str> {
    const FORMS: &str = "a JSON object of texts, or a list of `{\"Key\": …, \"Value\": …}`";
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(FORMS);
    match value {
        Value::Object(tags) => {
            tags.into_iter().map(|(key, value)| Ok((key, text(&value)?))).collect()
        }
        Value::Array(tags) => tags
            .iter()
            .map(|tag| match tag.as_object() {
                Some(tag) if tag.len() == 2 => {
                    let of = |key| tag.get(key).ok_or(FORMS).and_then(text);
                    Ok((of("Key")?, of("Value")?))
                }
                _ => Err(FORMS),
            })
            .collect(),
        _ => Err(FORMS),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_have_two_forms() {
        let expected = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        assert_eq!(tags(json!({ "a": "1" })), Ok(expected.clone()));
        assert_eq!(tags(json!([{ "Key": "a", "Value": "1" }])), Ok(expected));
        assert_eq!(tags(json!({})), Ok(BTreeMap::new()));
        for wrong in [
            json!("a"),
            json!({ "a": 1 }),
            json!([{ "Key": "a" }]),
            json!([{ "key": "a", "value": "1" }]),
            json!([{ "Key": "a", "Value": "1", "More": "2" }]),
        ] {
            assert!(tags(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

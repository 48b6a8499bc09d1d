//! regsync's configuration: `sync` lists images and repositories.

use oci::Reference;

use super::list::{Entry, List};
use super::{ConvertError, Converted, entries, get, items, text, texts};
use crate::yaml::Node;

/// Keys of an entry that ask for what image-syncer does anyway.
const DONE_ANYWAY: [&str; 8] = [
    "digestTags",
    "referrers",
    "fastCopy",
    "forceRecursive",
    "includeExternal",
    "interval",
    "mediaTypes",
    "schedule",
];

pub(super) fn convert(root: &Node) -> Result<Converted, ConvertError> {
    let Some(sync) = get(root, "sync") else {
        return Err(ConvertError::Other("regsync", "there is no `sync` at its top"));
    };
    let mut list = List::default();
    for cred in get(root, "creds").map(items).unwrap_or_default() {
        let registry = get(cred, "registry").and_then(text).unwrap_or("a registry");
        list.note(format!(
            "the login of {registry} (`creds`): docker config has it, or `registries`"
        ));
    }
    for entry in items(sync) {
        push(entry, &mut list);
    }
    Ok(list.end())
}

fn push(entry: &Node, list: &mut List) {
    let value = |key| get(entry, key).and_then(text).unwrap_or_default();
    let (source, target, kind) = (value("source"), value("target"), value("type"));
    let shown = format!("{source} to {target}");
    if [source, target].iter().any(|name| name.contains("{{") || name.is_empty()) {
        list.note(format!("{shown}: a template or nothing; write the name"));
        return;
    }
    let platforms = get(entry, "platforms").or_else(|| get(entry, "platform"));
    let mut made = Entry {
        source: source.to_owned(),
        destination: Some(target),
        platforms: platforms.map(texts).unwrap_or_default(),
        ..Entry::default()
    };
    match kind {
        "image" => {
            let has_version =
                source.parse::<Reference>().map(|name| name.tag.is_some() || name.digest.is_some());
            if has_version == Ok(false) {
                made.source.push_str(":latest");
                list.note(format!("{shown}: `:latest` is said now; a version would not move"));
            }
        }
        "repository" => made.rules = rules(get(entry, "tags")),
        other => {
            list.note(format!("{shown}: the type `{other}`; list its repositories"));
            return;
        }
    }
    for (key, _) in entries(entry) {
        let known = ["source", "target", "type", "platform", "platforms", "tags"];
        if !known.contains(&key) && !DONE_ANYWAY.contains(&key) {
            list.note(format!("{shown}: `{key}`"));
        }
    }
    list.push(&made);
}

/// regsync takes the tags that a range or `allow` has, and of them those that `deny` has not. Its regexes
/// match whole tags, as ours do.
fn rules(tags: Option<&Node>) -> Vec<(&'static str, Vec<String>)> {
    let of = |key| tags.and_then(|tags| get(tags, key)).map(texts).unwrap_or_default();
    let regexes = |key| of(key).iter().map(|regex| format!("/{regex}/")).collect::<Vec<_>>();
    let ranges = of("semverRange");
    let mut rules = Vec::new();
    if !ranges.is_empty() {
        rules.push(("semver", vec![ranges.join(" || ")]));
    }
    for (key, values) in [("include", regexes("allow")), ("exclude", regexes("deny"))] {
        if !values.is_empty() {
            rules.push((key, values));
        }
    }
    if rules.is_empty() {
        rules.push(("include", vec!["*".to_owned()]));
    }
    rules
}

//! The YAML of `skopeo sync`: registries, and what is wanted of each.

use super::list::{Entry, List};
use super::{ConvertError, Converted, entries, text, texts};
use crate::yaml::{Content, Node};

/// How much of a digest a tag is named after.
const TAG_LENGTH: usize = 12;

pub(super) fn convert(root: &Node) -> Result<Converted, ConvertError> {
    let is_mapping = matches!(&root.content, Content::Mapping(pairs) if !pairs.is_empty());
    if !is_mapping {
        return Err(ConvertError::Other("skopeo sync", "there are no registries at its top"));
    }
    let mut list = List::default();
    for (host, registry) in entries(root) {
        for (key, value) in entries(registry) {
            match key {
                "images" => images(host, value, &mut list),
                "images-by-tag-regex" => selections(host, value, &mut list, |regex| ("include", whole(regex))),
                "images-by-semver" => selections(host, value, &mut list, |range| ("semver", range.to_owned())),
                "tls-verify" if text(value) == Some("true") => {}
                "tls-verify" => list.note(format!(
                    "{host}: `tls-verify: false`; give its authority as `ca`, or `insecure: true` for plain http"
                )),
                "credentials" => list.note(format!("{host}: its login; docker config has it, or `registries`")),
                "cert-dir" => list.note(format!(
                    "{host}: `cert-dir`; give its `.crt` as `ca`, `.cert` and `.key` as `clientCertificate`, \
                     under `registries`"
                )),
                other => list.note(format!("{host}: `{other}`")),
            }
        }
    }
    // An option of the command, of which the file does not tell.
    list.note(
        "whether `--all` was given; without it one platform's image was copied, and the index that is copied \
         here is drift beside it; `amd64Only: true` is such an image",
    );
    Ok(list.end())
}

fn images(host: &str, repositories: &Node, list: &mut List) {
    for (repository, versions) in entries(repositories) {
        let name = format!("{host}/{repository}");
        let versions = texts(versions);
        if versions.is_empty() {
            let rules = vec![("include", vec!["*".to_owned()])];
            list.push(&Entry { source: name.clone(), rules, ..Entry::default() });
        }
        for version in versions {
            let hex = version.strip_prefix("sha256:");
            let tag = hex.and_then(|hex| hex.get(..TAG_LENGTH));
            let source = match tag {
                Some(_) => format!("{name}@{version}"),
                None => format!("{name}:{version}"),
            };
            list.push(&Entry { source, tag, ..Entry::default() });
        }
    }
}

fn selections(
    host: &str,
    repositories: &Node,
    list: &mut List,
    rule: impl Fn(&str) -> (&'static str, String),
) {
    for (repository, value) in entries(repositories) {
        if let Some(value) = text(value) {
            let (key, value) = rule(value);
            let rules = vec![(key, vec![value])];
            list.push(&Entry { source: format!("{host}/{repository}"), rules, ..Entry::default() });
        }
    }
}

/// skopeo's regexes match any part of a tag, ours all of it.
fn whole(regex: &str) -> String {
    let inner = regex.strip_prefix('^').and_then(|regex| regex.strip_suffix('$'));
    match inner {
        Some(inner) if !inner.contains('|') && !inner.ends_with('\\') => format!("/{inner}/"),
        _ => format!("/.*(?:{regex}).*/"),
    }
}

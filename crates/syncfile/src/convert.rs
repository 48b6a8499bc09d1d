//! [`convert`]: the files of regsync and of `skopeo sync` as sync files.
//!
//! What has no counterpart is not dropped in silence: [`Converted::notes`] names it. No secret is carried
//! over.

mod list;
mod regsync;
mod skopeo;

use crate::yaml::{self, Content, Node};

/// Whose file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForeignFormat {
    /// regsync's configuration.
    /// <https://github.com/regclient/regclient/blob/main/docs/regsync.md>
    Regsync,
    /// What `skopeo sync --src yaml` reads.
    /// <https://github.com/containers/skopeo/blob/main/docs/skopeo-sync.1.md#yaml-file-content-used-source-for---src-yaml>
    Skopeo,
}

/// A sync file that was made of another file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Converted {
    /// The sync file.
    pub text: String,
    /// What of the other file it does not say, each a sentence.
    pub notes: Vec<String>,
}

/// Why there is nothing to convert.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is no YAML.
    #[error("it is not YAML: {0}")]
    Yaml(String),
    /// It is YAML of something else.
    #[error("it is not a file of {0}: {1}")]
    Other(&'static str, &'static str),
}

/// Makes a sync file of another file's text.
///
/// # Errors
/// If the text is no YAML, or not what that format has at its top.
pub fn convert(format: ForeignFormat, text: &str) -> Result<Converted, ConvertError> {
    let parsed = yaml::parse(text.trim_start_matches('\u{feff}'));
    if let Some(problem) = parsed.problems.first() {
        return Err(ConvertError::Yaml(problem.message.clone()));
    }
    let nothing = Node { span: yaml::Span::default(), content: Content::Mapping(Vec::new()) };
    let root = parsed.root.unwrap_or(nothing);
    match format {
        ForeignFormat::Regsync => regsync::convert(&root),
        ForeignFormat::Skopeo => skopeo::convert(&root),
    }
}

/// The keys and values of a mapping; none of anything else.
fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let pairs = match &node.content {
        Content::Mapping(pairs) => pairs.as_slice(),
        Content::List(_) | Content::Scalar { .. } => &[],
    };
    pairs.iter().filter_map(|(key, value)| Some((text(key)?, value)))
}

/// The value of a key.
fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// A text, also one that YAML would call a number.
fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar { text, .. } if !node.is_null() => Some(text),
        _ => None,
    }
}

/// The texts of a list, or the one text.
fn texts(node: &Node) -> Vec<&str> {
    match &node.content {
        Content::List(items) => items.iter().filter_map(text).collect(),
        Content::Scalar { .. } => text(node).into_iter().collect(),
        Content::Mapping(_) => Vec::new(),
    }
}

/// The items of a list.
fn items(node: &Node) -> &[Node] {
    match &node.content {
        Content::List(items) => items,
        Content::Scalar { .. } | Content::Mapping(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use proptest::prelude::*;

    use super::*;

    fn made(format: ForeignFormat, text: &str) -> String {
        let converted = convert(format, text).unwrap();
        // What was made is a sync file.
        let file = tempfile::tempdir().unwrap();
        let path = file.path().join("images.yaml");
        std::fs::write(&path, &converted.text).unwrap();
        let defaults = crate::Defaults {
            target_repo_prefixes: vec!["mirror.example.com/".to_owned()],
            ..crate::Defaults::default()
        };
        let loaded = crate::load(&[path.into()], &defaults);
        assert!(loaded.is_ok(), "{:?}", loaded.err());
        let notes: Vec<String> = converted.notes.iter().map(|note| format!("# {note}\n")).collect();
        format!("{}{}", converted.text, notes.concat())
    }

    #[test]
    fn a_file_of_regsync() {
        let text = r#"
version: 1
creds:
- registry: registry.example.com
  user: robot
  pass: '{{file "/run/secrets/password"}}'
  regcert: '{{ file "/etc/ssl/registry.pem" }}'
- { registry: "registry:5000", tls: disabled, reqPerSec: 100 }
- registry: docker.io
  tls: enabled
  mirrors: [mirror.example.com]
- { registry: self.example.com, tls: insecure, hostname: other.example.com, regcert: "-----BEGIN", repoAuth: true }
- { registry: '{{env "REGISTRY"}}', tls: disabled }
defaults:
  parallel: 2
  interval: 60m
  backup: "bkup-{{.Ref.Tag}}"
  ratelimit: { min: 100, retry: 15m }
  referrers: true
  digestTags: false
  includeExternal: false
  userAgent: ours
sync:
- { source: busybox:1.37, target: "registry.example.com/library/busybox:1.37", type: image }
- { source: alpine, target: registry.example.com/alpine, type: image, platform: linux/amd64 }
- { source: "alpine:3", target: registry.example.com/arm, type: image, platform: linux/arm64 }
- source: debian
  target: registry.example.com/debian
  type: repository
  tagSets:
  - { allow: [latest] }
  - { semverRange: [">=12"], allow: ['\d+'] }
- source: alpine
  target: registry.example.com/library/alpine
  type: repository
  tags: { allow: ["3", "3\\.\\d+"], deny: [".*-rc"], semverRange: [">=3"] }
  platforms: [linux/amd64, linux/arm64]
  backup: "old-{{.Ref.Tag}}"
- { source: redis, target: registry.example.com/redis, type: repository }
- { source: old.example.com, target: registry.example.com, type: registry }
- { source: "{{.Image}}", target: a.example/b:1, type: image }
"#;
        insta::assert_snapshot!(made(ForeignFormat::Regsync, text));
    }

    #[test]
    fn a_file_of_skopeo() {
        let text = r#"
registry.example.com:
  images:
    busybox: []
    redis: ["1.0", 2.0, "sha256:0000000000000000000000000000000011111111111111111111111111111111"]
  images-by-tag-regex:
    nginx: ^1\.13\.[12]-alpine-perl$
    other: -alpine
  images-by-semver:
    postgres: ">= 15"
  credentials: { username: john, password: this is a secret }
  tls-verify: false
  cert-dir: /etc/containers/certs.d
quay.io:
  tls-verify: true
  images:
    coreos/etcd: [latest]
"#;
        let made = made(ForeignFormat::Skopeo, text);
        assert!(!made.contains("this is a secret"));
        insta::assert_snapshot!(made);
    }

    #[test]
    fn another_file() {
        for format in [ForeignFormat::Regsync, ForeignFormat::Skopeo] {
            assert!(matches!(convert(format, "a: ["), Err(ConvertError::Yaml(_))));
            assert!(matches!(convert(format, "- a"), Err(ConvertError::Other(..))));
            assert!(matches!(convert(format, ""), Err(ConvertError::Other(..))));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z:{}\\[\\]\"'\n -]{0,200}") {
            for format in [ForeignFormat::Regsync, ForeignFormat::Skopeo] {
                let _ = convert(format, &text);
            }
        }
    }
}

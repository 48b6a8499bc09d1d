//! What of a sync file is never shown: passwords and tokens, also those under a misspelt key, and
//! private keys.

use crate::key::is_private;
use crate::yaml::{Content, Node, Span};

/// Where in the tree a value stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Within {
    /// Where everything may be shown.
    Open,
    /// Directly below `registries`, where the keys are hosts.
    Registries,
    /// In a registry: what a key that is not known to be harmless holds is hidden.
    Registry,
    /// Below `notices`: who knows the URL of a webhook can post there.
    Notices,
    /// Below `auth` or a key with a name like `password`.
    Secret,
}

impl Within {
    fn below(self, key: &str) -> Self {
        match key {
            "registries" => Self::Registries,
            _ if self == Self::Registries => Self::Registry,
            "notices" if self == Self::Open => Self::Notices,
            "on" | "template" | "insecure" if self == Self::Notices => Self::Open,
            _ if is_suspicious(key) || !is_plausible(key) => Self::Secret,
            "ca" | "cert" | "concurrency" | "endpoint" | "insecure" | "key" | "mirrors"
            | "kind" | "rate" | "reserve"
                if self == Self::Registry =>
            {
                Self::Open
            }
            "env" | "file" | "username" | "dockerConfig" | "kubernetes" | "assumeRole"
            | "sessionName" | "accessKeyId" | "profile" | "impersonate" | "clientId"
            | "tenantId"
                if self != Self::Open =>
            {
                Self::Open
            }
            _ if self == Self::Notices => Self::Secret,
            _ => self,
        }
    }
}

/// The values of a tree that are or may be secrets, in the order of the text and without overlaps.
pub(crate) fn secrets(text: &str, root: &Node) -> Vec<Span> {
    let mut secrets = Secrets { text, spans: Vec::new() };
    secrets.collect(root, Within::Open);
    secrets.spans.retain(|span| span.start < span.end);
    secrets.spans.sort_by_key(|span| span.start);
    // An alias has the span of what it repeats.
    secrets.spans.dedup_by(|next, span| {
        let overlaps = next.start < span.end;
        if overlaps {
            span.end = span.end.max(next.end);
        }
        overlaps
    });
    secrets.spans
}

struct Secrets<'t> {
    text: &'t str,
    spans: Vec<Span>,
}

impl Secrets<'_> {
    fn collect(&mut self, node: &Node, within: Within) {
        match &node.content {
            Content::Scalar { text, .. } => {
                let is_secret = is_private(text) || has_user_info(text);
                if (within != Within::Open && !node.is_null()) || is_secret {
                    self.spans.push(node.span);
                }
            }
            Content::List(items) => items.iter().for_each(|item| self.collect(item, within)),
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    let name = match &key.content {
                        Content::Scalar { text, .. } => text.as_str(),
                        Content::List(_) | Content::Mapping(_) => {
                            self.collect(key, within);
                            ""
                        }
                    };
                    if is_secret_key(name, within) {
                        self.spans.push(key.span);
                    }
                    let below = within.below(name);
                    match &value.content {
                        Content::Scalar { .. } if below != Within::Open => {
                            self.spans.push(self.all_after(key, value));
                        }
                        _ => self.collect(value, below),
                    }
                }
            }
        }
    }

    /// All that is written after a key as its value, with a comment: `password: #hunter2`,
    /// `&hunter2` and `!hunter2` are no values for YAML, but were meant as such.
    fn all_after(&self, key: &Node, value: &Node) -> Span {
        let start = key.span.end;
        // Nothing stands after its anchor or tag, or else before the colon.
        let end = value.span.end.max(start);
        let rest = self.text.get(end..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let has_comment = line.trim_start_matches([':', ' ', '\t']).starts_with('#');
        let end = if has_comment { end + line.len() } else { end };
        let written = self.text.get(start..end).unwrap_or_default();
        let colon = written.len() - written.trim_start_matches([':', ' ', '\t']).len();
        Span { start: start + colon, end }
    }
}

/// Whether this may be the name of a key at all; else its value may belong to another one.
fn is_plausible(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:/".contains(&b))
}

/// Whether a key may hold a secret itself, as in `{ password:hunter2 }`, where a space is missing.
fn is_secret_key(key: &str, within: Within) -> bool {
    let is_word = key.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'-');
    match within {
        Within::Registry | Within::Notices | Within::Secret => !is_word,
        Within::Registries => has_user_info(key),
        Within::Open => has_user_info(key) || (is_suspicious(key) && !is_word),
    }
}

/// Whether the line that begins at `begin` may show a secret, told from the text alone: whether
/// anything looks like one between it and the top-level key that it belongs to.
pub(crate) fn may_hold_secret(text: &str, begin: usize) -> bool {
    let (before, rest) = text.split_at_checked(begin).unwrap_or((text, ""));
    let line = rest.lines().next().unwrap_or_default();
    let begins_section = |line: &str| {
        line.split_once(':')
            .is_some_and(|(key, _)| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    let mut above = before.lines().rev();
    let mut looked_at = line;
    loop {
        if looks_secret(looked_at) {
            return true;
        }
        if begins_section(looked_at) {
            return false;
        }
        match above.next() {
            Some(line) => looked_at = line,
            None => return false,
        }
    }
}

/// Whether a line has a word that names a secret. A part of an image's name is none.
fn looks_secret(line: &str) -> bool {
    let separators = ['{', '}', '[', ']', ',', '"', '\''];
    has_user_info(line)
        || is_private(line)
        || line
            .split(|c: char| c.is_whitespace() || separators.contains(&c))
            .filter_map(|word| word.split(':').next())
            .any(|word| {
                !word.contains(['/', '.'])
                    && (["registries", "notices"].contains(&word) || is_suspicious(word))
            })
}

fn is_suspicious(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["auth", "pass", "token", "secret", "credential"].iter().any(|word| key.contains(word))
}

/// Whether a URL in the text has a user or a password.
fn has_user_info(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?', '#', ' ']).next().is_some_and(|authority| authority.contains('@'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// The text with its secrets replaced.
    fn shown(text: &str) -> String {
        let root = yaml::parse(text).root.expect("YAML");
        let mut shown = text.to_owned();
        for span in secrets(text, &root).into_iter().rev() {
            shown.replace_range(span.start..span.end, "***");
        }
        shown
    }

    #[test]
    fn values_of_a_registry_are_hidden_unless_they_are_known_to_be_harmless() {
        let text = "
registries:
  a.example:
    auth: { username: robot, password: hunter2 }
    ca: ca.pem
    clientCertificate: { cert: c.pem, key: k.pem }
    mirrors: [b.example]
    typo: hunter2
  c.example:
    auth: { aws: { assumeRole: a, externalId: hunter2 }, kubernetes: k, dockerConfig: d }
  b.example:
    auth: { key: hunter2, token: { env: NAME, file: f, other: hunter2 } }
";
        let wanted = text.replace("hunter2", "***");
        assert_eq!(shown(text), wanted);
    }

    #[test]
    fn addresses_of_notices_are_hidden() {
        let text = "
notices:
- { slack: hunter2, on: [drift] }
- teams: hunter2
- webhook: { env: URL }
  secret: { file: hook }
  template: '{}'
  headers: { X-Team: hunter2 }
- { slak: hunter2 }
";
        assert_eq!(shown(text), text.replace("hunter2", "***"));
        assert!(may_hold_secret("notices:\n- slack: hunter2\n- {", 9));
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        assert_eq!(
            shown("images: [{source: a, password: x}]"),
            "images: [{source: a, password: ***}]"
        );
        assert_eq!(shown("source: {access_secret: x}"), "source: {access_secret: ***}");
        assert_eq!(shown("source: https://u:p@a.example/b"), "source: ***");
        assert_eq!(shown("https://u:p@a.example: b"), "***: ***");
        assert_eq!(shown("registries: {r.example:5000: {}}"), "registries: {r.example:5000: {}}");
        assert_eq!(shown("registries: {r: {x:y, z: a}}"), "registries: {r: {***, z: ***}}");
        assert_eq!(shown("password: a # b\nx: y # z"), "password: ***\nx: y # z");
        assert_eq!(shown("password:\nx: y"), "password:\nx: y");
        assert_eq!(shown("password: #b\nx: y # z"), "password: ***\nx: y # z");
        assert_eq!(shown("password: !b\nx: !y z"), "password: ***\nx: !y z");
        assert_eq!(shown("password: &b c\nx: &y z"), "password: ***\nx: &y z");
        assert_eq!(shown("images: [{password:x}]"), "images: [{***}]");
        assert_eq!(shown("source: a@sha256:b # https://"), "source: a@sha256:b # https://");
        let begin = "-----BEGIN PRIVATE KEY-----";
        assert_eq!(shown(&format!("kmsKey: {begin}")), "kmsKey: ***");
        assert_eq!(
            shown(&format!("kmsKey: |\n  {begin}\n  c2Vj\nsign: yes")),
            "kmsKey: |\n  ***sign: yes"
        );
        assert_eq!(shown("kmsKey: awskms:///alias/a"), "kmsKey: awskms:///alias/a");
    }

    #[test]
    fn a_text_that_is_no_tree_is_judged_by_its_words() {
        let text = "images:\n- source: quay.io/oauth2-proxy/oauth2-proxy:v7\nregistries:\n  \
                    a.example:\n\n    auth:\n      x: y\nsign: no\n";
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| !may_hold_secret(text, line.as_ptr() as usize - text.as_ptr() as usize))
            .collect();
        assert_eq!(
            shown,
            ["images:", "- source: quay.io/oauth2-proxy/oauth2-proxy:v7", "sign: no"]
        );
        assert!(may_hold_secret("{ registries: {},\n images: [] }", 18));
        assert!(may_hold_secret("a:\n- { password:x,\n y\n", 19));
    }
}

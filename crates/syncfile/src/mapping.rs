//! [`Mapping`]: the keys of a mapping, checked while they are asked for: none twice, none unknown, none
//! missing. What was probably meant is told.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::reader::{Field, Reader, Spanned, describe};
use crate::yaml::{Content, Node, Span};

/// The keys of a mapping. Each is asked for once; what is left when it is closed is unknown.
pub(crate) struct Mapping<'n> {
    what: &'static str,
    span: Span,
    entries: Vec<(&'n str, Span, &'n Node)>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Mapping<'n> {
    /// Opens a mapping; `what` names it in messages, such as `an image`.
    pub(crate) fn open(
        reader: &mut Reader<'_>,
        node: &'n Node,
        what: &'static str,
    ) -> Option<Self> {
        let Content::Mapping(entries) = &node.content else {
            let message = format!("{what} must be a mapping of keys to values");
            let error = reader.error(Code::WrongType, node.span, message);
            reader.push(error.label(format!("this is {}", describe(node))));
            return None;
        };
        let mut mapping = Self {
            what,
            span: node.span,
            entries: Vec::new(),
            known: Vec::new(),
            missing: Vec::new(),
        };
        let mut seen = HashMap::new();
        for (key, value) in entries {
            if !is_merge_key(key) {
                mapping.add(reader, &mut seen, key, value);
            }
        }
        for (key, value) in entries {
            if is_merge_key(key) {
                mapping.merge(reader, &mut seen, value);
            }
        }
        Some(mapping)
    }

    fn add(
        &mut self,
        reader: &mut Reader<'_>,
        seen: &mut HashMap<&'n str, Span>,
        key: &'n Node,
        value: &'n Node,
    ) {
        let Content::Scalar { text, .. } = &key.content else {
            let error = reader.error(Code::WrongType, key.span, "a key must be a string");
            reader.push(error.label(format!("this is {}", describe(key))));
            return;
        };
        if let Some(first) = seen.insert(text, key.span) {
            let message = match reader.text.hides(key.span) {
                true => format!("a key appears twice in {}", self.what),
                false => format!("the key `{text}` appears twice in {}", self.what),
            };
            let error = reader.error(Code::DuplicateKey, key.span, message);
            reader.push(error.label("again here").related(reader.text.place(first), "first here"));
            return;
        }
        self.entries.push((text, key.span, value));
    }

    /// Adds the keys of a YAML 1.1 merge (`<<: *base`) that are not there already.
    fn merge(
        &mut self,
        reader: &mut Reader<'_>,
        seen: &mut HashMap<&'n str, Span>,
        value: &'n Node,
    ) {
        let sources = match &value.content {
            Content::List(items) => items.as_slice(),
            Content::Scalar { .. } | Content::Mapping(_) => std::slice::from_ref(value),
        };
        for source in sources {
            let Content::Mapping(entries) = &source.content else {
                let message = "`<<` takes the keys of a mapping or of a list of mappings";
                reader.push(reader.error(Code::WrongType, source.span, message));
                continue;
            };
            for (key, value) in entries {
                if let Content::Scalar { text, .. } = &key.content
                    && !seen.contains_key(text.as_str())
                {
                    seen.insert(text, key.span);
                    self.entries.push((text, key.span, value));
                }
            }
        }
    }

    /// Where the mapping begins.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The value of a key that may be missing.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(known, ..)| *known == key)?;
        let (_, key_span, node) = self.entries.remove(at);
        Some(Field { key, key_span, node })
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<Field<'n>> {
        let field = self.get(key);
        if field.is_none() {
            self.missing.push(key);
        }
        field
    }

    /// Every key that has not been asked for, where the keys are names of something.
    pub(crate) fn rest(&mut self) -> Vec<(Spanned<&'n str>, &'n Node)> {
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().map(|(value, span, node)| (Spanned { value, span }, node)).collect()
    }

    /// Notes the keys that are unknown and those that are missing; whether there are none.
    pub(crate) fn close(mut self, reader: &mut Reader<'_>) -> bool {
        let complete = self.entries.is_empty() && self.missing.is_empty();
        for (key, span, _) in std::mem::take(&mut self.entries) {
            let message = match reader.text.hides(span) {
                true => "unknown key".to_owned(),
                false => format!("unknown key `{key}`"),
            };
            let error = reader.error(Code::UnknownKey, span, message);
            let error = match key.split_once(':') {
                Some((key, _)) if self.known.contains(&key) => {
                    reader.push(error.label("write a space after the `:`"));
                    self.missing.retain(|missing| *missing != key);
                    continue;
                }
                _ => error,
            };
            let error = match nearest(key, &self.known) {
                Some(known) => {
                    self.missing.retain(|missing| *missing != known);
                    error.label(format!("did you mean `{known}`?"))
                }
                None => match ELSEWHERE.iter().find(|(known, _)| *known == key) {
                    Some((_, place)) => error.label(format!("this key belongs {place}")),
                    None => error.help(format!("{} has {}", self.what, listed(&self.known))),
                },
            };
            reader.push(error);
        }
        for key in &self.missing {
            let message = format!("{} must have `{key}`", self.what);
            let error = reader.error(Code::MissingKey, self.span, message);
            reader.push(error.label(format!("`{key}` is missing")));
        }
        complete
    }
}

/// Keys that people look for in the wrong place, and the right one.
const ELSEWHERE: &[(&str, &str)] = &[
    ("targetRepoPrefix", "at the top of the file"),
    ("kmsKey", "at the top of the file"),
    ("formerKeys", "at the top of the file"),
    ("signatureFormat", "at the top of the file"),
    ("signRecursively", "at the top of the file"),
    ("attest", "at the top of the file"),
    ("rekorUrl", "at the top of the file"),
    ("rekorKey", "at the top of the file"),
    ("verify", "at the top of the file"),
    ("notices", "at the top of the file"),
    ("images", "at the top of the file"),
    ("registries", "at the top of the file"),
    ("repositories", "at the top of the file"),
    ("schedule", "at the top of the file"),
    ("source", "in an entry of `images`"),
    ("tag", "in an entry of `images`"),
    ("destination", "in an entry of `images`"),
    ("target", "in an entry of `images`"),
    ("amd64Only", "in an entry of `images`"),
    ("platforms", "in an entry of `images`"),
    ("key", "in an entry of `images`"),
    ("keys", "in a rule of `verify`"),
    ("identities", "in a rule of `verify`"),
    ("trustedRoot", "in a rule of `verify`"),
    ("attestations", "in a rule of `verify`"),
    ("issuer", "in `identities` of a rule of `verify`"),
    ("subject", "in `identities` of a rule of `verify`"),
    ("pull_url", "in `image` or `chart` of an entry of `repositories`"),
    ("aliases", "in `image` of an entry of `repositories`"),
    ("lifecyclePolicy", "in an entry of `repositories`"),
    ("permissionPolicy", "in an entry of `repositories`"),
    ("resourceTags", "in an entry of `repositories`"),
    ("scanOnPush", "in an entry of `repositories`"),
    ("charts", "at the top of the file"),
    ("versions", "in an entry of `charts`"),
    ("auth", "in an entry of `registries`"),
    ("username", "in `auth` of an entry of `registries`"),
    ("password", "in `auth` of an entry of `registries`"),
    ("dockerConfig", "in `auth` of an entry of `registries`"),
    ("kubernetes", "in `auth` of an entry of `registries`"),
    ("awsSecret", "in `username`, `password`, `token` or an access key of `auth`"),
    ("assumeRole", "in `aws` of `auth` of an entry of `registries`"),
    ("externalId", "in `aws` of `auth` of an entry of `registries`"),
    ("accessKeyId", "in `aws` of `auth` of an entry of `registries`"),
    ("secretAccessKey", "in `aws` of `auth` of an entry of `registries`"),
    ("impersonate", "in `google` of `auth` of an entry of `registries`"),
    ("clientId", "in `azure` of `auth` of an entry of `registries`"),
    ("tenantId", "in `azure` of `auth` of an entry of `registries`"),
    ("insecure", "in an entry of `registries`"),
    ("mirrors", "in an entry of `registries`"),
];

fn is_merge_key(key: &Node) -> bool {
    matches!(&key.content, Content::Scalar { text, plain: true } if text == "<<")
}

/// The known name that was probably meant.
fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let written = folded(written);
    known
        .iter()
        .map(|name| (strsim::osa_distance(&written, &folded(name)), *name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

fn listed(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

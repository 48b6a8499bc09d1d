//! [`VerifyRule`]: what must be signed at its source before it is copied, and by whom.

use std::path::PathBuf;

use oci::Location;
use tagrules::WholeRegex;

use crate::diagnostic::{Code, Diagnostic};
use crate::image;
use crate::key::Key;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader, Spanned};
use crate::source_pattern::SourcePattern;
use crate::sync_file::{Origin, SyncFile};
use crate::yaml::{Node, Span};

/// Whose signature the sources that match must have. All rules that match a source must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifyRule {
    /// Which sources it is for.
    pub source: SourcePattern,
    /// Keys; a signature by any one of them is enough. Without keys there are identities.
    pub keys: Vec<Key>,
    /// Identities; a signature by any one of them, or of the keys, is enough.
    pub keyless: Option<Keyless>,
    /// What becomes of a source for which it does not hold.
    pub mode: VerifyMode,
    /// The predicate types of the attestations that must be there, each signed by one of the same
    /// keys or identities.
    pub attestations: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
}

/// Identities that sign without keys of their own, by certificates of a day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Keyless {
    /// At least one.
    pub identities: Vec<Identity>,
    /// The file with the certificates and logs that are trusted, as seen from the working directory.
    pub trusted_root: PathBuf,
}

/// Who signs, as a certificate says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Who vouches for it: the URL of an OpenID Connect issuer.
    pub issuer: IdentityText,
    /// Who it is: a mail address, or the URI of a workflow.
    pub subject: IdentityText,
}

/// What a text of an identity must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentityText {
    /// Exactly this.
    Exact(String),
    /// What the whole of matches this.
    Pattern(WholeRegex),
}

impl IdentityText {
    /// Whether the text is what it must be.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Pattern(pattern) => pattern.matches(text),
        }
    }
}

/// What becomes of a source for which a rule does not hold.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum VerifyMode {
    /// It is not copied.
    #[default]
    Required,
    /// It is copied, with a warning.
    Warn,
}

impl SyncFile {
    /// The rules for what comes from here; all of them must hold.
    pub fn verify_rules(&self, source: &Location) -> impl Iterator<Item = &VerifyRule> {
        self.verify.iter().filter(|rule| rule.source.matches(source))
    }
}

/// Reads the rules of a file, each with where its source stands. What is wrong is left out, and noted.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<(VerifyRule, Span)> {
    let Some(items) = reader.list(field) else { return Vec::new() };
    // Unlike a list of images: rules that got lost must not go unnoticed.
    if items.is_empty() {
        let error = reader.error(Code::NoValue, field.key_span, "`verify` has no rule");
        reader.push(error.help("if nothing is to be verified, remove the key"));
    }
    items.iter().filter_map(|item| read_rule(reader, item)).collect()
}

fn read_rule(reader: &mut Reader<'_>, node: &Node) -> Option<(VerifyRule, Span)> {
    let mut rule = Mapping::open(reader, node, "a rule of `verify`")?;
    let (before, span) = (reader.found.len(), rule.span());
    let source = rule.require("source").and_then(|field| source(reader, field));
    let (keys_field, identities_field) = (rule.get("keys"), rule.get("identities"));
    let root_field = rule.get("trustedRoot");
    let keys = keys_field.map(|field| keys(reader, field)).unwrap_or_default();
    let identities = identities_field.map(|field| identities(reader, field)).unwrap_or_default();
    let trusted_root = root_field
        .and_then(|field| reader.text(field).map(|path| reader.text.resolve(path.value.as_ref())));
    let mode = rule.get("mode").and_then(|field| mode(reader, field)).unwrap_or_default();
    let attestations =
        rule.get("attestations").map(|field| attestations(reader, field)).unwrap_or_default();
    let complete = rule.close(reader);

    if complete && keys_field.is_none() && identities_field.is_none() {
        let message = "a rule of `verify` must have `keys` or `identities`";
        let error = reader.error(Code::MissingKey, span, message);
        reader.push(error.label("whose signature?"));
    }
    match (identities_field, root_field) {
        (Some(field), None) if complete => {
            let message = "`identities` need a `trustedRoot`: nothing is looked up on the network";
            let error = reader.error(Code::MissingKey, field.key_span, message);
            reader.push(error.help(
                "add `trustedRoot: trusted_root.json`, a file as `cosign trusted-root create` makes it",
            ));
        }
        (None, Some(field)) if complete => {
            let message = "`trustedRoot` is for `identities`, and this rule has none";
            reader.push(reader.error(Code::ConflictingKeys, field.key_span, message));
        }
        _ => {}
    }
    // A warning is no reason to leave a rule out.
    let has_errors =
        |found: &[Diagnostic]| found.iter().any(|found| found.severity == crate::Severity::Error);
    if has_errors(reader.found.get(before..).unwrap_or_default()) {
        return None;
    }
    let keyless = trusted_root.map(|trusted_root| Keyless { identities, trusted_root });
    let (source, at) = source?;
    let origin = image::origin(reader, span);
    Some((VerifyRule { source, keys, keyless, mode, attestations, origin }, at))
}

fn source(reader: &mut Reader<'_>, field: Field<'_>) -> Option<(SourcePattern, Span)> {
    let text = reader.text(field)?;
    match SourcePattern::parse(&text.value) {
        Ok(pattern) => Some((pattern, text.span)),
        Err(problem) => {
            let message = format!("`{}` is not a pattern of sources", text.value.escape_debug());
            let error = reader.error(Code::InvalidPattern, text.span, message).label(problem.label);
            reader.push(problem.help.into_iter().fold(error, Diagnostic::help));
            None
        }
    }
}

/// Keys of which public halves are enough, one or several.
pub(crate) fn keys(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Key> {
    let texts = reader.one_or_more(field).unwrap_or_default();
    let texts = distinct(reader, texts, "key");
    texts.into_iter().map(|text| Key::new(reader, text)).collect()
}

/// The texts without those that were there before, which are noted.
fn distinct(
    reader: &mut Reader<'_>,
    texts: Vec<Spanned<String>>,
    what: &str,
) -> Vec<Spanned<String>> {
    let mut kept: Vec<Spanned<String>> = Vec::new();
    for text in texts {
        match kept.iter().find(|one| one.value == text.value) {
            Some(first) => {
                let message = format!("the same {what} is listed twice");
                let first = reader.text.place(first.span);
                let warning = reader.warning(Code::DuplicateValue, text.span, message);
                reader.push(warning.label("again here").related(first, "first here"));
            }
            None => kept.push(text),
        }
    }
    kept
}

fn identities(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Identity> {
    let Some(items) = reader.list(field) else { return Vec::new() };
    if items.is_empty() {
        let message = "`identities` is an empty list";
        reader.push(reader.error(Code::NoValue, field.key_span, message));
    }
    let mut identities: Vec<Identity> = Vec::new();
    for item in items {
        match identity(reader, item) {
            Some(identity) if identities.contains(&identity) => {
                let message = "the same identity is listed twice";
                reader.push(reader.warning(Code::DuplicateValue, item.span, message));
            }
            Some(identity) => identities.push(identity),
            None => {}
        }
    }
    identities
}

fn identity(reader: &mut Reader<'_>, node: &Node) -> Option<Identity> {
    let mut keys = Mapping::open(reader, node, "an identity")?;
    let issuer = identity_text(reader, &mut keys, "issuer", "issuerPattern");
    let subject = identity_text(reader, &mut keys, "subject", "subjectPattern");
    keys.close(reader);
    Some(Identity { issuer: issuer?, subject: subject? })
}

fn identity_text(
    reader: &mut Reader<'_>,
    keys: &mut Mapping<'_>,
    exact: &'static str,
    pattern: &'static str,
) -> Option<IdentityText> {
    // With a pattern, the exact text is not missing.
    let pattern = keys.get(pattern);
    let exact = if pattern.is_some() { keys.get(exact) } else { keys.require(exact) };
    match (exact, pattern) {
        (Some(exact), Some(pattern)) => {
            let message = format!("an identity has `{}` or `{}`, not both", exact.key, pattern.key);
            let error = reader.error(Code::ConflictingKeys, pattern.key_span, message);
            let first = reader.text.place(exact.key_span);
            reader.push(error.related(first, "the other one"));
            None
        }
        (Some(exact), None) => {
            let text = reader.text(exact)?;
            if text.value.is_empty() {
                let message = format!("`{}` is empty", exact.key);
                reader.push(reader.error(Code::NoValue, text.span, message));
                return None;
            }
            Some(IdentityText::Exact(text.value))
        }
        (None, Some(pattern)) => {
            let text = reader.text(pattern)?;
            match text.value.parse::<WholeRegex>() {
                Ok(regex) => Some(IdentityText::Pattern(regex)),
                Err(error) => {
                    let message = format!("`{}` is not a regex", text.value.escape_debug());
                    let told = reader.error(Code::InvalidPattern, text.span, message);
                    reader.push(told.label(error.problem()));
                    None
                }
            }
        }
        (None, None) => None,
    }
}

fn mode(reader: &mut Reader<'_>, field: Field<'_>) -> Option<VerifyMode> {
    let text = reader.text(field)?;
    match text.value.as_str() {
        "required" => Some(VerifyMode::Required),
        "warn" => Some(VerifyMode::Warn),
        _ => {
            let message = "`mode` must be `required` or `warn`";
            reader.push(reader.error(Code::WrongType, text.span, message));
            None
        }
    }
}

fn attestations(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<String> {
    let texts = reader.one_or_more(field).unwrap_or_default();
    let texts = distinct(reader, texts, "predicate type");
    let known = texts.into_iter().filter(|text| is_predicate_type(reader, text));
    known.map(|text| text.value).collect()
}

/// Whether a text is a predicate type, which in-toto wants to be a URI. Short names are cosign's own
/// and stand in no statement.
fn is_predicate_type(reader: &mut Reader<'_>, text: &Spanned<String>) -> bool {
    let value = text.value.as_str();
    if value.contains([':', '/']) && !value.contains(char::is_whitespace) {
        return true;
    }
    let message = format!("`{}` is not a predicate type", value.escape_debug());
    let error = reader.error(Code::InvalidPredicateType, text.span, message);
    reader.push(match SHORT_NAMES.iter().find(|(short, _)| *short == value) {
        Some((_, long)) => error.label(format!("cosign's name for `{long}`")),
        None => error.help("it is a URI, such as `https://slsa.dev/provenance/v1`"),
    });
    false
}

/// Cosign's short names of predicate types (its `cmd/cosign/cli/options/predicate.go`).
const SHORT_NAMES: &[(&str, &str)] = &[
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("link", "https://in-toto.io/Link/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
];

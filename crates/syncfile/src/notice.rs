//! [`Notice`]: who is told of a run, and when.
//!
//! Whoever knows the URL of a webhook can post there, so it is a secret like a password. What a template
//! may say is known to the crate that fills it in: [`SyncFile::check_templates`] is given the parser, as
//! for keys.

use std::collections::BTreeSet;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::image;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::secret::{self, Secret};
use crate::sync_file::{Origin, SyncFile};
use crate::yaml::Node;

/// Who is told of a run, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Where it goes to.
    pub channel: Channel,
    /// When it is sent.
    pub on: BTreeSet<Occasion>,
    /// Whether its URL may be plain http; where nothing is said, only to a loopback address.
    pub insecure: bool,
    /// Where it stands.
    pub origin: Origin,
}

/// Where a notice goes to.
#[allow(clippy::large_enum_variant, reason = "a file has a handful")]
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// An incoming webhook of Slack, by its URL.
    Slack(Secret),
    /// A webhook of Teams' Workflows, by its URL.
    Teams(Secret),
    /// Any server.
    Webhook {
        /// Its URL.
        url: Secret,
        /// What its requests are signed with.
        secret: Option<Secret>,
        /// What makes the body of the notice.
        template: Option<Template>,
        /// Further headers of its requests.
        headers: Vec<(String, Secret)>,
    },
}

/// What makes a body, as it is written.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    place: Place,
}

impl Template {
    /// The template itself.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// When a notice is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Occasion {
    /// Something could not be done, or was refused.
    Failure,
    /// A target tag holds other content.
    Drift,
    /// Something was copied, created, updated or signed.
    Change,
    /// A plan has something to do.
    Pending,
    /// A run ended.
    Always,
}

impl Occasion {
    const ALL: [(&'static str, Self); 5] = [
        ("failure", Self::Failure),
        ("drift", Self::Drift),
        ("change", Self::Change),
        ("pending", Self::Pending),
        ("always", Self::Always),
    ];
}

impl Notice {
    /// Whether it is the same notice, wherever it stands.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.channel, &self.on, self.insecure) == (&other.channel, &other.on, other.insecure)
    }

    fn template(&self) -> Option<&Template> {
        match &self.channel {
            Channel::Webhook { template, .. } => template.as_ref(),
            Channel::Slack(_) | Channel::Teams(_) => None,
        }
    }
}

impl SyncFile {
    /// Checks what only the crate knows that fills templates in: `read` says what is wrong with one.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn check_templates(
        &self,
        read: impl Fn(&str) -> Result<(), String>,
    ) -> Result<(), Diagnostics> {
        let templates = self.notices.iter().filter_map(Notice::template);
        let wrong = templates.filter_map(|template| {
            let message = read(template.as_str()).err()?;
            let place = Some(template.place.clone());
            Some(Diagnostic::error(Code::InvalidTemplate, place, message))
        });
        let wrong: Vec<Diagnostic> = wrong.collect();
        if wrong.is_empty() { Ok(()) } else { Err(Diagnostics::new(wrong)) }
    }
}

/// Reads the notices of a file. What is wrong is left out, and noted.
pub(crate) fn read(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Notice> {
    let items = reader.list(field).unwrap_or_default();
    items.iter().filter_map(|item| read_one(reader, item)).collect()
}

/// The keys of which one says where a notice goes to.
const CHANNELS: [&str; 3] = ["slack", "teams", "webhook"];

fn read_one(reader: &mut Reader<'_>, node: &Node) -> Option<Notice> {
    let mut keys = Mapping::open(reader, node, "a notice")?;
    let span = keys.span();
    let channels: Vec<Field<'_>> = CHANNELS.into_iter().filter_map(|key| keys.get(key)).collect();
    let urls: Vec<Option<Secret>> =
        channels.iter().map(|field| secret::read(reader, *field)).collect();
    let of_webhook = ["secret", "template", "headers"].map(|key| keys.get(key));
    let [secret, template, headers] = of_webhook;
    let secret = secret.and_then(|field| secret::read(reader, field));
    let template = template.and_then(|field| {
        let text = reader.text(field)?;
        Some(Template { place: reader.text.place(text.span), text: text.value })
    });
    let headers = headers.map(|field| read_headers(reader, field)).unwrap_or_default();
    let on = keys.get("on").map(|field| occasions(reader, field));
    let insecure = keys.get("insecure").and_then(|field| reader.boolean(field));
    let complete = keys.close(reader);
    let (first, url) = match (channels.first(), urls.into_iter().next()) {
        (Some(first), Some(url)) => (first, url),
        _ if !complete => return None,
        _ => {
            let message = "a notice must have `slack`, `teams` or `webhook`";
            let error = reader.error(Code::MissingKey, span, message);
            reader.push(error.label("where does it go to?"));
            return None;
        }
    };
    if let Some(second) = channels.get(1) {
        let message =
            format!("a notice goes to `{}` or to `{}`, not to both", first.key, second.key);
        let error = reader.error(Code::ConflictingKeys, second.key_span, message);
        reader.push(error.help("write two notices"));
        return None;
    }
    if let (Some(field), true) = (of_webhook.into_iter().flatten().next(), first.key != "webhook") {
        let message = format!("`{}` is for a `webhook`", field.key);
        reader.push(reader.error(Code::ConflictingKeys, field.key_span, message));
        return None;
    }
    let url = url?;
    let channel = match first.key {
        "slack" => Channel::Slack(url),
        "teams" => Channel::Teams(url),
        _ => Channel::Webhook { url, secret, template, headers },
    };
    let default = || [Occasion::Failure, Occasion::Drift].into();
    Some(Notice {
        channel,
        on: on.unwrap_or_else(default),
        insecure: insecure.unwrap_or_default(),
        origin: image::origin(reader, span),
    })
}

fn occasions(reader: &mut Reader<'_>, field: Field<'_>) -> BTreeSet<Occasion> {
    let mut occasions = BTreeSet::new();
    for text in reader.one_or_more(field).unwrap_or_default() {
        match Occasion::ALL.iter().find(|(name, _)| *name == text.value) {
            Some((_, occasion)) => {
                occasions.insert(*occasion);
            }
            None => {
                let message = format!("`{}` is no occasion of a notice", text.value.escape_debug());
                let names = Occasion::ALL.map(|(name, _)| format!("`{name}`")).join(", ");
                let error = reader.error(Code::InvalidOccasion, text.span, message);
                reader.push(error.help(format!("it must be one of {names}")));
            }
        }
    }
    occasions
}

fn read_headers(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<(String, Secret)> {
    let Some(mut keys) = Mapping::open(reader, field.node, "`headers`") else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, node) in keys.rest() {
        // RFC 9110, section 5.1: a token.
        let is_token = !name.value.is_empty()
            && name
                .value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            let message = "a header has a name that is none";
            reader.push(reader.error(Code::InvalidHeader, name.span, message));
            continue;
        }
        // What a header says need not be secret; one that logs in is.
        let may_be_open = !["authorization", "cookie", "x-api-key"]
            .contains(&name.value.to_ascii_lowercase().as_str());
        let key = if may_be_open { secret::HEADER } else { "headers" };
        let field = Field { key, key_span: name.span, node };
        headers.extend(secret::read(reader, field).map(|value| (name.value.to_owned(), value)));
    }
    headers
}

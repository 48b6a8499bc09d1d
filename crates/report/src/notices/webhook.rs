//! What a generic webhook gets: the notice as JSON, or what a template makes of it, and a signature.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use secrecy::{ExposeSecret, SecretString};

use crate::Notice;

/// The name of the only template of an environment.
const NAME: &str = "notice";

/// So many steps a template may take: enough for every item, and an end for one without.
const FUEL: u64 = 1_000_000;

/// A JSON document with places for values: `{"text": {{ title }}}`. What stands in a place is written as
/// JSON, so that no value can break out of it.
#[derive(Clone)]
pub struct Template(Arc<Environment<'static>>);

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Its text is no template.
    #[error("the template cannot be read: {0}")]
    Syntax(String),
    /// It asks for what is not there, or does not end.
    #[error("the template cannot be filled in: {0}")]
    Values(String),
    /// What it makes is no JSON.
    #[error("the template does not make JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Json);
        // What a field has only sometimes is `null` then, not the end of the notice.
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(|error| TemplateError::Syntax(in_one_line(&error)))?;
        Ok(Self(Arc::new(environment)))
    }

    /// The template with the notice in its places.
    ///
    /// # Errors
    /// [`TemplateError`], also where the result is no JSON.
    pub fn fill(&self, notice: &Notice) -> Result<String, TemplateError> {
        let text = self
            .0
            .get_template(NAME)
            .and_then(|template| template.render(Serde(notice)))
            .map_err(|error| TemplateError::Values(in_one_line(&error)))?;
        serde_json::from_str::<serde::de::IgnoredAny>(&text)?;
        Ok(text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

fn in_one_line(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in its line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}

/// Proof that who has the secret sent these bytes at this time: HMAC-SHA256 of `TIME.BODY`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookSignature {
    /// For the header [`WebhookSignature::TIME`]: seconds since 1970.
    pub time: String,
    /// For the header [`WebhookSignature::SIGNATURE`]: `sha256=` and hexadecimal digits.
    pub signature: String,
}

impl WebhookSignature {
    /// The header with the time.
    pub const TIME: &str = "x-image-syncer-timestamp";
    /// The header with the signature, written as GitHub writes its `X-Hub-Signature-256`.
    pub const SIGNATURE: &str = "x-image-syncer-signature-256";

    /// Signs a body.
    pub fn new(secret: &SecretString, time: Timestamp, body: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let time = time.as_second().to_string();
        let tag = hmac::sign(&key, format!("{time}.{body}").as_bytes());
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { time, signature: format!("sha256={digits}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notices::tests::{huge, notice};

    fn filled(text: &str) -> Result<String, TemplateError> {
        Template::new(text)?.fill(&notice())
    }

    #[test]
    fn a_template_has_the_fields_of_the_notice() {
        let text = r#"{"title": {{ title }}, "drift": {{ summary.outcomes.drift }},
            "items": [{% for item in items %}{{ item.target }}{% if not loop.last %},{% endif %}{% endfor %}],
            "first": {{ items[0] }}, "none": {{ run.nothing.at.all }}}"#;
        let made: serde_json::Value = serde_json::from_str(&filled(text).unwrap()).unwrap();
        assert_eq!(made["title"], notice().title);
        assert_eq!(made["drift"], 1);
        assert_eq!(made["items"].as_array().unwrap().len(), notice().items.len());
        assert_eq!(made["first"], serde_json::to_value(&notice().items[0]).unwrap());
        assert!(made["none"].is_null());
    }

    #[test]
    fn no_value_breaks_out_of_its_place() {
        let template =
            Template::new("[{% for i in items %}{{ i.error.message }},{% endfor %}{{ title }}]");
        let made = template.unwrap().fill(&huge()).unwrap();
        let made: Vec<Option<String>> = serde_json::from_str(&made).unwrap();
        assert!(made.iter().flatten().any(|text| text.contains("\"\\")));
    }

    #[test]
    fn a_template_that_is_wrong_says_so_and_one_without_end_ends() {
        let wrong = |text: &str| filled(text).unwrap_err().to_string();
        assert!(wrong("{% for %}").contains("cannot be read"), "{}", wrong("{% for %}"));
        assert!(wrong("{% include 'a' %}").contains("cannot be"), "{}", wrong("{% include 'a' %}"));
        assert!(wrong("{{ title }} and more").contains("does not make JSON"));
        assert!(wrong("{{ items | nothing }}").contains("cannot be"));
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}1{% endfor %}{% endfor %}";
        assert!(wrong(endless).contains("cannot be filled in"), "{}", wrong(endless));
    }

    /// The very same by OpenSSL:
    /// `printf '1763712072.{}' | openssl dgst -sha256 -hmac "it's a secret"`.
    #[test]
    fn the_signature_is_the_one_of_openssl() {
        let time = "2025-11-21T08:01:12Z".parse().unwrap();
        let signature = WebhookSignature::new(&"it's a secret".into(), time, "{}");
        assert_eq!(signature.time, "1763712072");
        assert_eq!(
            signature.signature,
            "sha256=692686421411702d416fbb09392435ad8bbc954475b9fd9a357fbfc7bca01818"
        );
        let other = WebhookSignature::new(&"it's a secret".into(), time, "{ }");
        assert_ne!(signature.signature, other.signature);
    }
}

//! Notices at the edge: what the sync file asks for, its secrets, and sending. No run waits long for a
//! notice, and none fails for one: what was not delivered is in the logs and in the report.

use std::collections::BTreeSet;
use std::time::Duration;

use credentials::Credentials;
use futures::future::join_all;
use jiff::Timestamp;
use oci::Host;
use registry::Settings;
use report::{
    Delivery, Document, Notice, NoticeKind, NoticeReport, Occasion, Origin, Patience, Template,
    WebhookSignature, deliver,
};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use syncfile::Channel;
use url::Url;

use crate::environment::Environment;
use crate::error::{CliError, with_causes};
use crate::settings::host_of;
use crate::wiring;

/// How long a run that was interrupted waits for its notices: whoever stops it soon kills it.
const INTERRUPTED: Patience = Patience {
    total: Duration::from_secs(5),
    attempt: Duration::from_secs(5),
    pause: Duration::from_secs(1),
};

/// The notices of a run, ready to be sent.
pub(crate) struct Notices(Vec<Prepared>);

struct Prepared {
    kind: NoticeKind,
    on: BTreeSet<Occasion>,
    origin: Origin,
    insecure: bool,
    url: credentials::Secret,
    secret: Option<credentials::Secret>,
    template: Option<Template>,
    headers: Vec<(HeaderName, credentials::Secret)>,
}

impl Notices {
    /// The notices that a sync file asks for.
    ///
    /// # Errors
    /// A secret that is not where it is said to be.
    pub(crate) fn new(
        asked: &[syncfile::Notice],
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let prepared = asked.iter().map(|notice| Prepared::new(notice, environment));
        prepared.collect::<Result<_, _>>().map(Self)
    }

    /// Sends those that are due, all at once.
    pub(crate) async fn send(
        &self,
        document: &Document,
        web: &Settings,
        credentials: &Credentials,
    ) -> Vec<NoticeReport> {
        let due = self.0.iter().filter_map(|prepared| {
            let notice = Notice::of(document, &prepared.on)?;
            Some(async move { prepared.send(&notice, web, credentials).await })
        });
        join_all(due).await
    }
}

impl Prepared {
    fn new(notice: &syncfile::Notice, environment: &Environment) -> Result<Self, CliError> {
        let origin = &notice.origin;
        let place = format!("notices: {origin}");
        let keep = |secret: &syncfile::Secret| wiring::keep(secret, &place, environment);
        let (kind, url, secret, template, headers) = match &notice.channel {
            Channel::Slack(url) => (NoticeKind::Slack, url, None, None, [].as_slice()),
            Channel::Teams(url) => (NoticeKind::Teams, url, None, None, [].as_slice()),
            Channel::Webhook { url, secret, template, headers } => {
                (NoticeKind::Webhook, url, secret.as_ref(), template.as_ref(), headers.as_slice())
            }
        };
        let wrong = |problem: String| CliError::usage(format!("{place}: {problem}"));
        let header = |(name, value): &(String, syncfile::Secret)| {
            let name = HeaderName::try_from(name).map_err(|error| wrong(error.to_string()))?;
            Ok((name, keep(value)?))
        };
        let prepared = Self {
            kind,
            on: notice.on.iter().map(occasion).collect(),
            origin: Origin { file: origin.file.display().to_string(), line: origin.line },
            insecure: notice.insecure,
            url: keep(url)?,
            secret: secret.map(keep).transpose()?,
            template: template
                .map(|template| Template::new(template.as_str()))
                .transpose()
                .map_err(|error| wrong(error.to_string()))?,
            headers: headers.iter().map(header).collect::<Result<_, CliError>>()?,
        };
        // What is known of it now is checked now.
        if let credentials::Secret::Text(url) = &prepared.url {
            prepared.address(url).map_err(wrong)?;
        }
        Ok(prepared)
    }

    /// The address in a secret; no message has it.
    fn address(&self, url: &SecretString) -> Result<(Url, Host), String> {
        let kind = self.kind.as_str();
        let url = Url::parse(url.expose_secret().trim())
            .map_err(|error| format!("the URL for `{kind}` cannot be read: {error}"))?;
        let host = host_of(&url).ok_or_else(|| format!("the URL for `{kind}` has no host"))?;
        match url.scheme() {
            "https" => Ok((url, host)),
            "http" if self.insecure || host.is_loopback() => Ok((url, host)),
            "http" => Err(format!(
                "the URL for `{kind}` is plain http; write `https://`, or allow it: `insecure: true`"
            )),
            _ => Err(format!("the URL for `{kind}` must begin with `https://`")),
        }
    }

    async fn send(
        &self,
        notice: &Notice,
        web: &Settings,
        credentials: &Credentials,
    ) -> NoticeReport {
        let (attempts, error) = match self.try_to_send(notice, web, credentials).await {
            Ok(attempts) => (attempts, None),
            Err((attempts, problem)) => (attempts, Some(problem)),
        };
        let kind = self.kind;
        match &error {
            None => tracing::info!(kind = kind.as_str(), attempts, "notice delivered"),
            Some(error) => tracing::warn!(
                kind = kind.as_str(),
                file = self.origin.file,
                line = self.origin.line,
                error,
                "notice not delivered"
            ),
        }
        let delivered = error.is_none();
        NoticeReport { kind, origin: self.origin.clone(), delivered, attempts, error }
    }

    /// How often it was sent, or that and what went wrong.
    async fn try_to_send(
        &self,
        notice: &Notice,
        web: &Settings,
        credentials: &Credentials,
    ) -> Result<u32, (u32, String)> {
        let patience = if notice.run.interrupted { INTERRUPTED } else { Patience::default() };
        let made = self.delivery(notice, credentials);
        // A secret may have to be asked for.
        let made = tokio::time::timeout(patience.attempt, made).await;
        let late = || Err("its secrets could not be had in time".to_owned());
        let (delivery, host) = made.unwrap_or_else(|_| late()).map_err(|problem| (0, problem))?;
        let client = registry::web_client(web, &host).map_err(|error| (0, with_causes(&error)))?;
        let sent = deliver(&client, &delivery, &patience).await;
        sent.map_err(|error| (error.attempts, error.to_string()))
    }

    async fn delivery(
        &self,
        notice: &Notice,
        credentials: &Credentials,
    ) -> Result<(Delivery, Host), String> {
        let reveal = async |secret, what| {
            credentials.reveal(secret, what).await.map_err(|error| with_causes(&error))
        };
        let (url, host) = self.address(&reveal(&self.url, "URL of a notice").await?)?;
        let mut headers = HeaderMap::new();
        let body = match (self.kind, &self.template) {
            (NoticeKind::Slack, _) => report::slack(notice).to_string(),
            (NoticeKind::Teams, _) => report::teams(notice).to_string(),
            (NoticeKind::Webhook, Some(template)) => {
                template.fill(notice).map_err(|error| error.to_string())?
            }
            (NoticeKind::Webhook, None) => {
                serde_json::to_string(notice).map_err(|error| error.to_string())?
            }
        };
        if self.kind == NoticeKind::Webhook {
            let id = HeaderValue::try_from(&notice.run.id).map_err(|error| error.to_string())?;
            headers.insert("x-image-syncer-run", id);
        }
        if let Some(secret) = &self.secret {
            let secret = reveal(secret, "secret of a notice").await?;
            let signed = WebhookSignature::new(&secret, Timestamp::now(), &body);
            for (name, value) in [
                (WebhookSignature::TIME, signed.time),
                (WebhookSignature::SIGNATURE, signed.signature),
            ] {
                let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
                headers.insert(name, value);
            }
        }
        for (name, value) in &self.headers {
            let value = reveal(value, "header of a notice").await?;
            let mut value = HeaderValue::try_from(value.expose_secret())
                .map_err(|_| format!("the header {name} has a value that cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        let content_type = "application/json; charset=utf-8";
        Ok((
            Delivery { method: Method::POST, url, headers, content_type, body: body.into_bytes() },
            host,
        ))
    }
}

fn occasion(occasion: &syncfile::Occasion) -> Occasion {
    match occasion {
        syncfile::Occasion::Failure => Occasion::Failure,
        syncfile::Occasion::Drift => Occasion::Drift,
        syncfile::Occasion::Change => Occasion::Change,
        syncfile::Occasion::Pending => Occasion::Pending,
        syncfile::Occasion::Always => Occasion::Always,
    }
}

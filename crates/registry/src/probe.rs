//! [`Probe`]: what a registry is like, asked on purpose. Nothing is pushed; at most an upload
//! session is opened and given up again.
//!
//! Everything comes as values: whoever asked says what is good or bad of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{DATE, RANGE, SERVER};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use oci::{Descriptor, Digest, Host, RegistryKind, Repository, Selector, Tag};
use url::Url;

use crate::answer::{content_digest, text};
use crate::auth::{Access, Challenge, Scopes};
use crate::blob_upload::Upload;
use crate::client::Client;
use crate::credential::Credential;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Failure};
use crate::profile::ReferrersApi;
use crate::redirect;
use crate::refusal::BODY_LIMIT;
use crate::repository::RepositoryClient;
use crate::request::Request;
use crate::tags::TagList;
use crate::transport::server_of;

/// So many pings are timed.
const PINGS: usize = 5;

/// How deep an index is followed to find a blob.
const DEPTH: usize = 3;

/// What a registry answered to being looked at.
#[derive(Debug)]
pub struct Probe {
    /// The proxy that is connected to instead, as `host[:port]`.
    pub proxy: Option<String>,
    /// What came of the first request; with an error, nothing else was asked.
    pub greeting: Result<Greeting, Error>,
    /// What is taken for granted of a registry of this kind.
    pub profile: ProfileFacts,
    /// Whether we are let in, and as whom.
    pub login: Option<LoginFacts>,
    /// What was learned of the repository, where one was named and we are let in.
    pub repository: Option<RepositoryFacts>,
}

/// The registry's answer to `GET /v2/` without a credential.
#[derive(Debug)]
pub struct Greeting {
    /// Where it is, as `scheme://host[:port]/`.
    pub base: String,
    /// The status.
    pub status: u16,
    /// The version of HTTP, such as `HTTP/2.0`.
    pub http: &'static str,
    /// `Docker-Distribution-Api-Version`.
    pub api_version: Option<String>,
    /// `Server`.
    pub server: Option<String>,
    /// The median of some pings over one connection.
    pub latency: Duration,
    /// How many pings were made.
    pub pings: usize,
    /// How far this machine's clock is ahead of the registry's; `Date` has whole seconds.
    pub clock_ahead: Option<SignedDuration>,
    /// How it wants to be told who we are.
    pub challenge: Option<ChallengeFacts>,
}

/// How a registry wants to be told who we are.
#[derive(Debug, Eq, PartialEq)]
pub enum ChallengeFacts {
    /// Name and password with each request.
    Basic,
    /// A token.
    Bearer {
        /// The token server, as `host[:port]`.
        server: String,
        /// The name that it knows the registry by.
        service: Option<String>,
    },
}

/// What is taken for granted of a registry.
#[derive(Debug)]
pub struct ProfileFacts {
    /// What it is.
    pub kind: RegistryKind,
    /// What tells.
    pub known_by: KnownBy,
    /// Whether a blob may be sent in parts where one PUT is refused.
    pub chunks: bool,
    /// Whether blobs are mounted only from where a manifest names them.
    pub mounts_named_only: bool,
    /// Whether it lists referrers.
    pub referrers: ReferrersApi,
    /// Tags asked for at once.
    pub tags_per_page: usize,
}

/// What tells a registry's kind.
#[derive(Debug, Eq, PartialEq)]
pub enum KnownBy {
    /// Its settings.
    Settings,
    /// Its name.
    Name,
    /// What it answers, in words.
    Answer(String),
    /// Nothing does.
    Nothing,
}

/// Whether we are let in, and as whom.
#[derive(Debug)]
pub struct LoginFacts {
    /// Who we are; none where nobody asked.
    pub identity: Option<Identity>,
    /// What the registry says to `GET /v2/` with that.
    pub welcome: Result<(), Error>,
}

/// Who we are, without any secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// A user with a password.
    User(String),
    /// The bearer of a token.
    Token,
}

/// What was learned of a repository.
#[derive(Debug)]
pub struct RepositoryFacts {
    /// Its tags; none where there is no such repository.
    pub tags: Result<Option<TagList>, Error>,
    /// What HEAD of a tag says; none where there is no tag.
    pub head: Option<Result<HeadFacts, Error>>,
    /// Whether its referrers API answers.
    pub referrers: Result<bool, Error>,
    /// Whether a part of a blob may be read; none where there is no blob to try it with.
    pub ranges: Result<Option<bool>, Error>,
    /// Whether an upload may be begun; none where that was not to be tried.
    pub push: Option<Result<(), Error>>,
}

/// What HEAD of a tag says.
#[derive(Debug)]
pub struct HeadFacts {
    /// The tag.
    pub tag: Tag,
    /// The digest; none where it takes a GET to know it.
    pub digest: Option<Digest>,
    /// What is left of a limit.
    pub budget: Option<Budget>,
}

/// What is left of a limit, as `RateLimit-Limit` and `RateLimit-Remaining` say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// So many in all.
    pub limit: u64,
    /// So many left.
    pub remaining: u64,
    /// For so long.
    pub window: Option<Duration>,
}

impl Client {
    /// Looks at a registry, and at one of its repositories. With `push`, an upload is begun in the
    /// repository and given up at once. Reads one manifest, which some registries count as a pull.
    pub async fn probe(&self, host: &Host, repository: Option<&Repository>, push: bool) -> Probe {
        let endpoint = self.endpoint(host);
        let greeting = greet(&endpoint).await;
        let greeting = greeting.map_err(|failure| Error::new(format!("asking `{host}`"), failure));
        let proxy = endpoint.proxy();
        let mut probe = Probe {
            proxy,
            greeting,
            profile: endpoint.kind.facts(),
            login: None,
            repository: None,
        };
        if probe.greeting.is_err() {
            return probe;
        }
        let login = log_in(&endpoint).await;
        // Where nobody has to say who he is, or not at this place, the repository may still tell.
        let is_refused =
            login.welcome.is_err() && !matches!(login.identity, None | Some(Identity::Anonymous));
        probe.login = Some(login);
        if let Some(repository) = repository.filter(|_| !is_refused) {
            let client = self.repository(host, repository);
            probe.repository = Some(look_into(&client, push).await);
        }
        probe
    }
}

async fn greet(endpoint: &Arc<Endpoint>) -> Result<Greeting, Failure> {
    let base = endpoint.base().await?.clone();
    let mut times = Vec::with_capacity(PINGS);
    let mut last = None;
    for _ in 0..PINGS {
        let started = Instant::now();
        let mut response = endpoint.knock(&base).await?;
        let elapsed = started.elapsed();
        let ahead = clock_ahead(response.headers(), Timestamp::now());
        let head = (response.status(), response.version());
        let headers = std::mem::take(response.headers_mut());
        // The connection is free for the next only when all was read.
        let _ = crate::answer::read_capped(
            &mut response,
            BODY_LIMIT,
            endpoint.timeouts.idle,
            &server_of(&base),
        )
        .await?;
        times.push(elapsed);
        last = Some((head, headers, ahead));
    }
    let Some(((status, version), headers, clock_ahead)) = last else {
        return Err(Failure::new(ErrorKind::Network, "no ping was made"));
    };
    times.sort();
    let header = |name| text(&headers, name).and_then(crate::refusal::clean);
    Ok(Greeting {
        base: oci::shown_url(&base),
        status: status.as_u16(),
        http: name_of(version),
        api_version: header("docker-distribution-api-version"),
        server: header(SERVER.as_str()),
        latency: times.get(times.len() / 2).copied().unwrap_or_default(),
        pings: times.len(),
        clock_ahead,
        challenge: Challenge::of(&headers).map(|challenge| facts(challenge, &base)),
    })
}

fn name_of(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP",
    }
}

fn facts(challenge: Challenge, base: &Url) -> ChallengeFacts {
    match challenge {
        Challenge::Basic => ChallengeFacts::Basic,
        Challenge::Bearer { realm, service, .. } => {
            let server = redirect::realm(base, &realm)
                .map_or_else(|failure| failure.message().to_owned(), |realm| server_of(&realm));
            ChallengeFacts::Bearer { server, service }
        }
    }
}

fn clock_ahead(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text(headers, DATE)?).ok()?;
    Some(now.duration_since(date))
}

/// Asks `/v2/` again, this time as who we are.
async fn log_in(endpoint: &Arc<Endpoint>) -> LoginFacts {
    let access = Access { repository: None, scopes: Scopes::parse(""), once: false };
    let asked = async {
        let url = endpoint.url("v2/").await?;
        endpoint.call(&Request::new(Method::GET, url, access), BODY_LIMIT).await
    };
    let welcome = match asked.await {
        Ok(_) => Ok(()),
        // Whoever is not asked who he is need not be let in here.
        Err(failure) if failure.is(StatusCode::NOT_FOUND) => Ok(()),
        Err(failure) => Err(Error::new(format!("asking `{}`", endpoint.host), failure)),
    };
    let identity = endpoint.who().await.map(|credential| match credential {
        Credential::Anonymous => Identity::Anonymous,
        Credential::Basic { username, .. } => Identity::User(username),
        Credential::IdentityToken(_) | Credential::Bearer(_) => Identity::Token,
    });
    LoginFacts { identity, welcome }
}

async fn look_into(client: &RepositoryClient, push: bool) -> RepositoryFacts {
    let name = client.name();
    let tags = client.tags().await;
    let tag = tags.as_ref().ok().and_then(Option::as_ref).and_then(one_of).cloned();
    let head = match &tag {
        Some(tag) => Some(
            client
                .look_at(tag)
                .await
                .map_err(|failure| Error::new(format!("looking at `{name}:{tag}`"), failure)),
        ),
        None => None,
    };
    let subject = head.as_ref().and_then(|head| head.as_ref().ok()?.digest);
    let subject = subject.unwrap_or_else(|| Digest::sha256(b""));
    let referrers = client.referrers_by_api(&subject).await.map(|list| list.is_some());
    let ranges = match &tag {
        Some(tag) => client.takes_ranges(tag).await,
        None => Ok(None),
    };
    let ranges = ranges
        .map_err(|failure| Error::new(format!("reading a part of a blob of `{name}`"), failure));
    let push = if push { Some(client.may_push().await) } else { None };
    RepositoryFacts { tags, head, referrers, ranges, push }
}

/// A tag that most likely is an image's: not one that is named after a digest.
fn one_of(list: &TagList) -> Option<&Tag> {
    let is_latest = |tag: &&Tag| tag.as_str() == "latest";
    let is_plain = |tag: &&Tag| !tag.as_str().starts_with("sha256-");
    let tags = &list.tags;
    tags.iter().find(is_latest).or_else(|| tags.iter().rfind(is_plain)).or(tags.last())
}

impl RepositoryClient {
    /// What HEAD of a tag says, and nothing but HEAD.
    async fn look_at(&self, tag: &Tag) -> Result<HeadFacts, Failure> {
        let answer = match self.ask_for_manifest(Method::HEAD, &tag.clone().into()).await {
            Err(failure) if failure.kind() == ErrorKind::Unsupported => {
                return Ok(HeadFacts { tag: tag.clone(), digest: None, budget: None });
            }
            result => result?,
        };
        let digest = content_digest(&answer.headers);
        Ok(HeadFacts { tag: tag.clone(), digest, budget: budget(&answer.headers) })
    }

    /// Whether a part of a blob may be read, tried with the first that a tag leads to.
    async fn takes_ranges(&self, tag: &Tag) -> Result<Option<bool>, Failure> {
        let Some(blob) = self.some_blob(tag).await? else { return Ok(None) };
        let url = self.url(&format!("blobs/{}", blob.digest)).await?;
        let first = HeaderValue::from_static("bytes=0-0");
        let request = Request::new(Method::GET, url, self.pull()).header(RANGE, first).following();
        let opened = self.endpoint.open(&request.bulk()).await?;
        Ok(Some(opened.response.status() == StatusCode::PARTIAL_CONTENT))
    }

    async fn some_blob(&self, tag: &Tag) -> Result<Option<Descriptor>, Failure> {
        let mut selector = Selector::from(tag.clone());
        for _ in 0..DEPTH {
            let Some(manifest) = self.manifest_here(&selector).await? else { return Ok(None) };
            if let Some(blob) = manifest.blobs().find(|blob| blob.size > 1) {
                return Ok(Some(blob.clone()));
            }
            let Some(child) = manifest.manifests().next() else { return Ok(None) };
            selector = child.digest.into();
        }
        Ok(None)
    }

    /// Begins an upload and gives it up.
    async fn may_push(&self) -> Result<(), Error> {
        match self.start_upload(&Digest::sha256(b""), None).await? {
            Upload::Mounted => {}
            Upload::Session(session) => session.cancel().await,
        }
        Ok(())
    }
}

/// The limit that an answer tells: `76;w=21600` is 76 in six hours.
fn budget(headers: &HeaderMap) -> Option<Budget> {
    let parts = |name| {
        let mut parts = text(headers, name)?.split(';').map(str::trim);
        let number: u64 = parts.next()?.parse().ok()?;
        let seconds = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
        Some((number, seconds.map(Duration::from_secs)))
    };
    let (limit, window) = parts("ratelimit-limit")?;
    let (remaining, _) = parts("ratelimit-remaining")?;
    Some(Budget { limit, remaining, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_budget_is_read_as_docker_hub_tells_it() {
        let told = |limit, remaining| {
            budget(&headers(&[("ratelimit-limit", limit), ("ratelimit-remaining", remaining)]))
        };
        let window = Some(Duration::from_secs(21600));
        let expected = Some(Budget { limit: 100, remaining: 76, window });
        assert_eq!(told("100;w=21600", "76;w=21600"), expected);
        assert_eq!(told("100", "0"), Some(Budget { limit: 100, remaining: 0, window: None }));
        assert_eq!(told("many", "76"), None);
        assert_eq!(budget(&headers(&[("ratelimit-limit", "100")])), None);
    }

    #[test]
    fn a_clock_is_held_against_the_answers_date() {
        let now: Timestamp = "2026-11-21T08:00:05Z".parse().unwrap();
        let ahead = |date| clock_ahead(&headers(&[("date", date)]), now);
        assert_eq!(ahead("Sat, 21 Nov 2026 08:00:00 GMT"), Some(SignedDuration::from_secs(5)));
        assert_eq!(ahead("Sat, 21 Nov 2026 08:01:05 GMT"), Some(SignedDuration::from_secs(-60)));
        assert_eq!(ahead("yesterday"), None);
    }

    #[test]
    fn a_tag_of_an_image_is_looked_at() {
        let list = |tags: &[&str]| TagList {
            tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
            ..TagList::default()
        };
        let chosen = |tags: &[&str]| one_of(&list(tags)).map(ToString::to_string);
        assert_eq!(chosen(&["1", "2", "latest", "sha256-x.sig"]).as_deref(), Some("latest"));
        assert_eq!(chosen(&["1", "2", "sha256-x.sig"]).as_deref(), Some("2"));
        assert_eq!(chosen(&["sha256-x.sig"]).as_deref(), Some("sha256-x.sig"));
        assert_eq!(chosen(&[]), None);
    }
}

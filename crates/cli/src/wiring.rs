//! Joins the crates: a sync file to what the engine wants, its registries and the flags to clients.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credentials::aws::{AssumedRole, IdentitySettings, SecretReference};
use credentials::azure::AzureSettings;
use credentials::google::GoogleSettings;
use credentials::{Credentials, Login};
use oci::{Host, Location, Mirror};
use registry::{Client, RegistrySettings, Settings};
use report::{ErrorSide, Pulls, RegistryUse};
use sync::{Choice, Origin, RunReport, TagSelection, Wanted};
use syncfile::{Auth, AwsAuth, RegistryEntry, Secret, SyncFile};
use tokio::time::Instant;

use crate::credential_source::Places;
use crate::environment::Environment;
use crate::error::{CliError, with_causes};
use crate::logins::Logins;
use crate::settings::TargetLogin;
use crate::signatures::Signatures;

/// The clients of a run.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Reads.
    pub(crate) source: Client,
    /// Reads and writes.
    pub(crate) target: Client,
    /// How servers are reached that are read from and are no registries.
    pub(crate) web: Settings,
    /// Who we are where that was said or stored for the very host. The pair of a side is not in it: a web
    /// server is shown a login without asking for one.
    pub(crate) credentials: Credentials,
}

/// Who is asked, and who we are there.
pub(crate) struct Peers<'a> {
    /// How registries are reached, where a default does not fit.
    pub(crate) registries: &'a BTreeMap<Host, RegistryEntry>,
    /// The credential that was given for the target.
    pub(crate) login: Option<&'a TargetLogin>,
    /// The only hosts that may be shown it.
    pub(crate) login_hosts: BTreeSet<Host>,
}

impl Clients {
    /// The clients of a run that writes to its targets, or only looks at them.
    pub(crate) fn new(
        peers: &Peers<'_>,
        writes: bool,
        limits: Limits,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let logins = Logins::of(environment)?;
        let given = of_registries(peers, &logins, environment)?;
        let target = with_login(given.clone(), peers, &logins);
        let source = match logins.source {
            Some(login) => given.clone().for_all(login),
            None => given.clone(),
        };
        let proxy =
            logins.proxy.map(|proxy| Mirror { host: proxy.host, prefix: Some(proxy.prefix) });
        let reads = Side::Source { proxy };
        Ok(Self {
            source: client(peers.registries, &reads, limits, source)?,
            target: client(peers.registries, &Side::Target { writes }, limits, target)?,
            web: settings(peers.registries, &reads, limits),
            credentials: given,
        })
    }
}

/// A client that looks at registries, and what it says of who we are.
pub(crate) struct Prober {
    pub(crate) client: Client,
    pub(crate) credentials: Credentials,
}

impl Prober {
    pub(crate) fn new(peers: &Peers<'_>, environment: &Environment) -> Result<Self, CliError> {
        let logins = Logins::of(environment)?;
        let credentials = with_login(of_registries(peers, &logins, environment)?, peers, &logins);
        let side = Side::Target { writes: false };
        let client = client(peers.registries, &side, Limits::default(), credentials.clone())?;
        Ok(Self { client, credentials })
    }
}

/// The credentials that the sync file gives, before all that are found elsewhere.
fn of_registries(
    peers: &Peers<'_>,
    logins: &Logins,
    environment: &Environment,
) -> Result<Credentials, CliError> {
    let variables = environment.clone();
    let chain = credentials::Environment::from_lookup(move |name| variables.get(name).cloned());
    let mut given = Credentials::new(chain);
    if let Some(proxy) = &logins.proxy {
        for host in [&proxy.server, &proxy.host] {
            let username = credentials::Secret::Text(proxy.username.clone().into());
            let password = credentials::Secret::Text(proxy.password.clone());
            given = given.with(host.clone(), Login::Basic { username, password });
        }
    }
    for (host, entry) in peers.registries {
        if let Some(auth) = &entry.auth {
            given = given.with(host.clone(), login(host, auth, environment)?);
        }
        if let Some(endpoint) = &entry.endpoint {
            given = given.with_endpoint(host.clone(), endpoint.clone());
        }
    }
    Ok(given)
}

/// The same, and before them the one that was given for the target; where there is none, the pair that is
/// for all targets.
fn with_login(mut credentials: Credentials, peers: &Peers<'_>, logins: &Logins) -> Credentials {
    for host in &peers.login_hosts {
        let has_own = peers.registries.get(host).is_some_and(|entry| entry.auth.is_some());
        let login = match (peers.login, &logins.target) {
            (Some(TargetLogin::Key(file)), _) => Login::JsonKey(file.clone()),
            (Some(TargetLogin::Token(token)), _) => {
                Login::AccessToken(credentials::Secret::Text(token.clone()))
            }
            (None, Some(pair)) if !has_own => pair.clone(),
            (None, _) => continue,
        };
        credentials = credentials.with(host.clone(), login);
    }
    credentials
}

/// What holds for all registries.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    /// So many requests of a kind at once, where that was said.
    pub(crate) concurrency: Option<usize>,
    /// When the run must be done.
    pub(crate) deadline: Option<Instant>,
}

/// What a client is for.
#[derive(Clone, PartialEq)]
enum Side {
    /// It reads; Docker Hub's images from a proxy, where there is one.
    Source {
        proxy: Option<Mirror>,
    },
    Target {
        writes: bool,
    },
}

fn client(
    registries: &BTreeMap<Host, RegistryEntry>,
    side: &Side,
    limits: Limits,
    credentials: Credentials,
) -> Result<Client, CliError> {
    Client::new(settings(registries, side, limits), Arc::new(Places(credentials)))
        .map_err(|error| CliError::usage(with_causes(&error)))
}

fn settings(registries: &BTreeMap<Host, RegistryEntry>, side: &Side, limits: Limits) -> Settings {
    // A mirror may be behind: what a target holds is asked of the target itself.
    let mirrors = matches!(side, Side::Source { .. });
    let mut registries: BTreeMap<Host, RegistrySettings> = registries
        .iter()
        .map(|(host, entry)| (host.clone(), registry_settings(entry, mirrors)))
        .collect();
    if let Side::Source { proxy: Some(proxy) } = side {
        let docker_hub = registries.entry(Host::docker_hub()).or_default();
        docker_hub.mirrors.push(proxy.clone());
    }
    Settings {
        user_agent: concat!("image-syncer/", env!("CARGO_PKG_VERSION")).to_owned(),
        registries,
        pushes: *side == Side::Target { writes: true },
        concurrency: limits.concurrency,
        deadline: limits.deadline,
        ..Settings::default()
    }
}

fn registry_settings(entry: &RegistryEntry, mirrors: bool) -> RegistrySettings {
    RegistrySettings {
        kind: entry.kind,
        ca_file: entry.ca.clone(),
        client_certificate: entry.client_certificate.as_ref().map(|certificate| {
            registry::ClientCertificate {
                certificate_file: certificate.cert.clone(),
                key_file: certificate.key.clone(),
            }
        }),
        plain_http: entry.insecure,
        mirrors: if mirrors { entry.mirrors.clone() } else { Vec::new() },
        endpoint: entry.endpoint.clone(),
        concurrency: entry.concurrency,
        rate: entry.rate,
        reserve: entry.reserve.unwrap_or_default() as u64,
    }
}

fn login(host: &Host, auth: &Auth, environment: &Environment) -> Result<Login, CliError> {
    let keep = |secret: &Secret| keep(secret, &format!("registries: {host}"), environment);
    Ok(match auth {
        Auth::Anonymous => Login::Anonymous,
        Auth::Basic { username, password } => {
            Login::Basic { username: keep(username)?, password: keep(password)? }
        }
        Auth::Token(token) => Login::AccessToken(keep(token)?),
        Auth::DockerConfig(file) => Login::DockerConfig(file.clone()),
        Auth::Kubernetes(folder) => Login::Kubernetes(folder.clone()),
        Auth::Aws(aws) => match &aws.access_key {
            Some(key) => Login::AwsKey {
                id: keep(&key.id)?,
                secret: keep(&key.secret)?,
                settings: aws_identity(aws),
            },
            None => Login::Aws(aws_identity(aws)),
        },
        Auth::Google(google) => Login::Google(GoogleSettings {
            credentials_file: google.credentials_file.clone(),
            impersonate: google.impersonate.clone(),
        }),
        Auth::Azure(azure) => Login::Azure(AzureSettings {
            client_id: azure.client_id.clone(),
            tenant_id: azure.tenant_id.clone(),
        }),
    })
}

/// A secret as it is kept until it is needed; `place` is where the sync file has it.
pub(crate) fn keep(
    secret: &Secret,
    place: &str,
    environment: &Environment,
) -> Result<credentials::Secret, CliError> {
    let variable =
        |name: &str| environment.get(name).map(|value| value.to_string_lossy().into_owned());
    // Read now, so that a variable that is missing is found before any registry is asked.
    let text = secret
        .read(variable)
        .map_err(|error| CliError::usage(format!("{place}: {}", with_causes(&error))))?;
    // A file is read again whenever it is needed: mounted secrets rotate.
    Ok(match (secret, text) {
        (Secret::Aws(secret), _) => credentials::Secret::Aws(SecretReference {
            arn: secret.arn.clone(),
            region: secret.region.clone(),
            key: secret.key.clone(),
            version: secret.version.clone(),
        }),
        (Secret::File(file), _) => credentials::Secret::File(file.clone()),
        (_, text) => credentials::Secret::Text(text.unwrap_or_default()),
    })
}

/// Who we are to AWS, as a sync file says it.
fn aws_identity(aws: &AwsAuth) -> IdentitySettings {
    IdentitySettings {
        profile: aws.profile.clone(),
        access_key: None,
        assume_role: aws.assume_role.clone().map(|arn| AssumedRole {
            arn,
            external_id: aws.external_id.clone(),
            session_name: aws.session_name.clone(),
        }),
    }
}

/// What was asked of the registries. In a plan, with the pulls that its copies need.
pub(crate) fn registries(clients: &Clients, plan: Option<&RunReport>) -> Vec<RegistryUse> {
    let mut planned = plan.map(report::planned_pulls).unwrap_or_default();
    let mut used = |side: ErrorSide, client: &Client| {
        let usage = client.usage().into_iter();
        let described: Vec<RegistryUse> = usage
            .map(|usage| {
                let planned = match side {
                    ErrorSide::Source => planned.remove(&usage.registry),
                    ErrorSide::Target => None,
                };
                let budget = usage.budget;
                let pulls = usage.counts_pulls.then(|| Pulls {
                    planned,
                    limit: budget.as_ref().and_then(|budget| budget.limit),
                    remaining: budget.as_ref().map(|budget| budget.remaining),
                    window_seconds: budget.as_ref().map(|budget| budget.window.as_secs()),
                    source: budget.and_then(|budget| budget.source),
                });
                RegistryUse {
                    registry: usage.registry.to_string(),
                    side,
                    answers: usage.answers,
                    throttled: usage.throttled,
                    slowed_to: usage.slowed_to,
                    pulls,
                }
            })
            .collect();
        described
    };
    let mut registries = used(ErrorSide::Source, &clients.source);
    registries.extend(used(ErrorSide::Target, &clients.target));
    registries
}

/// The same at any moment of a run.
pub(crate) fn live_registries(clients: &Clients) -> report::RegistryUses {
    let clients = clients.clone();
    Box::new(move || registries(&clients, None))
}

/// One item for each target of each image.
pub(crate) fn wanted(
    sync_file: &SyncFile,
    signatures: &Signatures<'_>,
) -> Result<Vec<Wanted>, CliError> {
    let mut wanted = Vec::new();
    for image in &sync_file.images {
        let origin = origin(&image.origin);
        let signatures = signatures.of(&image.signing, &image.source.location)?;
        for target in &image.targets {
            wanted.push(Wanted {
                source: image.source.clone(),
                written: image.written.clone(),
                extent: image.extent.clone(),
                target: target.clone(),
                lists_images: false,
                signatures: signatures.clone(),
                origin: Some(origin.clone()),
            });
        }
    }
    Ok(wanted)
}

/// One for each target of each entry with `tags`.
pub(crate) fn selections(
    sync_file: &SyncFile,
    signatures: &Signatures<'_>,
) -> Result<Vec<TagSelection>, CliError> {
    let mut selections = Vec::new();
    for one in &sync_file.selections {
        let signatures = signatures.of(&one.signing, &one.source)?;
        selections.extend(one.targets.iter().map(|target| TagSelection {
            source: one.source.clone(),
            written: one.written.clone(),
            otherwise: None,
            choice: Choice::Rules(one.rules.clone()),
            extent: one.extent.clone(),
            target: target.clone(),
            lists_images: false,
            signatures: signatures.clone(),
            origin: Some(origin(&one.origin)),
        }));
    }
    Ok(selections)
}

pub(crate) fn origin(origin: &syncfile::Origin) -> Origin {
    Origin { file: origin.file.display().to_string(), line: origin.line }
}

/// The hosts that a credential for the target is for, of all `targets`.
///
/// Where prefixes were given beside the sync file, only their hosts: a list that others may edit
/// must not be able to send the token anywhere by naming a destination.
pub(crate) fn login_hosts(prefixes: &[String], targets: &BTreeSet<Host>) -> BTreeSet<Host> {
    if prefixes.is_empty() {
        return targets.clone();
    }
    prefixes
        .iter()
        .filter_map(|prefix| prefix.split('/').next())
        .filter_map(|host| host.parse().ok())
        .collect()
}

/// The registries of the targets.
pub(crate) fn target_hosts(wanted: &[Wanted], selections: &[TagSelection]) -> BTreeSet<Host> {
    let of_tags = wanted.iter().map(|item| &item.target.location);
    let of_selections = selections.iter().map(|one| &one.target);
    of_tags.chain(of_selections).filter_map(host).cloned().collect()
}

/// The registries of the sources.
pub(crate) fn source_hosts(wanted: &[Wanted], selections: &[TagSelection]) -> BTreeSet<Host> {
    let of_tags = wanted.iter().map(|item| &item.source.location);
    let of_selections = selections.iter().map(|one| &one.source);
    of_tags.chain(of_selections).filter_map(host).cloned().collect()
}

fn host(location: &Location) -> Option<&Host> {
    match location {
        Location::Registry { host, .. } => Some(host),
        Location::Layout(_) | Location::Archive(_) | Location::Chart(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(target: &str) -> Wanted {
        Wanted {
            source: "nginx:1".parse::<oci::Reference>().unwrap().try_into().unwrap(),
            written: "nginx:1".into(),
            extent: oci::Extent::Whole,
            target: target.parse::<oci::Reference>().unwrap().try_into().unwrap(),
            lists_images: false,
            signatures: sync::WantedSignatures::default(),
            origin: None,
        }
    }

    #[test]
    fn a_credential_is_shown_only_where_it_was_meant_for() {
        let wanted = [item("a.io/x:1"), item("evil.example/x:1"), item("oci:folder:1")];
        let targets = target_hosts(&wanted, &[]);
        let hosts = |prefixes: &[&str]| {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            let hosts = login_hosts(&prefixes, &targets);
            hosts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(hosts(&["a.io/mirror/"]), ["a.io"]);
        assert_eq!(hosts(&["a.io:5000/m", "b.io/m/"]), ["a.io:5000", "b.io"]);
        assert_eq!(hosts(&["oci:./mirror/"]), Vec::<String>::new());
        assert_eq!(hosts(&[]), ["a.io", "evil.example"]);
    }
}

//! One entry of `registries`: how a registry is reached, where a default does not fit.

use std::path::PathBuf;

use oci::{Host, InvalidName, Mirror, RegistryKind};
use url::Url;

use crate::auth::{self, Auth};
use crate::diagnostic::Code;
use crate::mapping::Mapping;
use crate::reader::{Field, Reader};
use crate::yaml::Node;

/// How a registry is reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegistryEntry {
    /// What it is, where that cannot be seen from outside or is taken wrong.
    pub kind: Option<RegistryKind>,
    /// Who we are there; else docker config and credential helpers are asked.
    pub auth: Option<Auth>,
    /// A file of certificates (PEM) that are trusted besides those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate we show.
    pub client_certificate: Option<ClientCertificate>,
    /// Whether to speak plain http; where nothing is said, only a loopback address may.
    pub insecure: Option<bool>,
    /// Registries with the same content, or places in one, that are read first, in this order.
    pub mirrors: Vec<Mirror>,
    /// Where to connect instead of the registry's name, which stays in names and requests.
    pub endpoint: Option<Url>,
    /// How many requests of a kind may run at once, at most.
    pub concurrency: Option<usize>,
    /// How many requests may be made in a second.
    pub rate: Option<f64>,
    /// How many pulls are left to others, where the registry counts them.
    pub reserve: Option<usize>,
}

/// A certificate for TLS and its key, as PEM files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// The certificate, with what is needed to check it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Reads the value of an entry. What is wrong in it is left out, and noted.
pub(crate) fn read(reader: &mut Reader<'_>, host: &Host, node: &Node) -> Option<RegistryEntry> {
    let mut keys = Mapping::open(reader, node, "a registry")?;
    let path = |reader: &mut Reader<'_>, field| {
        reader.text(field).map(|path| reader.text.resolve(path.value.as_ref()))
    };
    let kind = keys.get("kind").and_then(|field| kind(reader, field));
    let auth = keys.get("auth").and_then(|field| auth::read(reader, field));
    let ca = keys.get("ca").and_then(|field| path(reader, field));
    let client_certificate = keys.get("clientCertificate").and_then(|field| {
        let mut keys = Mapping::open(reader, field.node, "`clientCertificate`")?;
        let cert = keys.require("cert").and_then(|field| path(reader, field));
        let key = keys.require("key").and_then(|field| path(reader, field));
        keys.close(reader);
        Some(ClientCertificate { cert: cert?, key: key? })
    });
    let insecure = keys.get("insecure").and_then(|field| reader.boolean(field));
    let mirrors = keys.get("mirrors").map(|field| mirrors(reader, field)).unwrap_or_default();
    let endpoint = keys
        .get("endpoint")
        .and_then(|field| endpoint(reader, field, host, insecure.unwrap_or_default()));
    let concurrency = keys.get("concurrency").and_then(|field| reader.count(field));
    let rate = keys.get("rate").and_then(|field| reader.rate(field));
    let reserve = keys.get("reserve").and_then(|field| reader.count_or_none(field));
    keys.close(reader);
    Some(RegistryEntry {
        kind,
        auth,
        ca,
        client_certificate,
        insecure,
        mirrors,
        endpoint,
        concurrency,
        rate,
        reserve,
    })
}

fn kind(reader: &mut Reader<'_>, field: Field<'_>) -> Option<RegistryKind> {
    let text = reader.text(field)?;
    match text.value.parse() {
        Ok(kind) => Some(kind),
        Err(error) => {
            let error: InvalidName = error;
            let message = format!("`{}` is no kind of registry", text.value.escape_debug());
            let told = reader.error(Code::InvalidKind, text.span, message);
            reader.push(told.help(error.problem()));
            None
        }
    }
}

fn mirrors(reader: &mut Reader<'_>, field: Field<'_>) -> Vec<Mirror> {
    let mut mirrors = Vec::new();
    for text in reader.texts(field).unwrap_or_default() {
        match parse_mirror(&text.value) {
            Ok(mirror) => mirrors.push(mirror),
            Err((message, label)) => {
                let error = reader.error(Code::InvalidHost, text.span, message);
                reader.push(error.label(label));
            }
        }
    }
    mirrors
}

/// A host with or without a path, or what is wrong and why.
fn parse_mirror(text: &str) -> Result<Mirror, (String, String)> {
    if text.contains("://") {
        return parse_host(text).map(Mirror::from);
    }
    text.parse().map_err(|error: InvalidName| {
        (format!("`{}` is not a mirror", text.escape_debug()), error.problem().to_owned())
    })
}

/// A host, or what is wrong and why; a URL, which may have a password, is not quoted.
pub(crate) fn parse_host(text: &str) -> Result<Host, (String, String)> {
    if text.contains("://") {
        return Err((
            "a registry is written without a scheme".to_owned(),
            "only the host, and the port if it has one".to_owned(),
        ));
    }
    text.parse().map_err(|error: InvalidName| {
        let why = match text.contains('/') {
            true => "only the host, without a path".to_owned(),
            false => error.problem().to_owned(),
        };
        (format!("`{}` is not a registry", text.escape_debug()), why)
    })
}

fn endpoint(reader: &mut Reader<'_>, field: Field<'_>, host: &Host, insecure: bool) -> Option<Url> {
    let text = reader.text(field)?;
    let refused = |label: &str| {
        let message =
            "`endpoint` must be the URL of a server, such as `https://proxy.example:8443`";
        reader.error(Code::InvalidUrl, text.span, message).label(label)
    };
    let problem = match Url::parse(&text.value) {
        _ if !text.value.contains("://") => refused("it must begin with `https://`"),
        Err(error) => refused(&error.to_string()),
        Ok(url) if !url.has_host() => refused("it has no host"),
        Ok(url) if !matches!(url.scheme(), "https" | "http") => {
            refused("it must begin with `https://`")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            refused("it must not have a user or a password").help("write them into `auth`")
        }
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            refused("it must not have a path, a query or a fragment")
        }
        Ok(url) if url.scheme() == "http" && !insecure && !is_loopback(&url) => {
            refused("this is plain http")
                .help(format!("write `https://`, or allow it: `insecure: true` for `{host}`"))
        }
        Ok(url) => return Some(url),
    };
    reader.push(problem);
    None
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().and_then(|host| host.parse::<Host>().ok()).is_some_and(|host| host.is_loopback())
}

//! Where metrics go, checked before any registry is asked.

use std::net::SocketAddr;
use std::path::PathBuf;

use credentials::{Login, Secret};
use oci::Host;
use secrecy::SecretString;
use url::Url;

use crate::arguments::MetricsArguments;
use crate::environment::{self, Environment};
use crate::error::CliError;
use crate::logins;

/// Where metrics go.
#[derive(Debug, Default)]
pub(crate) struct MetricsSettings {
    /// Where they are served.
    pub(crate) listen: Option<SocketAddr>,
    /// The file that has them at the end.
    pub(crate) file: Option<PathBuf>,
    /// Who is sent them at the end.
    pub(crate) push: Option<Push>,
}

/// A Pushgateway, and who we are there.
#[derive(Debug)]
pub(crate) struct Push {
    /// The whole address, with the labels that metrics are grouped by.
    pub(crate) url: Url,
    /// The host in it.
    pub(crate) host: Host,
    /// A user and a password.
    pub(crate) login: Option<(SecretString, Secret)>,
}

impl MetricsSettings {
    pub(crate) fn new(
        typed: &MetricsArguments,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let listen = match typed.metrics_listen {
            Some(typed) => Some(typed),
            None => environment.parsed(environment::METRICS_LISTEN, |text| {
                text.parse().map_err(|_| "it must be an address such as `127.0.0.1:9464`".into())
            })?,
        };
        let file = match &typed.metrics_file {
            Some(typed) => Some(typed.clone()),
            None => environment.os_text(environment::METRICS_FILE).map(|it| it.value.into()),
        };
        let url = match &typed.metrics_push {
            Some(typed) => Some(typed.clone()),
            None => environment.text(environment::METRICS_PUSH)?.map(|found| found.value),
        };
        Ok(Self {
            listen,
            file: file.map(writable).transpose()?,
            push: url.map(|url| push(&url, environment)).transpose()?,
        })
    }
}

/// A file that cannot be written is found out now, not after an hour's work.
fn writable(file: PathBuf) -> Result<PathBuf, CliError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let problem = match (file.file_name(), folder) {
        (None, _) => "it names no file".to_owned(),
        _ if file.is_dir() => "it is a folder".to_owned(),
        (_, Some(folder)) if !folder.is_dir() => {
            format!("the folder `{}` does not exist", folder.display())
        }
        _ => return Ok(file),
    };
    Err(CliError::usage(format!("metrics cannot go to `{}`: {problem}", file.display())))
}

fn push(text: &str, environment: &Environment) -> Result<Push, CliError> {
    // The text is not shown: it may have a password.
    let wrong = |problem: &str| {
        CliError::usage(format!("the address of the Pushgateway cannot be used: {problem}"))
    };
    let mut url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("it must begin with `https://` or `http://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must not have a user or a password").hint(
            "set SYNCER_METRICS_PUSH_USERNAME and SYNCER_METRICS_PUSH_PASSWORD_FILE instead",
        ));
    }
    let host: Host = host_of(&url).ok_or_else(|| wrong("it has no host"))?;
    let login = match logins::pair(&environment::METRICS_PUSH_PAIR, environment)? {
        Some(Login::Basic { username: Secret::Text(username), password }) => {
            Some((username, password))
        }
        _ => None,
    };
    if login.is_some() && url.scheme() == "http" && !host.is_loopback() {
        return Err(wrong("a password is not sent over plain http").hint("write `https://`"));
    }
    // <https://github.com/prometheus/pushgateway#url>
    if !url.path().contains("/metrics/job/") {
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/metrics/job/image-syncer"));
    }
    Ok(Push { url, host, login })
}

/// The host of a URL, with its port where it has one.
pub(crate) fn host_of(url: &Url) -> Option<Host> {
    let name = url.host_str()?;
    match url.port() {
        Some(port) => format!("{name}:{port}").parse().ok(),
        None => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(url: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let environment: Environment = variables.iter().copied().collect();
        match push(url, &environment) {
            Ok(push) => Ok(format!("{} {}", push.url, push.login.is_some())),
            Err(error) => Err(error.message().to_owned()),
        }
    }

    #[test]
    fn a_pushgateway_has_an_address_without_secrets() {
        let grouped = "https://p.example/base/metrics/job/mirror/instance/eu";
        for (url, expected) in [
            ("https://p.example", "https://p.example/metrics/job/image-syncer false"),
            (
                "http://p.example:9091/base/",
                "http://p.example:9091/base/metrics/job/image-syncer false",
            ),
            (grouped, &format!("{grouped} false")),
        ] {
            assert_eq!(pushed(url, &[]).as_deref(), Ok(expected));
        }
        for (url, problem) in [
            ("https://user:hunter2@p.example", "must not have a user or a password"),
            ("https://hunter2@p.example", "must not have a user or a password"),
            ("p.example", "cannot be used"),
            ("ftp://p.example", "must begin with `https://`"),
        ] {
            let error = pushed(url, &[]).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_sent_in_the_clear() {
        let pair =
            [("SYNCER_METRICS_PUSH_USERNAME", "u"), ("SYNCER_METRICS_PUSH_PASSWORD", "hunter2")];
        assert!(pushed("http://p.example", &pair).unwrap_err().contains("plain http"));
        for url in ["https://p.example", "http://127.0.0.1:9091"] {
            assert!(pushed(url, &pair).unwrap().ends_with("true"));
        }
        assert!(pushed("https://p.example", &pair[..1]).is_err());
    }
}

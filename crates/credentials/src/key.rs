//! The keys of `auths` and `credHelpers`: how they are written, and which of them a repository has.
//!
//! containers-auth.json(5): a key is a host with an optional port and an optional path, and the most
//! specific one wins. Docker writes hosts, and for itself `https://index.docker.io/v1/`.

use oci::{Host, Repository};

/// A key in its plain form: no scheme, no API version, lower-case host, Docker Hub by one name.
pub(crate) fn plain(key: &str) -> String {
    let key = key.trim();
    let (had_scheme, rest) = match key.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, key),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match host.to_ascii_lowercase().as_str() {
        "index.docker.io" | "registry-1.docker.io" => Host::DOCKER_HUB.to_owned(),
        host => host.to_owned(),
    };
    let path = path.trim_end_matches('/');
    // What follows a scheme is an API's address, as Docker and containers/image read it.
    if had_scheme || matches!(path, "" | "v1" | "v2") { host } else { format!("{host}/{path}") }
}

/// The plain keys that fit a repository, most specific first.
pub(crate) fn candidates(host: &Host, repository: Option<&Repository>) -> Vec<String> {
    let mut paths = Vec::new();
    let mut path = repository.map(Repository::as_str);
    while let Some(some) = path {
        paths.push(format!("/{some}"));
        path = some.rsplit_once('/').map(|(parent, _)| parent);
    }
    paths.push(String::new());
    let hosts = names(host);
    paths.iter().flat_map(|path| hosts.iter().map(move |host| format!("{host}{path}"))).collect()
}

/// The host as written, and with or without the port that https has anyway.
fn names(host: &Host) -> Vec<String> {
    let mut names = vec![host.as_str().to_owned()];
    match host.port() {
        Some(443) => names.push(host.name().to_owned()),
        None => names.push(format!("{host}:443")),
        Some(_) => {}
    }
    names
}

/// Whether a text, with or without the port that https has anyway, names this host.
pub(crate) fn is_same(host: &Host, text: &str) -> bool {
    names(host).contains(&plain(text))
}

/// What a credential helper is asked for: the names under which a login may have been stored.
pub(crate) fn helper_servers(host: &Host) -> Vec<String> {
    if host.is_docker_hub() {
        // `docker login` stores the first, `podman login` the second.
        vec!["https://index.docker.io/v1/".to_owned(), host.to_string()]
    } else {
        vec![host.to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_plain_form() {
        let table = [
            ("ghcr.io", "ghcr.io"),
            ("GHCR.io/", "ghcr.io"),
            ("https://ghcr.io", "ghcr.io"),
            ("http://reg.example:5000/v2/", "reg.example:5000"),
            ("https://reg.example/v1/", "reg.example"),
            ("https://reg.example/team", "reg.example"),
            ("reg.example/v2", "reg.example"),
            ("reg.example/team/App", "reg.example/team/App"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("docker.io/library/nginx", "docker.io/library/nginx"),
            ("[::1]:5000", "[::1]:5000"),
            ("", ""),
        ];
        for (key, expected) in table {
            assert_eq!(plain(key), expected, "{key}");
        }
    }

    #[test]
    fn candidates_are_most_specific_first() {
        let table: [(&str, Option<&str>, &[&str]); 4] = [
            ("r.io:5000", None, &["r.io:5000"]),
            ("r.io:5000", Some("a/b"), &["r.io:5000/a/b", "r.io:5000/a", "r.io:5000"]),
            ("r.io", Some("a"), &["r.io/a", "r.io:443/a", "r.io", "r.io:443"]),
            ("r.io:443", None, &["r.io:443", "r.io"]),
        ];
        for (host, repository, expected) in table {
            let host = host.parse().unwrap();
            let repository = repository.map(|repository| repository.parse().unwrap());
            assert_eq!(candidates(&host, repository.as_ref()), expected);
        }
    }
}

//! Where a registry may send us: redirects, upload locations and token servers.
//!
//! What a registry answers is not to be believed blindly: it must not turn https into http, and
//! not make us knock at addresses inside the network that we run in (server-side request forgery).

use oci::{Astray, shown_url};
use url::Url;

use crate::error::{ErrorKind, Failure};

/// At most so many redirects are followed for one request.
pub(crate) const MOST_REDIRECTS: usize = 5;

/// Resolves the `Location` that was answered to a request for `from`.
pub(crate) fn next(registry: &Url, from: &Url, location: &str) -> Result<Url, Failure> {
    let url = from
        .join(location)
        .map_err(|_| refused("the registry answered with a Location that is no URL"))?;
    guard(registry, url, from.scheme() == "https", "the registry sends us on to")
}

/// Checks where a manifest says that a layer is to be had from.
pub(crate) fn foreign(registry: &Url, url: &str) -> Result<Url, Failure> {
    let url = Url::parse(url)
        .map_err(|_| refused("the manifest says that it is to be had from what is no URL"))?;
    guard(registry, url, true, "the manifest says that it is to be had from")
}

/// Checks the token server that a challenge names.
pub(crate) fn realm(registry: &Url, realm: &str) -> Result<Url, Failure> {
    let url = Url::parse(realm)
        .map_err(|_| refused("the registry names a token server (realm) that is no URL"))?;
    guard(registry, url, registry.scheme() == "https", "the registry's token server is")
}

fn guard(registry: &Url, mut url: Url, secure: bool, what: &str) -> Result<Url, Failure> {
    url.set_fragment(None);
    match Astray::find(registry, &url, secure) {
        None => Ok(url),
        Some(Astray::Scheme) => Err(refused(format!("{what} a `{}:` URL", url.scheme()))),
        Some(Astray::Login) => Err(refused(format!("{what} a URL with a user name in it"))),
        Some(Astray::Plain) => Err(refused(format!(
            "{what} `{}`, which is not encrypted",
            shown_url(&url)
        ))
        .hint(
            "a proxy in front of the registry probably drops `X-Forwarded-Proto: https`; set it \
                 there",
        )),
        Some(Astray::Inside) => {
            Err(refused(format!("{what} `{}`, an address inside a network", shown_url(&url)))
                .hint("give that server a name, and let the registry use it"))
        }
    }
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::Protocol, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn locations_are_resolved_as_urls_are() {
        let from = url("https://r.example:5000/v2/a/blobs/uploads/");
        let table = [
            (
                "/v2/a/blobs/uploads/1?_state=x",
                "https://r.example:5000/v2/a/blobs/uploads/1?_state=x",
            ),
            ("1?_state=x", "https://r.example:5000/v2/a/blobs/uploads/1?_state=x"),
            ("https://r.example:5000/x", "https://r.example:5000/x"),
            ("//cdn.example/x?sig=1", "https://cdn.example/x?sig=1"),
            ("https://cdn.example/x#f", "https://cdn.example/x"),
        ];
        for (location, expected) in table {
            assert_eq!(next(&from, &from, location).unwrap(), url(expected), "{location}");
        }
    }

    #[test]
    fn some_places_are_not_gone_to() {
        let table = [
            ("https://r.example", "http://r.example/x", false),
            ("https://r.example", "http://cdn.example/x", false),
            ("http://r.example", "http://cdn.example/x", true),
            ("http://r.example", "https://cdn.example/x", true),
            ("https://r.example", "ftp://cdn.example/x", false),
            ("https://r.example", "https://u:p@cdn.example/x", false),
            ("https://r.example", "https://10.0.0.1/x", false),
            ("https://r.example", "https://192.168.1.1/x", false),
            ("https://r.example", "https://100.64.0.1/x", false),
            ("https://r.example", "https://127.0.0.1/x", false),
            ("https://r.example", "https://127.1/x", false),
            ("https://r.example", "https://2130706433/x", false),
            ("https://r.example", "https://localhost/x", false),
            ("https://r.example", "https://a.localhost./x", false),
            ("https://r.example", "https://169.254.169.254/x", false),
            ("https://r.example", "https://0.0.0.0/x", false),
            ("https://r.example", "https://[::1]/x", false),
            ("https://r.example", "https://[::ffff:10.0.0.1]/x", false),
            ("https://r.example", "https://[fe80::1]/x", false),
            ("https://r.example", "https://[fd00::1]/x", false),
            ("https://r.example", "https://8.8.8.8/x", true),
            ("https://10.0.0.1:5000", "https://10.0.0.1/x", true),
            ("https://10.0.0.1:5000", "https://10.0.0.2/x", true),
            ("https://10.0.0.1:5000", "https://127.0.0.1/x", false),
            ("https://10.0.0.1:5000", "https://169.254.169.254/x", false),
            ("http://127.0.0.1:5000", "http://127.0.0.1:6000/x", true),
            ("http://127.0.0.1:5000", "http://10.0.0.1:6000/x", true),
            ("http://127.0.0.1:5000", "http://169.254.169.254/x", false),
            ("http://localhost:5000", "http://127.0.0.1:6000/x", true),
        ];
        for (registry, location, allowed) in table {
            let registry = url(registry);
            let result = next(&registry, &registry, location);
            assert_eq!(result.is_ok(), allowed, "{registry} → {location}");
        }
    }

    #[test]
    fn token_servers_are_encrypted_where_the_registry_is() {
        let table = [
            ("https://r.example", "https://auth.example/token?a=b", true),
            ("https://r.example", "http://auth.example/token", false),
            ("https://r.example", "https://169.254.169.254/token", false),
            ("https://r.example", "/token", false),
            ("http://r.example", "http://auth.example/token", true),
        ];
        for (registry, location, allowed) in table {
            assert_eq!(realm(&url(registry), location).is_ok(), allowed, "{location}");
        }
    }

    #[test]
    fn foreign_layers_come_over_https_and_not_from_inside() {
        let table = [
            ("https://r.example", "https://cdn.example/layer", true),
            ("https://r.example", "http://cdn.example/layer", false),
            ("http://r.example", "http://cdn.example/layer", false),
            ("https://r.example", "https://169.254.169.254/layer", false),
            ("https://r.example", "https://10.0.0.1/layer", false),
            ("https://r.example", "file:///etc/passwd", false),
            ("https://r.example", "https://u:p@cdn.example/layer", false),
            ("https://r.example", "layer", false),
            ("https://127.0.0.1:5000", "https://127.0.0.1:6000/layer", true),
        ];
        for (registry, location, allowed) in table {
            assert_eq!(foreign(&url(registry), location).is_ok(), allowed, "{location}");
        }
    }

    /// Who is shown a credential is decided by it.
    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let table = [
            ("https://a/x", "https://a:443/y", true),
            ("https://a", "http://a", false),
            ("https://a", "https://a:444", false),
            ("https://a", "https://b", false),
        ];
        for (one, other, same) in table {
            assert_eq!(url(one).origin() == url(other).origin(), same, "{one} {other}");
        }
    }
}

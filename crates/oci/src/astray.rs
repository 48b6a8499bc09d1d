//! [`Astray`]: where nobody may lead us.
//!
//! Who answers us may name other servers: redirects, upload locations, token servers, the URLs of an
//! index. It is not to be believed blindly: it must not turn https into http, nor send us into the
//! network that we run in.

use url::Url;

use crate::zone::Zone;

/// Why a URL that a server names is not gone to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Astray {
    /// It is neither http nor https.
    Scheme,
    /// It has a user name or a password in it.
    Login,
    /// It is not encrypted, and what leads there is.
    Plain,
    /// It is an address further inside a network than the server that sends us.
    Inside,
}

impl Astray {
    /// Why the server at `home` may not lead us to `url`; `secure` says whether what leads there is
    /// encrypted. None where it may.
    pub fn find(home: &Url, url: &Url, secure: bool) -> Option<Self> {
        if !matches!(url.scheme(), "https" | "http") {
            return Some(Self::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Some(Self::Login);
        }
        if secure && url.scheme() == "http" {
            return Some(Self::Plain);
        }
        let (from, to) = (Zone::of_host(home.host_str()), Zone::of_host(url.host_str()));
        (home.host() != url.host() && !from.reaches(to)).then_some(Self::Inside)
    }
}

/// A URL as it may be shown: what stands before an `@` or after a `?` may be a secret.
pub fn shown_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn a_server_leads_only_outwards() {
        use Astray::{Inside, Login, Plain, Scheme};
        let table = [
            ("https://a.example", "https://b.example/x", true, None),
            ("https://a.example", "https://b.example/x", false, None),
            ("http://a.example", "http://a.example/x", false, None),
            ("http://a.example", "http://b.example/x", true, Some(Plain)),
            ("https://a.example", "ftp://a.example/x", true, Some(Scheme)),
            ("https://a.example", "https://user@a.example/x", true, Some(Login)),
            ("https://a.example", "https://:password@a.example/x", true, Some(Login)),
            ("https://a.example", "https://10.0.0.1/x", true, Some(Inside)),
            ("https://10.0.0.1", "https://10.0.0.1:8443/x", true, None),
            ("https://10.0.0.1", "https://127.0.0.1/x", true, Some(Inside)),
            ("http://127.0.0.1", "http://localhost/x", false, None),
            ("http://127.0.0.1", "http://169.254.169.254/x", false, Some(Inside)),
        ];
        for (home, to, secure, astray) in table {
            assert_eq!(Astray::find(&url(home), &url(to), secure), astray, "{home} {to}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let signed = url("https://user:pass@cdn.example:8443/blob?X-Amz-Signature=abc");
        assert_eq!(shown_url(&signed), "https://cdn.example:8443/blob");
    }
}

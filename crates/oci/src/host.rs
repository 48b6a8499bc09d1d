//! [`Host`]: the name of a registry, with its port where one is written.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::InvalidName;
use crate::name::serde_as_text;

/// A registry's name as it stands in a reference: a domain name, an IPv4 address or a bracketed
/// IPv6 address, lower case, with the port that was written.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Host(String);

impl Host {
    /// Docker Hub's canonical name; `index.docker.io` and `registry-1.docker.io` are read as it.
    pub const DOCKER_HUB: &'static str = "docker.io";

    /// Docker Hub.
    pub fn docker_hub() -> Self {
        Self(Self::DOCKER_HUB.to_owned())
    }

    /// A name that is made of parts that were checked.
    pub(crate) fn trusted(name: String) -> Self {
        Self(name)
    }

    /// The host as written in a reference, `name[:port]`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without the port; an IPv6 address keeps its brackets.
    pub fn name(&self) -> &str {
        split_port(&self.0).0
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.0).1.and_then(|port| port.parse().ok())
    }

    /// Whether the name can only mean this machine: `localhost`, `*.localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost"
            || name.ends_with(".localhost")
            || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether this is Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.0 == Self::DOCKER_HUB
    }
}

/// Splits `name[:port]` without checking either.
fn split_port(text: &str) -> (&str, Option<&str>) {
    let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
    match text[after_brackets..].find(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            (&text[..colon], Some(&text[colon + 1..]))
        }
        None => (text, None),
    }
}

impl FromStr for Host {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let invalid = |problem: String| Err(InvalidName::new("registry host", input, problem));
        if let Some((scheme, rest)) = input.split_once("://") {
            return invalid(format!("it is written without `{scheme}://`; try `{rest}`"));
        }
        let (name, port) = split_port(input);
        if let Some(port) = port
            && !port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
        {
            return invalid(format!("`{port}` is not a port, which is a number from 1 to 65535"));
        }
        let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let valid = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => name.len() <= 253 && name.split('.').all(is_label),
        };
        if !valid {
            return invalid(
                "it must be a domain name or an address, with or without a port".into(),
            );
        }
        let host = input.to_ascii_lowercase();
        Ok(match host.as_str() {
            "index.docker.io" | "registry-1.docker.io" => Self(Self::DOCKER_HUB.to_owned()),
            _ => Self(host),
        })
    }
}

/// A label of a domain name; underscores are not in RFC 1123 but in names people really use.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Host);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_name_and_port() {
        let table = [
            ("docker.io", "docker.io", None),
            ("Reg.Example:5000", "reg.example", Some(5000)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]:443", "[::1]", Some(443)),
            ("[::1]", "[::1]", None),
        ];
        for (input, name, port) in table {
            let host: Host = input.parse().unwrap();
            assert_eq!((host.name(), host.port()), (name, port), "{input}");
        }
    }

    #[test]
    fn refuses_what_no_host_is() {
        for bad in ["", "a b", "a..b", "-a.b", "a:0", "a:65536", "a:x", "a:", "[::1", "https://a.b"]
        {
            assert!(bad.parse::<Host>().is_err(), "{bad}");
        }
    }

    #[test]
    fn docker_hub_has_one_name() {
        for alias in ["docker.io", "index.docker.io", "registry-1.docker.io", "Docker.io"] {
            assert!(alias.parse::<Host>().unwrap().is_docker_hub(), "{alias}");
        }
    }

    #[test]
    fn knows_loopback() {
        for (input, loopback) in [
            ("localhost:5000", true),
            ("127.0.0.9", true),
            ("[::1]:5000", true),
            ("a.localhost", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
        ] {
            assert_eq!(input.parse::<Host>().unwrap().is_loopback(), loopback, "{input}");
        }
    }
}

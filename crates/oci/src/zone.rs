//! [`Zone`]: what part of the network a host lies in, as far as its name says, so that nobody makes us
//! knock at addresses inside the network that we run in (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What part of the network a host lies in, as far as its name says. Names are not resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Zone {
    /// A public address, or a name.
    Open,
    /// A private network's address.
    Private,
    /// This machine.
    Loopback,
    /// A link-local address, where clouds have their metadata services; and what is no address of
    /// a server at all.
    LinkLocal,
}

impl Zone {
    /// The zone of a host as a URL has it; none is as bad as a link-local one.
    pub(crate) fn of_host(host: Option<&str>) -> Self {
        let Some(host) = host else { return Self::LinkLocal };
        let name = host.trim_end_matches('.');
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        match bare.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Self::of_v4(address),
            Ok(IpAddr::V6(address)) => Self::of_v6(address),
            Err(_) if name == "localhost" || name.ends_with(".localhost") => Self::Loopback,
            Err(_) => Self::Open,
        }
    }

    /// Whether a server here may send us there: no further inside than it is itself.
    pub(crate) fn reaches(self, to: Self) -> bool {
        match self {
            Self::Open => to == Self::Open,
            Self::Private => matches!(to, Self::Open | Self::Private),
            Self::Loopback => to != Self::LinkLocal,
            Self::LinkLocal => true,
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, ..] = address.octets();
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_link_local()
            || first == 0
            || address.is_multicast()
            || address.is_broadcast()
        {
            Self::LinkLocal
        } else if address.is_private() || (first == 100 && (64..128).contains(&second)) {
            Self::Private
        } else {
            Self::Open
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(v4) = address.to_ipv4_mapped() {
            return Self::of_v4(v4);
        }
        // AWS has its metadata service at fd00:ec2::254 as well.
        let is_metadata = address.segments().starts_with(&[0xfd00, 0xec2]);
        if address.is_loopback() {
            Self::Loopback
        } else if address.is_unicast_link_local()
            || address.is_unspecified()
            || address.is_multicast()
            || is_metadata
        {
            Self::LinkLocal
        } else if address.is_unique_local() {
            Self::Private
        } else {
            Self::Open
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lies_where_its_name_says() {
        use Zone::{LinkLocal, Loopback, Open, Private};
        let table = [
            (Some("r.example"), Open),
            (Some("8.8.8.8"), Open),
            (Some("[2001:db8::1]"), Open),
            (Some("10.1.2.3"), Private),
            (Some("10.1.2.3."), Private),
            (Some("192.168.0.1"), Private),
            (Some("100.64.0.1"), Private),
            (Some("[fd00::1]"), Private),
            (Some("[::ffff:10.0.0.1]"), Private),
            (Some("localhost"), Loopback),
            (Some("a.localhost."), Loopback),
            (Some("127.0.0.1"), Loopback),
            (Some("[::1]"), Loopback),
            (Some("169.254.169.254"), LinkLocal),
            (Some("[fd00:ec2::254]"), LinkLocal),
            (Some("[fe80::1]"), LinkLocal),
            (Some("0.0.0.0"), LinkLocal),
            (Some("255.255.255.255"), LinkLocal),
            (None, LinkLocal),
        ];
        for (host, zone) in table {
            assert_eq!(Zone::of_host(host), zone, "{host:?}");
        }
    }

    #[test]
    fn nobody_sends_us_further_inside_than_it_is() {
        use Zone::{LinkLocal, Loopback, Open, Private};
        let zones = [Open, Private, Loopback, LinkLocal];
        for (from, allowed) in zones.into_iter().zip([1, 2, 3, 4]) {
            let reached: Vec<_> = zones.into_iter().filter(|to| from.reaches(*to)).collect();
            assert_eq!(reached, zones[..allowed], "{from:?}");
        }
    }
}

//! Where a load goes: a base address that is resolved once, checked, and pinned, so that a name that changes later cannot
//! lead the load elsewhere. Fed by the plan, read by `engine` and `workload`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

/// A checked, pinned target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    address: SocketAddr,
    host: String,
    prefix: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// Which addresses a load may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This machine only.
    Loopback,
    /// Anywhere but link-local and multicast addresses; only when the caller was asked for it explicitly.
    Anywhere,
}

/// Why a target was refused.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not of the form `http[s]://host[:port][/path]`.
    #[error("read target `{url}`: {what}; write it as http://host:port or https://host:port")]
    Malformed {
        /// As given.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The name has no address.
    #[error("resolve target `{url}`: {source}")]
    Unresolved {
        /// As given.
        url: String,
        /// Why.
        source: std::io::Error,
    },
    /// The address is not allowed.
    #[error("accept target `{url}`: {address} is {why}")]
    Refused {
        /// As given.
        url: String,
        /// The address it resolves to.
        address: IpAddr,
        /// Why it is refused, and what to try.
        why: &'static str,
    },
}

impl Target {
    /// Reads, resolves and checks a base address such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When it is malformed, cannot be resolved, or any of its addresses is not allowed (a name that has an allowed and
    /// a forbidden address is refused).
    pub fn resolve(url: &str, reach: Reach) -> Result<Self, TargetError> {
        let malformed = |what| TargetError::Malformed { url: url.to_owned(), what };
        let (scheme, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (Scheme::Http, rest),
            (_, Some(rest)) => (Scheme::Https, rest),
            _ => return Err(malformed("the scheme is neither http nor https")),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err(malformed("it carries credentials"));
        }
        if authority.is_empty() || path.contains(['?', '#']) || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(malformed("it is no plain host, port and path"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let dialled = if has_port { authority.to_owned() } else { format!("{authority}:{}", scheme.port()) };
        let unresolved = |source| TargetError::Unresolved { url: url.to_owned(), source };
        let addresses: Vec<SocketAddr> = dialled.to_socket_addrs().map_err(unresolved)?.collect();
        for address in &addresses {
            if let Some(why) = refusal(address.ip(), reach) {
                return Err(TargetError::Refused { url: url.to_owned(), address: address.ip(), why });
            }
        }
        let none = || unresolved(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()).ok_or_else(none)?;
        Ok(Self {
            scheme,
            address: *address,
            host: authority.to_owned(),
            prefix: path.trim_end_matches('/').to_owned(),
        })
    }

    /// The pinned address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The name or address that an `https` target's certificate must be for; none for an `http` one.
    pub(super) fn certified_host(&self) -> Option<&str> {
        let without_port = self.host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let host = without_port.map_or(self.host.as_str(), |(host, _)| host);
        (self.scheme == Scheme::Https).then(|| host.trim_start_matches('[').trim_end_matches(']'))
    }

    /// The `host` header.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What stands before every path; empty, or a path without its last slash.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.host, self.prefix)
    }
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

fn refusal(address: IpAddr, reach: Reach) -> Option<&'static str> {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    if link_local || address.is_multicast() || address.is_unspecified() {
        return Some("link-local, multicast or unspecified, where metadata services live; it is never a target");
    }
    (reach == Reach::Loopback && !address.is_loopback())
        .then_some("not this machine; load goes to loopback only, unless it is allowed explicitly")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_target_unless_asked_for_x18() {
        assert!(Target::resolve("http://127.0.0.1:8080", Reach::Loopback).is_ok());
        assert!(Target::resolve("http://[::1]:8080", Reach::Loopback).is_ok());
        for url in ["http://192.0.2.1:80", "http://10.0.0.1", "http://[2001:db8::1]:80"] {
            assert!(matches!(Target::resolve(url, Reach::Loopback), Err(TargetError::Refused { .. })), "{url}");
            assert!(Target::resolve(url, Reach::Anywhere).is_ok(), "{url}");
        }
    }

    #[test]
    fn metadata_addresses_are_refused_even_when_everything_is_allowed_x18() {
        for url in [
            "http://169.254.169.254/latest",
            "http://[fe80::1]:80",
            "http://[::ffff:169.254.169.254]",
            "http://0.0.0.0:80",
        ] {
            assert!(matches!(Target::resolve(url, Reach::Anywhere), Err(TargetError::Refused { .. })), "{url}");
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for url in [
            "127.0.0.1:80",
            "ftp://127.0.0.1",
            "https://",
            "http://",
            "http://u:p@127.0.0.1",
            "http://127.0.0.1/?a",
            "http://127.0.0.1/ x",
        ] {
            assert!(matches!(Target::resolve(url, Reach::Loopback), Err(TargetError::Malformed { .. })), "{url}");
        }
    }

    #[test]
    fn a_certificate_must_be_for_the_host_without_its_port() {
        let host = |url| Target::resolve(url, Reach::Loopback).unwrap().certified_host().map(ToOwned::to_owned);
        assert_eq!(host("https://localhost:8443/base").as_deref(), Some("localhost"));
        assert_eq!(host("https://[::1]:8443").as_deref(), Some("::1"));
        assert_eq!(host("https://[::1]").as_deref(), Some("::1"));
        assert_eq!(host("http://localhost"), None);
        let target = Target::resolve("https://127.0.0.1", Reach::Loopback).unwrap();
        assert_eq!((target.address().port(), target.to_string().as_str()), (443, "https://127.0.0.1"));
    }

    #[test]
    fn the_address_is_pinned_and_the_name_stays_in_the_host_header_x19() {
        let target = Target::resolve("http://127.0.0.1:8080/base/", Reach::Loopback).unwrap();
        assert_eq!(target.address(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!((target.host(), target.prefix()), ("127.0.0.1:8080", "/base"));
    }
}

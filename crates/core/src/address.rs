//! Where a backend listens: `host:port`, `[v6]:port` or `unix:/path`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The address of a backend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A TCP port at an IP address or at a name that is resolved, again and again, by the proxy.
    Tcp {
        /// An IP address (IPv6 without brackets) or a host name.
        host: String,
        /// 1–65535.
        port: u16,
    },
    /// A Unix stream socket at an absolute path.
    Unix {
        /// The path.
        path: String,
    },
}

/// Why a string is no backend address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A URL: what is spoken with a backend, and at which path, is said elsewhere.
    #[error("{url:?} is a URL; write {address}{protocol}", protocol = over_tls(.is_tls))]
    Url {
        /// The text.
        url: String,
        /// Its host and port, as far as they can be told.
        address: String,
        /// Whether it asks for TLS.
        is_tls: bool,
    },
    /// No `:port` at the end.
    #[error("{0:?} has no port; write host:port, [ipv6]:port or unix:/path")]
    NoPort(String),
    /// The port is no number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// The host is empty, an unbracketed IPv6 address, or has a character that no host has.
    #[error("host {0:?} is neither an IP address nor a host name")]
    Host(String),
    /// The path of a Unix socket is not absolute, or longer than the 107 bytes a socket address holds.
    #[error("socket path {0:?} must be absolute and at most 107 bytes long")]
    Path(String),
}

impl Address {
    /// The IP address, if the host is one and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { host, .. } => host.parse().ok(),
            Self::Unix { .. } => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_valid = path.starts_with('/') && path.len() <= 107 && !path.contains('\0');
            return if is_valid {
                Ok(Self::Unix { path: path.to_owned() })
            } else {
                Err(AddressError::Path(path.to_owned()))
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(url(text, scheme, rest));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        let number = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse().ok() } else { None };
        let port =
            number.filter(|&port: &u16| port > 0).ok_or_else(|| AddressError::Port(port.to_owned()))?;
        Ok(Self::Tcp { host: parse_host(host)?, port })
    }
}

/// What to say of a URL: the address in it, with the port that its scheme stands for if it names none.
fn url(text: &str, scheme: &str, rest: &str) -> AddressError {
    let is_tls = scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let usual = format!("{authority}:{}", if is_tls { 443 } else { 80 });
    let mut found = [authority, &usual].into_iter().filter_map(|text| text.parse::<Address>().ok());
    let address = found.next().map_or_else(|| "host:port".to_owned(), |address| format!("\"{address}\""));
    AddressError::Url { url: text.to_owned(), address, is_tls }
}

/// What else to write instead of a URL.
const fn over_tls(is_tls: &bool) -> &'static str {
    if *is_tls { ", and `protocol = \"https\"` in the service's `upstream`" } else { "" }
}

fn parse_host(host: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::Host(host.to_owned());
    if let Some(inner) = host.strip_prefix('[') {
        let v6: Ipv6Addr = inner.strip_suffix(']').ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        return Ok(v6.to_string());
    }
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_name { Ok(host.to_owned()) } else { Err(wrong()) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["127.0.0.1:80", "[::1]:8080", "app-1.internal:3000", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_addresses_are_refused_with_their_cause() {
        let cause = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(cause("localhost"), AddressError::NoPort("localhost".into()));
        assert_eq!(
            cause("http://10.0.0.1:3000/up").to_string(),
            "\"http://10.0.0.1:3000/up\" is a URL; write \"10.0.0.1:3000\""
        );
        assert_eq!(
            cause("https://[::1]").to_string(),
            "\"https://[::1]\" is a URL; write \"[::1]:443\", and `protocol = \"https\"` in the service's `upstream`"
        );
        assert_eq!(cause("tcp://a b").to_string(), "\"tcp://a b\" is a URL; write host:port");
        assert_eq!(cause("h:0"), AddressError::Port("0".into()));
        assert_eq!(cause("h:+1"), AddressError::Port("+1".into()));
        assert_eq!(cause("h:65536"), AddressError::Port("65536".into()));
        assert_eq!(cause(":80"), AddressError::Host(String::new()));
        assert_eq!(cause("::1:80"), AddressError::Host("::1".into()));
        assert_eq!(cause("a b:80"), AddressError::Host("a b".into()));
        assert_eq!(cause("unix:app.sock"), AddressError::Path("app.sock".into()));
    }
}

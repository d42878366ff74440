//! Addresses of our own sockets, and networks that are trusted.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use cutover_proxy::Network;

/// `host:port` or `[v6]:port` to listen on. Port 0 = any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    host: String,
    port: u16,
}

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// A TCP address.
    Tcp(BindAddress),
    /// A Unix stream socket at an absolute path.
    Unix(PathBuf),
}

/// Why a text is no address of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Not an address and a port.
    #[error("{0:?} is no address to listen on; write host:port or [ipv6]:port such as \"0.0.0.0:80\"")]
    Form(String),
    /// Neither that nor a socket path.
    #[error("{0:?} is no socket path; write unix: and an absolute path of at most 107 bytes")]
    Socket(String),
    /// Not a network.
    #[error(
        "{0:?} is no network; write an address and a prefix length such as \"10.0.0.0/8\" or \"fd00::/8\""
    )]
    Network(String),
    /// Not a name server.
    #[error("{0:?} is no name server; write its address such as \"10.0.0.2\" or \"[fd00::2]:53\"")]
    NameServer(String),
}

impl BindAddress {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The host: an IP address, without brackets, or a name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The socket addresses; more than one where the host is a name that has several.
    ///
    /// # Errors
    /// The name can't be resolved.
    pub fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl FromStr for BindAddress {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let form = || BindError::Form(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            // What has only digits and dots was meant as an address, and is none.
            && !host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_name && is_port => Ok(Self { host: host.to_owned(), port }),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl AdminAddress {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for AdminAddress {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let Some(path) = text.strip_prefix("unix:") else { return text.parse().map(Self::Tcp) };
        let is_path = path.starts_with('/') && path.len() <= 107 && !path.contains('\0');
        if is_path { Ok(Self::Unix(path.into())) } else { Err(BindError::Socket(path.to_owned())) }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Parses a network such as `10.0.0.0/8`, or a single address.
///
/// # Errors
/// [`BindError::Network`].
pub(super) fn network(text: &str) -> Result<Network, BindError> {
    let wrong = || BindError::Network(text.to_owned());
    let (address, prefix_len) = match text.split_once('/') {
        Some((address, len)) => (address, Some(len)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix_len = match prefix_len {
        Some(len) if len.bytes().all(|b| b.is_ascii_digit()) => len.parse().map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
        None => bits,
    };
    if prefix_len > bits { Err(wrong()) } else { Ok(Network { address, prefix_len }) }
}

/// Parses the address of a name server, with or without a port.
///
/// # Errors
/// [`BindError::NameServer`].
pub(super) fn name_server(text: &str) -> Result<SocketAddr, BindError> {
    /// The port of name servers (RFC 1035 section 4.2).
    const PORT: u16 = 53;
    let with_port = || text.parse().ok();
    let without = || text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
    with_port().or_else(without).ok_or_else(|| BindError::NameServer(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_are_read_and_written_alike() {
        for text in ["0.0.0.0:80", "[::]:0", "[::1]:8080", "localhost:65535", "lb-1.internal:80"] {
            assert_eq!(text.parse::<BindAddress>().unwrap().to_string(), text);
        }
        assert_eq!("unix:/run/a.sock".parse::<AdminAddress>().unwrap().to_string(), "unix:/run/a.sock");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "80", ":80", "::1:80", "h:", "h:65536", "h:+1", "256.0.0.1:80", "a b:80", "http://a:80"]
        {
            assert_eq!(text.parse::<BindAddress>(), Err(BindError::Form(text.to_owned())));
        }
        assert_eq!("unix:a".parse::<AdminAddress>(), Err(BindError::Socket("a".to_owned())));
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        let is_local = |text: &str| text.parse::<AdminAddress>().unwrap().is_local();
        assert!(
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "unix:/a"]
                .map(is_local)
                .iter()
                .all(|&local| local)
        );
        assert!(
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.com:1"].map(is_local).iter().all(|&local| !local)
        );
    }

    #[test]
    fn name_servers_are_read_with_and_without_a_port() {
        let read = |text| name_server(text).map(|address| address.to_string()).ok();
        assert_eq!(read("10.0.0.2").as_deref(), Some("10.0.0.2:53"));
        assert_eq!(read("fd00::2").as_deref(), Some("[fd00::2]:53"));
        assert_eq!(read("[::1]:5353").as_deref(), Some("[::1]:5353"));
        assert!(["", "ns.example.com", "10.0.0.2:", "10.0.0.2:x"].iter().all(|text| read(text).is_none()));
    }

    #[test]
    fn networks_are_read() {
        assert_eq!(network("10.0.0.0/8").unwrap().prefix_len, 8);
        assert_eq!(network("::1").unwrap().prefix_len, 128);
        assert!(
            ["10.0.0.0/33", "10.0.0/8", "x/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", ""]
                .iter()
                .all(|text| network(text).is_err())
        );
    }
}

//! What the data plane is told at its start: where it listens, how many workers it has, and its limits.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use cutover_resolve::Names;
use cutover_tls::challenge::Tokens;
use cutover_tls::client::Connectors;
use cutover_tls::server::ServerTls;
use cutover_vault::Vaults;

/// Everything that is fixed while the proxy runs. What changes while it runs comes in snapshots.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Threads, each with its own event loop, listening sockets and upstream connections.
    pub workers: NonZeroUsize,
    /// Where clients connect; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Limits that hold for every service.
    pub limits: Limits,
    /// How backends are asked over TLS.
    pub connectors: Arc<Connectors>,
    /// Names of backends.
    pub names: Names,
    /// What authorities are answered over plain HTTP who ask whether a name is ours.
    pub tokens: Arc<Tokens>,
    /// Where assets are kept.
    pub vaults: Arc<Vaults>,
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Its addresses, at least one. Port 0 = any free one.
    pub addresses: Vec<SocketAddr>,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections open at once, over all addresses and workers. While there are so many, others wait in the accept queue.
    pub max_connections: u32,
    /// The same, of one client; `None` = as many as there may be.
    pub max_connections_per_client: Option<NonZeroU32>,
    /// TLS, where clients have to speak it.
    pub tls: Option<Arc<ServerTls>>,
    /// The header by which backends are told the subject of a client's certificate; `""` = they are not. No client can send it, over
    /// whatever listener it comes.
    pub client_subject_header: String,
    /// Whether clients are only told to come back over TLS.
    pub redirect_to_https: bool,
    /// Whether trusted proxies begin connections by telling whose they are.
    pub proxy_protocol: bool,
}

/// A network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// An address of the network.
    pub address: IpAddr,
    /// Bits that count, from the front.
    pub prefix_len: u8,
}

/// Limits on what clients may send. A service may lower some of them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request line; 414 beyond.
    pub request_line: usize,
    /// Bytes of a whole request head; 431 beyond.
    pub headers: usize,
    /// Header fields of a request; 431 beyond.
    pub header_count: usize,
    /// Bytes of a request body; 413 beyond.
    pub body: Option<u64>,
    /// Time for a whole request head, from its first byte; 408 beyond.
    pub header_timeout: Duration,
    /// Time without a byte of a request's body, or without a byte that the client takes from an answer.
    pub body_idle_timeout: Duration,
    /// Time without a request that ends a connection.
    pub keepalive_timeout: Duration,
    /// Requests after which a connection is closed; `None` = any number.
    pub requests_per_connection: Option<u32>,
    /// Streams that a client may have open at once on one connection of HTTP/2.
    pub h2_max_concurrent_streams: u32,
    /// Time for a whole TLS handshake, from when the connection was accepted.
    pub handshake_timeout: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            trusted_proxies: Vec::new(),
            max_connections: 65_536,
            max_connections_per_client: None,
            tls: None,
            client_subject_header: String::new(),
            redirect_to_https: false,
            proxy_protocol: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8 << 10,
            headers: 32 << 10,
            header_count: 100,
            body: None,
            header_timeout: Duration::from_secs(10),
            body_idle_timeout: Duration::from_secs(60),
            keepalive_timeout: Duration::from_secs(75),
            requests_per_connection: None,
            h2_max_concurrent_streams: 128,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl Network {
    /// Whether the network has `address`. An IPv4 address that is mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let bits = u32::from(self.prefix_len.min(32));
                u32::MAX.checked_shl(32 - bits).unwrap_or(0) & (network.to_bits() ^ address.to_bits()) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let bits = u32::from(self.prefix_len.min(128));
                u128::MAX.checked_shl(128 - bits).unwrap_or(0) & (network.to_bits() ^ address.to_bits()) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(network: &str, prefix_len: u8, address: &str) -> bool {
        Network { address: network.parse().unwrap(), prefix_len }.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_that_share_its_prefix() {
        assert!(has("10.0.0.0", 8, "10.200.3.4") && !has("10.0.0.0", 8, "11.0.0.1"));
        assert!(has("127.0.0.1", 32, "127.0.0.1") && !has("127.0.0.1", 32, "127.0.0.2"));
        assert!(has("0.0.0.0", 0, "203.0.113.9") && !has("0.0.0.0", 0, "::1"));
        assert!(has("fd00::", 8, "fd12::1") && !has("fd00::", 8, "fe80::1"));
        assert!(has("127.0.0.0", 8, "::ffff:127.0.0.9"));
    }
}

//! Connections to backends: what is spoken over them, and how long anything may take.

use super::Share;
use crate::time::Millis;

/// What is spoken with backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 in clear text.
    Http1,
    /// HTTP/2 in clear text, by prior knowledge (RFC 9113 section 3.3).
    H2c,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS, agreed on by ALPN (RFC 9113 section 3.2).
    HttpsH2,
}

impl UpstreamProtocol {
    /// Whether connections are encrypted.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::HttpsH2)
    }

    /// Whether it is HTTP/2, of which one connection carries many requests.
    #[must_use]
    pub const fn is_h2(self) -> bool {
        matches!(self, Self::H2c | Self::HttpsH2)
    }
}

/// What is asked of backends over TLS. Paths name PEM files on the proxy's host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamTls {
    /// Certificates of the authorities that are believed; `None` = those of the system.
    pub ca: Option<String>,
    /// The name that is sent (SNI) and must be in the certificate; `None` = the host of the backend's address.
    pub server_name: Option<String>,
    /// The certificate by which backends know the proxy, and its key.
    pub client: Option<(String, String)>,
    /// Whether any certificate is believed: nobody who stands in between is noticed then.
    pub is_insecure: bool,
}

/// The header by which a connection tells whose it is (the PROXY protocol, haproxy.org/download/3.0/doc/proxy-protocol.txt).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Connections to backends.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamPolicy {
    /// What is spoken with backends.
    pub protocol: UpstreamProtocol,
    /// What is asked of backends over TLS.
    pub tls: UpstreamTls,
    /// Whether every connection begins by telling whose it is; `None` = it does not.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Time in which a connection must open.
    pub connect_timeout: Millis,
    /// Time from the last request byte to the first byte of the answer's head.
    pub response_timeout: Millis,
    /// Time that an unused connection is kept.
    pub idle_timeout: Millis,
    /// Idle connections kept per backend and worker.
    pub max_idle: u32,
    /// Connections per backend, over all workers; 0 = no limit.
    pub max_connections: u32,
    /// Further tries of one request.
    pub retries: u32,
    /// Retries allowed, as a share of recent requests.
    pub retry_budget: Share,
    /// Bodies up to so many bytes are kept until the answer begins, so that they can be sent again.
    pub replay_body: u64,
    /// Time without a byte in either direction that ends a tunnel.
    pub tunnel_idle_timeout: Millis,
}

impl Default for UpstreamPolicy {
    fn default() -> Self {
        Self {
            protocol: UpstreamProtocol::Http1,
            tls: UpstreamTls::default(),
            proxy_protocol: None,
            connect_timeout: Millis::from_secs(2),
            response_timeout: Millis::from_secs(60),
            idle_timeout: Millis::from_secs(60),
            max_idle: 128,
            max_connections: 0,
            retries: 2,
            retry_budget: Share(0.2),
            replay_body: 64 * 1024,
            tunnel_idle_timeout: Millis::from_secs(3600),
        }
    }
}

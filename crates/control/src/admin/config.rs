//! What the admin API is told from outside: where it listens, and who may do what.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::id::ServiceName;
use cutover_tls::server::ServerTls;
use cutover_vault::Vaults;

use super::previews::Previews;
use super::upgrades::Upgrades;

/// Where and for whom the admin API is served.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: Listen,
    /// Where `/metrics` is served as well, without a token. `None` = on the admin listener only.
    pub metrics: Option<Listen>,
    /// Whether callers without a token may do everything. Only on loopback and on unix sockets.
    pub is_open: bool,
    /// TLS of the listener; `None` = clear text.
    pub tls: Option<Arc<ServerTls>>,
    /// Who may do what.
    pub tokens: Vec<Token>,
    /// Who may do what by a certificate that `tls` has verified.
    pub certificates: Vec<Certificate>,
    /// Names by which callers may reach the listener, beside `localhost` and its own addresses.
    pub names: Vec<String>,
    /// Connections that may be open at a time.
    pub connections_max: usize,
    /// How long requests may go on after a stop.
    pub stop_timeout: Duration,
    /// How previews are made, and where they lead.
    pub previews: Previews,
    /// Where assets are kept.
    pub vaults: Arc<Vaults>,
    /// Whoever replaces this process by another one; nobody does without.
    pub upgrades: Option<Upgrades>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 = any free one.
    Tcp(SocketAddr),
    /// A unix socket, which only the user of the process may open.
    Unix(PathBuf),
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Who has it; the actor in the timeline.
    pub name: String,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// What it allows.
    pub grant: Grant,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject, as a distinguished name (RFC 4514); the actor in the timeline.
    pub subject: String,
    /// What it allows.
    pub grant: Grant,
}

/// What a caller may do. Each grant includes those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Look at everything.
    Read,
    /// Register backends and holds, of these services only.
    Register(BTreeSet<ServiceName>),
    /// Flip, roll back, drain.
    Operate,
    /// Create and remove services.
    Admin,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9900))),
            metrics: None,
            is_open: true,
            tls: None,
            tokens: Vec::new(),
            certificates: Vec::new(),
            names: Vec::new(),
            connections_max: 1024,
            stop_timeout: Duration::from_secs(10),
            previews: Previews::default(),
            vaults: Arc::default(),
            upgrades: None,
        }
    }
}

impl Listen {
    /// Whether only processes of this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

/// As in configuration: `127.0.0.1:9900` or `unix:/path`.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

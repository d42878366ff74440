//! Where a backend is: an address, or a name and a port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::connect::connect;
use crate::error::ConnectError;
use crate::name::{Name, Names};

/// A TCP port at an IP address or at a name. For as long as it is held, its name is kept resolved.
#[derive(Debug, Clone)]
pub enum Place {
    /// An address that never changes.
    Address(SocketAddr),
    /// All the addresses that a name has at a time.
    Name(Arc<Name>, u16),
}

impl Place {
    /// The place at `host`, an IP address (IPv6 without brackets) or one of `names`.
    #[must_use]
    pub fn new(host: &str, port: u16, names: &Names) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Address(SocketAddr::new(ip, port)),
            Err(_) => Self::Name(names.name(host), port),
        }
    }

    /// Connects to it: to each address of the name in turn, until one takes the connection. Has no limit in time of its own.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self) -> Result<TcpStream, ConnectError> {
        match self {
            Self::Address(address) => TcpStream::connect(address).await,
            Self::Name(name, port) => {
                let addresses = name.addresses().await.map_err(ConnectError::Resolve)?;
                connect(addresses.into_iter().map(|ip| SocketAddr::new(ip, *port))).await
            }
        }
        .map_err(ConnectError::Connect)
    }

    /// Whether `peer` is still one of its addresses.
    #[must_use]
    pub fn is_at(&self, peer: IpAddr) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Name(name, _) => name.has(peer),
        }
    }
}

//! Where a backend is: an address, a name and a port, or a Unix socket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cutover_core::address::Address;
use tokio::net::{TcpStream, UnixStream};

use crate::connect::connect;
use crate::error::ConnectError;
use crate::name::{Name, Names};

/// What a backend's address leads to. For as long as it is held, its name is kept resolved.
#[derive(Debug, Clone)]
pub enum Place {
    /// An address that never changes.
    Address(SocketAddr),
    /// All the addresses that a name has at a time.
    Name(Arc<Name>, u16),
    /// A Unix socket, by its path.
    Unix(String),
}

/// A connection to a place.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Place {
    /// The place behind `address`, whose name, if it has one, is one of `names`.
    #[must_use]
    pub fn new(address: &Address, names: &Names) -> Self {
        match address {
            Address::Unix { path } => Self::Unix(path.clone()),
            Address::Tcp { host, port } => match host.parse() {
                Ok(ip) => Self::Address(SocketAddr::new(ip, *port)),
                Err(_) => Self::Name(names.name(host), *port),
            },
        }
    }

    /// Connects to it: to each address of the name in turn, until one takes the connection. It has no time limit of its own.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(&self) -> Result<Socket, ConnectError> {
        match self {
            Self::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
            Self::Address(address) => TcpStream::connect(address).await.map(Socket::Tcp),
            Self::Name(name, port) => {
                let addresses = name.addresses().await.map_err(ConnectError::Resolve)?;
                connect(addresses.into_iter().map(|ip| SocketAddr::new(ip, *port))).await.map(Socket::Tcp)
            }
        }
        .map_err(ConnectError::Connect)
    }

    /// Whether `peer` is still one of its addresses.
    #[must_use]
    pub fn is_at(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Name(name, _), Some(peer)) => name.has(peer),
            (Self::Name(..) | Self::Address(_) | Self::Unix(_), _) => true,
        }
    }
}

impl Socket {
    /// The address of its other end, if that has one.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|address| address.ip()),
            Self::Unix(_) => None,
        }
    }
}

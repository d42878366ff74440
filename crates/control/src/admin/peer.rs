//! The other end of an admin connection.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where a connection comes from and where it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Over TCP.
    Tcp {
        /// From there.
        remote: SocketAddr,
        /// At this address of ours, even where the listener is bound to all of them.
        local: IpAddr,
    },
    /// Over a unix socket, by a process of this user.
    Unix {
        /// The user, if the kernel tells.
        uid: Option<u32>,
    },
}

/// A connection over TLS. Requests over one have it among their extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secured {
    /// The subject of the client's certificate, which was verified, if it has shown one.
    pub(crate) subject: Option<Arc<str>>,
}

/// As the timeline shows it: the address without the port, which tells nobody anything later.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { remote, .. } => remote.ip().to_canonical().fmt(f),
            Self::Unix { uid: Some(uid) } => write!(f, "unix:uid={uid}"),
            Self::Unix { uid: None } => f.write_str("unix"),
        }
    }
}

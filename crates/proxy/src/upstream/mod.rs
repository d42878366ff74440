//! Connections to backends: opening one, and what is held while it is open.

pub(crate) mod idle_limit;
pub(crate) mod pool;
pub(crate) mod reach;
pub(crate) mod watch;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::address::Address;
use cutover_core::policy::{ProxyProtocol, UpstreamPolicy, UpstreamProtocol};
use cutover_core::proxy_protocol::{self, Endpoints};
use cutover_core::traffic::ConnectionGuard;
use cutover_resolve::{LookUpError, Place, Socket};
use cutover_tls::client::{Connector, Connectors, HandshakeError};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use crate::h2::H2Stream;
use crate::h2::client::OpenStream;
use crate::io::keepalive::keepalive;
use crate::io::socket;
use crate::io::stream::Stream;
use crate::io::tls::Tls;

/// Too many open files, in the system and in this process: the same numbers on every Unix, and no [`io::ErrorKind`] of their own.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name has no address.
    #[error("the backend's name can't be resolved")]
    Resolve(#[source] LookUpError),
    /// Nobody listens there: the process that was there is gone.
    #[error("the backend refuses connections")]
    Refused(#[source] io::Error),
    /// It did not open in time.
    #[error("the connection did not open in time")]
    Timeout,
    /// We have no descriptor or port to spare, which says nothing about the backend.
    #[error("this host has no connection to spare")]
    Exhausted(#[source] io::Error),
    /// It did not become one over TLS: the backend is not the one that is believed, for one.
    #[error(transparent)]
    Tls(HandshakeError),
    /// What is spoken over it is no HTTP/2.
    #[error("the backend does not speak HTTP/2")]
    Http2(#[source] h2::Error),
    /// Anything else.
    #[error("the connection could not be opened")]
    Other(#[source] io::Error),
}

/// What is spoken with the backends of a service. Connectors are looked up once per snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    protocol: UpstreamProtocol,
    proxy_protocol: Option<ProxyProtocol>,
    connector: Option<Arc<Connector>>,
}

/// What ends with the use of a connection.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Its place among the backend's.
    Own(#[expect(dead_code, reason = "it is held, not read")] ConnectionGuard),
    /// A place among the streams of one that carries many.
    Stream(OpenStream),
}

/// An open connection, or a stream of one: one request at a time. It is handed from hand to hand with every request, and therefore kept in a box.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The address that it was opened to, if it was one.
    pub(crate) peer: Option<IpAddr>,
    /// Whose connection it is said to be, where it began by telling.
    pub(crate) told: Option<Endpoints>,
    /// The process that it was opened to.
    pub(crate) generation: u32,
    /// How long it idled before this request; `None` for the first one.
    pub(crate) idled: Option<Duration>,
    pub(crate) slot: Slot,
}

impl Wire {
    /// What `policy` says.
    pub(crate) fn new(policy: &UpstreamPolicy, connectors: &Connectors) -> Self {
        let UpstreamPolicy { protocol, tls, proxy_protocol, .. } = policy;
        let connector = protocol.is_tls().then(|| connectors.connector(tls, protocol.is_h2()));
        Self { protocol: *protocol, proxy_protocol: *proxy_protocol, connector }
    }

    /// Whether it is HTTP/2.
    pub(crate) const fn is_h2(&self) -> bool {
        self.protocol.is_h2()
    }
}

impl PartialEq for Wire {
    /// What is asked of a backend over TLS is the same as long as its connector is.
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Connector>, &Arc<Connector>)| Arc::ptr_eq(a, b);
        let (a, b) = (self.connector.as_ref(), other.connector.as_ref());
        let is_told = self.proxy_protocol == other.proxy_protocol;
        self.protocol == other.protocol && is_told && a.is_some() == b.is_some() && a.zip(b).is_none_or(same)
    }
}

impl Connection {
    /// Whether the backend ended or broke off this request alone: the connection that it shares with others goes on, and so does the process.
    pub(crate) fn is_alone_over(&mut self) -> bool {
        match &self.slot {
            Slot::Own(_) => false,
            Slot::Stream(place) => {
                place.is_connected() && self.stream.h2().is_some_and(H2Stream::is_alone_over)
            }
        }
    }

    /// Nobody answered in time. Whether somebody is still there is found out, where others wait for the same connection.
    pub(crate) fn doubt(&self) {
        match &self.slot {
            // It is not used any more.
            Slot::Own(_) => {}
            Slot::Stream(stream) => stream.doubt(),
        }
    }
}

/// Opens a stream to `place`, which `address` leads to, until `deadline`, and says which of its addresses that is. Where backends are told
/// whose connections they get, it begins with what is `told`.
pub(crate) async fn connect(
    place: &Place,
    address: &Address,
    wire: &Wire,
    told: Option<Endpoints>,
    deadline: Instant,
) -> Result<(Stream, Option<IpAddr>), ConnectError> {
    let opening = open(place, wire.proxy_protocol, told);
    let connected = timeout_at(deadline, opening).await.map_err(|_| ConnectError::Timeout)?;
    let (socket, peer) = connected?;
    let Some(connector) = &wire.connector else {
        return Ok((socket.into(), peer));
    };
    // What it takes is large, and would be part of everything that serves a connection.
    let handshake = Box::pin(connector.connect(socket::Socket::from(socket), address));
    let stream = timeout_at(deadline, handshake).await.map_err(|_| ConnectError::Timeout)?;
    Ok((Stream::Tls(Box::new(Tls::new(stream.map_err(ConnectError::Tls)?))), peer))
}

async fn open(
    place: &Place,
    proxy_protocol: Option<ProxyProtocol>,
    told: Option<Endpoints>,
) -> Result<(Socket, Option<IpAddr>), ConnectError> {
    let mut socket = place.connect().await.map_err(|error| match error {
        cutover_resolve::ConnectError::Resolve(error) => ConnectError::Resolve(error),
        cutover_resolve::ConnectError::Connect(error) => failed(error),
    })?;
    if let Socket::Tcp(stream) = &socket {
        stream.set_nodelay(true).map_err(ConnectError::Other)?;
        SockRef::from(stream).set_tcp_keepalive(&keepalive()).map_err(ConnectError::Other)?;
    }
    if let Some(version) = proxy_protocol {
        let header = proxy_protocol::header(version, told);
        let sent = match &mut socket {
            Socket::Tcp(stream) => stream.write_all(&header).await,
            Socket::Unix(stream) => stream.write_all(&header).await,
        };
        sent.map_err(failed)?;
    }
    let peer = socket.peer();
    Ok((socket, peer))
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(stream) => Self::Tcp(stream),
            Socket::Unix(stream) => Self::Unix(stream),
        }
    }
}

impl From<Socket> for socket::Socket {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Tcp(stream) => stream.into(),
            Socket::Unix(stream) => stream.into(),
        }
    }
}

/// A socket file that is not there means the same as a port that nobody listens on.
fn failed(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::NotFound => {
            ConnectError::Refused(error)
        }
        io::ErrorKind::AddrNotAvailable => ConnectError::Exhausted(error),
        _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => ConnectError::Exhausted(error),
        _ => ConnectError::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use cutover_resolve::{Dns, Names};

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn dial(address: &str) -> Result<(Stream, Option<IpAddr>), ConnectError> {
        let address: Address = address.parse().unwrap();
        run(async {
            let (names, keeper) = Names::new(Dns::system());
            tokio::spawn(keeper.run());
            let wire = Wire::new(&UpstreamPolicy::default(), &Connectors::default());
            let deadline = Instant::now() + Duration::from_secs(5);
            connect(&Place::new(&address, &names), &address, &wire, None, deadline).await
        })
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        // "localhost" is often ::1 first, and only 127.0.0.1 listens here.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stream, peer) = dial(&format!("localhost:{port}")).unwrap();
        let Stream::Tcp(stream) = stream else { panic!("not TCP: {stream:?}") };
        assert_eq!(peer, Some([127, 0, 0, 1].into()));
        assert!(SockRef::from(&stream).keepalive().unwrap(), "it is missed when it is gone");
    }

    #[test]
    fn what_we_lack_is_not_the_backends_fault() {
        for lack in [ENFILE, EMFILE] {
            assert!(matches!(failed(io::Error::from_raw_os_error(lack)), ConnectError::Exhausted(_)));
        }
    }

    #[test]
    fn nobody_there_is_told_from_other_failures() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(dial(&free.to_string()), Err(ConnectError::Refused(_))));
        assert!(matches!(dial("unix:/no/such/socket"), Err(ConnectError::Refused(_))));
    }
}

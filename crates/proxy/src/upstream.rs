//! Connections to backends: opening one, and what is held while it is open.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use cutover_core::traffic::ConnectionGuard;
use cutover_resolve::{LookUpError, Place, Socket};
use socket2::SockRef;
use tokio::time::{Instant, timeout_at};

use crate::keepalive::keepalive;
use crate::stream::Stream;

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
    /// Anything else.
    #[error("the connection could not be opened")]
    Other(#[source] io::Error),
}

/// An open connection: one request at a time. It is handed from hand to hand with every request, and therefore kept in a box.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    /// The address that it was opened to, if it was one.
    pub(crate) peer: Option<IpAddr>,
    /// The process that it was opened to.
    pub(crate) generation: u32,
    /// How long it idled before this request; `None` for the first one.
    pub(crate) idled: Option<Duration>,
    /// Ends with the connection: its place among the backend's.
    #[expect(dead_code, reason = "it is held, not read")]
    pub(crate) slot: ConnectionGuard,
}

/// Opens a stream to `place` until `deadline`, and says which of its addresses that is.
pub(crate) async fn connect(
    place: &Place,
    deadline: Instant,
) -> Result<(Stream, Option<IpAddr>), ConnectError> {
    let connected = timeout_at(deadline, place.connect()).await.map_err(|_| ConnectError::Timeout)?;
    let socket = connected.map_err(|error| match error {
        cutover_resolve::ConnectError::Resolve(error) => ConnectError::Resolve(error),
        cutover_resolve::ConnectError::Connect(error) => failed(error),
    })?;
    let peer = socket.peer();
    match socket {
        Socket::Unix(stream) => Ok((Stream::Unix(stream), peer)),
        Socket::Tcp(stream) => {
            stream.set_nodelay(true).map_err(ConnectError::Other)?;
            SockRef::from(&stream).set_tcp_keepalive(&keepalive()).map_err(ConnectError::Other)?;
            Ok((Stream::Tcp(stream), peer))
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
    use cutover_core::address::Address;
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
            connect(&Place::new(&address, &names), Instant::now() + Duration::from_secs(5)).await
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

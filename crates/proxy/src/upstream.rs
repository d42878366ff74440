//! Connections to backends: opening one, and what is held while it is open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use cutover_core::address::Address;
use cutover_core::traffic::ConnectionGuard;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::body::Upload;
use crate::keepalive::keepalive;
use crate::resolve::Resolver;

/// Bytes that hyper buffers at most for one connection, in each direction. Its own default is three times as much, and a
/// client that does not read makes it use them all.
const BUFFER_MAX: usize = 128 << 10;

/// Too many open files, in the system and in this process: the same numbers on every Unix, and no [`io::ErrorKind`] of their own.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// A stream to a backend.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name has no address.
    #[error("the backend's name can't be resolved")]
    Resolve(#[source] io::Error),
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

/// An open connection: one request at a time.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    /// The process that it was opened to.
    pub(crate) generation: u32,
    /// Whether it served a request before.
    pub(crate) is_reused: bool,
    /// Ends with the connection: its place among the backend's.
    slot: Option<ConnectionGuard>,
    driver: AbortHandle,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`, from a task of this worker.
    pub(crate) async fn start(stream: Stream, generation: u32, slot: ConnectionGuard) -> hyper::Result<Self> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(BUFFER_MAX).handshake(TokioIo::new(stream)).await?;
        let driver = tokio::task::spawn_local(async move {
            // What goes wrong reaches the request that is under way; without one it only ends the connection.
            let _ = connection.with_upgrades().await;
        });
        Ok(Self { sender, generation, is_reused: false, slot: Some(slot), driver: driver.abort_handle() })
    }

    /// Gives the connection to a tunnel, which keeps its place among the backend's connections.
    pub(crate) fn into_tunnel(mut self) -> Option<ConnectionGuard> {
        self.slot.take()
    }
}

impl Drop for Connection {
    /// Closes the connection at once. Whoever drops one with a request under way means to cancel that request.
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.driver.abort();
        }
    }
}

/// Opens a stream to `address`, trying every address that its name has, until `deadline`.
pub(crate) async fn connect(
    address: &Address,
    resolver: &Resolver,
    deadline: Instant,
) -> Result<Stream, ConnectError> {
    timeout_at(deadline, connect_any(address, resolver)).await.unwrap_or(Err(ConnectError::Timeout))
}

async fn connect_any(address: &Address, resolver: &Resolver) -> Result<Stream, ConnectError> {
    let (host, port) = match address {
        Address::Unix { path } => {
            return UnixStream::connect(path).await.map(Stream::Unix).map_err(failed);
        }
        Address::Tcp { host, port } => (host, *port),
    };
    let mut last = None;
    for &address in resolver.addresses(host, port).await.map_err(ConnectError::Resolve)?.iter() {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(ConnectError::Other)?;
                SockRef::from(&stream).set_tcp_keepalive(&keepalive()).map_err(ConnectError::Other)?;
                return Ok(Stream::Tcp(stream));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(failed(last.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
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

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have no buffer of their own in this process.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    fn dial(address: &str) -> Result<Stream, ConnectError> {
        let address: Address = address.parse().unwrap();
        run(async { connect(&address, &Resolver::default(), Instant::now() + Duration::from_secs(5)).await })
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        // "localhost" is often ::1 first, and only 127.0.0.1 listens here.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dial(&format!("localhost:{port}")).unwrap();
        let Stream::Tcp(stream) = stream else { panic!("not TCP: {stream:?}") };
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
        assert!(matches!(dial("no-such-host.invalid:80"), Err(ConnectError::Resolve(_))));
    }
}

//! Tunnels: what a connection becomes when both sides agreed to speak something else over it (WebSocket, RFC 6455; `101`, RFC 9110 section 7.8).

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::traffic::{BackendInFlight, ConnectionGuard};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::upstream::Stream;

/// Bytes that are on their way in each direction at most.
const BUFFER: usize = 16 << 10;

/// A tunnel that opens as soon as the client has our `101`.
pub(crate) struct Tunnel<E> {
    /// The backend's side, once its connection has given it up.
    pub(crate) upstream: OnUpgrade,
    /// Its place among the backend's connections.
    pub(crate) slot: Option<ConnectionGuard>,
    pub(crate) in_flight: BackendInFlight,
    /// Time without a byte in either direction that ends it.
    pub(crate) idle: Duration,
    /// What counts as in flight while it is open.
    pub(crate) exchange: E,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides closed.
    Closed,
    /// One side broke.
    Broken,
    /// Nothing passed for too long.
    Idle,
}

impl<E> Tunnel<E> {
    /// Carries bytes both ways until it ends. A side that closes only its sending half is still sent to.
    /// `early` is what the client sent before it had our answer.
    pub(crate) async fn run(self, client: TcpStream, early: Bytes) -> End {
        let Self { upstream, slot, in_flight, idle, exchange } = self;
        let end = match upstream.await.map(|upgraded| upgraded.downcast::<TokioIo<Stream>>()) {
            Ok(Ok(parts)) => carry((client, early), (parts.io.into_inner(), parts.read_buf), idle).await,
            Ok(Err(_)) | Err(_) => End::Broken,
        };
        drop((slot, in_flight, exchange));
        end
    }
}

async fn carry(client: (TcpStream, Bytes), backend: (Stream, Bytes), idle: Duration) -> End {
    let last = Cell::new(Instant::now());
    let (mut client, mut backend) = (
        (Watched { io: client.0, last: &last }, client.1),
        (Watched { io: backend.0, last: &last }, backend.1),
    );
    let copied = async {
        client.0.write_all(&backend.1).await?;
        backend.0.write_all(&client.1).await?;
        copy_bidirectional_with_sizes(&mut client.0, &mut backend.0, BUFFER, BUFFER).await
    };
    let is_idle = async {
        let mut deadline = last.get() + idle;
        while deadline > Instant::now() {
            tokio::time::sleep_until(deadline).await;
            deadline = last.get() + idle;
        }
    };
    tokio::select! {
        copied = copied => if copied.is_ok() { End::Closed } else { End::Broken },
        () = is_idle => End::Idle,
    }
}

/// A stream that notes when something passed.
struct Watched<'a, T> {
    io: T,
    last: &'a Cell<Instant>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.last.set(Instant::now());
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        if polled.is_ready() {
            self.last.set(Instant::now());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, UnixStream};

    use super::*;

    /// A tunnel with an end to play client and one to play backend, while `play` runs.
    fn tunnelled<F: Future<Output = ()>>(
        idle: Duration,
        play: impl FnOnce(TcpStream, UnixStream) -> F,
    ) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let outer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (client, _) = listener.accept().await.unwrap();
            let (backend, inner) = UnixStream::pair().unwrap();
            let early = (Bytes::from_static(b"early-c"), Bytes::from_static(b"early-b"));
            let carried = carry((client, early.0), (Stream::Unix(backend), early.1), idle);
            tokio::join!(carried, play(outer, inner)).0
        })
    }

    #[test]
    fn a_half_closed_side_is_still_sent_to() {
        let end = tunnelled(Duration::from_secs(10), async |mut client, mut backend| {
            client.write_all(b" hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            backend.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "early-c hello");
            backend.write_all(b" bye").await.unwrap();
            drop(backend);
            heard.clear();
            client.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard, "early-b bye");
        });
        assert_eq!(end, End::Closed);
    }

    #[test]
    fn a_silent_tunnel_ends() {
        let end = tunnelled(Duration::from_millis(20), async |mut client, backend| {
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            drop(backend);
        });
        assert_eq!(end, End::Idle);
    }
}

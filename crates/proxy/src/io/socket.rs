//! What TLS runs over: a socket, with what was read of it ahead of time.
//!
//! rustls asks for 4 KiB at a time. One that is asked again and again gets them from a larger read, of which an idle connection keeps
//! nothing.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Bytes of a large read: four records at their largest.
const AHEAD: usize = 64 << 10;
/// Who asks for so many bytes, and gets them all, will ask for more.
const BULK_MIN: usize = 4 << 10;

/// A socket under TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    io: Io,
    /// What a large read brought; empty unless there is more than one read's worth to read.
    ahead: Vec<u8>,
    /// How much of that was used.
    used: usize,
    /// Whether the last read brought all that was asked for.
    is_bulk: bool,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// The TCP connection, where it is one.
    pub(crate) const fn tcp(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Tcp(stream) => Some(stream),
            Io::Unix(_) => None,
        }
    }

    /// Ready when there is something to read, or an end or error to learn of.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.io {
            _ if self.has_ahead() => Poll::Ready(Ok(())),
            Io::Tcp(stream) => stream.poll_read_ready(cx),
            Io::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    const fn has_ahead(&self) -> bool {
        self.used < self.ahead.len()
    }

    /// Gives some of what was read ahead.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = buffer.remaining().min(self.ahead.len() - self.used);
        buffer.put_slice(&self.ahead[self.used..self.used + count]);
        self.used += count;
        if !self.has_ahead() && !self.is_bulk {
            self.forget();
        }
    }

    /// Gives the memory back that reading ahead took.
    fn forget(&mut self) {
        (self.ahead, self.used) = (Vec::new(), 0);
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { io: Io::Tcp(stream), ahead: Vec::new(), used: 0, is_bulk: false }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self { io: Io::Unix(stream), ahead: Vec::new(), used: 0, is_bulk: false }
    }
}

/// Reads what is there, without waiting, and without being told when there is more.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ahead() {
            let mut buffer = ReadBuf::new(buffer);
            self.give(&mut buffer);
            return Ok(buffer.filled().len());
        }
        match &self.io {
            Io::Tcp(stream) => stream.try_read(buffer),
            Io::Unix(stream) => stream.try_read(buffer),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = &mut *self;
        if !socket.has_ahead() && socket.is_bulk {
            socket.ahead.resize(AHEAD, 0);
            let mut large = ReadBuf::new(&mut socket.ahead);
            let polled = socket.io.poll_read(cx, &mut large);
            let count = large.filled().len();
            socket.is_bulk = count == AHEAD;
            socket.ahead.truncate(count);
            socket.used = 0;
            if count == 0 {
                socket.forget();
                return polled;
            }
        }
        if socket.has_ahead() {
            socket.give(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(socket.io.poll_read(cx, buffer))?;
        let count = buffer.filled().len() - before;
        socket.is_bulk = count >= BULK_MIN && buffer.remaining() == 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Io::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets hold nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Io {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

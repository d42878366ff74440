//! A stream of bytes to a client or a backend.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection, whatever it runs over.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// The TCP connection, where it is one.
    pub(crate) const fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
        }
    }

    /// Reads into `buffer`. Answers how many bytes came; 0 = the other side will send no more.
    ///
    /// A read that does not fill its buffer has emptied the socket: tokio knows, and the next one waits without a system call.
    pub(crate) fn poll_read_into(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write_some(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Writes some of `slices`, in one system call.
    pub(crate) fn poll_write_slices(
        &mut self,
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// Ready when there is something to read, or an end or error to learn of.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Whether the other side has sent nothing, and neither closed nor reset, as far as the event loop knows: asked without a system
    /// call, and confirmed with one only where it seems otherwise.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, and the task is woken when it ends.
    pub(crate) fn watch_quiet(&self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.poll_readable(cx).is_pending() {
                return true;
            }
            // What seems readable and is not does not seem so any more.
            if !self.is_quiet() {
                return false;
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Lets the end of the connection be a reset, so that what was sent does not look complete.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tcp(stream) = self {
            // What fails here has no connection any more.
            let _ = stream.set_zero_linger();
        }
    }
}

//! A stream of bytes to a client or a backend.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::h2::H2Stream;
use crate::io::plain;
use crate::io::tls::Tls;

/// A connection, whatever it runs over, or a stream of one that carries many.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
    /// Its bytes are those of a body, and its heads and ends go beside them.
    H2(Box<H2Stream>),
}

impl Stream {
    /// The TCP connection, where it is one.
    pub(crate) const fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) | Self::Tls(_) | Self::H2(_) => None,
        }
    }

    /// The stream of HTTP/2, where it is one.
    pub(crate) fn h2(&mut self) -> Option<&mut H2Stream> {
        match self {
            Self::H2(stream) => Some(stream),
            Self::Tcp(_) | Self::Unix(_) | Self::Tls(_) => None,
        }
    }

    /// Whether it becomes a tunnel when it is answered so (RFC 8441).
    pub(crate) const fn is_extended_connect(&self) -> bool {
        match self {
            Self::H2(stream) => stream.is_extended_connect(),
            Self::Tcp(_) | Self::Unix(_) | Self::Tls(_) => false,
        }
    }

    /// Whether it is a stream of HTTP/2.
    pub(crate) const fn is_h2(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    /// Reads into `buffer`. Answers how many bytes came; 0 = the other side will send no more.
    pub(crate) fn poll_read_into(
        &mut self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => plain::poll_read(stream, buffer, cx),
            Self::Unix(stream) => plain::poll_read(stream, buffer, cx),
            Self::Tls(stream) => {
                let mut buffer = ReadBuf::new(buffer);
                stream.poll_read(&mut buffer, cx).map_ok(|()| buffer.filled().len())
            }
            Self::H2(stream) => stream.poll_read(buffer, cx),
        }
    }

    /// The same into memory that need not be initialized.
    pub(crate) fn poll_read_buf(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => stream.poll_read(buffer, cx),
            Self::H2(stream) => {
                let polled = stream.poll_read(buffer.initialize_unfilled(), cx);
                polled.map_ok(|count| buffer.advance(count))
            }
        }
    }

    /// Writes some of `bytes`.
    pub(crate) fn poll_write_some(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => plain::poll_write(stream, bytes, cx),
            Self::Unix(stream) => plain::poll_write(stream, bytes, cx),
            Self::Tls(stream) => stream.poll_write(&[IoSlice::new(bytes)], cx),
            Self::H2(stream) => stream.poll_write(&[IoSlice::new(bytes)], false, cx),
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
            Self::Tls(stream) => stream.poll_write(slices, cx),
            Self::H2(stream) => stream.poll_write(slices, false, cx),
        }
    }

    /// Writes some of a body, behind which nothing comes if `is_last`.
    pub(crate) fn poll_write_body(
        &mut self,
        slices: &[IoSlice<'_>],
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::H2(stream) => stream.poll_write(slices, is_last, cx),
            other => other.poll_write_slices(slices, cx),
        }
    }

    /// Lets out what was written and is still held back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(stream) => stream.poll_flush(cx),
            // What they take is on its way. A connection of HTTP/2 is flushed by its own task.
            Self::Tcp(_) | Self::Unix(_) | Self::H2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Ends a message, without trailers, and lets out what is held back of it.
    pub(crate) fn poll_end_of_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::H2(stream) = self {
            stream.finish(None);
        }
        self.poll_flush(cx)
    }

    /// Ready when there is something to read, or an end or error to learn of.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(stream) => stream.poll_readable(cx),
            Self::H2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether the other side has sent nothing, and neither closed nor reset, as far as the event loop knows: asked without a system
    /// call, and confirmed with one only where it seems otherwise.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
            Self::Tls(stream) => return stream.is_quiet(),
            // A stream is used for one request, and its connection watched by its own task.
            Self::H2(_) => return true,
        };
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, and the task is woken when it ends.
    pub(crate) fn watch_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            if self.is_h2() || self.poll_readable(cx).is_pending() {
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
            Self::Tls(stream) => stream.poll_end(cx),
            Self::H2(stream) => {
                stream.finish(None);
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Lets the end of the connection be a reset, so that what was sent does not look complete.
    pub(crate) fn reset_on_close(&mut self) {
        match self {
            // What fails here has no connection any more.
            Self::Tcp(stream) => _ = stream.set_zero_linger(),
            Self::Unix(_) => {}
            Self::Tls(stream) => stream.reset_on_close(),
            Self::H2(stream) => stream.reset(h2::Reason::INTERNAL_ERROR),
        }
    }
}

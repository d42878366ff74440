//! A connection over TLS, to a client or a backend.

use std::io::{self, IoSlice};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustls::{ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::io::socket::Socket;

/// A connection whose handshake is over. When it is dropped, the other side is told that this is its end, as far as that takes no
/// waiting.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: TlsStream<Socket>,
    /// Whether its end is to look like no end.
    is_reset: bool,
}

impl Tls {
    pub(crate) const fn new(stream: TlsStream<Socket>) -> Self {
        Self { stream, is_reset: false }
    }

    /// Reads into `buffer`. Answers how many bytes came; 0 = the other side has said that it will send no more. An end of the
    /// connection without that word is an error: anybody on the way may have cut it (RFC 8446 section 6.1).
    pub(crate) fn poll_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }

    /// Takes some of `slices`. What it takes may wait here, encrypted, until it is [flushed](Self::poll_flush) or more is written.
    pub(crate) fn poll_write(
        &mut self,
        slices: &[IoSlice<'_>],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    /// Ready when all that was taken was given to the system.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ready when there is something to read, or an end or error to learn of; or so it seems, as long as nobody has read it.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (socket, session) = self.stream.get_ref();
        // What was decrypted and not read is not in the socket any more.
        if session.wants_read() { socket.poll_readable(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Whether the other side has sent nothing but what is between the two ends of TLS, such as tickets, and has neither closed nor
    /// reset, as far as the event loop knows.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match &mut self.stream {
            TlsStream::Client(stream) => {
                let (socket, session) = stream.get_mut();
                is_quiet(socket, session)
            }
            TlsStream::Server(stream) => {
                let (socket, session) = stream.get_mut();
                is_quiet(socket, session)
            }
        }
    }

    /// Says that nothing more will be sent, and closes that half of the connection.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Lets the end of the connection be a reset, and nothing be said before it.
    pub(crate) fn reset_on_close(&mut self) {
        self.is_reset = true;
        if let Some(stream) = self.stream.get_ref().0.tcp() {
            // What fails here has no connection any more.
            let _ = stream.set_zero_linger();
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        // What a panic cut short must not look as if it were whole.
        if self.is_reset || std::thread::panicking() {
            return;
        }
        self.stream.get_mut().1.send_close_notify();
        // One that takes nothing now learns of the end by the end.
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

/// Reads what is there, outside of the budget of the task and without waking it.
fn is_quiet<S: SideData>(
    socket: &mut Socket,
    session: &mut impl DerefMut<Target = ConnectionCommon<S>>,
) -> bool {
    while session.wants_read() {
        match session.read_tls(socket) {
            Ok(1..) if session.process_new_packets().is_ok() => {}
            Ok(_) => return false,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    false
}

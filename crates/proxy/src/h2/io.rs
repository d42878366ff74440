//! A [`Stream`] as the `h2` crate reads and writes it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::io::stream::Stream;

/// The bytes of a connection, with those first that were read of it already.
#[derive(Debug)]
pub(crate) struct Io {
    stream: Stream,
    read_ahead: Vec<u8>,
    stuck: Rc<Stuck>,
}

/// Since when the other side has taken nothing of what is there for it.
#[derive(Debug, Default)]
pub(crate) struct Stuck(Cell<Option<Instant>>);

impl Io {
    pub(crate) fn new(stream: Stream, read_ahead: Vec<u8>) -> Self {
        Self { stream, read_ahead, stuck: Rc::default() }
    }

    /// Tells how long it is stuck.
    pub(crate) fn stuck(&self) -> Rc<Stuck> {
        Rc::clone(&self.stuck)
    }
}

impl Stuck {
    /// Since when, if it is.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.get()
    }

    fn note<T>(&self, polled: &Poll<T>) {
        match polled {
            Poll::Ready(_) => self.0.set(None),
            Poll::Pending if self.0.get().is_none() => self.0.set(Some(Instant::now())),
            Poll::Pending => {}
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read_ahead.is_empty() {
            let count = self.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.read_ahead[..count]);
            self.read_ahead.drain(..count);
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_read_buf(buffer, cx)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_write_some(bytes, cx);
        self.stuck.note(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.poll_write_slices(slices, cx);
        self.stuck.note(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream.poll_flush(cx);
        self.stuck.note(&polled);
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_end(cx)
    }
}

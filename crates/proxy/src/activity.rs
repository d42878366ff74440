//! What a client's connection is doing, seen at its socket, and until when it may go on like that.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::config::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing: no byte of a request has come.
    Idle,
    /// A head is coming in.
    Head,
    /// A request is being answered.
    Busy,
}

/// What a connection is doing, and since when.
#[derive(Debug)]
pub(crate) struct Activity {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// Since when the client has taken nothing of what there is to send.
    stalled_since: Cell<Option<Instant>>,
    /// Requests that began.
    requests: Cell<u32>,
    /// Whether the rest of a request may still be coming in when the connection ends.
    must_linger: Cell<bool>,
    /// Whether an end of the stream would make a broken answer look complete.
    must_reset: Cell<bool>,
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(now),
            stalled_since: Cell::new(None),
            requests: Cell::new(0),
            must_linger: Cell::new(false),
            must_reset: Cell::new(false),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// A request begins. Answers which one it is on this connection, from 1.
    pub(crate) fn begin_request(&self) -> u32 {
        self.phase.set(Phase::Busy);
        self.requests.set(self.requests.get().saturating_add(1));
        self.requests.get()
    }

    /// The request's answer is on its way to the last byte.
    pub(crate) fn end_request(&self, now: Instant) {
        self.phase.set(Phase::Idle);
        self.since.set(now);
    }

    /// Says that the rest of a request may still be coming in: closing at once would reset the connection under our answer.
    pub(crate) fn linger(&self) {
        self.must_linger.set(true);
    }

    pub(crate) fn must_linger(&self) -> bool {
        self.must_linger.get()
    }

    /// Says that the answer broke off and only a reset can show it to the client.
    pub(crate) fn reset(&self) {
        self.must_reset.set(true);
    }

    pub(crate) fn must_reset(&self) -> bool {
        self.must_reset.get()
    }

    /// When the connection has been like this for too long.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let of_phase = match self.phase.get() {
            Phase::Idle => Some(self.since.get() + limits.keepalive_timeout),
            Phase::Head => Some(self.since.get() + limits.header_timeout),
            Phase::Busy => None,
        };
        let of_stall = self.stalled_since.get().map(|since| since + limits.body_idle_timeout);
        match (of_phase, of_stall) {
            (Some(phase), Some(stall)) => Some(phase.min(stall)),
            (phase, stall) => phase.or(stall),
        }
    }

    fn note_read(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            self.since.set(Instant::now());
        }
    }

    fn note_write(&self, is_taken: bool) {
        if !is_taken {
            if self.stalled_since.get().is_none() {
                self.stalled_since.set(Some(Instant::now()));
            }
            return;
        }
        self.stalled_since.set(None);
        if self.phase.get() == Phase::Idle {
            // The rest of an answer that is over for us leaves our buffer.
            self.since.set(Instant::now());
        }
    }
}

/// A client's socket, watched.
pub(crate) struct ClientStream {
    stream: TcpStream,
    activity: Rc<Activity>,
}

impl ClientStream {
    pub(crate) const fn new(stream: TcpStream, activity: Rc<Activity>) -> Self {
        Self { stream, activity }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.note_read();
        }
        polled
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.activity.note_write(polled.is_ready());
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.activity.note_write(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_head_has_its_own_time_from_its_first_byte() {
        let limits = Limits::default();
        let activity = Activity::new(Instant::now());
        let begun = activity.since.get();
        assert_eq!(activity.deadline(&limits), Some(begun + limits.keepalive_timeout));
        activity.note_read();
        let first_byte = activity.since.get();
        assert_eq!(activity.deadline(&limits), Some(first_byte + limits.header_timeout));
        activity.note_read();
        assert_eq!(activity.since.get(), first_byte, "later bytes buy no time");
        activity.begin_request();
        assert_eq!(activity.deadline(&limits), None);
    }

    #[test]
    fn a_client_that_takes_nothing_has_the_time_of_a_body() {
        let limits = Limits { body_idle_timeout: Duration::from_secs(7), ..Limits::default() };
        let activity = Activity::new(Instant::now());
        activity.begin_request();
        activity.note_write(false);
        let stalled = activity.stalled_since.get().unwrap();
        activity.note_write(false);
        assert_eq!(activity.deadline(&limits), Some(stalled + limits.body_idle_timeout));
        activity.note_write(true);
        assert_eq!(activity.deadline(&limits), None);
    }
}

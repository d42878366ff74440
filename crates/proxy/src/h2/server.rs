//! One client connection of HTTP/2: every stream that the client opens is served in a task of its own, until the connection has to go.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, Builder, SendResponse};
use http::Request;
use tokio::time::Instant;

use super::H2Stream;
use super::io::{Io, Stuck};
use crate::client::connection::{Client, Connection};
use crate::config::Limits;
use crate::io::alarm::Alarm;
use crate::io::stream::Stream;

/// Bytes of one stream that a client may send before it is told to go on: enough for a gigabit over 10 ms.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all streams of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes of an answer that wait inside of the `h2` crate, per stream.
const SEND_BUFFER: usize = 128 << 10;
/// Streams that a client opened and reset before they were looked at: more is a flood (CVE-2023-44487).
const RESET_PENDING_MAX: usize = 32;
/// Streams that we reset, of which late frames are ignored and not taken for an error.
const RESET_KEPT_MAX: usize = 64;
/// How long a client may take to close a connection whose last stream is over, when it was told to go.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// A stream that a client opened.
type Accepted = (Request<RecvStream>, SendResponse<Bytes>);

/// What the streams of a connection tell it.
#[derive(Debug)]
pub(crate) struct Leaving {
    has_begun: Cell<bool>,
    open: Cell<u32>,
    /// Since when no stream is open.
    idle_since: Cell<Instant>,
    waker: RefCell<Option<Waker>>,
}

impl Leaving {
    fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            has_begun: Cell::new(false),
            open: Cell::new(0),
            idle_since: Cell::new(now),
            waker: RefCell::default(),
        })
    }

    /// Lets the client open no more streams.
    pub(crate) fn begin(&self) {
        if !self.has_begun.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// Counts a stream while it is served.
struct Open(Rc<Leaving>);

impl Open {
    fn new(leaving: &Rc<Leaving>) -> Self {
        leaving.open.set(leaving.open.get() + 1);
        Self(Rc::clone(leaving))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.idle_since.set(Instant::now());
        if let Some(waker) = &*self.0.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Serves the rest of a connection, on which the client speaks HTTP/2.
pub(crate) async fn serve(mut connection: Box<Connection>) {
    connection.start().await;
    let Connection { client, stream, mut alarm, read_ahead, counted, .. } = *connection;
    let began = Instant::now();
    let limits = client.worker.limits;
    let io = Io::new(stream, read_ahead);
    let stuck = io.stuck();
    let greeted = {
        let mut handshake = pin!(builder(&limits).handshake(io));
        poll_fn(|cx| match handshake.as_mut().poll(cx) {
            Poll::Ready(greeted) => Poll::Ready(greeted.ok()),
            Poll::Pending => alarm.poll(Some(began + limits.header_timeout), cx).map(|()| None),
        })
        .await
    };
    let Some(frames) = greeted else { return };
    let leaving = Leaving::new(began);
    let mut session = Session { frames, client, alarm, stuck, leaving, requests: 0, leaves_since: None };
    poll_fn(|cx| session.poll(cx)).await;
    // It is counted to its last byte.
    drop((session, counted));
}

/// What a client is told about itself, and how much of it is taken at a time.
fn builder(limits: &Limits) -> Builder {
    let header_list = limits.request_line.saturating_add(limits.headers);
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.h2_max_concurrent_streams)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_KEPT_MAX)
        .max_pending_accept_reset_streams(RESET_PENDING_MAX)
        .enable_connect_protocol();
    builder
}

/// A connection under way.
struct Session {
    frames: server::Connection<Io, Bytes>,
    client: Rc<Client>,
    alarm: Alarm,
    stuck: Rc<Stuck>,
    leaving: Rc<Leaving>,
    /// Streams that were opened.
    requests: u32,
    leaves_since: Option<Instant>,
}

impl Session {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaving.waker.borrow().as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *self.leaving.waker.borrow_mut() = Some(cx.waker().clone());
        }
        loop {
            while let Poll::Ready(accepted) = self.poll_accept(cx) {
                match accepted {
                    Some(Ok(accepted)) => self.serve(accepted),
                    // Its last stream is over, or it broke the rules and was told so.
                    Some(Err(_)) | None => return Poll::Ready(()),
                }
            }
            let has_to_leave = self.leaving.has_begun.get() || self.client.worker.stop.has_begun();
            if has_to_leave && self.leaves_since.is_none() {
                self.leave();
                continue;
            }
            let Some(deadline) = self.deadline() else {
                return self.alarm.poll(None, cx);
            };
            if self.alarm.poll(Some(deadline), cx).is_pending() {
                return Poll::Pending;
            }
            if self.is_stuck() || self.leaves_since.is_some() {
                return Poll::Ready(());
            }
            self.leave();
        }
    }

    /// The next stream. The places of those that a client resets are free for others at once, while what they asked for may take longer to
    /// end: it has no more of that at work than it may have open, and is cut off when it resets too many of those that wait.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Accepted, h2::Error>>> {
        if self.leaving.open.get() < self.client.worker.limits.h2_max_concurrent_streams {
            return self.frames.poll_accept(cx);
        }
        self.frames.poll_closed(cx).map(|_| None)
    }

    /// When it has to end, or to be told to, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let limits = &self.client.worker.limits;
        let stuck_at = self.stuck.since().map(|since| since + limits.body_idle_timeout);
        let is_idle = self.leaving.open.get() == 0;
        let idle_since = self.leaving.idle_since.get();
        let idle_at = match self.leaves_since {
            Some(since) => idle_since.max(since) + LEAVE_WITHIN,
            None => idle_since + limits.keepalive_timeout,
        };
        [stuck_at, is_idle.then_some(idle_at)].into_iter().flatten().min()
    }

    /// Whether the client takes nothing of what is there for it.
    fn is_stuck(&self) -> bool {
        let limit = self.client.worker.limits.body_idle_timeout;
        self.stuck.since().is_some_and(|since| since + limit <= Instant::now())
    }

    /// Tells the client which stream is the last one (RFC 9113 section 6.8), after those that are on their way.
    fn leave(&mut self) {
        self.leaves_since = Some(Instant::now());
        self.frames.graceful_shutdown();
    }

    fn serve(&mut self, (request, respond): Accepted) {
        self.requests = self.requests.saturating_add(1);
        if self.client.worker.limits.requests_per_connection.is_some_and(|most| self.requests >= most) {
            self.leaving.has_begun.set(true);
        }
        let stream = H2Stream::of_client(request, respond, Rc::clone(&self.leaving));
        let alarm = Alarm::new(Instant::now() + self.client.worker.limits.header_timeout);
        let connection = Connection::of_stream(&self.client, Stream::H2(Box::new(stream)), alarm);
        tokio::task::spawn_local(serve_stream(Open::new(&self.leaving), connection));
    }
}

async fn serve_stream(open: Open, mut connection: Box<Connection>) {
    connection.start().await;
    let mut server = connection.client.worker.take_server();
    (connection, _) = server.serve(connection).await;
    connection.client.worker.give_back(server);
    if let Some(stream) = connection.stream.h2() {
        stream.close();
    }
    drop((connection, open));
}

//! One connection of HTTP/2 to a backend, which carries many requests: its streams are handed out, and a task of its own moves its frames.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::traffic::ConnectionGuard;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::H2Stream;
use super::io::{Io, Stuck};
use crate::io::alarm::Alarm;
use crate::io::stream::Stream;

/// Streams of one connection, whatever the backend allows: more would wait for each other at its one socket.
const STREAMS_MAX: u32 = 100;
/// Bytes of one answer that may be on their way: a gigabit over 2 ms.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same of all answers of a connection. With less, a few clients that read slowly would hold up all others behind it.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX;
/// Bytes of one request that wait inside of the `h2` crate.
const SEND_BUFFER: usize = 256 << 10;
/// Bytes that the fields of an answer may have.
const HEADERS_MAX: u32 = 64 << 10;
/// How long streams may be open before it is asked whether the backend is still there. Servers of gRPC take pings for an attack that
/// come more often than every five minutes while they have nothing to say.
const PING_AFTER: Duration = Duration::from_secs(330);
/// How long an answer to that may take.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// How long a backend may take nothing of what is there for it.
const STUCK_MAX: Duration = Duration::from_secs(30);

/// A connection whose settings are agreed on, and that nobody drives yet.
pub(crate) struct Agreed {
    frames: Connection<Io, Bytes>,
    sender: SendRequest<Bytes>,
    stuck: Rc<Stuck>,
    is_tls: bool,
}

/// An open connection, as those see it that send requests.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` when nobody may open streams any more.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    is_tls: bool,
    /// Streams that are open.
    open: Cell<u32>,
    /// Since when there are none.
    idle_since: Cell<Instant>,
    is_leaving: Cell<bool>,
    /// How long it had no streams when the backend ended it.
    ended_at: Cell<Option<Duration>>,
    /// Whether somebody waited for it in vain.
    is_doubted: Cell<bool>,
    driver: RefCell<Option<Waker>>,
}

/// Holds a place among the streams of a connection.
#[derive(Debug)]
pub(crate) struct OpenStream(Rc<Link>);

/// Says what both sides may do (RFC 9113 section 3.4) and hears what the backend says. It has no time limit of its own.
///
/// # Errors
/// What comes is no HTTP/2, or nothing.
pub(crate) async fn agree(stream: Stream) -> Result<Agreed, h2::Error> {
    let is_tls = matches!(stream, Stream::Tls(_));
    let io = Io::new(stream, Vec::new());
    let stuck = io.stuck();
    let (sender, mut frames) = builder().handshake(io).await?;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut frames).poll(cx) {
            return Poll::Ready(ended.and(Err(h2::Reason::NO_ERROR.into())));
        }
        // Nothing may be opened before the backend has said how much.
        if sender.current_max_send_streams() > 0 { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    Ok(Agreed { frames, sender, stuck, is_tls })
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADERS_MAX);
    builder
}

impl Agreed {
    /// Gives the connection a task of its own, which holds `slot` and calls `ended` when the backend ends it.
    pub(crate) fn start(self, slot: ConnectionGuard, ended: impl Fn() + 'static) -> Rc<Link> {
        let Self { mut frames, sender, stuck, is_tls } = self;
        let link = Rc::new(Link {
            sender: RefCell::new(Some(sender)),
            is_tls,
            open: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            is_leaving: Cell::new(false),
            ended_at: Cell::new(None),
            is_doubted: Cell::new(false),
            driver: RefCell::default(),
        });
        let pings = frames.ping_pong();
        let now = Instant::now();
        let mut driver = Driver {
            link: Rc::clone(&link),
            frames,
            pings,
            stuck,
            alarm: Alarm::new(now + PING_AFTER),
            heard_at: now,
            pinged_at: None,
        };
        tokio::task::spawn_local(async move {
            poll_fn(|cx| {
                driver.alarm.start(cx);
                Poll::Ready(())
            })
            .await;
            poll_fn(|cx| driver.poll(cx, &ended)).await;
            driver.link.end(&ended);
            // It is counted to its last byte.
            drop((driver, slot));
        });
        link
    }
}

impl Link {
    /// A stream that is going to be opened, if there is room for one, and how long the connection had none before.
    pub(crate) fn stream(self: &Rc<Self>, now: Instant) -> Option<(H2Stream, Duration, OpenStream)> {
        if !self.has_room() {
            return None;
        }
        let sender = self.sender.borrow().clone()?;
        let idled = self.idled(now).unwrap_or_default();
        self.open.set(self.open.get() + 1);
        Some((H2Stream::to_backend(sender, self.is_tls), idled, OpenStream(Rc::clone(self))))
    }

    /// How long it has had no streams, if it has none.
    pub(crate) fn idled(&self, now: Instant) -> Option<Duration> {
        (self.open.get() == 0).then(|| now.saturating_duration_since(self.idle_since.get()))
    }

    /// How long it had had no streams when the backend ended it, if it had none. It is told once.
    pub(crate) fn take_end(&self) -> Option<Duration> {
        self.ended_at.take()
    }

    /// Whether it takes no streams any more.
    pub(crate) const fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Whether another stream may be opened.
    pub(crate) fn has_room(&self) -> bool {
        let allows = |sender: &SendRequest<Bytes>| {
            let most = u32::try_from(sender.current_max_send_streams()).unwrap_or(u32::MAX);
            self.open.get() < most.min(STREAMS_MAX)
        };
        !self.is_leaving.get() && self.sender.borrow().as_ref().is_some_and(allows)
    }

    /// Lets it end when its last stream does.
    pub(crate) fn leave(&self) {
        self.is_leaving.set(true);
        self.wake();
    }

    /// The backend ends it.
    fn end(&self, ended: &impl Fn()) {
        if !self.is_leaving.get() {
            self.ended_at.set(self.idled(Instant::now()));
            self.is_leaving.set(true);
            ended();
        }
    }

    fn wake(&self) {
        if let Some(driver) = &*self.driver.borrow() {
            driver.wake_by_ref();
        }
    }
}

impl OpenStream {
    /// Whether its connection goes on, and takes other streams.
    pub(crate) fn is_connected(&self) -> bool {
        !self.0.is_leaving()
    }

    /// The backend did not answer. Whether it is still there is asked, so that others need not wait for it too.
    pub(crate) fn doubt(&self) {
        self.0.is_doubted.set(true);
        self.0.wake();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let link = &*self.0;
        link.open.set(link.open.get() - 1);
        if link.open.get() == 0 {
            link.idle_since.set(Instant::now());
            if link.is_leaving.get() {
                link.wake();
            }
        }
    }
}

/// What moves the frames of a connection.
struct Driver {
    link: Rc<Link>,
    frames: Connection<Io, Bytes>,
    pings: Option<PingPong>,
    stuck: Rc<Stuck>,
    alarm: Alarm,
    /// When it was known last that the backend is there.
    heard_at: Instant,
    pinged_at: Option<Instant>,
}

impl Driver {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>, ended: &impl Fn()) -> Poll<()> {
        if self.link.driver.borrow().as_ref().is_none_or(|driver| !driver.will_wake(cx.waker())) {
            *self.link.driver.borrow_mut() = Some(cx.waker().clone());
        }
        loop {
            if self.link.is_leaving.get() && self.link.open.get() == 0 {
                // It ends by itself, with a GOAWAY, when nobody can use it any more.
                self.link.sender.take();
            }
            if Pin::new(&mut self.frames).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !self.is_told_to_go(cx) {
                break;
            }
            self.link.end(ended);
        }
        self.poll_gone(cx)
    }

    /// Whether the backend has said just now that it takes no more streams (RFC 9113 section 6.8).
    fn is_told_to_go(&self, cx: &mut Context<'_>) -> bool {
        let mut sender = self.link.sender.borrow_mut();
        let refuses = |sender: &mut SendRequest<Bytes>| matches!(sender.poll_ready(cx), Poll::Ready(Err(_)));
        !self.link.is_leaving.get() && sender.as_mut().is_some_and(refuses)
    }

    /// Ready when the backend is not there any more, as far as one can tell.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.pinged_at.is_some()
                && let Some(pings) = &mut self.pings
                && pings.poll_pong(cx).is_ready()
            {
                (self.pinged_at, self.heard_at) = (None, Instant::now());
            }
            let deadline = self.deadline();
            ready!(self.alarm.poll(deadline, cx));
            let is_stuck = self.stuck.since().is_some_and(|since| since.elapsed() >= STUCK_MAX);
            if is_stuck || self.pinged_at.is_some() {
                return Poll::Ready(());
            }
            self.ping(cx);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let stuck = self.stuck.since().map(|since| since + STUCK_MAX);
        let ping = match self.pinged_at {
            Some(at) => Some(at + PONG_WITHIN),
            None if self.link.is_doubted.get() => Some(self.heard_at),
            // A connection without streams may end whenever it likes.
            None if self.link.open.get() > 0 => {
                Some(self.heard_at.max(self.link.idle_since.get()) + PING_AFTER)
            }
            None => None,
        };
        [stuck, ping].into_iter().flatten().min()
    }

    fn ping(&mut self, cx: &mut Context<'_>) {
        self.link.is_doubted.set(false);
        self.pinged_at = Some(Instant::now());
        if let Some(pings) = &mut self.pings {
            // What can't be sent is not answered either.
            let _ = pings.send_ping(Ping::opaque());
        }
        // The frame goes out at the next turn.
        cx.waker().wake_by_ref();
    }
}

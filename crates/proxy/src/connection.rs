//! One client connection: requests one after the other, each within its time, until it closes or the worker stops.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::accept::Admission;
use crate::alarm::Alarm;
use crate::forwarded::Peer;
use crate::linger::linger;
use crate::serve::{self, Next};
use crate::stream::Stream;
use crate::worker::Worker;

/// When the worker stops, a connection between two requests may use this time to send another one, which is answered with
/// `Connection: close`. Closing at once would fail requests that are on their way.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(500);

/// What the requests of one connection share.
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) peer: Peer,
    pub(crate) admission: Admission,
}

/// A client's connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) stream: Stream,
    pub(crate) alarm: Alarm,
    /// Requests that began.
    pub(crate) requests: u32,
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Cell<u64>,
    ended: Notify,
    /// What wakes the task of each.
    wakers: RefCell<Slab<Waker>>,
}

impl Connections {
    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        self.open.get()
    }

    /// Waits until none is open.
    pub(crate) async fn none_left(&self) {
        while self.open.get() > 0 {
            self.ended.notified().await;
        }
    }

    /// Lets all of them look at what is new.
    pub(crate) fn wake_all(&self) {
        self.wakers.borrow().iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

/// Counts a connection while it is open, however it ends.
struct Counted {
    worker: Rc<Worker>,
    waker: Option<usize>,
}

impl Counted {
    fn new(worker: &Rc<Worker>) -> Self {
        let open = &worker.connections.open;
        open.set(open.get() + 1);
        worker.metrics.connections.inc();
        worker.metrics.accepted.inc();
        Self { worker: Rc::clone(worker), waker: None }
    }

    fn wake_by(&mut self, waker: Waker) {
        self.waker = Some(self.worker.connections.wakers.borrow_mut().insert(waker));
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let connections = &self.worker.connections;
        if let Some(waker) = self.waker {
            connections.wakers.borrow_mut().remove(waker);
        }
        connections.open.set(connections.open.get() - 1);
        connections.ended.notify_one();
        self.worker.metrics.connections.dec();
    }
}

/// Serves a connection in a task of its own: a panic in it ends this connection and no other.
pub(crate) fn spawn(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, admission: Admission) {
    let mut counted = Counted::new(worker);
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        // What fails here is the client's connection, which is over then.
        let _ = run(&mut counted, worker, stream, peer, admission).await;
    });
}

async fn run(
    counted: &mut Counted,
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    admission: Admission,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut idle_since = Instant::now();
    let peer = Peer::new(peer.ip(), false, &admission.front().trusted_proxies);
    let alarm = Alarm::new(idle_since + worker.limits.keepalive_timeout);
    let client = Client { worker, peer, admission };
    let mut connection = Connection { client, stream: Stream::Tcp(stream), alarm, requests: 0 };
    poll_fn(|cx| {
        counted.wake_by(cx.waker().clone());
        connection.alarm.start(cx);
        Poll::Ready(())
    })
    .await;
    while connection.has_something_to_read(idle_since).await {
        let mut scratch = connection.client.worker.take_scratch();
        let next = connection.serve_all(&mut scratch).await;
        if matches!(next, Next::Linger) {
            // What fails here is the client's connection, which is over anyway.
            let _ = linger(&mut connection, &mut scratch.from_client).await;
        }
        connection.client.worker.give_back(scratch);
        match next {
            Next::Again(ended) => idle_since = ended,
            Next::Close | Next::Linger => break,
            Next::Reset => {
                connection.stream.reset_on_close();
                break;
            }
        }
    }
    Ok(())
}

impl Connection {
    /// Serves what is there, until nothing more is at hand.
    async fn serve_all(&mut self, scratch: &mut crate::exchange::Scratch) -> Next {
        loop {
            let next = serve::serve(self, scratch).await;
            if !matches!(next, Next::Again(_)) || scratch.from_client.is_empty() {
                return next;
            }
        }
    }

    /// Waits for the first byte of a request, with no buffer in hand. `false` when the connection has been idle for too long.
    async fn has_something_to_read(&mut self, since: Instant) -> bool {
        let mut close_at = None;
        poll_fn(|cx| {
            // An error shows itself when it is read.
            if self.stream.poll_readable(cx).is_ready() {
                return Poll::Ready(true);
            }
            self.poll_idle(since, &mut close_at, cx).map(|()| false)
        })
        .await
    }

    /// Ready when the connection may not be idle any longer.
    fn poll_idle(
        &mut self,
        since: Instant,
        close_at: &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let worker = &self.client.worker;
        if worker.stop.has_begun() && close_at.is_none() {
            *close_at = Some(Instant::now() + LAST_REQUEST_WITHIN);
        }
        let deadline = since + worker.limits.keepalive_timeout;
        self.alarm.poll(Some(close_at.map_or(deadline, |at| at.min(deadline))), cx)
    }
}

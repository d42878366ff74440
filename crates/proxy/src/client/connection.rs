//! One client connection: requests one after the other, each within its time, until it closes or the worker stops.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cutover_tls::server::{Protocol, ServerTls, Subject};
use slab::Slab;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::client::accept::Admission;
use crate::client::arrival::{self, Arrival};
use crate::client::handshake;
use crate::h2;
use crate::io::alarm::Alarm;
use crate::io::stream::Stream;
use crate::io::tls::Tls;
use crate::message::forwarded::Peer;
use crate::pin::keyring::Known;
use crate::serve::Next;
use crate::worker::Worker;
use crate::worker::shutdown::HASTE;

/// What the requests of one connection share.
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) arrival: Arrival,
    pub(crate) peer: Peer,
    pub(crate) admission: Admission,
    pub(crate) known_pin: Known,
    /// Who it is by the certificate that it has shown, if it has.
    pub(crate) subject: Option<Subject>,
}

/// A client's connection.
pub(crate) struct Connection {
    pub(crate) client: Rc<Client>,
    pub(crate) stream: Stream,
    pub(crate) alarm: Alarm,
    /// Requests that began.
    pub(crate) requests: u32,
    /// What was read of it before it turned out to be HTTP/2.
    pub(crate) read_ahead: Vec<u8>,
    /// Counts it, until everything else of it is gone. A stream of one that is counted is not.
    pub(crate) counted: Option<Counted>,
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
pub(crate) struct Counted {
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

    /// Lets the task of the connection be woken when there is something new. It stays the same task.
    fn wake_by(&mut self, waker: &Waker) {
        if self.waker.is_none() {
            self.waker = Some(self.worker.connections.wakers.borrow_mut().insert(waker.clone()));
        }
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
    let counted = Counted::new(worker);
    if admission.front().proxy_protocol {
        tokio::task::spawn_local(serve_told(counted, stream, peer, admission));
    } else if let Some(arrival) = arrival::direct(worker, peer, admission.front()) {
        begin(counted, stream, arrival, admission);
    }
}

/// Serves what comes behind a header that tells whose connection it is.
async fn serve_told(counted: Counted, mut stream: TcpStream, peer: SocketAddr, admission: Admission) {
    let told = arrival::told(&counted.worker, &mut stream, peer, admission.front()).await;
    if let Some(arrival) = told {
        begin(counted, stream, arrival, admission);
    }
}

fn begin(counted: Counted, stream: TcpStream, arrival: Arrival, admission: Admission) {
    match admission.front().tls.clone() {
        None => tokio::task::spawn_local(serve(counted, Stream::Tcp(stream), arrival, admission)),
        Some(tls) => tokio::task::spawn_local(serve_tls(counted, tls, stream, arrival, admission)),
    };
}

/// Serves a stream that was not accepted, in the task of the caller.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn serve_stream(
    worker: &Rc<Worker>,
    stream: Stream,
    peer: std::net::IpAddr,
    admission: Admission,
) -> impl Future<Output = ()> + use<> {
    serve(Counted::new(worker), stream, Arrival::of(peer), admission)
}

/// Serves what comes over TLS, once hands are shaken.
async fn serve_tls(
    counted: Counted,
    tls: Arc<ServerTls>,
    stream: TcpStream,
    arrival: Arrival,
    admission: Admission,
) {
    // Under TLS it is out of sight.
    arrival.destination(Some(&stream));
    // Its state is large, and would be part of every idle connection.
    let shaken = Box::pin(handshake::shake(&counted.worker, &tls, stream)).await;
    drop(tls);
    let Some(accepted) = shaken else { return };
    let stream = Stream::Tls(Box::new(Tls::new(accepted.stream)));
    let connection = open(counted, stream, arrival, admission, accepted.subject);
    match accepted.protocol {
        Protocol::Http1 => run(connection, Instant::now()).await,
        Protocol::H2 => Box::pin(h2::server::serve(connection)).await,
        Protocol::Challenge => {}
    }
}

fn serve(
    counted: Counted,
    stream: Stream,
    arrival: Arrival,
    admission: Admission,
) -> impl Future<Output = ()> + use<> {
    run(open(counted, stream, arrival, admission, None), Instant::now())
}

/// A connection that may begin.
fn open(
    counted: Counted,
    stream: Stream,
    arrival: Arrival,
    admission: Admission,
    subject: Option<Subject>,
) -> Box<Connection> {
    let worker = Rc::clone(&counted.worker);
    let is_tls = matches!(stream, Stream::Tls(_));
    let trusted = if arrival.is_known { &*admission.front().trusted_proxies } else { &[] };
    let peer = Peer::new(arrival.source.ip(), is_tls, trusted);
    let alarm = Alarm::new(Instant::now() + worker.limits.keepalive_timeout);
    let client = Rc::new(Client { worker, arrival, peer, admission, known_pin: Known::default(), subject });
    let (read_ahead, counted) = (Vec::new(), Some(counted));
    Box::new(Connection { client, stream, alarm, requests: 0, read_ahead, counted })
}

/// All of the connections that are open run this, and most of them are idle: what it keeps meanwhile has to be small.
async fn run(mut connection: Box<Connection>, mut idle_since: Instant) {
    connection.start().await;
    let (mut close_at, mut is_waiting) = (None, false);
    // Nothing is in hand while it waits for the first byte of a request.
    while poll_fn(|cx| connection.poll_begin(idle_since, &mut is_waiting, &mut close_at, cx)).await {
        let mut server = connection.client.worker.take_server();
        let next;
        (connection, next) = server.serve(connection).await;
        connection.client.worker.give_back(server);
        match next {
            Next::Again(ended) => idle_since = ended,
            Next::Wait => {}
            Next::Close | Next::Linger => return,
            Next::Reset => return connection.stream.reset_on_close(),
            Next::Http2 => {
                // Its streams don't know.
                connection.client.arrival.destination(connection.stream.tcp());
                // Its state is large, and would be part of every idle connection.
                return Box::pin(h2::server::serve(connection)).await;
            }
        }
    }
}

impl Connection {
    /// A stream of a connection with `client`, which is served as if it were one with one request.
    pub(crate) fn of_stream(client: &Rc<Client>, stream: Stream, alarm: Alarm) -> Box<Self> {
        let client = Rc::clone(client);
        Box::new(Self { client, stream, alarm, requests: 0, read_ahead: Vec::new(), counted: None })
    }

    /// Ties it to the task that serves it, which calls this first.
    pub(crate) async fn start(&mut self) {
        poll_fn(|cx| {
            if let Some(counted) = &mut self.counted {
                counted.wake_by(cx.waker());
            }
            self.alarm.start(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// Ready with `true` when a request may have begun, with `false` when the connection has been idle for too long.
    fn poll_begin(
        &mut self,
        since: Instant,
        is_waiting: &mut bool,
        close_at: &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        // What wakes a connection that waits is a request, as a rule: reading it says so, and shows errors too.
        if std::mem::take(is_waiting) || self.stream.poll_readable(cx).is_ready() {
            return Poll::Ready(true);
        }
        *is_waiting = true;
        let worker = &self.client.worker;
        if worker.stop.has_begun() && close_at.is_none() {
            // The first request of a new connection is on its way, as a rule. One between two requests may send another one meanwhile.
            let patience = if self.requests == 0 { worker.stop.patience() } else { HASTE };
            *close_at = Some(Instant::now() + patience);
        }
        let deadline = since + worker.limits.keepalive_timeout;
        self.alarm.poll(Some(close_at.map_or(deadline, |at| at.min(deadline))), cx).map(|()| false)
    }
}

#[cfg(test)]
mod tests;

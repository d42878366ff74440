//! One client connection: requests one after the other, each within its time, until it closes, becomes a tunnel, or the worker stops.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::accept::Admission;
use crate::activity::{Activity, ClientStream, Phase};
use crate::config::Limits;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::forwarded::Peer;
use crate::serve;
use crate::upgrade::Tunnel;
use crate::worker::Worker;

/// When the worker stops, a connection between two requests may use this time to send another one, which is answered with
/// `Connection: close`. Closing at once would fail requests that are on their way.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(500);
/// How long the rest of a refused request is read, so that our answer is not lost to a reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// Bytes that are read while lingering.
const LINGER_BYTES_MAX: usize = 16 << 20;
/// Time for a look at the end of the worker when nothing else is due.
const FAR: Duration = Duration::from_secs(3600);
/// Bytes that hyper buffers at most for one connection, in each direction.
const BUFFER_MAX: usize = 128 << 10;

/// What the requests of one connection share.
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) peer: Peer,
    pub(crate) admission: Admission,
    pub(crate) activity: Rc<Activity>,
    /// The tunnel that the connection becomes once our `101` is sent.
    tunnel: RefCell<Option<Tunnel<Exchange>>>,
}

impl Client {
    /// The connection becomes a tunnel once the client has our answer.
    pub(crate) fn becomes(&self, tunnel: Tunnel<Exchange>) {
        self.tunnel.replace(Some(tunnel));
    }
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Cell<u64>,
    ended: Notify,
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
}

/// Counts a connection while it is open, however it ends.
struct Counted(Rc<Worker>);

impl Counted {
    fn new(worker: &Rc<Worker>) -> Self {
        let open = &worker.connections.open;
        open.set(open.get() + 1);
        worker.metrics.connections.inc();
        worker.metrics.accepted.inc();
        Self(Rc::clone(worker))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let connections = &self.0.connections;
        connections.open.set(connections.open.get() - 1);
        connections.ended.notify_one();
        self.0.metrics.connections.dec();
    }
}

/// Why a connection ends.
enum End {
    /// HTTP says so, or the client closed, or it broke.
    Over(hyper::Result<()>),
    /// A head did not come in time.
    HeadTimeout,
    /// Nothing was asked, or nothing of the answer taken, for too long.
    Quiet,
}

/// Serves a connection in a task of its own: a panic in it ends this connection and no other.
pub(crate) fn spawn(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, admission: Admission) {
    let counted = Counted::new(worker);
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        // What fails here is the client's connection, which is over then.
        let _ = serve_connection(worker, stream, peer, admission).await;
        drop(counted);
    });
}

async fn serve_connection(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    admission: Admission,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let peer = Peer::new(peer.ip(), false, &admission.front().trusted_proxies);
    let activity = Rc::new(Activity::new(Instant::now()));
    let stream = TokioIo::new(ClientStream::new(stream, Rc::clone(&activity)));
    let tunnel = RefCell::new(None);
    let client = Rc::new(Client { worker, peer, admission, activity, tunnel });
    let service = {
        let client = Rc::clone(&client);
        service_fn(move |request| serve::serve(Rc::clone(&client), request))
    };
    let mut connection = protocol(&client.worker.limits).serve_connection(stream, service);
    let end = drive(Pin::new(&mut connection), &client).await;
    let parts = connection.into_parts();
    finish(&client, end, parts.io.into_inner().into_inner(), parts.read_buf).await
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_buf_size(BUFFER_MAX.max(limits.headers + 1))
        .max_header_size(limits.headers)
        // Times are kept by `drive`, which tells a head from an idle connection.
        .header_read_timeout(None);
    if limits.header_count != 100 {
        // Any other number than hyper's own costs an allocation per request.
        protocol.max_headers(limits.header_count);
    }
    protocol
}

/// What `drive` needs of hyper's connection, whose type has no name.
trait Drive {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>>;
    fn close_after_request(self: Pin<&mut Self>);
}

impl<S, F> Drive for http1::Connection<TokioIo<ClientStream>, S>
where
    S: hyper::service::Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<serve::Body>,
            Error = std::convert::Infallible,
            Future = F,
        >,
    F: Future<Output = Result<http::Response<serve::Body>, std::convert::Infallible>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        Future::poll(Pin::new(self), cx)
    }

    fn close_after_request(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives the connection until it is over or out of time.
async fn drive<D: Drive + Unpin>(mut connection: Pin<&mut D>, client: &Client) -> End {
    let Client { worker, activity, .. } = client;
    let mut stopping = pin!(worker.stop.begun());
    let mut close_at = None;
    let mut is_closing = false;
    let mut alarm = pin!(sleep_until(Instant::now() + worker.limits.keepalive_timeout));
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(over) = connection.as_mut().get_mut().poll(cx) {
            return Poll::Ready(End::Over(over));
        }
        if !is_closing && close_at.is_none() && stopping.as_mut().poll(cx).is_ready() {
            close_at = Some(Instant::now() + LAST_REQUEST_WITHIN);
        }
        let is_due = |at: Instant| at <= Instant::now();
        if let Some(at) = close_at
            && (activity.phase() == Phase::Busy || is_due(at))
        {
            (close_at, is_closing) = (None, true);
            connection.as_mut().close_after_request();
            if let Poll::Ready(over) = connection.as_mut().get_mut().poll(cx) {
                return Poll::Ready(End::Over(over));
            }
        }
        loop {
            let deadline = activity.deadline(&worker.limits);
            if deadline.is_some_and(is_due) {
                let is_head = activity.phase() == Phase::Head;
                return Poll::Ready(if is_head { End::HeadTimeout } else { End::Quiet });
            }
            let next = deadline.into_iter().chain(close_at).min();
            if poll_alarm(alarm.as_mut(), next, cx).is_pending() {
                return Poll::Pending;
            }
            if close_at.is_some_and(is_due) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Ready when the alarm rang, which may have been set for an earlier moment than `next`. It is moved only to ring earlier, or
/// when it rang: most deadlines pass unneeded.
fn poll_alarm(mut alarm: Pin<&mut Sleep>, next: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
    if next.is_some_and(|next| next < alarm.deadline()) || alarm.is_elapsed() {
        alarm.as_mut().reset(next.unwrap_or_else(|| Instant::now() + FAR));
    }
    alarm.poll(cx)
}

/// What is left to do with the socket.
async fn finish(client: &Client, end: End, mut stream: TcpStream, early: Bytes) -> io::Result<()> {
    let tunnel = client.tunnel.take();
    if let Some(tunnel) = tunnel {
        tunnel.run(stream, early).await;
        return Ok(());
    }
    if client.activity.must_reset() {
        // Without a length or chunks the end of the stream is the end of the body: only a reset says that it broke off.
        return stream.set_zero_linger();
    }
    if matches!(end, End::HeadTimeout) {
        let answer = serve::refuse_head(client, Error::HeadTimeout);
        timeout(LINGER, stream.write_all(&answer)).await??;
        return linger(stream).await;
    }
    if let End::Over(Err(error)) = &end {
        count_refusal(&client.worker, error);
    }
    if matches!(end, End::Over(_)) && client.activity.must_linger() {
        return linger(stream).await;
    }
    Ok(())
}

/// Counts what hyper refused by itself because it could not parse it.
fn count_refusal(worker: &Worker, error: &hyper::Error) {
    if error.is_parse() {
        let is_large = error.is_parse_too_large();
        let status =
            if is_large { StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        worker.metrics.own_answer(status);
    }
}

/// Closes our side, and reads what the client still sends, for a while.
async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let read = async {
        let mut buffer = [0; 4096];
        let mut left = LINGER_BYTES_MAX;
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read if read >= left => return Ok(()),
                read => left -= read,
            }
        }
    };
    timeout(LINGER, read).await.unwrap_or(Ok(()))
}

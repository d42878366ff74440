//! Takes connections from a listening socket, as many as its listener may have.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use cutover_tls::server::{ServerTls, Subject};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::client_subject::SubjectFields;
use crate::client::connection;
use crate::client::listener::Bound;
use crate::client::per_client::PerClient;
use crate::config::{ListenerConfig, Network};
use crate::message::fields::Fields;
use crate::worker::Worker;

/// Pause while a listener has all its connections, or the system has no descriptor to spare. New ones wait in the kernel's queue.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a connection that was accepted waits for its place when another process has taken over.
const ADMITTED_WITHIN: Duration = Duration::from_secs(5);

/// One listener, shared by all workers.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) trusted_proxies: Box<[Network]>,
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// The port of the TLS that clients are sent to, where nothing else is done for them.
    pub(crate) https_port: Option<u16>,
    /// What no client may say about who it is.
    pub(crate) reserved: Option<Arc<SubjectFields>>,
    client_subject_header: Box<str>,
    /// Whether connections begin by telling whose they are.
    pub(crate) proxy_protocol: bool,
    /// How many each client has, where there is a limit.
    pub(crate) per_client: Option<Arc<PerClient>>,
    max_connections: u32,
    /// Connections that are open, over all workers.
    open: AtomicU32,
}

/// One of a listener's connections; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Admission {
    fronts: Arc<[Front]>,
    listener: usize,
}

impl Front {
    /// A listener, of which clients may be sent to `https_port`, and may not send what is `reserved`.
    pub(crate) fn new(
        listener: ListenerConfig,
        https_port: u16,
        reserved: Option<Arc<SubjectFields>>,
    ) -> Self {
        Self {
            trusted_proxies: listener.trusted_proxies.into(),
            tls: listener.tls,
            https_port: listener.redirect_to_https.then_some(https_port),
            reserved,
            client_subject_header: listener.client_subject_header.into(),
            proxy_protocol: listener.proxy_protocol,
            per_client: listener.max_connections_per_client.map(|most| Arc::new(PerClient::new(most))),
            max_connections: listener.max_connections,
            open: AtomicU32::new(0),
        }
    }

    /// Tells a backend who its client is, and nothing that a client says in its place.
    pub(crate) fn write_subject(&self, fields: &mut Fields, subject: Option<&Subject>) {
        if let Some(reserved) = &self.reserved {
            reserved.remove_from(fields);
        }
        if let Some(subject) = subject.filter(|_| !self.client_subject_header.is_empty()) {
            fields.append_other(&self.client_subject_header, subject.as_str().as_bytes());
        }
    }
}

impl Admission {
    /// One, if there is one.
    pub(crate) fn take(fronts: &Arc<[Front]>, listener: usize) -> Option<Self> {
        let front = &fronts[listener];
        if front.open.fetch_add(1, Relaxed) >= front.max_connections {
            front.open.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Self { fronts: Arc::clone(fronts), listener })
    }

    /// Waits for one. A connection that was accepted waits here, not a worker for one that may come: while it waited, it would keep
    /// its place from the connections of the others.
    async fn wait(fronts: &Arc<[Front]>, listener: usize) -> Self {
        loop {
            if let Some(admission) = Self::take(fronts, listener) {
                return admission;
            }
            sleep(PAUSE).await;
        }
    }

    /// The listener.
    pub(crate) fn front(&self) -> &Front {
        &self.fronts[self.listener]
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.front().open.fetch_sub(1, Relaxed);
    }
}

/// Accepts from `bound`, in one of `tasks`, until the worker stops.
pub(crate) fn spawn(
    tasks: &mut JoinSet<()>,
    worker: &Rc<Worker>,
    bound: Bound,
    fronts: &Arc<[Front]>,
) -> io::Result<()> {
    let socket = TcpListener::from_std(bound.socket)?;
    tasks.spawn_local(accept(Rc::clone(worker), socket, bound.listener, Arc::clone(fronts)));
    Ok(())
}

async fn accept(worker: Rc<Worker>, socket: TcpListener, listener: usize, fronts: Arc<[Front]>) {
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = worker.stop.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                is_failing = false;
                let admission = tokio::select! {
                    admission = Admission::wait(&fronts, listener) => admission,
                    () = given_up(&worker) => break,
                };
                connection::spawn(&worker, stream, peer, admission);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !is_failing {
                    tracing::error!(%error, "can't accept connections");
                }
                is_failing = true;
                sleep(PAUSE).await;
            }
        }
    }
    // What waits in a queue that another process serves as well is its.
    if !worker.stop.is_replaced() {
        empty(&worker, socket, listener, &fronts);
    }
}

/// Waits until a connection that was accepted can't be served any more. While another process takes the new ones, places become free.
async fn given_up(worker: &Worker) {
    worker.stop.begun().await;
    if worker.stop.is_replaced() {
        tokio::select! {
            () = sleep(ADMITTED_WITHIN) => {}
            () = worker.stop.hastened() => {}
        }
    }
}

/// Takes what is in the queue before the socket closes: those clients have connected, and may have sent their request.
///
/// The system is asked, not the runtime, which knows only of what had come when it last waited for events.
fn empty(worker: &Rc<Worker>, socket: TcpListener, listener: usize, fronts: &Arc<[Front]>) {
    let Ok(socket) = socket.into_std() else { return };
    while let Some(admission) = Admission::take(fronts, listener) {
        let Ok((stream, peer)) = socket.accept() else { return };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            connection::spawn(worker, stream, peer, admission);
        }
    }
}

/// Whether the error is about a client that is gone already, not about us.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

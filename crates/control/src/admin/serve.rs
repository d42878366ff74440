//! Accepts connections and answers what they ask, until it is stopped.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cutover_core::time::Millis;
use cutover_tls::server::{Accepted, ServerTls};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::api::Api;
use super::config::{AdminConfig, Listen};
use super::idle::{Idle, Visit};
use super::listener::{Arrival, Inherited, Listener};
use super::peer::{Peer, Secured};
use super::{node, routes};
use crate::handle::Control;

/// Largest head of a request in bytes.
const HEAD_MAX: u32 = 32 * 1024;
/// Time for a whole TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which the head of a request must arrive, the first one after the connection too; also the longest idle time between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 100;
/// A silent HTTP/2 client is asked whether it is there, and dropped when it does not answer in the same time.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a request may take to come on a connection that was accepted before another process did that.
const LAST_REQUEST_WITHIN: Duration = Duration::from_millis(500);
/// After an accept that failed for want of something, usually descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin API can't be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Anybody in the network could change everything.
    #[error(
        "{listen} can be reached from elsewhere: set tokens or certificates and open = false, or listen on loopback or a unix socket"
    )]
    Unprotected {
        /// Where it should have listened.
        listen: Listen,
    },
    /// The socket could not be bound.
    #[error("can't listen on {listen} (`admin.listen`)")]
    Bind {
        /// Where.
        listen: Listen,
        /// What the system said.
        source: io::Error,
    },
    /// The socket for metrics could not be bound.
    #[error("can't listen on {listen} (`metrics.listen`)")]
    BindMetrics {
        /// Where.
        listen: Listen,
        /// What the system said.
        source: io::Error,
    },
    /// Two admin APIs would count in the same metrics.
    #[error("the metrics of the admin API are registered already")]
    Metrics(#[from] prometheus::Error),
}

impl ServeError {
    /// The same of the listener of metrics.
    fn of_metrics(self) -> Self {
        match self {
            Self::Bind { listen, source } => Self::BindMetrics { listen, source },
            other => other,
        }
    }
}

/// A running admin API. Dropping it ends it at once.
#[derive(Debug)]
pub struct AdminHandle {
    address: Listen,
    metrics_address: Option<Listen>,
    /// Turns true when no connection is accepted any more; held by whoever accepts.
    leaving: watch::Sender<bool>,
    /// Turns true when connections, waits and streams end.
    closing: watch::Sender<bool>,
    /// With the addresses that were asked for.
    sockets: Vec<(Listen, OwnedFd)>,
    /// Whether the file of a unix socket is left to another process.
    files_stay: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl AdminHandle {
    /// Where it listens, with the port that was chosen.
    #[must_use]
    pub const fn address(&self) -> &Listen {
        &self.address
    }

    /// Where metrics are served, if they have a listener of their own.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<&Listen> {
        self.metrics_address.as_ref()
    }

    /// Stops: no new connections, waits and streams end, requests are finished within the configured time.
    pub async fn stop(mut self) {
        self.sockets.clear();
        self.leaving.send_replace(true);
        self.closing.send_replace(true);
        for task in self.tasks.drain(..) {
            // A panic there was logged, and there is nothing left to stop.
            let _ = task.await;
        }
    }

    /// Stops accepting, because another process serves its [`sockets`](Self::sockets). When this returns, every new connection is that
    /// one's. To be followed by [`retire`](Self::retire).
    pub async fn leave(&mut self) {
        self.files_stay.store(true, Ordering::Relaxed);
        self.sockets.clear();
        self.leaving.send_replace(true);
        self.leaving.closed().await;
    }

    /// Stops after [`leave`](Self::leave): who has just connected may ask once more.
    pub async fn retire(self) {
        sleep(LAST_REQUEST_WITHIN).await;
        self.stop().await;
    }

    /// The sockets that it listens on, with the addresses that were asked for.
    ///
    /// # Errors
    /// The system has no descriptor to spare.
    pub fn sockets(&self) -> io::Result<Vec<(Listen, OwnedFd)>> {
        self.sockets.iter().map(|(listen, socket)| Ok((listen.clone(), socket.try_clone()?))).collect()
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Serves the admin API of `control` and the metrics of `registry`. Must be called on a tokio runtime, which then carries it.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve(
    config: AdminConfig,
    control: Control,
    registry: prometheus::Registry,
) -> Result<AdminHandle, ServeError> {
    serve_on(&mut Inherited::default(), config, control, registry).await
}

/// The same on the inherited sockets of its addresses, as far as there are any.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve_on(
    inherited: &mut Inherited,
    config: AdminConfig,
    control: Control,
    registry: prometheus::Registry,
) -> Result<AdminHandle, ServeError> {
    let is_anybody_known = !(config.tokens.is_empty() && config.certificates.is_empty());
    if !config.listen.is_local() && (config.is_open || !is_anybody_known) {
        return Err(ServeError::Unprotected { listen: config.listen });
    }
    let (leaving, is_leaving) = watch::channel(false);
    let (closing, is_closing) = watch::channel(false);
    let api = Api::new(&config, control, registry.clone(), is_closing.clone())?;
    let files_stay = Arc::default();
    let (listener, address) = bind(&config.listen, inherited, &files_stay).await?;
    let metrics = match &config.metrics {
        Some(listen) => Some(bind(listen, inherited, &files_stay).await.map_err(ServeError::of_metrics)?),
        None => None,
    };
    let mut sockets = vec![(config.listen.clone(), descriptor(&config.listen, &listener)?)];
    if let (Some(listen), Some((listener, _))) = (&config.metrics, &metrics) {
        sockets.push((listen.clone(), descriptor(listen, listener)?));
    }
    let mut handle = AdminHandle {
        address,
        metrics_address: None,
        leaving,
        closing,
        sockets,
        files_stay,
        tasks: Vec::new(),
    };
    let accept = |listener, tls, router| {
        let limits = Limits { connections: config.connections_max, stop: config.stop_timeout };
        tokio::spawn(accept_all(listener, tls, router, limits, (is_leaving.clone(), is_closing.clone())))
    };
    handle.tasks.push(accept(listener, config.tls.clone(), routes::router(api)));
    if let Some((listener, address)) = metrics {
        let exposition = move || async move { node::exposition(&registry) };
        handle.tasks.push(accept(listener, None, Router::new().route("/metrics", get(exposition))));
        handle.metrics_address = Some(address);
    }
    Ok(handle)
}

async fn bind(
    listen: &Listen,
    inherited: &mut Inherited,
    files_stay: &Arc<AtomicBool>,
) -> Result<(Listener, Listen), ServeError> {
    let bound = Listener::open(listen, inherited, files_stay).await.and_then(|listener| {
        let address = listener.address()?;
        Ok((listener, address))
    });
    bound.map_err(|source| ServeError::Bind { listen: listen.clone(), source })
}

fn descriptor(listen: &Listen, listener: &Listener) -> Result<OwnedFd, ServeError> {
    listener.descriptor().map_err(|source| ServeError::Bind { listen: listen.clone(), source })
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    stop: Duration,
}

async fn accept_all(
    listener: Listener,
    tls: Option<Arc<ServerTls>>,
    router: Router,
    limits: Limits,
    (mut leaving, closing): (watch::Receiver<bool>, watch::Receiver<bool>),
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let idle = Arc::new(Idle::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut leaving) => break,
        };
        while connections.try_join_next().is_some() {}
        let (arrival, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "an admin connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if places.available_permits() == 0 {
            idle.end_oldest();
        }
        // While all are being served, it waits, and those behind it in the backlog of the kernel.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = closed(&mut leaving) => break,
        };
        let (router, tls, closing) = (router.clone(), tls.clone(), closing.clone());
        let visit = idle.come();
        connections.spawn(async move {
            let service = |secured| service(router, peer, secured, Arc::clone(&visit));
            let serve = async {
                match (arrival, tls) {
                    (Arrival::Tcp(stream), None) => answer(stream, service(None), closing).await,
                    (Arrival::Tcp(stream), Some(tls)) => {
                        if let Some((stream, secured)) = secure(&tls, stream, &mut closing.clone()).await {
                            answer(stream, service(Some(secured)), closing).await;
                        }
                    }
                    (Arrival::Unix(stream), _) => answer(stream, service(None), closing).await,
                }
            };
            tokio::select! {
                () = serve => {}
                () = visit.is_to_leave(HEAD_TIMEOUT) => {}
            }
            drop(place);
        });
    }
    drop(listener);
    drop(leaving);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.stop, finish).await.is_err() {
        tracing::warn!(after = %Millis(u64::try_from(limits.stop.as_millis()).unwrap_or(u64::MAX)), "admin requests were cut off");
    }
}

/// Makes a connection one over TLS. `None` when that fails or takes too long; the client was told why.
async fn secure(
    tls: &ServerTls,
    stream: TcpStream,
    closing: &mut watch::Receiver<bool>,
) -> Option<(impl AsyncRead + AsyncWrite + Send + Unpin + 'static, Secured)> {
    let accepted = tokio::select! {
        accepted = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => accepted.ok()?,
        () = closed(closing) => return None,
    };
    match accepted {
        Ok(Accepted { stream, subject, .. }) => {
            Some((stream, Secured { subject: subject.map(|subject| subject.as_str().into()) }))
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "an admin connection is not over TLS");
            None
        }
    }
}

/// What answers the requests of one connection.
fn service(
    router: Router,
    peer: Peer,
    secured: Option<Secured>,
    visit: Arc<Visit>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |mut request: Request<Incoming>| {
        let in_progress = visit.ask();
        request.extensions_mut().insert(peer);
        if let Some(secured) = &secured {
            request.extensions_mut().insert(secured.clone());
        }
        let answered = router.clone().oneshot(request.map(Body::new));
        async move { Ok(answered.await?.map(|body| in_progress.until_sent(body))) }
    })
}

/// Resolves when `closing` turns true, or nobody is left to turn it.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}

/// Answers one connection, HTTP/1.1 or HTTP/2 with prior knowledge.
async fn answer<S>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: S,
    mut closing: watch::Receiver<bool>,
) where
    S: tower::Service<
            Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX as usize)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "an admin connection broke off");
    }
}

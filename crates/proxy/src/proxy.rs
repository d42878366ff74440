//! The proxy as the rest of the process sees it: bound, then started, then ended by its [`Handle`].

use std::net::SocketAddr;
use std::sync::Arc;

use cutover_core::publish::{SnapshotReader, Wake};
use tokio::sync::{Notify, mpsc, watch};

use crate::client::accept::Front;
use crate::client::client_subject::SubjectFields;
use crate::client::listener::{self, BindError, Bound, Inherited};
use crate::config::ProxyConfig;
use crate::own::to_https::HTTPS;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::SpanSink;
use crate::worker::shutdown::{Ended, Handle, LastWord};
use crate::worker::{self, Start};

/// A proxy that listens and does not serve yet: clients that connect wait.
#[derive(Debug)]
pub struct Proxy {
    config: ProxyConfig,
    sockets: Vec<Vec<Bound>>,
    addresses: Vec<SocketAddr>,
    wakes: Vec<Arc<Notify>>,
    spans: Option<SpanSink>,
}

/// Why the proxy can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There must be one reader for each worker.
    #[error("{readers} snapshot readers for {workers} workers")]
    Readers {
        /// Readers that were given.
        readers: usize,
        /// Workers that there are.
        workers: usize,
    },
    /// The system gives no thread or no randomness.
    #[error("can't start a worker")]
    System(#[source] std::io::Error),
}

impl Proxy {
    /// Opens all listening sockets, so that what is wrong with them comes out at the start. Those of `inherited` that it can use it takes.
    ///
    /// # Errors
    /// [`BindError`], with the address.
    pub fn bind(config: ProxyConfig, inherited: &mut Inherited) -> Result<Self, BindError> {
        let listener::Sockets { of_workers, addresses } = listener::bind(&config, inherited)?;
        let wakes = of_workers.iter().map(|_| Arc::default()).collect();
        Ok(Self { config, sockets: of_workers, addresses, wakes, spans: None })
    }

    /// Makes a span of every request, and of every time that a backend is asked.
    #[must_use]
    pub fn with_spans(self, spans: Option<SpanSink>) -> Self {
        Self { spans, ..self }
    }

    /// The addresses that it listens on, in the order of the configuration, with real ports.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same, each with whether clients are served over TLS there. Where they are only sent to another one they are not served.
    pub fn fronts(&self) -> impl Iterator<Item = (SocketAddr, bool)> {
        let listeners = self.config.listeners.iter();
        let of_each = listeners.flat_map(|listener| listener.addresses.iter().map(move |_| listener));
        let all = self.addresses.iter().zip(of_each);
        all.filter(|(_, listener)| !listener.redirect_to_https)
            .map(|(address, listener)| (*address, listener.tls.is_some()))
    }

    /// What wakes each of the workers: the `wake_readers` of [`cutover_core::publish::channel`], whose readers [`start`](Self::start) takes.
    #[must_use]
    pub fn wakes(&self) -> Vec<Wake> {
        self.wakes
            .iter()
            .map(|wake| {
                let wake = Arc::clone(wake);
                Box::new(move || wake.notify_one()) as Wake
            })
            .collect()
    }

    /// Starts one thread per worker; `readers` are those that were made with [`wakes`](Self::wakes). Requests are counted in `metrics` and
    /// written to `access_log`, if there is one.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub fn start(
        self,
        readers: Vec<SnapshotReader>,
        metrics: &Arc<Metrics>,
        access_log: Option<&AccessLog>,
    ) -> Result<Handle, StartError> {
        let workers = self.sockets.len();
        if readers.len() != workers {
            return Err(StartError::Readers { readers: readers.len(), workers });
        }
        let (https_port, reserved) = (self.https_port(), SubjectFields::of(&self.config.listeners));
        let listeners = self.config.listeners.into_iter();
        let fronts: Arc<[Front]> =
            listeners.map(|listener| Front::new(listener, https_port, reserved.clone())).collect();
        let (stop, stopped) = watch::channel(None);
        let (sender, ended) = mpsc::unbounded_channel();
        let kept = self.sockets.iter().map(|own| {
            own.iter()
                .map(|bound| Ok((bound.asked, bound.socket.try_clone()?)))
                .collect::<std::io::Result<_>>()
        });
        let kept = kept.collect::<std::io::Result<Vec<_>>>().map_err(StartError::System)?;
        let (pages, limiters) = (Arc::default(), Arc::default());
        let mut threads = Vec::with_capacity(workers);
        let parts = self.sockets.into_iter().zip(readers).zip(self.wakes);
        for (worker, ((sockets, reader), wake)) in parts.enumerate() {
            let start = Start {
                limits: self.config.limits,
                names: self.config.names.clone(),
                tokens: Arc::clone(&self.config.tokens),
                connectors: Arc::clone(&self.config.connectors),
                limiters: Arc::clone(&limiters),
                vaults: Arc::clone(&self.config.vaults),
                sockets,
                fronts: Arc::clone(&fronts),
                reader,
                wake,
                stop: stopped.clone(),
                metrics: Arc::clone(metrics),
                log: access_log.map(AccessLog::sink),
                spans: self.spans.clone(),
                pages: Arc::clone(&pages),
                keeps_pages: worker == 0,
                seed: seed().map_err(StartError::System)?,
            };
            let last_word = LastWord { sender: sender.clone(), ended: Ended { worker, cut: 0 } };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn(move || work(worker, start, last_word))
                .map_err(StartError::System)?;
            threads.push(thread);
        }
        Ok(Handle::new(stop, ended, kept, threads))
    }
}

impl Proxy {
    /// The port of the first listener with TLS. Where there is none, TLS is somebody else's, and where it usually is.
    fn https_port(&self) -> u16 {
        let has_tls = |bound: &&Bound| self.config.listeners[bound.listener].tls.is_some();
        let first = self.sockets.first().and_then(|sockets| sockets.iter().find(has_tls));
        let address = first.and_then(|bound| bound.socket.local_addr().ok());
        address.map_or(HTTPS, |address| address.port())
    }
}

fn work(worker: usize, start: Start, mut last_word: LastWord) {
    match worker::run(start) {
        Ok(cut) => last_word.ended.cut = cut,
        Err(error) => tracing::error!(worker, %error, "a worker can't run"),
    }
}

/// Where a worker's entropy begins. What it draws is authenticated or harmless; different seeds keep workers from choosing alike.
fn seed() -> std::io::Result<u64> {
    getrandom::u64().map_err(std::io::Error::other)
}

//! `cutover serve`: puts the planes together, runs them, and ends them in order.
//!
//! Start: sockets of the data plane → store → control plane → configuration published → workers → admin API. Stop: workers drain,
//! then the admin API, then the control plane, so that what still happens is seen and recorded.

mod certificates;
mod pid_file;
mod process_metrics;
mod reload;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cutover_control::admin::wire::service::read_policy;
use cutover_control::admin::{self, AdminHandle, ServeError};
use cutover_control::clock::Clock;
use cutover_control::error::{StartError as ControlError, SubmitError};
use cutover_control::handle::Control;
use cutover_control::run::{self as control, Running};
use cutover_control::store::{MemoryStore, OpenError, RedbStore, Store};
use cutover_core::publish;
use cutover_core::snapshot::Snapshot;
use cutover_proxy::access_log::{AccessLog, Format};
use cutover_proxy::metrics::Metrics;
use cutover_proxy::vault_metrics;
use cutover_proxy::{BindError, Handle, Proxy, StartError as ProxyError};
use cutover_resolve::{Dns, Names};
use cutover_vault::Vaults;
use prometheus::Registry;
use tokio::runtime;
use tokio::sync::Notify;

use crate::config::{self, AccessLogFormat, Config, Report, StoreKind};
use crate::ctl::Exit;
use crate::demo::leash;
#[cfg(feature = "otlp")]
use crate::otlp;
use crate::signals::{Signal, Signals};
use crate::telemetry;
use crate::{acme, args};
use certificates::{Certificates, ListenerError};
use pid_file::PidFile;
use reload::Reload;
use settings::ResolveError;

/// How long requests may go on after the first SIGTERM or SIGINT.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long calls of the admin API may go on after the data plane has ended.
const ADMIN_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last lines of the access log may take to be written.
const ACCESS_LOG_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last spans may take to reach their collector.
#[cfg(feature = "otlp")]
const SPANS_TIMEOUT: Duration = Duration::from_secs(2);
/// Threads of the control plane: one decides while the other answers the admin API.
const CONTROL_THREADS: usize = 2;

/// Why `serve` ended other than by a signal.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Config(#[from] Report),
    #[error("the system gives no runtime, signals or leash")]
    System(#[source] io::Error),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Tls(#[from] ListenerError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("can't open the store")]
    Store(#[from] OpenError),
    #[error("can't start the control plane")]
    Control(#[from] ControlError),
    #[error("can't apply the configuration")]
    Configure(#[from] SubmitError),
    #[error("can't start the data plane")]
    Proxy(#[from] ProxyError),
    #[error("can't keep assets")]
    Assets(#[from] cutover_vault::StartError),
    #[error("can't open the access log")]
    AccessLog(#[source] io::Error),
    #[cfg(feature = "otlp")]
    #[error("can't send spans to the collector of traces")]
    Spans(#[from] opentelemetry_otlp::ExporterBuildError),
    #[error("can't register metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("can't serve the admin API")]
    Admin(#[from] ServeError),
    #[error("every worker of the data plane broke")]
    NoWorker,
    #[error("can't write the pid file")]
    PidFile(#[source] io::Error),
}

/// Runs the load balancer until a signal ends it.
pub(crate) fn run(args: &args::Serve, json: bool) -> Exit {
    if let Err(error) = telemetry::start(&args.log, json) {
        crate::run::fail(&error);
        return Exit::Usage;
    }
    let served = start(args);
    match served {
        Ok(()) => Exit::Done,
        Err(Error::Config(report)) => crate::run::fail_with(&report),
        Err(error) => crate::run::fail(&error),
    }
}

fn start(args: &args::Serve) -> Result<(), Error> {
    let config = match &args.config {
        Some(path) => config::load(path)?,
        None => config::built_in()?,
    };
    if args.leashed {
        leash::hold().map_err(Error::System)?;
    }
    let mut builder = runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(CONTROL_THREADS).thread_name("control").enable_all().build();
    runtime.map_err(Error::System)?.block_on(serve(config, args.config.as_deref()))
}

async fn serve(config: Config, file: Option<&Path>) -> Result<(), Error> {
    // Before anything that takes time: a signal must not kill what a drain would have ended in order.
    let mut signals = Signals::catch().map_err(Error::System)?;
    let mut planes = Planes::start(config.clone()).await?;
    // Only now: a second process that finds the ports taken must not touch the file of the first.
    let pid_file = config.node.pid_file.as_deref().map(PidFile::write);
    let _pid_file = pid_file.transpose().map_err(Error::PidFile)?;
    let mut reload = file.map(|path| Reload::new(path, config));
    let stop = planes.run(&mut signals, reload.as_mut()).await?;
    planes.stop(stop, &mut signals).await;
    Ok(())
}

/// Everything that runs.
struct Planes {
    proxy: Handle,
    certificates: Certificates,
    /// Held, so that they are renewed.
    _issued: acme::Certificates,
    access_log: Option<AccessLog>,
    #[cfg(feature = "otlp")]
    spans: Option<otlp::Sender>,
    control: Running,
    admin: AdminHandle,
}

impl Planes {
    async fn start(config: Config) -> Result<Self, Error> {
        let (names, keeper) = Names::new(Dns::of_servers(config.node.name_servers.clone()));
        tokio::spawn(keeper.run());
        let means = acme::Means { names, connectors: Arc::default(), tokens: Arc::default() };
        let mut certificates = Certificates::load(&config, &means.connectors)?;
        let vaults = Arc::new(Vaults::start(config.node.state_dir.join("assets"))?);
        let proxy = Proxy::bind(settings::proxy(&config, &certificates, &means, &vaults)?)?;
        let registry = Registry::new();
        process_metrics::register(&registry)?;
        vault_metrics::register(&registry, &vaults)?;
        certificates.register(&registry)?;
        let wanted = certificates.managed(&config);
        let mut issued = acme::Certificates::load(wanted, &config.node.state_dir, &means, &registry)?;
        let metrics = Arc::new(Metrics::new(&registry)?);
        let access_log = open_access_log(&config, &metrics)?;
        let wake = Arc::new(Notify::new());
        let wake_publisher = {
            let wake = Arc::clone(&wake);
            Box::new(move || wake.notify_one())
        };
        let (publisher, readers) = publish::channel(Snapshot::default(), proxy.wakes(), wake_publisher);
        let mut admin_config = settings::admin(&config, &certificates, ADMIN_STOP_TIMEOUT)?;
        admin_config.previews = settings::previews(&proxy);
        admin_config.vaults = vaults;
        let (store, store_kind) = open_store(&config)?;
        let state_dir = (config.store == StoreKind::Embedded).then(|| config.node.state_dir.clone());
        let control = control::start(control::Settings {
            node: config.node.name.clone(),
            store,
            store_kind,
            state_dir,
            publisher,
            wake,
            clock: Clock::start(),
            read_policy,
            registry: registry.clone(),
            connectors: means.connectors,
            names: means.names,
        });
        let control = control.await?;
        let handle = control.control();
        let admin = admin::serve(admin_config, handle.clone(), registry).await?;
        let addresses = proxy.addresses().to_vec();
        #[cfg(feature = "otlp")]
        let (otlp, node) = (config.tracing.otlp.clone(), config.node.name.clone());
        configure(&handle, config).await?;
        #[cfg(feature = "otlp")]
        let (proxy, spans) = match otlp {
            Some(url) => {
                let (sink, sender) = otlp::start(&url, &node, metrics.spans_dropped.clone())?;
                (proxy.with_spans(Some(sink)), Some(sender))
            }
            None => (proxy, None),
        };
        let proxy = proxy.start(readers, &metrics, access_log.as_ref())?;
        issued.start();
        certificates.follow();
        tell_ready(&addresses, &admin);
        Ok(Self {
            proxy,
            certificates,
            _issued: issued,
            access_log,
            #[cfg(feature = "otlp")]
            spans,
            control,
            admin,
        })
    }

    /// Serves until a signal says stop; answers which.
    ///
    /// # Errors
    /// No worker is left: a supervisor can only help by a restart.
    async fn run(
        &mut self,
        signals: &mut Signals,
        mut reload: Option<&mut Reload>,
    ) -> Result<&'static str, Error> {
        let control = self.control.control();
        loop {
            let changed = async {
                match reload.as_deref_mut() {
                    Some(reload) => reload.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop(name) => return Ok(name),
                    Signal::Reload if reload.is_none() => tracing::warn!("there is no configuration file to reload"),
                    Signal::Reload => self.certificates.reload(),
                    Signal::Reopen => {
                        self.access_log.iter().for_each(AccessLog::reopen);
                        continue;
                    }
                },
                () = changed => {}
                () = self.certificates.changed() => {
                    self.certificates.reload();
                    continue;
                }
                lost = self.proxy.lost() => match lost {
                    Some(worker) => {
                        tracing::error!(worker, "a worker broke, the others go on serving");
                        continue;
                    }
                    None => return Err(Error::NoWorker),
                },
            }
            if let Some(reload) = reload.as_deref() {
                reload.take_over(&control).await;
                self.certificates.follow();
            }
        }
    }

    /// Lets what is in flight end, then ends the rest. A second signal ends everything at once.
    async fn stop(self, signal: &str, signals: &mut Signals) {
        let Self {
            mut proxy,
            certificates: _,
            _issued: _,
            access_log,
            #[cfg(feature = "otlp")]
            spans,
            control,
            admin,
        } = self;
        tracing::info!(signal, limit = ?SHUTDOWN_TIMEOUT, "stopping, what is in flight may end");
        proxy.shutdown(SHUTDOWN_TIMEOUT);
        let cut = loop {
            tokio::select! {
                cut = proxy.ended() => break cut,
                signal = signals.next() => match signal {
                    Signal::Stop(signal) => {
                        tracing::warn!(signal, "stopping at once");
                        proxy.shutdown(Duration::ZERO);
                    }
                    Signal::Reopen => access_log.iter().for_each(AccessLog::reopen),
                    Signal::Reload => {}
                },
            }
        };
        admin.stop().await;
        control.stop().await;
        if access_log.is_some_and(|log| !log.finish(ACCESS_LOG_TIMEOUT)) {
            tracing::warn!("the end of the access log could not be written");
        }
        #[cfg(feature = "otlp")]
        if let Some(spans) = spans {
            spans.finish(SPANS_TIMEOUT).await;
        }
        tracing::info!(cut, "stopped");
    }
}

/// Says where it can be reached.
fn tell_ready(addresses: &[SocketAddr], admin: &AdminHandle) {
    for address in addresses {
        tracing::info!(%address, "listening for clients");
    }
    tracing::info!(address = %admin.address(), "listening for the admin API");
    if let Some(address) = admin.metrics_address() {
        tracing::info!(%address, "listening for metrics");
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "ready");
}

/// Publishes the configured services, so that workers never start with none. The control plane's answer comes only when workers serve
/// them, which is later.
async fn configure(control: &Control, config: Config) -> Result<(), Error> {
    let configured = reload::configure(control, config);
    tokio::pin!(configured);
    tokio::select! {
        early = &mut configured => { early?; }
        published = control.wait_until(|current| current.snapshot.generation > 0) => { published?; }
    }
    Ok(())
}

fn open_access_log(config: &Config, metrics: &Metrics) -> Result<Option<AccessLog>, Error> {
    let Some(log) = &config.access_log else { return Ok(None) };
    let format = match log.format {
        AccessLogFormat::Combined => Format::Combined,
        AccessLogFormat::Json => Format::Json,
    };
    let dropped = metrics.access_log_dropped.clone();
    let opened = match &log.path {
        Some(path) => AccessLog::to_file(path, format, dropped),
        None => AccessLog::to_stdout(format, dropped),
    };
    opened.map(Some).map_err(Error::AccessLog)
}

fn open_store(config: &Config) -> Result<(Arc<dyn Store>, &'static str), Error> {
    Ok(match config.store {
        StoreKind::Memory => (Arc::new(MemoryStore::new()), "memory"),
        StoreKind::Embedded => (Arc::new(RedbStore::open(&config.node.state_dir)?), "embedded"),
    })
}

//! The start: sockets of the data plane → store → control plane → configuration published → workers → admin API.
//!
//! A process that is to replace another one goes the same way. It gets its sockets from that one, waits for the store before it needs it,
//! and for the go before anything of it serves.

use std::net::SocketAddr;
use std::sync::Arc;

use cutover_control::admin::{self, AdminConfig, AdminHandle, Ask, Upgrades};
use cutover_control::handle::Control;
use cutover_control::run as control;
use cutover_core::publish::{self, Publisher, SnapshotReader};
use cutover_core::snapshot::Snapshot;
use cutover_proxy::access_log::{AccessLog, Format};
use cutover_proxy::metrics::Metrics;
use cutover_proxy::{Proxy, vault_metrics};
use cutover_resolve::{Dns, Names};
use cutover_vault::Vaults;
use prometheus::Registry;
use tokio::sync::{Notify, mpsc};

use super::certificates::Certificates;
use super::{ADMIN_STOP_TIMEOUT, Error, Planes, Rest, process_metrics, reload, settings};
use crate::acme;
use crate::config::{AccessLogFormat, Config};
#[cfg(feature = "otlp")]
use crate::otlp;
use crate::supervisor;
use crate::upgrade::{Inherited, Legacy, OpenStore, Predecessor};

/// Everything that does not need the store.
struct Prepared {
    proxy: Proxy,
    inherited: Inherited,
    certificates: Certificates,
    issued: acme::Certificates,
    means: acme::Means,
    access_log: Option<AccessLog>,
    admin: AdminConfig,
    upgrades: mpsc::Receiver<Ask>,
    metrics: Arc<Metrics>,
    registry: Registry,
    wake: Arc<Notify>,
    publisher: Publisher,
    readers: Vec<SnapshotReader>,
}

/// Starts everything, on the sockets that were `opened` while there were the rights for it, or in place of `predecessor` if there is one.
pub(super) async fn start(
    config: Config,
    opened: Option<Inherited>,
    predecessor: &mut Option<Predecessor>,
) -> Result<Planes, Error> {
    let inherited = match (predecessor.as_mut(), opened) {
        (Some(predecessor), _) => predecessor.sockets().await.map_err(Error::Predecessor)?,
        (None, Some(opened)) => opened,
        (None, None) => supervisor::sockets(&config).map_err(Error::Activation)?,
    };
    let mut prepared = Prepared::new(&config, inherited)?;
    let legacy = match predecessor {
        Some(predecessor) => predecessor.legacy().await.map_err(Error::Predecessor)?,
        None => Legacy::default(),
    };
    let store = OpenStore::open(&config, legacy.memory)?;
    let (registry, publisher) = (prepared.registry, prepared.publisher);
    let settings =
        settings::control(&config, &store, prepared.means, (publisher, prepared.wake), registry.clone());
    let running = control::start(settings).await?;
    let control = running.control();
    if let Some(predecessor) = &predecessor {
        control.elder().begin(predecessor.pid());
    }
    let mut doors =
        Doors { inherited: prepared.inherited, admin: Some(prepared.admin), registry: registry.clone() };
    // Whoever asks sees that it starts; but while another process serves, that one answers.
    let early = if predecessor.is_none() { Some(doors.open(&control).await?) } else { None };
    let addresses = prepared.proxy.addresses().to_vec();
    #[cfg(feature = "otlp")]
    let (proxy, spans) = trace(prepared.proxy, &config, &prepared.metrics)?;
    #[cfg(not(feature = "otlp"))]
    let proxy = prepared.proxy;
    configure(&control, config).await?;
    reload::warn(&control);
    control.believe(legacy.known).await?;
    if let Some(predecessor) = predecessor.take() {
        predecessor.replace(&control).await.map_err(Error::Predecessor)?;
    }
    let proxy = proxy.start(prepared.readers, &prepared.metrics, prepared.access_log.as_ref())?;
    let admin = match early {
        Some(admin) => admin,
        None => doors.open(&control).await?,
    };
    prepared.issued.start();
    prepared.certificates.follow();
    tell_ready(&addresses, &admin);
    Ok(Planes {
        proxy,
        certificates: prepared.certificates,
        issued: prepared.issued,
        rest: Rest {
            access_log: prepared.access_log,
            #[cfg(feature = "otlp")]
            spans,
        },
        control: running,
        store,
        admin,
        asked: prepared.upgrades,
        registry,
    })
}

impl Prepared {
    fn new(config: &Config, mut inherited: Inherited) -> Result<Self, Error> {
        let (names, keeper) = Names::new(Dns::of_servers(config.node.name_servers.clone()));
        tokio::spawn(keeper.run());
        let means = acme::Means { names, connectors: Arc::default(), tokens: Arc::default() };
        let certificates = Certificates::load(config, &means.connectors)?;
        let vaults = Arc::new(Vaults::start(config.node.state_dir.join("assets"))?);
        let of_proxy = settings::proxy(config, &certificates, &means, &vaults)?;
        let proxy = Proxy::bind(of_proxy, &mut inherited.clients)?;
        for address in inherited.clients.addresses() {
            tracing::warn!(%address, "nobody listens any more where somebody did");
        }
        let registry = Registry::new();
        process_metrics::register(&registry)?;
        vault_metrics::register(&registry, &vaults)?;
        certificates.register(&registry)?;
        let wanted = certificates.managed(config);
        let issued = acme::Certificates::load(wanted, &config.node.state_dir, &means, &registry)?;
        let metrics = Arc::new(Metrics::new(&registry)?);
        let access_log = open_access_log(config, &metrics)?;
        let wake = Arc::new(Notify::new());
        let wake_publisher = {
            let wake = Arc::clone(&wake);
            Box::new(move || wake.notify_one())
        };
        let (publisher, readers) = publish::channel(Snapshot::default(), proxy.wakes(), wake_publisher);
        let (ask, upgrades) = Upgrades::channel();
        let mut admin = settings::admin(config, &certificates, ADMIN_STOP_TIMEOUT)?;
        admin.previews = settings::previews(&proxy);
        admin.vaults = vaults;
        admin.upgrades = Some(ask);
        Ok(Self {
            proxy,
            inherited,
            certificates,
            issued,
            means,
            access_log,
            admin,
            upgrades,
            metrics,
            registry,
            wake,
            publisher,
            readers,
        })
    }
}

/// Where the admin API is served.
struct Doors {
    inherited: Inherited,
    admin: Option<AdminConfig>,
    registry: Registry,
}

impl Doors {
    async fn open(&mut self, control: &Control) -> Result<AdminHandle, Error> {
        let config = self.admin.take().unwrap_or_default();
        let inherited = &mut self.inherited.admin;
        admin::serve_on(inherited, config, control.clone(), self.registry.clone())
            .await
            .map_err(Error::of_admin)
    }
}

#[cfg(feature = "otlp")]
fn trace(proxy: Proxy, config: &Config, metrics: &Metrics) -> Result<(Proxy, Option<otlp::Sender>), Error> {
    let Some(url) = &config.tracing.otlp else { return Ok((proxy, None)) };
    let (sink, sender) = otlp::start(url, &config.node.name, metrics.spans_dropped.clone())?;
    Ok((proxy.with_spans(Some(sink)), Some(sender)))
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
    let named = |source| {
        let path =
            log.path.as_ref().map_or_else(|| "standard output".into(), |path| path.display().to_string());
        Error::AccessLog { path, source }
    };
    opened.map(Some).map_err(named)
}

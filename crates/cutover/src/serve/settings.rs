//! From the configuration to what each plane is told at its start.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cutover_control::admin::wire::service::read_policy;
use cutover_control::admin::{self, AdminConfig, Front, Grant, Previews};
use cutover_control::clock::Clock;
use cutover_control::run as control;
use cutover_core::id::ServiceName;
use cutover_core::publish::Publisher;
use cutover_proxy::keyring::Keyring;
use cutover_proxy::{Limits, ListenerConfig, Proxy, ProxyConfig};
use cutover_vault::Vaults;
use prometheus::Registry;
use tokio::sync::Notify;

use super::certificates::Certificates;
use crate::acme;
use crate::config::{
    Admin, AdminAddress, BindAddress, Certificate, Config, Listener, Role, StoreKind, Token,
};
use crate::upgrade::OpenStore;

/// A name in the configuration that has no address.
#[derive(Debug, thiserror::Error)]
#[error("can't resolve {address}")]
pub(crate) struct ResolveError {
    address: String,
    source: io::Error,
}

/// What the data plane is told.
pub(super) fn proxy(
    config: &Config,
    certificates: &Certificates,
    means: &acme::Means,
    vaults: &Arc<Vaults>,
) -> Result<ProxyConfig, ResolveError> {
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for (place, listener) in config.listeners.iter().enumerate() {
        let mut addresses = Vec::new();
        for bind in &listener.bind {
            addresses.extend(resolve(bind)?);
        }
        listeners.push(ListenerConfig {
            addresses,
            trusted_proxies: listener.trusted_proxies.clone(),
            max_connections: listener.max_connections,
            max_connections_per_client: listener.max_connections_per_client,
            tls: certificates.of(place).cloned(),
            client_subject_header: client_subject_header(listener),
            redirect_to_https: listener.redirect_to_https,
            proxy_protocol: listener.proxy_protocol,
        });
    }
    Ok(ProxyConfig {
        workers: workers(config),
        listeners,
        limits: limits(config),
        connectors: Arc::clone(&means.connectors),
        names: means.names.clone(),
        tokens: Arc::clone(&means.tokens),
        vaults: Arc::clone(vaults),
    })
}

/// Workers of the data plane.
pub(super) fn workers(config: &Config) -> NonZeroUsize {
    let per_core = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = config.node.workers.and_then(|workers| NonZeroUsize::try_from(workers).ok());
    workers.unwrap_or(per_core)
}

/// The TCP addresses at which clients connect, and those of the admin API and of metrics.
pub(super) fn addresses(config: &Config) -> Result<(Vec<SocketAddr>, Vec<SocketAddr>), ResolveError> {
    let binds = config.listeners.iter().flat_map(|listener| &listener.bind);
    let clients = binds.map(resolve).collect::<Result<Vec<_>, _>>()?.concat();
    let api = match &config.admin.listen {
        AdminAddress::Tcp(bind) => Some(bind),
        AdminAddress::Unix(_) => None,
    };
    let admin = api.into_iter().chain(&config.metrics).map(first).collect::<Result<_, _>>()?;
    Ok((clients, admin))
}

fn client_subject_header(listener: &Listener) -> String {
    listener.tls.as_ref().map(|tls| tls.client_subject_header.clone()).unwrap_or_default()
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    // The check keeps sizes of heads below a mebibyte, so nothing saturates.
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Limits {
        request_line: bytes(limits.request_line),
        headers: bytes(limits.headers),
        header_count: bytes(limits.header_count.into()),
        body: limits.body,
        header_timeout: limits.header_timeout.into(),
        body_idle_timeout: limits.body_idle_timeout.into(),
        keepalive_timeout: limits.keepalive_timeout.into(),
        requests_per_connection: limits.requests_per_connection.map(std::num::NonZeroU32::get),
        handshake_timeout: limits.handshake_timeout.into(),
        h2_max_concurrent_streams: limits.h2_max_concurrent_streams,
    }
}

/// What the admin API is told. `stop_timeout` is how long its requests may go on after a stop.
pub(super) fn admin(
    config: &Config,
    certificates: &Certificates,
    stop_timeout: Duration,
) -> Result<AdminConfig, ResolveError> {
    let Admin { listen, is_open, tokens, tls: _, certificates: holders } = &config.admin;
    let metrics = match &config.metrics {
        Some(address) => Some(admin::Listen::Tcp(first(address)?)),
        None => None,
    };
    Ok(AdminConfig {
        listen: match listen {
            AdminAddress::Tcp(address) => admin::Listen::Tcp(first(address)?),
            AdminAddress::Unix(path) => admin::Listen::Unix(path.clone()),
        },
        metrics,
        is_open: *is_open,
        tls: certificates.of_admin().cloned(),
        tokens: tokens.iter().map(token).collect(),
        certificates: holders.iter().map(certificate).collect(),
        names: match listen {
            AdminAddress::Tcp(address) => vec![address.host().to_owned()],
            AdminAddress::Unix(_) => Vec::new(),
        },
        stop_timeout,
        ..AdminConfig::default()
    })
}

/// What the control plane is told.
pub(super) fn control(
    config: &Config,
    store: &OpenStore,
    means: acme::Means,
    (publisher, wake): (Publisher, Arc<Notify>),
    registry: Registry,
) -> control::Settings {
    control::Settings {
        node: config.node.name.clone(),
        store: store.as_store(),
        store_kind: store.kind(),
        state_dir: (config.store == StoreKind::Embedded).then(|| config.node.state_dir.clone()),
        publisher,
        wake,
        clock: Clock::start(),
        read_policy,
        registry,
        connectors: means.connectors,
        names: means.names,
    }
}

/// How the admin API makes previews, and where they lead.
pub(super) fn previews(proxy: &Proxy) -> Previews {
    let fronts = proxy.fronts().map(|(address, is_secure)| Front { address, is_secure });
    Previews {
        seal: |keys, preview, service| Keyring::new(keys).seal_preview(preview, service),
        fronts: fronts.collect(),
    }
}

fn token(token: &Token) -> admin::Token {
    let Token { name, sha256, role, services } = token;
    admin::Token { name: name.clone(), sha256: *sha256, grant: grant(*role, services) }
}

fn certificate(certificate: &Certificate) -> admin::Certificate {
    let Certificate { subject, role, services } = certificate;
    admin::Certificate { subject: subject.clone(), grant: grant(*role, services) }
}

fn grant(role: Role, services: &[ServiceName]) -> Grant {
    match role {
        Role::Read => Grant::Read,
        Role::Register => Grant::Register(services.iter().cloned().collect()),
        Role::Operate => Grant::Operate,
        Role::Admin => Grant::Admin,
    }
}

fn first(bind: &BindAddress) -> Result<SocketAddr, ResolveError> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses = resolve(bind)?;
    addresses.first().copied().ok_or_else(|| ResolveError { address: bind.to_string(), source: none() })
}

fn resolve(bind: &BindAddress) -> Result<Vec<SocketAddr>, ResolveError> {
    bind.resolve().map_err(|source| ResolveError { address: bind.to_string(), source })
}

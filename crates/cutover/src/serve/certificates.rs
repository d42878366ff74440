//! Certificates of listeners, and those that backends are asked with: loaded at the start, and read again when their files change.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use cutover_tls::client::Connectors;
use cutover_tls::server::{ClientAuth, MinVersion, ServerTls, ServerTlsSpec, TlsError};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use crate::config::{Acme, AdminTls, Config, FileWatch, Listener, ListenerTls};

/// A listener whose TLS can't be what it is told to be.
#[derive(Debug, thiserror::Error)]
#[error("the TLS of listener {listener} can't be set up")]
pub(crate) struct ListenerError {
    listener: String,
    source: TlsError,
}

/// All certificates that come from files.
#[derive(Debug)]
pub(super) struct Certificates {
    /// In the order of the configuration, which is that of their listeners.
    listeners: Vec<Option<Named>>,
    /// That of the admin API.
    admin: Option<Named>,
    connectors: Arc<Connectors>,
    watch: Option<FileWatch>,
}

/// The TLS of a listener, which is known by its first address.
#[derive(Debug, Clone)]
struct Named {
    listener: String,
    tls: Arc<ServerTls>,
}

impl Certificates {
    /// Reads those of all listeners.
    ///
    /// # Errors
    /// The first listener whose files can't be used.
    pub(super) fn load(config: &Config, connectors: &Arc<Connectors>) -> Result<Self, ListenerError> {
        let listeners = config.listeners.iter().map(|listener| {
            let Some(tls) = &listener.tls else { return Ok(None) };
            Named::load(name(listener), spec(tls)).map(Some)
        });
        let listeners = listeners.collect::<Result<_, _>>()?;
        let admin = config.admin.tls.as_ref();
        let admin =
            admin.map(|tls| Named::load(config.admin.listen.to_string(), spec_of_admin(tls))).transpose()?;
        Ok(Self { listeners, admin, connectors: Arc::clone(connectors), watch: None })
    }

    /// The TLS of a listener, by its place in the configuration.
    pub(super) fn of(&self, listener: usize) -> Option<&Arc<ServerTls>> {
        self.listeners.get(listener)?.as_ref().map(|named| &named.tls)
    }

    /// The TLS of the admin API.
    pub(super) fn of_admin(&self) -> Option<&Arc<ServerTls>> {
        self.admin.as_ref().map(|named| &named.tls)
    }

    fn all(&self) -> impl Iterator<Item = &Named> {
        self.listeners.iter().flatten().chain(&self.admin)
    }

    /// Those of the listeners of `config` whose certificates come by ACME.
    pub(super) fn managed<'a>(
        &'a self,
        config: &'a Config,
    ) -> impl Iterator<Item = (&'a Acme, &'a Arc<ServerTls>)> {
        let listeners = config.listeners.iter().zip(&self.listeners);
        listeners.filter_map(|(listener, named)| {
            Some((listener.tls.as_ref()?.acme.as_ref()?, &named.as_ref()?.tls))
        })
    }

    /// Adds the metric that tells when they expire.
    ///
    /// # Errors
    /// There is one of that name already.
    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let help = "When the first certificate of a listener expires, in seconds since 1970";
        let gauge =
            GaugeVec::new(Opts::new("cutover_certificate_expiry_timestamp_seconds", help), &["listener"])?;
        let listeners = self.all().cloned().collect();
        registry.register(Box::new(Expiry { gauge, listeners }))
    }

    /// Watches the files that are in use now.
    pub(super) fn follow(&mut self) {
        let of_listeners = self.all().flat_map(|named| named.tls.files());
        let files: Vec<PathBuf> = of_listeners.map(Into::into).chain(self.connectors.files()).collect();
        self.watch = None;
        if !files.is_empty() {
            let watch = FileWatch::start(files).inspect_err(|error| {
                tracing::warn!(%error, "certificate files can't be watched; SIGHUP reads them again");
            });
            self.watch = watch.ok();
        }
    }

    /// Waits until one of the files changes. May be dropped and called again.
    pub(super) async fn changed(&mut self) {
        let connectors = Arc::clone(&self.connectors);
        loop {
            let changed = async {
                match &mut self.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => return,
                // Services come and go at any time, and their files with them.
                () = connectors.grown() => self.follow(),
            }
        }
    }

    /// Reads all files again. Whoever's can't be used goes on with what it had.
    pub(super) fn reload(&self) {
        for Named { listener, tls } in self.all() {
            match tls.reload() {
                Ok(()) => tracing::info!(listener, "certificates were read again"),
                Err(error) => tracing::error!(
                    listener,
                    error = &error as &dyn Error,
                    "certificates can't be used, the ones from before stay"
                ),
            }
        }
        if let Err(errors) = self.connectors.reload() {
            for error in errors {
                tracing::error!(
                    error = &*error as &dyn Error,
                    "certificates for backends can't be used, the ones from before stay"
                );
            }
        }
    }
}

impl Named {
    fn load(listener: String, spec: ServerTlsSpec) -> Result<Self, ListenerError> {
        match ServerTls::load(spec) {
            Ok(tls) => Ok(Self { listener, tls: Arc::new(tls) }),
            Err(source) => Err(ListenerError { listener, source }),
        }
    }
}

/// Tells when certificates expire, as they are when somebody asks.
struct Expiry {
    gauge: GaugeVec,
    listeners: Vec<Named>,
}

impl Collector for Expiry {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for Named { listener, tls } in &self.listeners {
            let expires = tls.expires().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            match expires {
                Some(expires) => self.gauge.with_label_values(&[listener]).set(expires.as_secs_f64()),
                // Fails only for what is not there.
                None => _ = self.gauge.remove_label_values(&[listener]),
            }
        }
        self.gauge.collect()
    }
}

fn name(listener: &Listener) -> String {
    // The check lets no listener be without an address.
    listener.bind.first().map(ToString::to_string).unwrap_or_default()
}

fn spec(tls: &ListenerTls) -> ServerTlsSpec {
    ServerTlsSpec {
        certificates: tls.certs.clone(),
        min_version: tls.min_version,
        client_auth: tls.client_auth.clone(),
        is_managed: tls.acme.is_some(),
    }
}

/// A token will do instead of a certificate, so that none is required.
fn spec_of_admin(tls: &AdminTls) -> ServerTlsSpec {
    ServerTlsSpec {
        certificates: vec![tls.files.clone()],
        min_version: MinVersion::Tls12,
        client_auth: tls.client_ca.clone().map(|ca| ClientAuth { ca, is_required: false }),
        is_managed: false,
    }
}

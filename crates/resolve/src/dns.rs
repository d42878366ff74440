//! One look-up of one name: by `/etc/hosts` and the name servers of this machine, or by given ones.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use crate::belief::Found;
use crate::error::LookUpError;
use crate::system::{self, Stamps};

/// How long one of the given servers may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where names are looked up.
#[derive(Debug)]
pub struct Dns {
    servers: Vec<SocketAddr>,
    /// The files that `resolver` was made by.
    stamps: Mutex<Stamps>,
    /// `None` when it can't be made.
    resolver: ArcSwapOption<TokioResolver>,
}

impl Dns {
    /// As `/etc/resolv.conf` (servers, search domains, options) and `/etc/hosts` say, at any time.
    #[must_use]
    pub fn system() -> Self {
        Self::of_servers(Vec::new())
    }

    /// By these servers, over UDP, and TCP where an answer is too long; of the system only `/etc/hosts` counts. Without one, as
    /// [`system`](Self::system) does.
    #[must_use]
    pub fn of_servers(servers: Vec<SocketAddr>) -> Self {
        let stamps = Stamps::read();
        let resolver = build(&servers);
        Self { servers, stamps: Mutex::new(stamps), resolver: ArcSwapOption::new(resolver) }
    }

    /// Takes up what the files say if they have changed. Answers whether they have.
    pub(crate) fn renew(&self) -> bool {
        let now = Stamps::read();
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let has_changed = *stamps != now;
        if has_changed {
            *stamps = now;
            self.resolver.store(build(&self.servers));
        }
        has_changed
    }

    /// Asks for the addresses of `host`, of both families.
    pub(crate) async fn look_up(&self, host: &str) -> Result<Found, LookUpError> {
        let Some(resolver) = self.resolver.load_full() else {
            return Err(LookUpError::Failed(Arc::new(io::Error::other("there is no resolver"))));
        };
        let found = resolver.lookup_ip(host).await.map_err(|error| match error.is_no_records_found() {
            true => LookUpError::NoAddress,
            false => LookUpError::Failed(Arc::new(error)),
        })?;
        let addresses: Vec<_> = found.iter().collect();
        match addresses.is_empty() {
            true => Err(LookUpError::NoAddress),
            false => {
                Ok(Found { addresses, ttl: found.valid_until().saturating_duration_since(Instant::now()) })
            }
        }
    }
}

fn build(servers: &[SocketAddr]) -> Option<Arc<TokioResolver>> {
    let mut builder = match servers {
        [] => system::resolver(),
        servers => {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().timeout = TIMEOUT;
            builder
        }
    };
    let options = builder.options_mut();
    // Both, at the same time: which of them can be reached turns out when they are connected to.
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    // What is kept, and for how long, is decided by the belief in each name.
    options.cache_size = 0;
    match builder.build() {
        Ok(resolver) => Some(Arc::new(resolver)),
        Err(error) => {
            tracing::error!(%error, "names can't be looked up");
            None
        }
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

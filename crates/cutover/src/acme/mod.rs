//! Certificates from an authority by ACME (RFC 8555): ordered when there is none, kept in the state directory, renewed in time.
//!
//! `keep` is the life of one certificate; `order` gets one; `client` carries its requests; `files` keeps what came; `schedule` says when.

mod client;
mod error;
mod files;
mod keep;
mod order;
mod schedule;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cutover_resolve::Names;
use cutover_tls::challenge::Tokens;
use cutover_tls::client::Connectors;
use cutover_tls::server::ServerTls;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::task::JoinSet;

use self::files::Files;
use self::keep::Keeper;
use crate::config::Acme;

/// What all certificates are ordered with.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    /// Names of directories.
    pub(crate) names: Names,
    /// How directories are asked over TLS.
    pub(crate) connectors: Arc<Connectors>,
    /// The answers to challenges over plain HTTP.
    pub(crate) tokens: Arc<Tokens>,
}

/// Every certificate that is kept. They are, until this is dropped.
#[derive(Debug)]
pub(crate) struct Certificates {
    keepers: Vec<Keeper>,
    tasks: JoinSet<()>,
}

/// A certificate, and the listeners that show it.
struct Wanted<'a> {
    acme: &'a Acme,
    shown_by: Vec<Arc<ServerTls>>,
}

impl Certificates {
    /// Those of `listeners`, each as it is in `state_dir`, or, until there is one, signed by ourselves. Listeners that want the same have
    /// the same.
    ///
    /// # Errors
    /// There is a metric of that name already.
    pub(crate) fn load<'a>(
        listeners: impl Iterator<Item = (&'a Acme, &'a Arc<ServerTls>)>,
        state_dir: &Path,
        means: &Means,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let help = "Certificates that were ordered from an authority, by what came of it";
        let orders = IntCounterVec::new(Opts::new("cutover_acme_orders_total", help), &["outcome"])?;
        registry.register(Box::new(orders.clone()))?;
        let mut wanted = BTreeMap::<(&str, Vec<String>), Wanted<'a>>::new();
        for (acme, tls) in listeners {
            let mut domains = acme.domains.clone();
            domains.sort_unstable();
            domains.dedup();
            let wanted = wanted.entry((&acme.directory, domains));
            wanted.or_insert(Wanted { acme, shown_by: Vec::new() }).shown_by.push(Arc::clone(tls));
        }
        let keepers = wanted.into_values().map(|Wanted { acme, shown_by }| {
            let files = Files::new(state_dir, &acme.directory, &acme.domains);
            Keeper::load(acme.clone(), shown_by, files, means.clone(), orders.clone())
        });
        Ok(Self { keepers: keepers.collect(), tasks: JoinSet::new() })
    }

    /// Orders what is missing and renews what grows old, from now on: challenges can be answered.
    pub(crate) fn start(&mut self) {
        for keeper in self.keepers.drain(..) {
            self.tasks.spawn(keeper.run());
        }
    }
}

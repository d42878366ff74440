//! What the services of a worker share, beside what is their own: by what their pools reach backends, and the limits of their clients.

use std::sync::Arc;

use cutover_resolve::Names;
use cutover_tls::client::Connectors;
use cutover_vault::Vaults;

use crate::client::rate::Limiters;
use crate::upstream::watch::Watch;

/// The same in all views of a worker.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Names of backends, shared by all workers.
    pub(crate) names: Names,
    /// How backends are asked over TLS, shared by all workers.
    pub(crate) connectors: Arc<Connectors>,
    /// How often clients may ask, shared by all workers.
    pub(crate) limiters: Arc<Limiters>,
    /// Where assets are kept, for all workers.
    pub(crate) vaults: Arc<Vaults>,
    /// Told when a connection begins to idle.
    pub(crate) watch: Watch,
}

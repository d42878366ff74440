//! The last probe of each backend, for people to look at. Nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_core::id::{BackendId, ServiceName};
use cutover_core::time::Timestamp;

/// How a probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeReport {
    /// When it ended.
    pub at: Timestamp,
    /// Whether it counts as a success.
    pub is_ok: bool,
    /// What was answered, or what went wrong.
    pub detail: String,
    /// Time from its start to its end.
    pub latency: Duration,
}

/// The last probe of each backend.
#[derive(Debug, Default)]
pub struct ProbeBoard {
    last: Mutex<BTreeMap<(ServiceName, BackendId), ProbeReport>>,
}

impl ProbeBoard {
    /// The last probe of a backend, if there was one.
    #[must_use]
    pub fn last(&self, service: &ServiceName, backend: &BackendId) -> Option<ProbeReport> {
        self.board().get(&(service.clone(), backend.clone())).cloned()
    }

    pub(crate) fn note(&self, service: &ServiceName, backend: &BackendId, report: ProbeReport) {
        self.board().insert((service.clone(), backend.clone()), report);
    }

    /// Forgets a backend that is gone.
    pub(crate) fn forget(&self, service: &ServiceName, backend: &BackendId) {
        self.board().remove(&(service.clone(), backend.clone()));
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<(ServiceName, BackendId), ProbeReport>> {
        // Held for one map operation, never across an await.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

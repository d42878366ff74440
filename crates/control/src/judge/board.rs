//! What is thought right now of the versions that are watched, for people to look at. Nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cutover_core::id::ServiceName;
use cutover_core::judge::Verdict;

/// The running verdict of each service that watches a version.
#[derive(Debug, Default)]
pub struct VerdictBoard {
    verdicts: Mutex<BTreeMap<ServiceName, Verdict>>,
}

impl VerdictBoard {
    /// What is thought of the version that a service watches, if it watches one.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> Option<Verdict> {
        self.board().get(service).cloned()
    }

    pub(crate) fn note(&self, service: &ServiceName, verdict: Verdict) {
        self.board().insert(service.clone(), verdict);
    }

    /// Forgets a service that watches nothing any more.
    pub(crate) fn forget(&self, service: &ServiceName) {
        self.board().remove(service);
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Verdict>> {
        // Held for one map operation, never across an await.
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What is thought right now of the versions that are watched, for people to look at. Nothing is decided by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cutover_core::id::ServiceName;
use cutover_core::judge::{Kind, Verdict};

/// The running verdict of each version that a service watches.
#[derive(Debug, Default)]
pub struct VerdictBoard {
    verdicts: Mutex<BTreeMap<(ServiceName, Kind), Verdict>>,
}

impl VerdictBoard {
    /// What is thought of the version that a service watches, if it watches one: of its canary rather than of the active version.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> Option<Verdict> {
        let board = self.board();
        Kind::ALL.into_iter().find_map(|kind| board.get(&(service.clone(), kind)).cloned())
    }

    pub(crate) fn note(&self, service: &ServiceName, verdict: Verdict) {
        self.board().insert((service.clone(), verdict.kind), verdict);
    }

    /// Forgets a version that is not watched any more.
    pub(crate) fn forget(&self, watch: &(ServiceName, Kind)) {
        self.board().remove(watch);
    }

    fn board(&self) -> MutexGuard<'_, BTreeMap<(ServiceName, Kind), Verdict>> {
        // Held for one map operation, never across an await.
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A store that forgets everything when it is dropped: `[store] kind = "memory"`, tests and the simulation.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cutover_core::id::Revision;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Change, Commit, CommitError, Guard, Loaded, OPERATIONS_KEPT, OperationId, ReadError, Store};

/// Keeps the control state in memory. Every answer is ready at once.
#[derive(Debug, Default)]
pub struct MemoryStore {
    // Held for one map operation per change, never across an await.
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store, at revision 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds what another one held.
    #[must_use]
    pub fn of(current: Loaded) -> Self {
        Self { state: Mutex::new(State { current, operations: VecDeque::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock held did so outside of `State::commit`, which has no way to panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, ReadError>> {
        async { Ok(self.state().current.clone()) }.boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move { self.state().commit(commit) }.boxed()
    }

    fn committed(&self, operation: OperationId) -> BoxFuture<'_, Result<Option<Revision>, ReadError>> {
        async move { Ok(self.state().committed(operation)) }.boxed()
    }
}

#[derive(Debug, Default)]
struct State {
    current: Loaded,
    // Oldest first, at most OPERATIONS_KEPT.
    operations: VecDeque<(OperationId, Revision)>,
}

impl State {
    fn commit(&mut self, commit: Commit) -> Result<Revision, CommitError> {
        if let Some(revision) = self.committed(commit.operation) {
            return Ok(revision);
        }
        if !commit.guards.iter().all(|guard| self.holds(guard)) {
            return Err(CommitError::Conflict { revision: self.current.revision });
        }
        for (key, change) in commit.changes {
            match change {
                Change::Put(document) => self.current.records.insert(key, document),
                Change::Delete => self.current.records.remove(&key),
            };
        }
        self.current.revision = self.current.revision.next();
        if self.operations.len() == OPERATIONS_KEPT {
            self.operations.pop_front();
        }
        self.operations.push_back((commit.operation, self.current.revision));
        Ok(self.current.revision)
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Revision(revision) => self.current.revision == *revision,
            Guard::Absent(key) => !self.current.records.contains_key(key),
        }
    }

    fn committed(&self, operation: OperationId) -> Option<Revision> {
        self.operations.iter().find(|(id, _)| *id == operation).map(|(_, revision)| *revision)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::suite::{Subject, conformance};
    use super::*;

    fn subject() -> Subject {
        Subject::new(Arc::new(MemoryStore::new()))
    }

    conformance!(subject);
}

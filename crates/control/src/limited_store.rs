//! A store that keeps nobody waiting for ever, and counts how long its commits take and how they fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover_core::id::Revision;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::metrics::Metrics;
use crate::store::{Commit, CommitError, Loaded, OperationId, ReadError, Store};

/// Wraps another store and gives up on calls that take too long. A commit that is given up on may have happened.
pub struct LimitedStore {
    inner: Arc<dyn Store>,
    limit: Duration,
    metrics: Metrics,
}

/// The store did not answer in time.
#[derive(Debug, Error)]
#[error("no answer within {0:?}")]
struct TooSlow(Duration);

impl LimitedStore {
    /// Every call of `inner` is given up on after `limit`.
    pub fn new(inner: Arc<dyn Store>, limit: Duration, metrics: Metrics) -> Self {
        Self { inner, limit, metrics }
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        call: BoxFuture<'a, Result<T, ReadError>>,
    ) -> BoxFuture<'a, Result<T, ReadError>> {
        let too_slow = || ReadError::Unavailable { source: TooSlow(self.limit).into() };
        async move { tokio::time::timeout(self.limit, call).await.unwrap_or_else(|_| Err(too_slow())) }
            .boxed()
    }
}

impl Store for LimitedStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, ReadError>> {
        self.read(self.inner.load())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        async move {
            let began = Instant::now();
            let outcome = tokio::time::timeout(self.limit, self.inner.commit(commit)).await;
            let too_slow = || CommitError::Unknown { source: TooSlow(self.limit).into() };
            let outcome = outcome.unwrap_or_else(|_| Err(too_slow()));
            self.metrics.observe_commit(began.elapsed(), &outcome);
            outcome
        }
        .boxed()
    }

    fn committed(&self, operation: OperationId) -> BoxFuture<'_, Result<Option<Revision>, ReadError>> {
        self.read(self.inner.committed(operation))
    }
}

impl std::fmt::Debug for LimitedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitedStore").field("limit", &self.limit).finish_non_exhaustive()
    }
}

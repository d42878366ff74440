//! A store that fails when it is told to: what the simulation runs the controller over.
//!
//! It is an ordinary type of this crate, not one behind a feature: it depends on nothing more, a binary that does not
//! name it does not contain it, and a feature would have the crate built twice.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use cutover_core::id::Revision;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;

use super::{Cause, Commit, CommitError, Loaded, OperationId, ReadError, Store};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The call fails before anything happens: `Unavailable`.
    Unavailable,
    /// A commit happens, but its answer is lost: `Unknown`. A read is `Unavailable`. A commit whose guards do not hold
    /// changes nothing and is `Unknown` too, because its answer is lost as well.
    AnswerLost,
    /// A commit does not happen, and nobody can tell: `Unknown`. A read is `Unavailable`.
    RequestLost,
    /// The call works, after being polled `before` times, and is answered after being polled `after` times more. A
    /// future dropped in the meantime is a process that crashed in the meantime.
    Slow {
        /// Polls until it takes effect.
        before: u32,
        /// Polls from then until the answer.
        after: u32,
    },
}

/// Wraps another store and does to each call what the plan says.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Box<dyn FnMut() -> Fault + Send>>,
}

impl FaultyStore {
    /// Asks `plan` once for each call, when the call is made. A plan that draws from a seed makes the run repeatable.
    pub fn new(inner: Arc<dyn Store>, plan: impl FnMut() -> Fault + Send + 'static) -> Self {
        Self { inner, plan: Mutex::new(Box::new(plan)) }
    }

    fn next_fault(&self) -> Fault {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan()
    }

    fn read<'a, T: Send + 'a>(
        &self,
        call: BoxFuture<'a, Result<T, ReadError>>,
    ) -> BoxFuture<'a, Result<T, ReadError>> {
        let fault = self.next_fault();
        async move {
            match fault {
                Fault::None => call.await,
                Fault::Slow { before, after } => slowly(call, before, after).await,
                Fault::Unavailable | Fault::AnswerLost | Fault::RequestLost => {
                    Err(ReadError::Unavailable { source: injected(fault) })
                }
            }
        }
        .boxed()
    }
}

impl Store for FaultyStore {
    fn load(&self) -> BoxFuture<'_, Result<Loaded, ReadError>> {
        self.read(self.inner.load())
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>> {
        let fault = self.next_fault();
        let call = self.inner.commit(commit);
        async move {
            match fault {
                Fault::None => call.await,
                Fault::Unavailable => Err(CommitError::Unavailable { source: injected(fault) }),
                Fault::AnswerLost => {
                    // Losing the answer is the point; whatever it was, the caller learns nothing from it.
                    drop(call.await);
                    Err(CommitError::Unknown { source: injected(fault) })
                }
                Fault::RequestLost => Err(CommitError::Unknown { source: injected(fault) }),
                Fault::Slow { before, after } => slowly(call, before, after).await,
            }
        }
        .boxed()
    }

    fn committed(&self, operation: OperationId) -> BoxFuture<'_, Result<Option<Revision>, ReadError>> {
        self.read(self.inner.committed(operation))
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").finish_non_exhaustive()
    }
}

#[derive(Debug, Error)]
#[error("injected fault: {0:?}")]
struct Injected(Fault);

fn injected(fault: Fault) -> Cause {
    Box::new(Injected(fault))
}

async fn slowly<T>(call: impl Future<Output = T>, before: u32, after: u32) -> T {
    Polls(before).await;
    let answer = call.await;
    Polls(after).await;
    answer
}

/// Is pending for that many polls. It asks to be polled again each time, so it ends under every executor.
struct Polls(u32);

impl Future for Polls {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(rest) = self.0.checked_sub(1) else { return Poll::Ready(()) };
        self.0 = rest;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::super::suite::{Subject, conformance, operation, put};
    use super::*;

    fn healthy() -> Subject {
        Subject::new(Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()), || Fault::None)))
    }

    // Without faults it is a store like any other.
    conformance!(healthy);

    /// The outcome of one commit under `fault`, and whether it is there afterwards.
    async fn outcome(fault: Fault) -> (Result<Revision, CommitError>, bool) {
        let inner = Arc::new(MemoryStore::new());
        let faulty = FaultyStore::new(inner.clone(), move || fault);
        let answer = faulty.commit(put(1, &["a"])).await;
        let is_there = inner.committed(operation(1)).await.expect("memory is available").is_some();
        (answer, is_there)
    }

    #[tokio::test]
    async fn unavailable_means_that_nothing_happened() {
        let (answer, is_there) = outcome(Fault::Unavailable).await;
        assert!(matches!(answer, Err(CommitError::Unavailable { .. })) && !is_there);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_commit_in_place() {
        let (answer, is_there) = outcome(Fault::AnswerLost).await;
        assert!(matches!(answer, Err(CommitError::Unknown { .. })) && is_there);
    }

    #[tokio::test]
    async fn a_lost_request_looks_the_same_and_leaves_nothing() {
        let (answer, is_there) = outcome(Fault::RequestLost).await;
        assert!(matches!(answer, Err(CommitError::Unknown { .. })) && !is_there);
    }

    #[tokio::test]
    async fn a_faulty_read_is_unavailable() {
        let faulty = FaultyStore::new(Arc::new(MemoryStore::new()), || Fault::AnswerLost);
        assert!(matches!(faulty.load().await, Err(ReadError::Unavailable { .. })));
        assert!(matches!(faulty.committed(operation(1)).await, Err(ReadError::Unavailable { .. })));
    }

    #[test]
    fn a_slow_commit_happens_and_answers_after_the_polls_it_was_given() {
        let inner = Arc::new(MemoryStore::new());
        let faulty = FaultyStore::new(inner.clone(), || Fault::Slow { before: 2, after: 3 });
        let mut commit = faulty.commit(put(1, &["a"]));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let seen: Vec<(bool, bool)> = (0..6)
            .map(|_| {
                let is_answered = commit.poll_unpin(&mut context).is_ready();
                let committed = inner.committed(operation(1)).now_or_never().expect("memory answers at once");
                (is_answered, committed.expect("memory is available").is_some())
            })
            .collect();
        let (pending, committed, answered) = ((false, false), (false, true), (true, true));
        assert_eq!(seen, [pending, pending, committed, committed, committed, answered]);
    }
}

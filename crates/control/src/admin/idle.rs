//! Which connections have no request in progress.
//!
//! When there is no place for another connection, the one that has been idle for longest goes. So whoever opens connections and is silent, or
//! asks what he may not, keeps nobody else out: heartbeats come through, and leases don't lapse.

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::timeout;

/// The idle connections of a listener.
#[derive(Debug, Default)]
pub(super) struct Idle {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Grows with every connection that becomes idle.
    turn: u64,
    /// Who is to be told to leave, in the order in which they became idle.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// A connection. While it has no request in progress it may be told to leave.
#[derive(Debug)]
pub(super) struct Visit {
    idle: Arc<Idle>,
    state: Mutex<State>,
    asked: Notify,
    leave: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    requests: usize,
    /// Its place among the idle ones.
    turn: Option<u64>,
}

/// A request in progress, until its answer is sent or given up.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Visit>);

impl Idle {
    /// A connection has come, and has not asked yet.
    pub(super) fn come(self: &Arc<Self>) -> Arc<Visit> {
        let leave = Arc::default();
        let turn = Some(self.book().add(&leave));
        let state = Mutex::new(State { requests: 0, turn });
        Arc::new(Visit { idle: Arc::clone(self), state, asked: Notify::new(), leave })
    }

    /// Tells the one that has been idle for longest to leave. Nobody is, if all have requests in progress.
    pub(super) fn end_oldest(&self) {
        if let Some((_, leave)) = self.book().waiting.pop_first() {
            leave.notify_one();
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn add(&mut self, leave: &Arc<Notify>) -> u64 {
        self.turn += 1;
        self.waiting.insert(self.turn, Arc::clone(leave));
        self.turn
    }
}

impl Visit {
    /// A request has come.
    pub(super) fn ask(self: &Arc<Self>) -> InProgress {
        let mut state = self.state();
        state.requests += 1;
        if let Some(turn) = state.turn.take() {
            self.idle.book().waiting.remove(&turn);
            self.asked.notify_one();
        }
        drop(state);
        InProgress(Arc::clone(self))
    }

    /// Resolves when its place is needed for others, or nothing was asked within `patience` after it came.
    pub(super) async fn is_to_leave(&self, patience: Duration) {
        let overstays = async {
            if timeout(patience, self.asked.notified()).await.is_ok() {
                pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.leave.notified() => {}
            () = overstays => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(turn) = self.state().turn.take() {
            self.idle.book().waiting.remove(&turn);
        }
    }
}

impl InProgress {
    /// The body of its answer, which it lasts for.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Answer { body, _request: self })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let visit = &self.0;
        let mut state = visit.state();
        state.requests -= 1;
        if state.requests == 0 {
            state.turn = Some(visit.idle.book().add(&visit.leave));
        }
    }
}

struct Answer {
    body: Body,
    _request: InProgress,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Body as _;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn leaves(visit: &Visit) -> bool {
        timeout(Duration::ZERO, visit.is_to_leave(PATIENCE)).await.is_ok()
    }

    #[tokio::test]
    async fn who_has_been_idle_for_longest_goes_first_and_who_is_served_never() {
        let idle = Arc::new(Idle::default());
        let [first, second, third] = [(); 3].map(|()| idle.come());
        let (request, done) = (second.ask(), first.ask());
        drop(done);
        idle.end_oldest();
        assert!(leaves(&third).await && !leaves(&first).await && !leaves(&second).await);
        drop(third);
        idle.end_oldest();
        assert!(leaves(&first).await && !leaves(&second).await);
        drop(first);
        idle.end_oldest();
        assert!(!leaves(&second).await);
        drop(request);
        idle.end_oldest();
        assert!(leaves(&second).await);
        drop(second);
        assert!(idle.book().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_asks_nothing_leaves_after_a_while() {
        let idle = Arc::new(Idle::default());
        let [silent, asks] = [(); 2].map(|()| idle.come());
        drop(asks.ask());
        silent.is_to_leave(Duration::from_millis(1)).await;
        let stays = asks.is_to_leave(Duration::from_millis(1));
        assert!(timeout(Duration::from_millis(20), stays).await.is_err());
    }

    #[tokio::test]
    async fn a_request_lasts_until_its_answer_is_sent() {
        let idle = Arc::new(Idle::default());
        let visit = idle.come();
        let body = visit.ask().until_sent(Body::from("four"));
        assert_eq!(body.size_hint().exact(), Some(4));
        idle.end_oldest();
        assert!(!leaves(&visit).await);
        drop(body);
        idle.end_oldest();
        assert!(leaves(&visit).await);
    }
}

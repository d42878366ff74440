//! The handle to a running control plane: what the admin API, the wiring and tests use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cutover_core::command::{Change, Command};
use cutover_core::hook::HookReport;
use cutover_core::id::{BackendId, Revision, ServiceName, VersionLabel};
use cutover_core::judge::Verdict;
use cutover_core::service::Service;
use cutover_core::snapshot::Snapshot;
use cutover_core::state::State;
use cutover_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::elder::Elder;
use crate::error::{LeaveError, SubmitError};
use crate::event_log::{EventLog, Subscription};
use crate::handover::Order;
use crate::hooks::{self, Means};
use crate::judge::VerdictBoard;
use crate::probe::{ProbeBoard, ProbeReport};
use crate::reply::{Once, Reply};
use crate::timeline::{Actor, Entry, EventId};

/// Requests that may wait for the controller; more are refused with [`SubmitError::Overloaded`].
pub const REQUESTS_MAX: usize = 1024;

/// A running control plane. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

/// A command, and who wants it why.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Who asks.
    pub actor: Actor,
    /// Why, as the caller says; kept in the timeline.
    pub reason: Option<String>,
    /// Only if this is the revision.
    pub if_match: Option<Revision>,
    /// Only if it was not carried out before; otherwise it is answered the same again.
    pub once: Option<Once>,
}

impl Request {
    /// A request without reason, precondition or key.
    #[must_use]
    pub fn new(command: Command, actor: Actor) -> Self {
        Self { command, actor, reason: None, if_match: None, once: None }
    }
}

/// What a command did. It is committed, and every worker decides by it.
#[derive(Debug, Clone)]
pub struct Done {
    /// The revision that holds it; the one before if nothing that is recorded was changed.
    pub revision: Revision,
    /// The state after it.
    pub state: Arc<State>,
    /// The state before it.
    pub before: Arc<State>,
    /// The generation of the first snapshot that holds it.
    pub generation: u64,
    /// The answer that is kept, if the request has a key and changed something.
    pub reply: Option<Reply>,
    /// Whether it was done before, under the same key. `reply` is what was answered then; everything else is as of now.
    pub is_repetition: bool,
}

/// The control state as of now.
#[derive(Debug, Clone, Default)]
pub struct Current {
    /// The last committed revision.
    pub revision: Revision,
    /// The state. It may be newer than the revision by what is never committed: health, identities, leases.
    pub state: Arc<State>,
    /// The last published snapshot, whose cells tell what the data plane does right now.
    pub snapshot: Arc<Snapshot>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct About {
    /// The node's name.
    pub node: String,
    /// The kind of store: `embedded` or `memory`.
    pub store: &'static str,
    /// When the control plane started.
    pub started_at: Timestamp,
}

impl Control {
    /// Carries out a command and waits until it is committed and every worker serves it.
    ///
    /// Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`SubmitError`]: whether anything was changed is part of each of its variants.
    pub async fn submit(&self, request: Request) -> Result<Done, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.0.calls.try_send(Call { request, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopped,
        })?;
        // The loop answers everything that it took, unless it ends in the middle: then nobody knows.
        answer.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// The control state as of now.
    #[must_use]
    pub fn current(&self) -> Current {
        self.0.current.borrow().clone()
    }

    /// Follows the state: `changed()` wakes for every change, committed or not. Each holder sees the latest state only.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Current> {
        self.0.current.clone()
    }

    /// Waits until `is_reached` holds and answers the state for which it did; at once if it does already.
    /// It waits without limit: callers bring their own timeout.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`] when the control plane ends before.
    pub async fn wait_until(
        &self,
        mut is_reached: impl FnMut(&Current) -> bool,
    ) -> Result<Current, SubmitError> {
        let mut current = self.watch();
        let reached = current.wait_for(|current| is_reached(current)).await;
        reached.map(|current| current.clone()).map_err(|_| SubmitError::Stopped)
    }

    /// Follows events: those after `after` that are still known, then live ones; only live ones without it.
    #[must_use]
    pub fn events(&self, after: Option<EventId>) -> Subscription {
        self.0.events.subscribe(after)
    }

    /// What happened to a service, the latest first: at most `limit` entries, all older than `before`.
    #[must_use]
    pub fn timeline(&self, service: &ServiceName, limit: usize, before: Option<EventId>) -> Vec<Arc<Entry>> {
        self.0.events.timeline(service, limit, before)
    }

    /// The last probe of a backend, if there was one.
    #[must_use]
    pub fn backend_probe(&self, service: &ServiceName, backend: &BackendId) -> Option<ProbeReport> {
        self.0.probes.last(service, backend)
    }

    /// What is thought right now of the version that a service watches, if it watches one.
    #[must_use]
    pub fn verdict(&self, service: &ServiceName) -> Option<Verdict> {
        self.0.verdicts.of(service)
    }

    /// Asks the `pre_flip` hooks of a service about a flip to `to`, for `actor`, and has their answer recorded. It takes as long as their
    /// timeouts and the pauses between tries.
    ///
    /// # Errors
    /// [`LeaveError`]: the flip must not be made.
    pub async fn ask_leave(
        &self,
        service: &Service,
        to: &VersionLabel,
        at: Timestamp,
        actor: Actor,
    ) -> Result<(), LeaveError> {
        let (calls, leave) = hooks::ask(&self.0.means, service, to, at).await;
        let (to, epoch) = (to.clone(), service.epoch);
        let report = HookReport::Answered { to, epoch, calls, leave: leave.clone() };
        let command = Command::Service(service.name.clone(), Change::Hook(report));
        self.submit(Request::new(command, actor)).await?;
        leave.map_err(LeaveError::Refused)
    }

    /// Whether the state is loaded and configured, the data plane decides by it, and clients are taken.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_ready.load(Ordering::Acquire) && !self.0.is_leaving.load(Ordering::Acquire)
    }

    /// From now on it is not ready any more: the process takes no new clients.
    pub fn leave(&self) {
        self.0.is_leaving.store(true, Ordering::Release);
    }

    /// What does not change while the process runs.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.0.about
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("about", &self.0.about).finish_non_exhaustive()
    }
}

/// What all clones of a handle share with the loop.
pub(crate) struct Shared {
    pub(crate) calls: mpsc::Sender<Call>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) elder: Arc<Elder>,
    pub(crate) served: watch::Sender<Revision>,
    pub(crate) current: watch::Receiver<Current>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) probes: Arc<ProbeBoard>,
    pub(crate) verdicts: Arc<VerdictBoard>,
    pub(crate) means: Means,
    pub(crate) is_ready: Arc<AtomicBool>,
    pub(crate) is_leaving: AtomicBool,
    pub(crate) about: About,
}

/// A request on its way to the loop.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Result<Done, SubmitError>>,
}

//! Handing the control state to a process that replaces this one: let go of, taken back if that fails, followed if it does not.

use std::collections::BTreeMap;

use cutover_core::backend::{Identity, Operational};
use cutover_core::command::{Finding, Found};
use cutover_core::id::{BackendId, Revision, ServiceName};
use cutover_core::state::State;
use tokio::sync::{oneshot, watch};

use crate::elder::{Elder, Report};
use crate::error::{LoadError, SubmitError};
use crate::handle::Control;
use crate::store::record;
use crate::store::{Change, Loaded};

/// What a process knows about its backends when it hands over.
pub type Known = BTreeMap<(ServiceName, BackendId), Finding>;

/// What the loop is told beside requests.
pub(crate) enum Order {
    /// To commit nothing any more.
    Release(oneshot::Sender<Known>),
    /// To go on as before. The store may have been written to meanwhile.
    Resume,
    /// To take over what another process has committed.
    Follow(Loaded, oneshot::Sender<Result<(), LoadError>>),
    /// To believe what another process found out, as if probes had.
    Believe(Known),
    /// To say that it lives.
    Ping(oneshot::Sender<()>),
}

impl Control {
    /// Finishes what was begun and commits nothing from then on: requests are answered [`SubmitError::Upgrading`], and the store may be
    /// closed. The data plane goes on with what it has. Answers what is known about backends.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn release(&self) -> Result<Known, SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Release(reply)).await?;
        answer.await.map_err(|_| SubmitError::Stopped)
    }

    /// Goes on after a [`release`](Self::release). What the store holds is read again first.
    pub async fn resume(&self) {
        // Who has stopped does not go on.
        drop(self.order(Order::Resume).await);
    }

    /// Takes over what the process has committed that replaced this one, after a [`release`](Self::release).
    ///
    /// # Errors
    /// [`FollowError`]; nothing is changed then.
    pub async fn follow(&self, loaded: Loaded) -> Result<(), FollowError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Follow(loaded, reply)).await?;
        Ok(answer.await.map_err(|_| SubmitError::Stopped)??)
    }

    /// Believes what the process before found out about backends, as if probes of this one had. Those go on to ask.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn believe(&self, known: Known) -> Result<(), SubmitError> {
        self.order(Order::Believe(known)).await
    }

    /// Returns when the loop has had its turn: it lives.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn ping(&self) -> Result<(), SubmitError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Ping(reply)).await?;
        answer.await.map_err(|_| SubmitError::Stopped)
    }

    /// The process before this one.
    #[must_use]
    pub fn elder(&self) -> &Elder {
        &self.shared().elder
    }

    /// Follows the revision that every worker decides by, those of the process before this one included.
    #[must_use]
    pub fn served(&self) -> watch::Receiver<Revision> {
        self.shared().served.subscribe()
    }

    /// What this process does, for the one that replaced it.
    #[must_use]
    pub fn report(&self) -> Report {
        // In this order: what is counted may only be newer than the revision.
        let revision = *self.shared().served.borrow();
        Report::of(&self.current().snapshot, revision)
    }

    /// Everything that is committed, but for what happened and what was answered.
    #[must_use]
    pub fn committed(&self) -> Loaded {
        let current = self.current();
        let changes = record::difference(&State::default(), &current.state).changes;
        let records = changes.into_iter().filter_map(|(key, change)| match change {
            Change::Put(document) => Some((key, document)),
            Change::Delete => None,
        });
        Loaded { records: records.collect(), revision: current.revision }
    }

    async fn order(&self, order: Order) -> Result<(), SubmitError> {
        self.shared().orders.send(order).await.map_err(|_| SubmitError::Stopped)
    }
}

/// Why a state was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It is not understood; a newer release wrote it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is nobody to take it over.
    #[error(transparent)]
    Stopped(#[from] SubmitError),
}

/// What is known about the backends of `state`. Those whose version is in doubt are left out: probes have to tell.
pub(crate) fn known(state: &State) -> Known {
    let mut known = Known::new();
    for (name, service) in &state.services {
        for (id, backend) in &service.backends {
            let finding = match (&backend.operational, &backend.identity) {
                (Operational::Down(_), _) => Finding::Down,
                (Operational::Up(_), Identity::Known) => {
                    Finding::Up { version: backend.version.clone(), boot_id: backend.boot_id.clone() }
                }
                _ => continue,
            };
            known.insert((name.clone(), id.clone()), finding);
        }
    }
    known
}

/// The same as findings about the backends of `state`, for those that it has.
pub(crate) fn found(state: &State, known: Known) -> Vec<Found> {
    let found = known.into_iter().filter_map(|((service, backend), finding)| {
        let generation = state.services.get(&service)?.backends.get(&backend)?.generation;
        Some(Found { service, backend, generation, finding })
    });
    found.collect()
}

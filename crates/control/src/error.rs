//! Why the control plane could not do what it was asked.

use cutover_core::id::Revision;
use cutover_core::rejected::Rejected;
use thiserror::Error;

use crate::store::record::RecordError;
use crate::store::{Cause, ReadError};

/// Why a command was not answered with success. Each variant says whether it was carried out.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// A rule forbids it. Nothing was changed.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The caller named a revision, and the state is at another one. Nothing was changed.
    #[error("the revision is {current}")]
    RevisionMismatch {
        /// The revision that it is at.
        current: Revision,
    },
    /// Another request was carried out under the same key. Nothing was changed.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The store failed. Nothing was changed.
    #[error("the store is unavailable, nothing was changed")]
    Unavailable {
        /// What the store said.
        source: Cause,
    },
    /// The store failed during the commit and can't be asked how it ended. The change may have been made or not; the state shows it as
    /// soon as the store answers again.
    #[error("the store failed during the commit, the change may have been made")]
    Unknown {
        /// What the store said.
        source: Cause,
    },
    /// The change is committed and will be served, but a worker has not taken it over in time: some requests may still be decided by
    /// the state before.
    #[error("committed as revision {revision}, but not served by every worker yet")]
    NotServed {
        /// The revision that holds it.
        revision: Revision,
    },
    /// The configuration was not applied yet. Nothing was changed.
    #[error("the control plane is starting, nothing was changed")]
    Starting,
    /// The state is being handed to the process that replaces this one. Nothing was changed; one of the two takes the request in a moment.
    #[error("another process is taking over, nothing was changed")]
    Upgrading,
    /// Too many requests are waiting. Nothing was changed.
    #[error("too many requests are waiting, nothing was changed")]
    Overloaded,
    /// The control plane has stopped. A request that it had not begun changed nothing.
    #[error("the control plane has stopped")]
    Stopped,
}

/// Why the stored state could not be taken over. Cutover does not start then.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[from] ReadError),
    /// A record is not what this release writes.
    #[error("the stored state can't be read")]
    Record(#[from] RecordError),
}

/// Why the control plane did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The stored state could not be taken over.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The first key that signs pins could not be stored.
    #[error("the first key could not be stored")]
    FirstKey(#[source] SubmitError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[source] Cause),
    /// Metrics of these names are registered already.
    #[error("the metrics could not be registered")]
    Metrics(#[source] Cause),
}

/// Why a flip that waits for hooks must not be made.
#[derive(Debug, Error)]
pub enum LeaveError {
    /// One of them refused, or could not be asked.
    #[error("{0}")]
    Refused(String),
    /// What they answered could not be recorded.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

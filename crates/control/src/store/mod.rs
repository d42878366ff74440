//! Where the control state is kept: named documents that change together, in numbered steps.
//!
//! A store knows nothing of what it keeps. It holds [`Document`]s by [`Key`] and a [`Revision`] that grows by one with
//! every [`Commit`]; what the documents mean is the record layer's. There is one trait, [`Store`], over all engines,
//! and one conformance suite that each must pass, so that the controller can be tested over [`MemoryStore`] and over a
//! [`FaultyStore`] that fails in every way a store may.

mod faulty;
mod key;
mod memory;
pub mod record;
mod redb;
#[cfg(test)]
mod suite;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;

use cutover_core::id::Revision;
use futures_util::future::BoxFuture;
use thiserror::Error;

pub use self::faulty::{Fault, FaultyStore};
pub use self::key::{Key, KeyError};
pub use self::memory::MemoryStore;
pub use self::redb::{OpenError, RedbStore};

/// How many of the latest commits a store can name by their operation: see [`Store::committed`].
///
/// The caller asks right after a lost answer or a restart, about the last commit that it sent. Some hundreds leave room
/// for other writers in between, and cost a few kilobytes.
pub const OPERATIONS_KEPT: usize = 512;

/// An engine that keeps the control state.
///
/// A future that is dropped before it is ready leaves the same doubt as [`CommitError::Unknown`].
pub trait Store: Send + Sync {
    /// Everything in the store, as of one revision.
    fn load(&self) -> BoxFuture<'_, Result<Loaded, ReadError>>;

    /// Makes all changes in one step, if every guard holds, and answers the revision that holds them: the one before
    /// plus one, also when nothing is changed.
    ///
    /// The answer comes after the changes are as durable as the engine can make them. An operation that committed
    /// before, within the last [`OPERATIONS_KEPT`] commits, is not repeated: it is answered its revision again,
    /// whatever the guards say, so a commit that ended in doubt may simply be sent again.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Revision, CommitError>>;

    /// The revision that `operation` made, or none if it is not among the last [`OPERATIONS_KEPT`] commits.
    fn committed(&self, operation: OperationId) -> BoxFuture<'_, Result<Option<Revision>, ReadError>>;
}

/// What [`Store::load`] reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// All records.
    pub records: BTreeMap<Key, Document>,
    /// The revision of the last commit, 0 in a new store.
    pub revision: Revision,
}

/// Changes that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What must hold just before the changes.
    pub guards: Vec<Guard>,
    /// One change for each key. Deleting a key that is absent changes nothing and is no error.
    pub changes: BTreeMap<Key, Change>,
    /// Names this commit, so that its outcome can be asked for. Never used for another one.
    pub operation: OperationId,
}

/// A condition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Nobody committed anything since this revision.
    Revision(Revision),
    /// There is no record of this name.
    Absent(Key),
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record is this from now on.
    Put(Document),
    /// There is no such record any more.
    Delete,
}

/// One versioned JSON document. The store keeps the text as it is and never looks into it.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// The version of the document's own format, which its reader checks.
    pub format: u32,
    /// The JSON text.
    pub json: String,
}

/// Without the text: the keys of pins are in one of them.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("format", &self.format).field("bytes", &self.json.len()).finish()
    }
}

/// Names one commit: 128 random bits, drawn by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u128);

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What an engine says of its failure.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a commit was not answered with a revision.
#[derive(Debug, Error)]
pub enum CommitError {
    /// A guard does not hold: somebody else committed first. Nothing was changed.
    #[error("the store has moved on to revision {revision}")]
    Conflict {
        /// The revision that the store is at.
        revision: Revision,
    },
    /// The engine could not be reached or refused. Nothing was changed.
    #[error("the store is unavailable, nothing was changed")]
    Unavailable {
        /// What the engine said.
        source: Cause,
    },
    /// The engine failed after the point of no return: the changes may have been made or not. [`Store::committed`]
    /// tells.
    #[error("the store failed during a commit, it may have happened")]
    Unknown {
        /// What the engine said.
        source: Cause,
    },
}

/// Why the store could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The engine could not be reached or failed.
    #[error("the store is unavailable")]
    Unavailable {
        /// What the engine said.
        source: Cause,
    },
    /// The engine answered something that no store of ours holds.
    #[error("the store holds something that is not its own")]
    Corrupt {
        /// What was found.
        source: Cause,
    },
}

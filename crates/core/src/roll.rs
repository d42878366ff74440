//! Rolling a fixed fleet, where servers are updated in place: which backend may be restarted when, and how far that is.
//!
//! A restart asks for a permit. To give one is to drain the backend first; the permit ends when the backend has been away and is
//! back. What is out at a time is bounded by the batch and by the capacity that must stay; a version that still serves sessions
//! gives up nothing before it is drained. So a loop over all hosts becomes a roll by halves, whoever runs the loop.

mod course;
mod permit;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::backend::{AdminState, Backend, Operational};
use crate::id::{BackendId, VersionLabel};
use crate::policy::{RollPolicy, RollStrategy};
use crate::time::Timestamp;

pub(crate) use self::course::{conclude, follow, observe, restore};
pub(crate) use self::permit::{abort, ask, give_back, resume};
pub use self::rules::Outlook;

/// How far the roll of a service's backends is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roll {
    /// Where it stands.
    pub state: State,
    /// Why it is frozen, or how it ended; empty while there is nothing to say.
    pub reason: String,
    /// The batch that may be restarted, from 1; 0 before the first roll.
    pub batch: u32,
    /// Permits that were taken in this batch, ended ones included.
    pub taken: u32,
    /// Backends that there were when the roll began.
    pub size: u32,
    /// The version that restarted backends came back with, once one did.
    pub to: Option<VersionLabel>,
    /// Permits that did not end.
    pub permits: BTreeMap<BackendId, Permit>,
    /// Backends that came back.
    pub done: BTreeSet<BackendId>,
}

/// Where a roll stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    Idle,
    /// Backends are being restarted.
    Running,
    /// A restart failed: nobody gets a permit until somebody resumes or aborts it.
    Frozen,
    /// Every backend came back.
    Done,
}

/// Leave to restart one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    /// When it was asked for. The backend drains since then.
    pub asked_at: Timestamp,
    /// When the backend was empty, so that it may be restarted.
    pub granted_at: Option<Timestamp>,
    /// When the backend must be back.
    pub deadline: Option<Timestamp>,
    /// The process that was there when it was asked for.
    pub process: Process,
    /// Whether that process was seen to be gone.
    pub is_away: bool,
}

/// What tells a process from the one that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The version it ran.
    pub version: Option<VersionLabel>,
    /// What it said about itself.
    pub boot_id: Option<String>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

impl Roll {
    /// Whether a backend drains so that it can be restarted.
    #[must_use]
    pub fn is_emptying(&self, id: &BackendId) -> bool {
        self.permits.get(id).is_some_and(|permit| !permit.is_granted())
    }

    /// Whether a backend may be restarted now, so that its absence is no surprise.
    #[must_use]
    pub fn is_granted(&self, id: &BackendId) -> bool {
        self.permits.get(id).is_some_and(Permit::is_granted)
    }

    /// Whether time may change something about it.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let is_due = |permit: &Permit| permit.deadline.is_none_or(|deadline| deadline <= now);
        self.permits.values().any(is_due)
    }
}

impl RollPolicy {
    /// Backends of one batch, of `size` in all.
    #[must_use]
    pub fn batch_size(&self, size: u32) -> u32 {
        match self.strategy {
            RollStrategy::Batches(count) => size.div_ceil(count.max(1)).max(1),
            RollStrategy::OneByOne => 1,
        }
    }

    /// Batches that `size` backends make.
    #[must_use]
    pub fn batches(&self, size: u32) -> u32 {
        size.div_ceil(self.batch_size(size)).max(1)
    }
}

impl Permit {
    /// Whether the backend may be restarted.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.granted_at.is_some()
    }

    /// Notes what is seen of the process. That it does not answer means something only once it may be restarted.
    fn look(&mut self, backend: Option<&Backend>) {
        let is_granted = self.is_granted();
        self.is_away |= backend.is_none_or(|backend| {
            let is_down = matches!(backend.operational, Operational::Down(_));
            // A new process has nothing to drain: it was registered at another address.
            let begins = matches!(backend.operational, Operational::Starting)
                && backend.admin.state == AdminState::Ready;
            self.process.is_replaced(backend) || begins || (is_granted && is_down)
        });
    }
}

impl Process {
    fn of(backend: &Backend) -> Self {
        Self {
            version: backend.version.clone(),
            boot_id: backend.boot_id.clone(),
            registered_at: backend.registered_at,
        }
    }

    /// Whether another process is there. What was not known before tells nothing.
    fn is_replaced(&self, backend: &Backend) -> bool {
        let is_other = |known: bool, same: bool| known && !same;
        is_other(self.version.is_some(), self.version == backend.version)
            || is_other(self.boot_id.is_some(), self.boot_id == backend.boot_id)
            || self.registered_at != backend.registered_at
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Idle, Self::Running, Self::Frozen, Self::Done];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

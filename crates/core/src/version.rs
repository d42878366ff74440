//! One version of a service: its role, and what decides when it changes.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::{Epoch, GateName, HoldName, VersionLabel};
use crate::time::{Millis, Timestamp};

/// The backends of one service that report the same label, and the part they play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The label.
    pub label: VersionLabel,
    /// Place in the order of first appearance; a larger one is newer.
    pub seen: u64,
    /// When it first appeared.
    pub seen_at: Timestamp,
    /// The part it plays.
    pub role: Role,
    /// Why it must not be chosen by itself, if somebody judged it bad. Its role is `rejected` unless it still serves its
    /// sessions.
    pub rejected: Option<String>,
    /// Whether an operator wants it staged although a newer one exists.
    pub is_kept: bool,
    /// The last epoch in which it was active, if it ever was.
    pub epoch: Option<Epoch>,
    /// Whether it ever was a canary: then pins may name it although it never was active.
    pub was_canary: bool,
    /// When it stopped being active, while it isn't.
    pub demoted_at: Option<Timestamp>,
    /// How its drain ended, if it did.
    pub drained: Option<Drained>,
    /// Whether it admits nobody any more although it still drains, because nothing was left of it when somebody looked. Only what
    /// can't begin again is provably over. Not stored: after a restart it is found out anew.
    pub is_sealed: bool,
    /// Gates that somebody opened or closed.
    pub gates: BTreeMap<GateName, Gate>,
    /// Who else says that it runs this version.
    pub holds: BTreeMap<HoldName, Hold>,
    /// Since when its quorum is there without a break.
    pub quorum_since: Option<Timestamp>,
    /// A time by which every pin handed out by earlier processes has expired.
    pub pins_until: Timestamp,
    /// The previews that were made of it, if any were.
    pub previewed: Option<Previewed>,
}

/// The part that a version plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Known, gets no user traffic.
    Staged,
    /// Gets a share of new sessions.
    Canary,
    /// Gets new sessions.
    Active,
    /// Serves only sessions pinned to it.
    Draining,
    /// Provably unused, or past its deadline.
    Drained,
    /// Failed; never chosen automatically.
    Rejected,
    /// A newer staged version replaced it.
    Superseded,
    /// Has no backend left.
    Retired,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// When.
    pub at: Timestamp,
    /// By what.
    pub by: DrainedBy,
}

/// What ended a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainedBy {
    /// No request, tunnel, unexpired pin or hold is left.
    Proof,
    /// The deadline passed, or an operator evicted the rest.
    Deadline,
}

/// A named condition for a flip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Whether it is open.
    pub is_open: bool,
    /// What was said with it.
    pub note: String,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A lease by something other than a web session that says "I still run this version".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Length of a renewal.
    pub ttl: Millis,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// Who set it.
    pub by: String,
}

/// What is remembered of the previews of a version. They can't be taken back, only end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previewed {
    /// How many were made.
    pub made: u64,
    /// When the last of them ends.
    pub until: Timestamp,
    /// Who made the latest.
    pub by: String,
    /// How long that lasts.
    pub ttl: Millis,
}

impl Version {
    /// A version that just appeared.
    #[must_use]
    pub fn new(label: VersionLabel, seen: u64, now: Timestamp) -> Self {
        Self {
            label,
            seen,
            seen_at: now,
            role: Role::Staged,
            rejected: None,
            is_kept: false,
            epoch: None,
            was_canary: false,
            demoted_at: None,
            drained: None,
            is_sealed: false,
            gates: BTreeMap::new(),
            holds: BTreeMap::new(),
            quorum_since: None,
            pins_until: Timestamp(0),
            previewed: None,
        }
    }

    /// Whether it was active before, or is.
    #[must_use]
    pub const fn was_active(&self) -> bool {
        self.epoch.is_some()
    }

    /// Whether sessions may be pinned to it that an earlier process served.
    #[must_use]
    pub const fn had_sessions(&self) -> bool {
        self.was_active() || self.was_canary
    }

    /// Whether sessions pinned to it are served by it.
    #[must_use]
    pub const fn serves_pins(&self) -> bool {
        matches!(self.role, Role::Active | Role::Canary | Role::Draining)
    }
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }

    /// Whether it is on its way to become active.
    #[must_use]
    pub const fn is_coming(self) -> bool {
        matches!(self, Self::Staged | Self::Canary)
    }

    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Staged,
        Self::Canary,
        Self::Active,
        Self::Draining,
        Self::Drained,
        Self::Rejected,
        Self::Superseded,
        Self::Retired,
    ];

    /// The role with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DrainedBy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Proof, Self::Deadline];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Deadline => "deadline",
        }
    }
}

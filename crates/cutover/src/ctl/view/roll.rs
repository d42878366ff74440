//! What the client reads about permits and rolls.

use serde::{Deserialize, Serialize};

use super::super::error::Reason;

/// A permit that was granted.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Granted {
    /// When it was.
    pub(crate) granted_at: Option<String>,
    /// When the backend must be back.
    pub(crate) deadline: Option<String>,
    /// The batch that it is in, from 1.
    #[serde(default)]
    pub(crate) batch: u32,
    /// Batches of the roll.
    #[serde(default)]
    pub(crate) batches: u32,
}

/// A permit that was not granted yet.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NotYet {
    /// `waiting`, or `draining` when only the backend's own requests are waited for.
    #[serde(default)]
    pub(crate) state: String,
    /// Everything that stands in the way.
    #[serde(default)]
    pub(crate) reasons: Vec<Reason>,
}

/// The roll of a service in a few words.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Summary {
    /// `idle`, `running`, `frozen` or `done`.
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) batch: u32,
    #[serde(default)]
    pub(crate) batches: u32,
    /// Who has a permit.
    #[serde(default)]
    pub(crate) permits: Vec<Permit>,
    /// Why it is frozen, or how it ended.
    pub(crate) reason: Option<String>,
}

/// Leave to restart one backend.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Permit {
    pub(crate) backend: String,
    /// `draining` or `granted`.
    #[serde(default)]
    pub(crate) state: String,
    /// When the backend must be back.
    pub(crate) deadline: Option<String>,
}

/// `GET …/roll`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Roll {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Backends that there were when it began.
    #[serde(default)]
    pub(crate) size: u32,
    /// The version that restarted backends came back with.
    pub(crate) to: Option<String>,
    /// Backends that came back, whatever they came back with.
    #[serde(default)]
    pub(crate) done: Vec<String>,
    /// All of them.
    #[serde(default)]
    pub(crate) backends: Vec<RolledBackend>,
}

/// A backend in a roll.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RolledBackend {
    pub(crate) backend: String,
    pub(crate) version: Option<String>,
    /// `done`, `permitted`, `draining`, `next` or `waiting`.
    #[serde(default)]
    pub(crate) state: String,
}

impl Roll {
    /// The permit of a backend, while it lasts.
    #[must_use]
    pub(crate) fn permit(&self, backend: &str) -> Option<&Permit> {
        self.summary.permits.iter().find(|permit| permit.backend == backend)
    }

    /// Whether a backend came back, with whatever version.
    #[must_use]
    pub(crate) fn came_back(&self, backend: &str) -> bool {
        self.done.iter().any(|done| done == backend)
    }

    /// What is known of a backend.
    #[must_use]
    pub(crate) fn backend(&self, backend: &str) -> Option<&RolledBackend> {
        self.backends.iter().find(|candidate| candidate.backend == backend)
    }

    /// Whether nothing is left to do with a backend.
    #[must_use]
    pub(crate) fn is_done(&self, backend: &str) -> bool {
        self.backend(backend).is_some_and(|backend| backend.state == "done")
    }
}

/// What a roll must know of a service and its policy.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RolledService {
    pub(crate) active: Option<String>,
    #[serde(default)]
    pub(crate) expected_weight: u64,
    pub(crate) policy: Policy,
}

/// The part of a policy that decides how a roll goes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Policy {
    pub(crate) min_capacity: f64,
    pub(crate) flip: FlipPolicy,
    pub(crate) drain: DrainPolicy,
    pub(crate) roll: RollPolicy,
}

/// When the new version becomes active.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FlipPolicy {
    /// `manual` or `auto`.
    pub(crate) mode: String,
    pub(crate) quorum: Quorum,
    pub(crate) stable_for: String,
    #[serde(default)]
    pub(crate) gates: Vec<String>,
}

/// What the new version needs for that.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Quorum {
    pub(crate) count: u32,
    pub(crate) share: f64,
}

/// How long the old version drains.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DrainPolicy {
    pub(crate) deadline: String,
    pub(crate) spread: String,
}

/// In what order backends are restarted.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RollPolicy {
    /// `halves` or `one-by-one`.
    pub(crate) strategy: String,
    pub(crate) batches: u32,
    pub(crate) permit_deadline: String,
}

//! What the data plane tells the control plane: read off its cells, as plain values.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{BackendId, ServiceName, VersionLabel};
use crate::time::{Millis, Timestamp};
use crate::traffic::Sighting;

/// What the data plane reported since the last tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// What is left of versions that don't get new sessions.
    pub loads: BTreeMap<(ServiceName, VersionLabel), Load>,
    /// What was noticed about backends.
    pub backends: BTreeMap<(ServiceName, BackendId), BackendFacts>,
    /// What the clocks show by which pins are dated and judged.
    pub skew: Skew,
}

/// How far apart from the time of the control plane, which no wall clock moves, the clocks may be by which the data plane dates pins and
/// judges them. Those follow the wall clock when somebody sets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skew {
    /// How late they may be: a pin that should have ended by the time is alive for so long.
    pub behind: Millis,
    /// How early they may be: a pin may be dated by so much after the time.
    pub ahead: Millis,
}

/// What the data plane noticed about a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendFacts {
    /// Requests in flight.
    pub in_flight: u32,
    /// Gateway errors in a row.
    pub consecutive_errors: u32,
    /// The latest identity generation that was lost.
    pub lost_generation: u32,
    /// The latest expiry of a pin that this process handed out and that names the backend.
    pub latest_pin_expiry: Timestamp,
    /// What an answer said about a process that is not the known one.
    pub sighting: Option<Arc<Sighting>>,
}

impl BackendFacts {
    /// Whether the process that is meant by this generation was lost, or another one was seen in its place.
    #[must_use]
    pub fn is_lost(&self, generation: u32) -> bool {
        self.lost_generation >= generation
            || self.sighting.as_ref().is_some_and(|sighting| sighting.generation >= generation)
    }
}

/// What the data plane still does for a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests in flight, tunnels included.
    pub in_flight: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
    /// The latest expiry of a pin that this process handed out.
    pub latest_pin_expiry: Timestamp,
}

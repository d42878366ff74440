//! What the client reads about canaries.

use serde::Deserialize;

/// A version that gets a share of the new sessions.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Canary {
    pub(crate) version: String,
    pub(crate) share: f64,
    /// The step of the service's own steps, from 1; absent where somebody chose the share.
    pub(crate) step: Option<u64>,
    /// How many steps the service has.
    pub(crate) steps: u64,
    /// When its step ends; absent while none runs.
    pub(crate) next_at: Option<String>,
    pub(crate) paused: bool,
    /// Whether its last step is over.
    pub(crate) complete: bool,
    /// Whether none of its backends is usable, so that the active version serves its sessions.
    pub(crate) starved: bool,
    /// Whether it was judged bad, and stays until somebody decides.
    pub(crate) failed: bool,
}

/// What became of a canary.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CanaryChanged {
    /// Absent when there is none any more.
    pub(crate) canary: Option<Canary>,
    pub(crate) epoch: u64,
}

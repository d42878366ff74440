//! What the client reads about bakes and verdicts.

use serde::Deserialize;

/// The watch over a version that replaced another one.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Bake {
    pub(crate) version: String,
    /// The version that it replaced.
    pub(crate) from: String,
    pub(crate) ends_at: String,
    /// `running`, `passed`, `failed`, `rolled_back` or `superseded`.
    pub(crate) state: String,
}

/// What is thought of a new version.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Verdict {
    /// `canary` or `bake`.
    pub(crate) kind: String,
    pub(crate) version: String,
    /// The version that it is compared with.
    pub(crate) against: String,
    #[serde(default)]
    pub(crate) requests: u64,
    pub(crate) error_rate: Option<f64>,
    pub(crate) baseline_error_rate: Option<f64>,
    #[serde(default)]
    pub(crate) evidence: f64,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) baseline_p99_ms: Option<f64>,
    /// `watching`, `good` or `bad`.
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) reason: String,
}

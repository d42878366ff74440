//! How a version is watched after it became active.

use super::Share;
use crate::time::Millis;

/// How a version is watched after it became active, and what happens when it is judged bad. What is judged also holds for a canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BakePolicy {
    /// How long it is watched after a flip; zero = not at all.
    pub duration: Millis,
    /// Whether a version that is judged bad is rolled back, and a canary aborted. Otherwise it is only told.
    pub rollback: bool,
    /// The share of requests that may fail; `None` = whatever the comparison with the old version allows.
    pub max_error_rate: Option<Share>,
    /// The time in which 99 of 100 answers have to begin; zero = whatever the comparison with the old version allows.
    pub max_p99: Millis,
}

impl Default for BakePolicy {
    fn default() -> Self {
        Self {
            duration: Millis::from_secs(300),
            rollback: false,
            max_error_rate: None,
            max_p99: Millis::ZERO,
        }
    }
}

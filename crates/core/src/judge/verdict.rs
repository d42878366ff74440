//! What is thought of a new version, and the numbers behind it.

use std::fmt;

use crate::id::VersionLabel;
use crate::time::Timestamp;

/// What is thought of a new version.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What it is watched in.
    pub kind: Kind,
    /// The version.
    pub version: VersionLabel,
    /// The version that it is compared with.
    pub against: VersionLabel,
    /// Since when.
    pub since: Timestamp,
    /// What is thought of it.
    pub standing: Standing,
    /// Why, in a sentence with its numbers.
    pub reason: String,
    /// The numbers.
    pub numbers: Numbers,
}

/// What a version is watched in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It gets a share of new sessions.
    Canary,
    /// It became active a short while ago.
    Bake,
}

/// What is thought of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet.
    Watching,
    /// It was watched to the end, and is not worse.
    Good,
    /// It is worse.
    Bad,
}

/// What a verdict goes by.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Numbers {
    /// Answers of the new version since it is watched, by this process.
    pub requests: u64,
    /// Those of them that were errors.
    pub errors: u64,
    /// The share of errors among the old version's answers; `None` without one.
    pub baseline_error_rate: Option<f64>,
    /// How much better the new version's answers are explained by that it is worse: it is judged bad at 100.
    pub evidence: f64,
    /// The latency in milliseconds that 99 of 100 answers of the new version did not exceed; `None` without one.
    pub p99_ms: Option<f64>,
    /// The same of the old version.
    pub baseline_p99_ms: Option<f64>,
}

impl Numbers {
    /// The share of errors among the new version's answers; `None` without one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| (self.errors as f64 / self.requests as f64).min(1.0))
    }
}

impl Kind {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::Canary, Self::Bake];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Bake => "bake",
        }
    }
}

impl Standing {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Watching, Self::Good, Self::Bad];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watching => "watching",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

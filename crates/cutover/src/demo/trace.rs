//! What the visitors met: every answer of every session, and every failure, with times.

use std::time::Duration;

use tokio::time::Instant;

use super::release::Release;

/// One session from its first request to its last.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    pub(super) answers: Vec<Seen>,
    pub(super) failures: Vec<Failure>,
    /// Requests sent, whatever became of them.
    pub(super) requests: u64,
}

/// An answer, and the release that its body names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) release: Release,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

/// A request that did not get what a visitor should get.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) target: String,
    pub(super) fault: Fault,
    pub(super) answered: Instant,
}

/// What was wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No whole answer came.
    #[error("{0}")]
    NoAnswer(String),
    /// The page named an asset that the release which answered doesn't have.
    #[error("404 from {by} for an asset of a page of {}", .page.release)]
    AssetMissing { page: Seen, by: Release },
    /// Any other status than 200.
    #[error("status {0}")]
    Status(u16),
    /// The answer is not the one to this request, or names no release.
    #[error("{0}")]
    Wrong(&'static str),
}

/// A change of the active version that the demo asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) from: Release,
    pub(super) to: Release,
    pub(super) called: Instant,
    pub(super) answered: Instant,
}

impl Change {
    /// How long the call took.
    pub(super) fn took(&self) -> Duration {
        self.answered - self.called
    }
}

/// Whether sessions stay where they are or move with the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Flip,
    Rollback,
}

//! Counters of the running load, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{release::Release, trace::Fault};

/// Counts of one load since its start.
#[derive(Debug, Default)]
pub(super) struct Live {
    requests: AtomicU64,
    failures: AtomicU64,
    assets_missing: AtomicU64,
    answers: [AtomicU64; Release::COUNT],
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) requests: u64,
    /// Without the assets that were missing: whether a rollback excuses those is seen at the end.
    pub(super) failures: u64,
    pub(super) assets_missing: u64,
    pub(super) answers: [u64; Release::COUNT],
}

impl Live {
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_failure(&self, fault: &Fault) {
        let counter = match fault {
            Fault::AssetMissing { .. } => &self.assets_missing,
            Fault::NoAnswer(_) | Fault::Status(_) | Fault::Wrong(_) => &self.failures,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn count_answer(&self, release: Release) {
        if let Some(answers) = self.answers.get(release.index()) {
            answers.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn read(&self) -> Reading {
        Reading {
            requests: self.requests.load(Relaxed),
            failures: self.failures.load(Relaxed),
            assets_missing: self.assets_missing.load(Relaxed),
            answers: std::array::from_fn(|index| {
                self.answers.get(index).map_or(0, |answers| answers.load(Relaxed))
            }),
        }
    }
}

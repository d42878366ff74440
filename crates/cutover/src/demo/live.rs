//! Counters of the running load, for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::release::Release;

/// Counts of one load since its start.
#[derive(Debug, Default)]
pub(super) struct Live {
    requests: AtomicU64,
    failures: AtomicU64,
    answers: [AtomicU64; Release::COUNT],
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) answers: [u64; Release::COUNT],
}

impl Live {
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
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
            answers: std::array::from_fn(|index| {
                self.answers.get(index).map_or(0, |answers| answers.load(Relaxed))
            }),
        }
    }
}

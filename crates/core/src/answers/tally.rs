//! What the cells of a version said at one moment, or what they counted between two.

use super::histogram::{BUCKETS, LATENCY_MAX, bucket, end};

/// Counts of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Answers with a status of 5xx that were passed on whole.
    pub failed: u64,
    /// Answers that broke off, or never came, so that the client got one of ours.
    pub resets: u64,
    /// Answers that were no asset though one was asked for.
    pub asset_misses: u64,
    /// Answers that named another version.
    pub mismatches: u64,
    pub(super) latencies: Box<[u64; BUCKETS]>,
}

impl Tally {
    /// What was counted since `earlier`. What is less than it was then began anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let latencies = std::array::from_fn(|at| self.latencies[at].saturating_sub(earlier.latencies[at]));
        Self {
            failed: self.failed.saturating_sub(earlier.failed),
            resets: self.resets.saturating_sub(earlier.resets),
            asset_misses: self.asset_misses.saturating_sub(earlier.asset_misses),
            mismatches: self.mismatches.saturating_sub(earlier.mismatches),
            latencies: Box::new(latencies),
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub fn add(&mut self, other: &Self) {
        self.failed += other.failed;
        self.resets += other.resets;
        self.asset_misses += other.asset_misses;
        self.mismatches += other.mismatches;
        self.latencies.iter_mut().zip(&*other.latencies).for_each(|(sum, count)| *sum += count);
    }

    /// All answers.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.latencies.iter().sum()
    }

    /// Those of them that the version is to blame for. Never more than there are: the cells are read one after the other.
    #[must_use]
    pub fn errors(&self) -> u64 {
        (self.failed + self.resets).min(self.answered())
    }

    /// Answers that took longer than so many microseconds for certain.
    #[must_use]
    pub fn slower_than(&self, latency_us: u64) -> u64 {
        self.latencies[bucket(latency_us.min(LATENCY_MAX)) + 1..].iter().sum()
    }

    /// The buckets that are not empty, the fastest first: a latency in microseconds, and how many answers were within it but not within that of
    /// the bucket before.
    pub fn latencies(&self) -> impl Iterator<Item = (u64, u64)> {
        let buckets = self.latencies.iter().enumerate().map(|(at, &count)| (end(at), count));
        buckets.filter(|&(_, count)| count > 0)
    }

    /// The latency in microseconds that so many of 100 answers did not exceed, rounded up by an eighth at most; `None` without an answer.
    #[must_use]
    pub fn within_us(&self, percent: u64) -> Option<u64> {
        let answered = self.answered();
        if answered == 0 {
            return None;
        }
        let rank = (answered - answered * 100_u64.saturating_sub(percent) / 100).max(1);
        let mut reached = 0;
        let holds_rank = |count: &u64| {
            reached += count;
            reached >= rank
        };
        Some(end(self.latencies.iter().position(holds_rank).unwrap_or(BUCKETS - 1)))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self { failed: 0, resets: 0, asset_misses: 0, mismatches: 0, latencies: Box::new([0; BUCKETS]) }
    }
}

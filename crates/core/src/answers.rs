//! How a version answers: counts to which workers add with one relaxed atomic per good answer, and what can be told from them.

mod histogram;
mod tally;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use self::histogram::{BUCKETS, LATENCY_MAX, bucket};
pub use self::tally::Tally;

/// Cells of one version, since this process knows it.
#[derive(Debug)]
pub struct Answers {
    failed: AtomicU64,
    resets: AtomicU64,
    asset_misses: AtomicU64,
    mismatches: AtomicU64,
    /// Answers by their latency: a histogram with buckets that grow with it.
    latencies: [AtomicU64; BUCKETS],
}

/// How an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong with it.
    Good,
    /// It had a status of 5xx, and the app gave it.
    Failed,
    /// It broke off, or none came and the client got one of ours instead.
    Reset,
}

/// What the cells of a version that answered say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answering {
    /// Answers.
    pub answered: u64,
    /// Those with a status of 5xx.
    pub failed: u64,
    /// Those that broke off or never came.
    pub resets: u64,
    /// Those that were no asset though one was asked for.
    pub asset_misses: u64,
    /// Those that named another version.
    pub mismatches: u64,
    /// The share of the answers, 0 to 1, that had a status of 5xx, broke off or never came.
    pub error_rate: f64,
    /// The latency in milliseconds that 99 of 100 answers did not exceed.
    pub p99_ms: f64,
}

impl Answers {
    /// Notes an answer, and how long its head took.
    pub fn note(&self, outcome: Outcome, latency: Duration) {
        let latency = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX);
        self.latencies[bucket(latency.min(LATENCY_MAX))].fetch_add(1, Relaxed);
        match outcome {
            Outcome::Good => {}
            Outcome::Failed => drop(self.failed.fetch_add(1, Relaxed)),
            Outcome::Reset => drop(self.resets.fetch_add(1, Relaxed)),
        }
    }

    /// Notes that an asset was asked for and the version's answer was none.
    pub fn note_asset_miss(&self) {
        self.asset_misses.fetch_add(1, Relaxed);
    }

    /// Notes that an answer named another version than this one.
    pub fn note_mismatch(&self) {
        self.mismatches.fetch_add(1, Relaxed);
    }

    /// All counts. Answers that are noted meanwhile may count or not.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let count = |cell: &AtomicU64| cell.load(Relaxed);
        // Failures first: each was counted among the answers before.
        let (failed, resets) = (count(&self.failed), count(&self.resets));
        Tally {
            failed,
            resets,
            asset_misses: count(&self.asset_misses),
            mismatches: count(&self.mismatches),
            latencies: Box::new(std::array::from_fn(|at| count(&self.latencies[at]))),
        }
    }

    /// What they say; `None` before the first answer.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of answers and microseconds are far below 2^52")]
    pub fn read(&self) -> Option<Answering> {
        let tally = self.tally();
        let (answered, p99_us) = (tally.answered(), tally.within_us(99)?);
        Some(Answering {
            answered,
            failed: tally.failed,
            resets: tally.resets,
            asset_misses: tally.asset_misses,
            mismatches: tally.mismatches,
            error_rate: tally.errors() as f64 / answered as f64,
            p99_ms: p99_us as f64 / 1000.0,
        })
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            failed: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            asset_misses: AtomicU64::new(0),
            mismatches: AtomicU64::new(0),
            latencies: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_before_the_first_answer() {
        let answers = Answers::default();
        assert_eq!(answers.read(), None);
        answers.note(Outcome::Failed, Duration::from_micros(3));
        let read = answers.read().unwrap();
        assert_eq!((read.answered, read.failed, read.error_rate, read.p99_ms), (1, 1, 1.0, 0.003));
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_beyond_the_99th_percentile_and_two_are_not() {
        let answers = Answers::default();
        for number in 0..99 {
            let outcome = [Outcome::Good, Outcome::Failed, Outcome::Reset][number % 9 % 3];
            answers.note(outcome, Duration::from_millis(10));
        }
        answers.note(Outcome::Good, Duration::from_secs(5));
        let read = answers.read().unwrap();
        assert_eq!((read.answered, read.failed, read.resets, read.error_rate), (100, 33, 33, 0.66));
        assert!((10.0..11.3).contains(&read.p99_ms), "{read:?}");
        answers.note(Outcome::Good, Duration::MAX);
        assert!(answers.read().unwrap().p99_ms >= 5000.0);
    }

    #[test]
    fn what_was_counted_between_two_looks_is_their_difference() {
        let answers = Answers::default();
        answers.note(Outcome::Failed, Duration::from_millis(1));
        let before = answers.tally();
        answers.note(Outcome::Good, Duration::from_millis(1));
        answers.note(Outcome::Reset, Duration::from_millis(50));
        answers.note_asset_miss();
        answers.note_mismatch();

        let since = answers.tally().since(&before);

        assert_eq!((since.answered(), since.failed, since.resets, since.errors()), (2, 0, 1, 1));
        assert_eq!((since.asset_misses, since.mismatches), (1, 1));
        assert_eq!((since.slower_than(10_000), since.slower_than(50_000)), (1, 0), "the bucket holds 50 ms");
        let mut sum = before.clone();
        sum.add(&since);
        assert_eq!(sum, answers.tally());
        assert_eq!(before.since(&answers.tally()), Tally::default(), "cells that began anew counted nothing");
    }
}

//! How a version answers: counts to which workers add with one relaxed atomic per answer, and what can be told from them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets of each power of two. A latency is told to an eighth, upwards.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.ilog2();
/// The longest latency in microseconds that is told from longer ones: over an hour.
const LATENCY_MAX: u64 = (1 << 32) - 1;
const BUCKETS: usize = bucket(LATENCY_MAX) + 1;

/// Cells of one version, since this process knows it.
#[derive(Debug)]
pub struct Answers {
    failed: AtomicU64,
    asset_misses: AtomicU64,
    /// Answers by their latency: a histogram with buckets that grow with it.
    latencies: [AtomicU64; BUCKETS],
}

/// What the cells of a version that answered say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answering {
    /// Answers.
    pub answered: u64,
    /// The share of them, 0 to 1, that had a status of 5xx.
    pub error_rate: f64,
    /// The latency in milliseconds that 99 of 100 answers did not exceed.
    pub p99_ms: f64,
}

impl Answers {
    /// Notes an answer, and how long its head took.
    pub fn note(&self, is_failure: bool, latency: Duration) {
        let latency = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX);
        self.latencies[bucket(latency.min(LATENCY_MAX))].fetch_add(1, Relaxed);
        if is_failure {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    /// Notes that the version does not have an asset that it was asked for.
    pub fn note_asset_miss(&self) {
        self.asset_misses.fetch_add(1, Relaxed);
    }

    /// Assets that it was asked for and does not have.
    #[must_use]
    pub fn asset_misses(&self) -> u64 {
        self.asset_misses.load(Relaxed)
    }

    /// What they say; `None` before the first answer. Answers that are noted meanwhile may count or not.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of answers and microseconds are far below 2^52")]
    pub fn read(&self) -> Option<Answering> {
        // Failures first: each was counted among the answers before.
        let failed = self.failed.load(Relaxed);
        let counts: [u64; BUCKETS] = std::array::from_fn(|at| self.latencies[at].load(Relaxed));
        let answered: u64 = counts.iter().sum();
        if answered == 0 {
            return None;
        }
        let rank = (answered - answered / 100).max(1);
        let mut reached = 0;
        let holds_rank = |count: &u64| {
            reached += count;
            reached >= rank
        };
        let at = counts.iter().position(holds_rank).unwrap_or(BUCKETS - 1);
        Some(Answering {
            answered,
            error_rate: (failed as f64 / answered as f64).min(1.0),
            p99_ms: end(at) as f64 / 1000.0,
        })
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            failed: AtomicU64::new(0),
            asset_misses: AtomicU64::new(0),
            latencies: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// The bucket of a latency: the first ones are a microsecond wide, then each power of two has as many steps.
#[expect(clippy::cast_possible_truncation, reason = "there are a few hundred buckets")]
const fn bucket(latency: u64) -> usize {
    if latency < STEPS {
        return latency as usize;
    }
    let shift = latency.ilog2() - STEP_BITS;
    (shift as u64 * STEPS + (latency >> shift)) as usize
}

/// The longest latency in microseconds of a bucket.
const fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((STEPS + bucket % STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_has_a_bucket_that_tells_it_to_an_eighth() {
        let latencies =
            (0..40_000).chain((0..32).flat_map(|bits| [(1 << bits) - 1, 1 << bits])).chain([LATENCY_MAX]);
        for latency in latencies {
            let told = end(bucket(latency));
            assert!(bucket(latency) < BUCKETS && told >= latency, "{latency} is told as {told}");
            assert!(told - latency <= latency / STEPS, "{latency} is told as {told}");
            assert!(bucket(told + 1) == bucket(latency) + 1, "{told} ends its bucket");
        }
    }

    #[test]
    fn nothing_is_told_before_the_first_answer() {
        let answers = Answers::default();
        assert_eq!(answers.read(), None);
        answers.note(true, Duration::from_micros(3));
        assert_eq!(answers.read(), Some(Answering { answered: 1, error_rate: 1.0, p99_ms: 0.003 }));
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_beyond_the_99th_percentile_and_two_are_not() {
        let answers = Answers::default();
        for number in 0..99 {
            answers.note(number % 9 == 0, Duration::from_millis(10));
        }
        answers.note(false, Duration::from_secs(5));
        let read = answers.read().unwrap();
        assert_eq!((read.answered, read.error_rate), (100, 0.11));
        assert!((10.0..11.3).contains(&read.p99_ms), "{read:?}");
        answers.note(false, Duration::MAX);
        assert!(answers.read().unwrap().p99_ms >= 5000.0);
    }
}

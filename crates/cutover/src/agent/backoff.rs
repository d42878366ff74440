//! How long to wait before what failed is tried again: longer after each failure, and never at the same time as everybody else.

use std::time::Duration;

/// The longest pause after the first failure.
const FIRST: Duration = Duration::from_millis(500);

/// Pauses that grow.
#[derive(Debug)]
pub(super) struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Backoff {
    /// Pauses of at most `longest`.
    pub(super) const fn up_to(longest: Duration) -> Self {
        Self { failures: 0, longest }
    }

    /// The pause after another failure: at least half of what it may be, and the rest by chance.
    pub(super) fn pause(&mut self, entropy: u64) -> Duration {
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        let half = ceiling / 2;
        let half_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(entropy % half_ns.saturating_add(1))
    }

    /// It worked: the next failure is the first.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Bits that spread pauses. Where the system has none, they are not spread.
pub(super) fn entropy() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::up_to(LONGEST);
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.pause(0)).collect();

        assert_eq!(pauses[..4], [250, 500, 1000, 2000].map(Duration::from_millis));
        assert!(pauses[4..].iter().all(|&pause| pause == LONGEST / 2), "{pauses:?}");
        backoff.reset();
        assert_eq!(backoff.pause(0), FIRST / 2);
    }

    #[test]
    fn pauses_are_spread_over_the_second_half() {
        for seed in [1, 12_345, u64::MAX / 3, u64::MAX] {
            let pause = Backoff::up_to(LONGEST).pause(seed);
            assert!((FIRST / 2..=FIRST).contains(&pause), "{seed}: {pause:?}");
        }
    }
}

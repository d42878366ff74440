//! The hard guard: a version of which at least half fails at once is not watched for longer.

use super::bound::RATE_FACTOR;

/// Errors are counted over so many seconds.
const SECONDS: usize = 3;
/// Requests of these seconds without which nothing is said.
const REQUESTS_MIN: u64 = 20;

/// The last seconds of a version.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guard {
    /// Requests and errors; the latest second is the last one.
    seconds: [(u64, u64); SECONDS],
}

impl Guard {
    /// Takes a second in.
    pub(super) const fn observe(&mut self, requests: u64, errors: u64) {
        self.seconds.rotate_left(1);
        self.seconds[SECONDS - 1] = (requests, errors);
    }

    /// The requests of the last seconds and their errors, when at least half of them were errors, and half as many again as the old version
    /// had.
    #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
    pub(super) fn trips(&self, baseline_error_rate: Option<f64>) -> Option<(u64, u64)> {
        let requests: u64 = self.seconds.iter().map(|(requests, _)| requests).sum();
        let errors: u64 = self.seconds.iter().map(|(_, errors)| errors).sum();
        let is_worse = errors as f64 > RATE_FACTOR * baseline_error_rate.unwrap_or(0.0) * requests as f64;
        (requests >= REQUESTS_MIN && errors >= requests.div_ceil(2) && is_worse).then_some((requests, errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips(seconds: &[(u64, u64)], baseline_error_rate: Option<f64>) -> bool {
        let mut guard = Guard::default();
        seconds.iter().any(|&(requests, errors)| {
            guard.observe(requests, errors);
            guard.trips(baseline_error_rate).is_some()
        })
    }

    #[test]
    fn half_of_twenty_requests_within_three_seconds_are_too_many() {
        assert!(trips(&[(20, 10)], None));
        assert!(trips(&[(7, 3), (7, 4), (6, 3)], Some(0.01)));
        assert!(!trips(&[(19, 19)], None), "too few");
        assert!(!trips(&[(1000, 499)], None), "less than half");
        assert!(!trips(&[(10, 10), (0, 0), (0, 0), (10, 10)], None), "four seconds");
        assert!(!trips(&[(100, 89)], Some(0.6)), "the old version was as bad");
    }
}

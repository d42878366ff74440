//! How the old version answered: what the new one is compared with.

use crate::answers::Tally;

/// Answers of the old version without which nobody knows what its slowest twentieth is.
pub(super) const LATENCY_MIN: u64 = 200;

/// How the old version answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Its answers.
    pub requests: u64,
    /// Those of them that were errors: statuses of 5xx, and answers that broke off or never came.
    pub errors: u64,
    /// The latency in microseconds that 95 of 100 answers did not exceed; `None` without an answer.
    pub p95_us: Option<u64>,
    /// The latency in microseconds that 99 of 100 answers did not exceed; `None` without an answer.
    pub p99_us: Option<u64>,
}

impl From<&Tally> for Baseline {
    fn from(tally: &Tally) -> Self {
        Self {
            requests: tally.answered(),
            errors: tally.errors(),
            p95_us: tally.within_us(95),
            p99_us: tally.within_us(99),
        }
    }
}

impl Baseline {
    /// How the old version answered at worst: `before` the new one got any request, or `meanwhile`. So a trouble that both versions have is
    /// not blamed on the new one, nor is it that the old one was lucky in the few answers that it gave since.
    #[must_use]
    pub fn at_worst(before: Self, meanwhile: Self) -> Self {
        let errs = if meanwhile.error_rate() > before.error_rate() { meanwhile } else { before };
        let is_slower = meanwhile.requests >= LATENCY_MIN && meanwhile.p95_us > before.p95_us;
        let slow = if is_slower { meanwhile } else { before };
        Self { requests: errs.requests, errors: errs.errors, p95_us: slow.p95_us, p99_us: slow.p99_us }
    }

    /// The share of answers that were errors; `None` without an answer.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| (self.errors as f64 / self.requests as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(requests: u64, errors: u64, p95_us: u64) -> Baseline {
        Baseline { requests, errors, p95_us: Some(p95_us), p99_us: Some(2 * p95_us) }
    }

    #[test]
    fn at_worst_is_the_worse_of_the_two_in_each_respect() {
        let calm = answered(60_000, 60, 10_000);
        assert_eq!(Baseline::at_worst(calm, Baseline::default()), calm, "nothing is known of it since");
        assert_eq!(Baseline::at_worst(Baseline::default(), calm), calm, "nothing was known of it before");
        assert_eq!(Baseline::at_worst(calm, answered(1000, 0, 9_000)), calm, "it has been lucky since");
        let failing = Baseline::at_worst(calm, answered(1000, 300, 9_000));
        assert_eq!((failing.error_rate(), failing.p95_us), (Some(0.3), Some(10_000)));
        let slow = Baseline::at_worst(calm, answered(1000, 0, 90_000));
        assert_eq!((slow.error_rate(), slow.p99_us), (Some(0.001), Some(180_000)));
        assert_eq!(
            Baseline::at_worst(calm, answered(100, 0, 90_000)),
            calm,
            "too few to tell how slow it is"
        );
    }
}

//! How the old version answered: what the new one is compared with.

use crate::answers::Tally;

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
    /// The share of answers that were errors; `None` without an answer.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
    pub fn error_rate(&self) -> Option<f64> {
        (self.requests > 0).then(|| (self.errors as f64 / self.requests as f64).min(1.0))
    }
}

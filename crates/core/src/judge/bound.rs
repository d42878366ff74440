//! How much worse than the old version a new one may be.

use super::Baseline;

/// The share of errors that no version is judged bad for, however good the old one was: below it are clients that give up, and chance.
const RATE_FLOOR: f64 = 0.01;
/// How many times as many errors as the old version a new one may have.
pub(super) const RATE_FACTOR: f64 = 1.5;
/// Of a normal distribution, 95 % are below so many standard deviations.
const NORMAL_95: f64 = 1.645;

/// The share of errors that is allowed; `None` when so little is known of the old version that it may be as bad as anything.
pub(super) fn allowed_errors(baseline: &Baseline) -> Option<f64> {
    let allowed = (RATE_FACTOR * upper(baseline)).max(RATE_FLOOR);
    (allowed < 1.0).then_some(allowed)
}

/// The share of errors that the old version had at most, with a confidence of 95 % (E. B. Wilson's score interval, 1927).
#[expect(clippy::cast_precision_loss, reason = "counts of answers are far below 2^52")]
fn upper(baseline: &Baseline) -> f64 {
    let Some(rate) = baseline.error_rate() else { return 1.0 };
    let n = baseline.requests as f64;
    let z2 = NORMAL_95 * NORMAL_95;
    let spread = NORMAL_95 * (rate * (1.0 - rate) / n + z2 / (4.0 * n * n)).sqrt();
    (rate + z2 / (2.0 * n) + spread) / (1.0 + z2 / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_is_known_of_the_old_version_the_more_is_allowed() {
        let allowed = |errors, requests| {
            allowed_errors(&Baseline { requests, errors, ..Baseline::default() })
                .map(|allowed| (allowed * 10_000.0).round() / 100.0)
        };
        let told = [(0, 0), (0, 10), (0, 100), (0, 1000), (0, 100_000), (1000, 100_000), (10, 20)];
        let expected = [None, Some(31.95), Some(3.95), Some(1.0), Some(1.0), Some(1.58), None];
        assert_eq!(told.map(|(errors, requests)| allowed(errors, requests)), expected);
    }
}

//! When a certificate is renewed, and when what failed is tried again. Nothing here reads a clock.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use cutover_tls::lifetime::Lifetime;

/// Orders in an hour, whatever becomes of them. Authorities allow five that fail for a name (Let's Encrypt, "Authorization failures"),
/// and people may need one of them to find out what is wrong.
const ORDERS_PER_HOUR: usize = 4;
const HOUR: Duration = Duration::from_secs(3600);
/// The longest pause after the first failure. It doubles with each one in a row.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
/// The longest pause of all.
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);

/// When a certificate is to be renewed: when two thirds of its life are over, and up to a twentieth of it later, by chance, so that many
/// that were ordered together are not renewed together.
pub(super) fn renewal(lifetime: &Lifetime, entropy: u64) -> SystemTime {
    let life = lifetime.duration();
    lifetime.begins + life * 2 / 3 + spread(life / 20, entropy)
}

/// What was ordered lately, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// When orders of the last hour were placed.
    orders: VecDeque<SystemTime>,
    failures: u32,
}

impl Attempts {
    /// After orders that were placed before, by whichever process.
    pub(super) fn after(orders: Vec<SystemTime>) -> Self {
        Self { orders: orders.into(), failures: 0 }
    }

    /// When orders of the last hour were placed.
    pub(super) fn orders(&self) -> impl Iterator<Item = &SystemTime> {
        self.orders.iter()
    }

    /// How long it is until another order may be placed.
    pub(super) fn until_free(&mut self, now: SystemTime) -> Duration {
        // One that is dated ahead was placed before the clock was set back, and counts.
        self.orders.retain(|&at| now.duration_since(at).map_or(true, |ago| ago < HOUR));
        match self.orders.front() {
            Some(&first) if self.orders.len() >= ORDERS_PER_HOUR => {
                HOUR.saturating_sub(now.duration_since(first).unwrap_or_default())
            }
            Some(_) | None => Duration::ZERO,
        }
    }

    /// An order is placed.
    pub(super) fn order(&mut self, now: SystemTime) {
        self.orders.push_back(now);
    }

    /// A try failed. Answers the pause before the next: at least half of what it may be, the rest by chance, and as long as the orders of
    /// the last hour ask for.
    pub(super) fn fail(&mut self, now: SystemTime, entropy: u64) -> Duration {
        let ceiling = PAUSE_FIRST.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = ceiling / 2 + spread(ceiling / 2, entropy);
        pause.max(self.until_free(now))
    }

    /// A try worked: the next failure is the first.
    pub(super) fn succeed(&mut self) {
        self.failures = 0;
    }
}

/// A time in `0..=most`, by chance.
fn spread(most: Duration, entropy: u64) -> Duration {
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(entropy % nanos.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
        let lifetime = Lifetime { begins: at(0), ends: at(0) + 90 * DAY };
        assert_eq!(renewal(&lifetime, 0), at(0) + 60 * DAY);
        for entropy in [1, 12_345, u64::MAX / 3, u64::MAX] {
            let renewal = renewal(&lifetime, entropy);
            assert!(renewal >= at(0) + 60 * DAY && renewal <= at(0) + 65 * DAY, "{entropy}");
        }
    }

    #[test]
    fn one_whose_life_is_over_or_makes_no_sense_is_renewed_at_once() {
        let lifetime = Lifetime { begins: at(100), ends: at(0) };
        assert_eq!(renewal(&lifetime, u64::MAX), at(100));
    }

    #[test]
    fn pauses_double_and_have_an_end() {
        let mut attempts = Attempts::default();
        let pauses: Vec<u64> = (0..20).map(|_| attempts.fail(at(0), 0).as_secs()).collect();
        assert_eq!(pauses[..5], [5, 10, 20, 40, 80]);
        assert_eq!(pauses[19], PAUSE_MAX.as_secs() / 2);
        attempts.succeed();
        assert_eq!(attempts.fail(at(0), 0), PAUSE_FIRST / 2);
    }

    #[test]
    fn pauses_are_spread_over_the_second_half() {
        for entropy in [0, 1, u64::MAX / 3, u64::MAX] {
            let pause = Attempts::default().fail(at(0), entropy);
            assert!((PAUSE_FIRST / 2..=PAUSE_FIRST).contains(&pause));
        }
    }

    #[test]
    fn no_more_is_ordered_in_an_hour_than_authorities_bear() {
        let mut attempts = Attempts::default();
        for minute in 0..4 {
            assert_eq!(attempts.until_free(at(minute * 60)), Duration::ZERO);
            attempts.order(at(minute * 60));
        }
        assert_eq!(attempts.until_free(at(3599)), Duration::from_secs(1));
        assert_eq!(attempts.fail(at(240), 0), Duration::from_secs(3600 - 240));
        assert_eq!(attempts.until_free(at(3600)), Duration::ZERO, "the first is an hour ago");
        let mut ahead = Attempts { orders: [at(9000); 4].into(), failures: 0 };
        assert_eq!(ahead.until_free(at(0)), HOUR, "the clock was set back");
    }
}

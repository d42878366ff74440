//! Rise and fall: how many probes in a row it takes to believe that a backend came up or went down.

use crate::policy::HealthPolicy;

/// What is known about a backend from its probes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    verdict: Option<bool>,
    in_a_row: u32,
    last: bool,
    believes_first: bool,
}

impl Health {
    /// A backend that just appeared: `rise` and `fall` are counted from zero.
    #[must_use]
    pub const fn starting() -> Self {
        Self { verdict: None, in_a_row: 0, last: false, believes_first: false }
    }

    /// A backend that was there before the proxy restarted, or whose process may have been replaced: the first answer decides.
    #[must_use]
    pub const fn returning() -> Self {
        Self { believes_first: true, ..Self::starting() }
    }

    /// Counts a probe and answers whether the backend is believed up (`true`), down (`false`), or neither yet.
    pub fn count(&mut self, is_success: bool, policy: &HealthPolicy) -> Option<bool> {
        self.in_a_row = if self.last == is_success { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = is_success;
        let needed = match is_success {
            true if self.believes_first => 1,
            true => policy.rise.max(1),
            false => policy.fall.max(1),
        };
        if self.in_a_row >= needed {
            self.verdict = Some(is_success);
            self.believes_first = false;
        }
        self.verdict
    }

    /// Believes that the backend is down, whatever was counted so far. It has to rise again in full.
    pub fn fall(&mut self) {
        *self = Self { verdict: Some(false), ..Self::starting() };
    }

    /// What is believed: up (`true`), down (`false`), or neither yet.
    #[must_use]
    pub const fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// Whether the first good answer decides, and did not come yet.
    #[must_use]
    pub const fn is_awaited(&self) -> bool {
        self.believes_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(mut health: Health, probes: &[bool]) -> Vec<Option<bool>> {
        let policy = HealthPolicy { rise: 2, fall: 3, ..HealthPolicy::default() };
        probes.iter().map(|&is_success| health.count(is_success, &policy)).collect()
    }

    #[test]
    fn it_takes_rise_successes_to_come_up_and_fall_failures_to_go_down() {
        let probes = [true, true, false, false, true, false, false, false];
        let up = Some(true);
        assert_eq!(verdicts(Health::starting(), &probes), [None, up, up, up, up, up, up, Some(false)]);
    }

    #[test]
    fn a_returning_backend_is_believed_at_its_first_good_answer() {
        assert_eq!(verdicts(Health::returning(), &[true]), [Some(true)]);
        assert_eq!(verdicts(Health::returning(), &[false, true]), [None, Some(true)]);
        assert_eq!(verdicts(Health::returning(), &[false, false, false]), [None, None, Some(false)]);
    }

    #[test]
    fn a_backend_that_was_seen_to_go_rises_in_full() {
        let mut health = Health::returning();
        assert!(health.is_awaited());
        health.fall();
        assert!(!health.is_awaited());
        assert_eq!(health.verdict(), Some(false));
        assert_eq!(verdicts(health, &[true, true]), [Some(false), Some(true)]);
    }
}

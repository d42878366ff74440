//! How long a backend keeps connections that idle: by what it says, or by what it does again and again.
//!
//! A connection that ends while it idles is a sign that the process behind it may be gone, unless the backend gives up idle
//! connections by itself at that age. Taking its habit for a sign costs a probe; taking a sign for its habit costs the notice of a
//! restart. So a habit is believed when it was told (`Keep-Alive: timeout=5`), or when the same was seen twice, while the version
//! stayed the same: connections that ended alone, at about the same age, after a second at least.

use std::cell::Cell;
use std::time::Duration;

use crate::message::list;

/// Nobody gives up connections that have idled for less, but many connections of a busy backend have idled for less when it dies.
const LEARNED_MIN: Duration = Duration::from_secs(1);
/// How far ages may be apart that count as the same: timers of app servers are coarse.
const TOLERANCE: Duration = Duration::from_millis(500);
/// How long before the limit a connection is not used any more: a request on its way takes time.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// What is known about one backend's limit.
#[derive(Debug, Default)]
pub(crate) struct IdleLimit {
    limit: Cell<Option<Duration>>,
    /// How old the connection was that ended last without being expected to.
    ended_at: Cell<Option<Duration>>,
}

impl IdleLimit {
    /// The age up to which an idle connection is used, `ours` being the configured limit.
    pub(crate) fn usable(&self, ours: Duration) -> Duration {
        self.limit.get().map_or(ours, |limit| ours.min(limit - margin(limit)))
    }

    /// What the backend says in a `Keep-Alive` field.
    pub(crate) fn hear(&self, value: &[u8]) {
        let timeout = list::split(value, b',').find_map(|parameter| {
            let (name, seconds) = list::pair(parameter, b'=');
            let seconds = std::str::from_utf8(seconds?).ok()?.parse::<u32>().ok()?;
            name.eq_ignore_ascii_case(b"timeout").then(|| Duration::from_secs(seconds.into()))
        });
        if let Some(timeout) = timeout {
            self.limit.set(Some(timeout));
        }
    }

    /// Whether connections that ended at these ages, youngest and oldest of those that ended together, ended because a limit was
    /// near. What is no habit so far is remembered.
    pub(crate) fn explains(&self, (youngest, oldest): (Duration, Duration), ours: Duration) -> bool {
        let limit = self.limit.get().map_or(ours, |limit| limit.min(ours));
        if youngest + margin(limit) >= limit {
            return true;
        }
        // A limit ends connections one by one, each at its age; a process ends all of them, whatever their ages.
        let is_candidate = youngest >= LEARNED_MIN && oldest - youngest <= TOLERANCE;
        let before = self.ended_at.replace(is_candidate.then_some(youngest));
        let habit = before.filter(|before| is_candidate && before.abs_diff(youngest) <= TOLERANCE);
        self.limit.set(habit.map(|before| before.min(youngest)).or(self.limit.get()));
        habit.is_some()
    }

    /// Others ended right after those that were remembered: at other ages, it was no limit that ended them.
    pub(crate) fn ended_too(&self, (youngest, oldest): (Duration, Duration)) {
        let is_alike =
            |age: Duration| youngest.abs_diff(age) <= TOLERANCE && oldest.abs_diff(age) <= TOLERANCE;
        self.ended_at.set(self.ended_at.get().filter(|&age| is_alike(age)));
    }

    /// Another version may have other habits.
    pub(crate) fn forget(&self) {
        self.limit.take();
        self.ended_at.take();
    }
}

fn margin(limit: Duration) -> Duration {
    MARGIN_MAX.min(limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Duration = Duration::from_secs(60);

    fn alone(age_ms: u64) -> (Duration, Duration) {
        (Duration::from_millis(age_ms), Duration::from_millis(age_ms))
    }

    #[test]
    fn a_limit_that_was_told_is_not_used_up() {
        let limit = IdleLimit::default();
        assert_eq!(limit.usable(OURS), OURS);
        limit.hear(b"max=100, Timeout=5");
        assert_eq!(limit.usable(OURS), Duration::from_secs(4));
        assert!(limit.explains(alone(4_200), OURS) && !limit.explains(alone(3_000), OURS));
        limit.hear(b"timeout=soon");
        limit.hear(b"timeout");
        assert_eq!(limit.usable(OURS), Duration::from_secs(4), "what says nothing changes nothing");
        limit.hear(b"timeout=0");
        assert_eq!(limit.usable(OURS), Duration::ZERO);
    }

    #[test]
    fn our_own_limit_explains_an_end_too() {
        let limit = IdleLimit::default();
        assert!(limit.explains(alone(59_500), OURS) && !limit.explains(alone(50_000), OURS));
    }

    #[test]
    fn what_happens_twice_at_the_same_age_is_a_habit() {
        let limit = IdleLimit::default();
        assert!(!limit.explains(alone(5_010), OURS));
        assert!(limit.explains(alone(5_300), OURS));
        assert!(limit.explains(alone(5_100), OURS) && !limit.explains(alone(3_000), OURS));
        assert!(limit.usable(OURS) < Duration::from_millis(5_010));
        limit.forget();
        assert!(!limit.explains(alone(5_000), OURS), "another version may have another limit");
    }

    #[test]
    fn what_dies_is_no_habit() {
        let limit = IdleLimit::default();
        for _ in 0..3 {
            assert!(!limit.explains(alone(20), OURS), "so young ones are not given up");
            let all = (Duration::from_secs(2), Duration::from_secs(9));
            assert!(!limit.explains(all, OURS), "all at once, whatever their ages");
        }
        assert!(!limit.explains(alone(2_000), OURS));
        assert!(!limit.explains(alone(9_000), OURS), "at two ages that have nothing to do with each other");
    }

    #[test]
    fn what_ends_with_others_of_other_ages_is_no_habit() {
        let limit = IdleLimit::default();
        assert!(!limit.explains(alone(2_000), OURS));
        limit.ended_too(alone(2_200));
        limit.ended_too(alone(7_000));
        assert!(!limit.explains(alone(2_000), OURS), "all at once, though they were seen one by one");
        limit.ended_too(alone(2_200));
        assert!(limit.explains(alone(2_000), OURS), "they may have begun to idle together");
    }
}

//! The time, as one worker sees it: wall-clock milliseconds that never run backwards.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use cutover_core::time::{Millis, Timestamp};
use tokio::time::Instant;

/// A wall clock that follows the steady one, and looks at the system's now and then.
///
/// Pins carry wall-clock times that other nodes check, so a corrected system clock must be followed; but nothing decided by
/// an earlier moment may be decided again, so it stands still while the system's clock is behind.
#[derive(Debug)]
pub(crate) struct Clock {
    /// A moment by both clocks.
    steady: Cell<Instant>,
    wall: Cell<Timestamp>,
    latest: Cell<Timestamp>,
    /// What was asked last, by the steady clock: a request asks several times for the moment at which it began.
    asked: Cell<Instant>,
}

impl Default for Clock {
    fn default() -> Self {
        let (steady, wall) = (Instant::now(), system());
        Self {
            steady: Cell::new(steady),
            wall: Cell::new(wall),
            latest: Cell::new(wall),
            asked: Cell::new(steady),
        }
    }
}

impl Clock {
    /// The wall-clock time at `moment`, which was read from the steady clock.
    pub(crate) fn at(&self, moment: Instant) -> Timestamp {
        if moment <= self.asked.get() {
            return self.latest.get();
        }
        self.asked.set(moment);
        let since = moment.saturating_duration_since(self.steady.get());
        let since_ms = since.as_secs().saturating_mul(1000).saturating_add(since.subsec_millis().into());
        let wall = self.wall.get().0.saturating_add(since_ms);
        self.advance(Timestamp(wall))
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// Looks at the system's clock again. To be called every second or so.
    pub(crate) fn follow(&self) {
        let (steady, wall) = (Instant::now(), system());
        if self.latest.get().0.saturating_sub(wall.0) > LEAP.0 {
            // It was far ahead, and by mistake, for the system says so now: standing still for so long helps nobody.
            self.latest.set(wall);
        }
        self.steady.set(steady);
        self.wall.set(wall);
    }

    fn advance(&self, to: Timestamp) -> Timestamp {
        let now = self.latest.get().max(to);
        self.latest.set(now);
        now
    }
}

/// A system clock that goes back by more than this was wrong before.
const LEAP: Millis = Millis::from_secs(60);

fn system() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_runs_backwards() {
        let clock = Clock::default();
        let begin = clock.latest.get().0;
        assert!(begin > 1_600_000_000_000, "milliseconds since 1970");
        let read = [5, 7, 3, 8].map(|ms| clock.advance(Timestamp(begin + ms)).0 - begin);
        assert_eq!(read, [5, 7, 7, 8]);
    }

    #[test]
    fn the_wall_follows_the_steady_clock_between_two_looks() {
        let clock = Clock::default();
        let later = clock.steady.get() + std::time::Duration::from_millis(1500);
        assert_eq!(clock.at(later).0 - clock.wall.get().0, 1500);
        clock.follow();
        assert!(clock.now() >= clock.at(later), "it stands still rather than going back");
    }

    #[test]
    fn a_clock_that_was_far_ahead_is_corrected() {
        let clock = Clock::default();
        let wrong = Timestamp(clock.wall.get().0 + 3_600_000);
        clock.advance(wrong);
        clock.follow();
        assert!(clock.now() < wrong);
    }
}

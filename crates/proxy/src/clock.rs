//! The time, as one worker sees it: wall-clock milliseconds that never run backwards.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use cutover_core::time::Timestamp;

/// A wall clock that stands still while the system's clock is behind what was already seen.
///
/// Pins carry wall-clock times that other nodes check, so a corrected system clock must be followed; but nothing decided by
/// an earlier moment may be decided again.
#[derive(Debug, Default)]
pub struct Clock {
    latest: Cell<Timestamp>,
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.advance(Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)))
    }

    fn advance(&self, to: Timestamp) -> Timestamp {
        let now = self.latest.get().max(to);
        self.latest.set(now);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_runs_backwards() {
        let clock = Clock::default();
        let read = [5, 7, 3, 8].map(|ms| clock.advance(Timestamp(ms)).0);
        assert_eq!(read, [5, 7, 7, 8]);
        assert!(clock.now().0 > 1_600_000_000_000, "milliseconds since 1970");
    }
}

//! The wall clock, as it was when the process began, driven by the monotonic one: it never runs backwards.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cutover_core::time::Timestamp;

/// Tells the time. Cheap to copy; all copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    began: Instant,
}

impl Clock {
    /// A clock that is set by the system's wall clock now.
    #[must_use]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        Self { wall, began: Instant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The time at `instant`; the clock's own beginning for everything before.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Timestamp {
        let passed = instant.saturating_duration_since(self.began).as_millis();
        Timestamp(self.wall.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }

    /// When the clock began.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.wall
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_goes_on_from_where_it_began_and_never_before() {
        let clock = Clock::start();
        let [before, after] =
            [clock.began - Duration::from_millis(5), clock.began + Duration::from_millis(5)];
        assert_eq!(clock.at(before), clock.wall);
        assert_eq!(clock.at(after).since(clock.wall).0, 5);
    }
}

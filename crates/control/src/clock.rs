//! The wall clock, as it was when the process began, driven by the monotonic one: it never runs backwards. And how far it is from the
//! system's, by which pins are dated and judged.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cutover_core::report::Skew;
use cutover_core::time::{Millis, Timestamp};
use rustix::time::{ClockId, clock_gettime};

use crate::pin_dates::{Moment, Uptime};

/// How late a worker may take over that the system's clock was set: a few times what it takes.
const FOLLOWED_AFTER: Millis = Millis::from_secs(5);

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
        Self { wall: wall(), began: Instant::now() }
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

/// Tells how far the clocks that date pins and judge them may be from the time.
#[derive(Debug, Default)]
pub struct SkewWatch {
    skew: Skew,
    /// When they were found to be so far behind.
    behind_at: Timestamp,
}

impl SkewWatch {
    /// How far they may be, now that the system's clock shows `wall`. Workers are behind it for a moment after it was set forward; what was
    /// dated ahead stays so.
    pub fn see(&mut self, now: Timestamp, wall: Timestamp) -> Skew {
        let behind = now.since(wall);
        if behind >= self.skew.behind || now.since(self.behind_at) > FOLLOWED_AFTER {
            (self.skew.behind, self.behind_at) = (behind, now);
        }
        self.skew.ahead = self.skew.ahead.max(wall.since(now));
        self.skew
    }
}

/// What the system's wall clock shows.
pub(crate) fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// What the system's clocks show.
pub(crate) fn moment() -> Moment {
    Moment { wall: wall(), uptime: uptime() }
}

fn uptime() -> Option<Uptime> {
    // Only the kernel of Linux names its boots.
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // The one clock that goes on while the machine is suspended, as the wall clock does.
    let up = clock_gettime(ClockId::Boottime);
    let ms = u64::try_from(up.tv_sec)
        .ok()?
        .checked_mul(1000)?
        .checked_add(u64::try_from(up.tv_nsec).ok()? / 1_000_000)?;
    Some(Uptime { boot_id: boot_id.trim().to_owned(), span: Millis(ms) })
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

    #[test]
    fn workers_may_be_behind_for_a_moment_longer_than_the_clock_is() {
        let (mut watch, noon) = (SkewWatch::default(), Timestamp::from_secs(1_700_000_000));
        let mut behind = |ms, wall: Timestamp| watch.see(noon + Millis(ms), wall).behind.0;
        assert_eq!(behind(0, noon), 0);
        assert_eq!(behind(100, noon - Millis(29_900)), 30_000);
        assert_eq!(behind(200, noon + Millis(200)), 30_000, "they have not seen it yet");
        assert_eq!(behind(5101, noon + Millis(5101)), 0);
    }

    #[test]
    fn what_was_dated_ahead_stays_ahead() {
        let (mut watch, noon) = (SkewWatch::default(), Timestamp::from_secs(1_700_000_000));
        watch.see(noon, noon + Millis(3000));
        assert_eq!(watch.see(noon + Millis(1), noon), Skew { behind: Millis(1), ahead: Millis(3000) });
    }

    #[test]
    fn the_machine_is_up_and_the_same_as_before() {
        let [first, second] = [uptime(), uptime()].map(|uptime| uptime.expect("Linux tells"));
        assert!(first.boot_id == second.boot_id && Millis(0) < first.span && first.span <= second.span);
    }
}

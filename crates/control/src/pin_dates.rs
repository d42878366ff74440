//! The latest date that pins may carry.
//!
//! A pin is dated by the wall clock, and whether it is alive is told by the wall clock. One that is set back leaves pins behind that are
//! dated ahead: they live longer than `idle` from now, and nobody has a table of them. So what the clock showed is kept beside the store,
//! with the machine's uptime, which nobody sets: a process that starts can tell what its predecessor may have dated pins with until its last
//! moment, however it ended.

mod file;
mod keeper;

use cutover_core::time::{Millis, Timestamp};

pub(crate) use file::DatesFile;
pub(crate) use keeper::Keeper;

/// Time between two records of what the clock shows.
const EVERY: Millis = Millis::from_secs(10);
/// What a process may live on after its last record, where uptime can't tell: a few times [`EVERY`], for disks that are slow.
const UNSEEN_MAX: Millis = Millis::from_secs(30);
/// By how much two clocks that nobody sets may differ when they are read one after the other.
const PRECISION: Millis = Millis(100);

/// What a machine's clocks show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// How long the machine has been up, where the system tells.
    pub uptime: Option<Uptime>,
}

/// How long a machine has been up, suspended or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// Which boot of which machine it counts from.
    pub boot_id: String,
    /// Time since then.
    pub span: Millis,
}

/// What is known of the dates of all pins until some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinDates {
    /// No pin was dated later until then.
    latest: Timestamp,
    seen: Moment,
}

impl PinDates {
    /// Until `seen`, no pin was dated later than `latest`, or than the wall clock shows.
    #[must_use]
    pub fn new(latest: Timestamp, seen: Moment) -> Self {
        Self { latest: latest.max(seen.wall), seen }
    }

    /// The latest date of a pin that was handed out before `now`, whether the clock is what it was or was set in between. When a clock was
    /// set forward and back again between two looks at it, nobody knows.
    #[must_use]
    pub fn latest_by(&self, now: &Moment) -> Timestamp {
        self.latest.max(self.seen.wall + self.passed(now).unwrap_or(UNSEEN_MAX))
    }

    /// The same, until `now`.
    #[must_use]
    pub fn until(&self, now: Moment) -> Self {
        Self::new(self.latest_by(&now), now)
    }

    /// Whether it is time to keep what is known by `now`.
    #[must_use]
    pub fn is_outdated(&self, now: &Moment) -> bool {
        self.passed(now).is_none_or(|passed| passed >= EVERY) || now.wall > self.latest_by(now) + PRECISION
    }

    /// Time from the moment until which it is known, if the machine was not started anew in between.
    fn passed(&self, now: &Moment) -> Option<Millis> {
        let (then, now) = (self.seen.uptime.as_ref()?, now.uptime.as_ref()?);
        let passed = now.span.0.checked_sub(then.span.0).map(Millis);
        passed.filter(|_| now.boot_id == then.boot_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn secs(secs: u64) -> Millis {
        Millis::from_secs(secs)
    }

    /// A moment of boot `boot_id`, `up` seconds after it.
    fn moment(wall: Timestamp, boot_id: &str, up: u64) -> Moment {
        Moment { wall, uptime: Some(Uptime { boot_id: boot_id.to_owned(), span: secs(up) }) }
    }

    fn dates() -> PinDates {
        PinDates::new(NOON, moment(NOON, "a", 1000))
    }

    #[test]
    fn no_pin_is_dated_ahead_while_nobody_sets_the_clock() {
        let now = moment(NOON + secs(7), "a", 1007);
        assert_eq!(dates().latest_by(&now), now.wall);
    }

    #[test]
    fn pins_are_dated_ahead_by_what_the_clock_lost() {
        let now = moment(NOON + secs(7) - secs(240), "a", 1007);
        assert_eq!(dates().latest_by(&now), now.wall + secs(240));
    }

    #[test]
    fn that_stays_so_when_it_is_kept_again() {
        let now = moment(NOON - secs(240), "a", 1001);
        let kept = dates().until(now);
        let later = moment(NOON - secs(230), "a", 1011);
        assert_eq!(kept.latest_by(&later), NOON + secs(1));
    }

    #[test]
    fn a_clock_that_is_set_forward_dates_pins_by_what_it_shows() {
        let now = moment(NOON + secs(3600), "a", 1001);
        let kept = dates().until(now.clone());
        assert_eq!(kept.latest_by(&moment(NOON, "a", 1001)), now.wall);
    }

    #[test]
    fn after_another_boot_only_the_wall_clock_tells() {
        for now in [moment(NOON - secs(50), "b", 1001), Moment { wall: NOON - secs(50), uptime: None }] {
            assert_eq!(dates().latest_by(&now), NOON + UNSEEN_MAX);
        }
    }

    #[test]
    fn an_uptime_that_runs_backwards_is_of_another_boot() {
        assert_eq!(dates().latest_by(&moment(NOON, "a", 999)), NOON + UNSEEN_MAX);
    }

    #[test]
    fn it_is_kept_now_and_then_and_when_the_clock_is_set_forward() {
        let is_outdated = |wall: Millis, up| dates().is_outdated(&moment(NOON + wall, "a", up));
        assert!(!is_outdated(secs(9), 1009));
        assert!(is_outdated(secs(10), 1010));
        assert!(is_outdated(secs(60), 1001));
        assert!(!is_outdated(Millis(1050), 1001), "two clocks are not read at once");
        assert!(dates().is_outdated(&moment(NOON - secs(1), "b", 1)));
    }

    #[test]
    fn no_number_is_too_large_for_it() {
        let end = PinDates::new(Timestamp(u64::MAX), moment(Timestamp(u64::MAX), "a", 0));
        let now = moment(Timestamp(u64::MAX), "a", u64::MAX / 1000);
        assert_eq!(end.latest_by(&now), Timestamp(u64::MAX));
        assert!(end.is_outdated(&now));
    }
}

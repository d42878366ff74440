//! Points in time and spans of time, in milliseconds. The core never reads a clock: every entry point takes `now`.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// Whole seconds of the span, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Whether the span is empty. In policies that switches the feature off.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Millis> for Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}

/// Writes the span as configuration does: the largest unit that divides it (`"90s"`, `"1h"`, `"250ms"`).
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// A point in time: milliseconds since the Unix epoch. Within one process it never runs backwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Time from `earlier` to this, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The next point that is a whole number of seconds after the Unix epoch; this one, if it is.
    #[must_use]
    pub const fn in_whole_secs(self) -> Self {
        Self::from_secs(self.0.div_ceil(1000))
    }

    /// The point `secs` whole seconds after the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

/// Writes the point in UTC, to the second (RFC 3339).
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.as_secs();
        let (year, month, day) = civil(secs / 86_400);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The day of the Gregorian calendar that is so many days after 1970-01-01.
const fn civil(days: u64) -> (u64, u64, u64) {
    /// Of four centuries, after which the calendar repeats itself.
    const DAYS_PER_ERA: u64 = 146_097;
    // Counted from 0000-03-01, so that the day that not every year has is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

impl Add<Millis> for Timestamp {
    type Output = Self;

    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;

    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_their_largest_whole_unit() {
        let written = [0, 250, 1000, 90_000, 60_000, 7_200_000].map(|ms| Millis(ms).to_string());
        assert_eq!(written, ["0s", "250ms", "1s", "90s", "1m", "2h"]);
    }

    #[test]
    fn a_point_is_written_in_utc() {
        let written = [0, 951_782_399, 951_782_400, 1_709_164_800, 1_798_761_599, 4_102_444_800]
            .map(|secs| Timestamp::from_secs(secs).to_string());
        assert_eq!(
            written,
            [
                "1970-01-01T00:00:00Z",
                "2000-02-28T23:59:59Z",
                "2000-02-29T00:00:00Z",
                "2024-02-29T00:00:00Z",
                "2026-12-31T23:59:59Z",
                "2100-01-01T00:00:00Z",
            ]
        );
    }
}

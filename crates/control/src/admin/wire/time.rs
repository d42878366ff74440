//! Points in time on the wire: RFC 3339 in UTC.

use cutover_core::time::Timestamp;

/// Writes a point in time, such as `2026-11-22T10:00:00.25Z`. What lies beyond the year 9999 is written as its end.
#[must_use]
pub fn write(at: Timestamp) -> String {
    let time = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Why a string is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time; write one such as \"2026-11-22T10:00:00Z\" (RFC 3339)")]
pub struct TimeError(String);

/// Parses a point in time, in any offset.
///
/// # Errors
/// [`TimeError`], also for times before 1970.
pub fn parse(text: &str) -> Result<Timestamp, TimeError> {
    let time: Option<jiff::Timestamp> = text.parse().ok();
    let ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.map(Timestamp).ok_or_else(|| TimeError(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_and_read_in_any_offset() {
        assert_eq!(write(Timestamp(1_700_000_000_250)), "2023-11-14T22:13:20.25Z");
        assert_eq!(parse("2023-11-14T22:13:20.25Z"), Ok(Timestamp(1_700_000_000_250)));
        assert_eq!(parse("2023-11-14T23:13:20+01:00"), Ok(Timestamp(1_700_000_000_000)));
    }

    #[test]
    fn what_is_no_time_is_refused_and_the_end_of_time_is_written() {
        for text in ["", "soon", "2023-11-14", "2023-11-14T22:13:20", "1969-12-31T23:59:59Z"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(write(Timestamp(u64::MAX)).starts_with("9999-12-3"));
    }
}

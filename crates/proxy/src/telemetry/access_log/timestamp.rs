//! Timestamps as logs have them, in UTC.

use std::io::Write;

use cutover_core::time::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECS_PER_DAY: u64 = 86_400;
/// The last second of the year 9999, the last year that both formats can write.
const SECS_MAX: u64 = 253_402_300_799;

/// Appends `22/Nov/2026:23:07:08 +0000`.
pub(super) fn write_common(out: &mut Vec<u8>, at: Timestamp) {
    let (year, month, day, time) = civil(at.as_secs());
    let name = MONTHS[month - 1];
    // Writing to memory can't fail.
    let _ =
        write!(out, "{day:02}/{name}/{year}:{:02}:{:02}:{:02} +0000", time / 3600, time / 60 % 60, time % 60);
}

/// Appends `2026-11-22T23:07:08.123Z` (RFC 3339).
pub(super) fn write_rfc3339(out: &mut Vec<u8>, at: Timestamp) {
    let (year, month, day, time) = civil(at.as_secs());
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        time / 3600,
        time / 60 % 60,
        time % 60,
        at.0 % 1000
    );
}

/// Year, month (from 1), day and second of the day, in the proleptic Gregorian calendar. Years begin in March here, so that a leap
/// day is the last of its year (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(secs: u64) -> (u64, usize, u64, u64) {
    let secs = secs.min(SECS_MAX);
    let days = secs / SECS_PER_DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day, secs % SECS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(secs: u64, ms: u64) -> [String; 2] {
        [write_common, write_rfc3339].map(|write: fn(&mut Vec<u8>, Timestamp)| {
            let mut out = Vec::new();
            write(&mut out, Timestamp(secs * 1000 + ms));
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn timestamps_are_what_date_prints() {
        // From `date -u -d @N`.
        let cases = [
            (0, "01/Jan/1970:00:00:00 +0000", "1970-01-01T00:00:00.007Z"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000", "2000-02-28T23:59:59.007Z"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000", "2000-02-29T00:00:00.007Z"),
            (1_795_388_828, "22/Nov/2026:23:07:08 +0000", "2026-11-22T23:07:08.007Z"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000", "2100-03-01T00:00:00.007Z"),
            (SECS_MAX + 5, "31/Dec/9999:23:59:59 +0000", "9999-12-31T23:59:59.007Z"),
        ];
        for (secs, common, rfc3339) in cases {
            assert_eq!(written(secs, 7), [common, rfc3339]);
        }
    }
}

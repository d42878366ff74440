//! The `Date` field (RFC 9110 section 5.6.7), written once a second.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use cutover_core::time::Timestamp;
use httpdate::HttpDate;

/// Bytes of a date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) const LEN: usize = 29;

/// The latest date that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Date {
    secs: u64,
    text: [u8; LEN],
}

impl Date {
    /// The date at `now`.
    pub(crate) fn at(&mut self, now: Timestamp) -> [u8; LEN] {
        let secs = now.0 / 1000;
        if secs != self.secs || self.text[0] == 0 {
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(secs));
            let mut text = [0; LEN];
            // A year of more than four digits does not fit, and is a mistake.
            if write!(&mut text[..], "{date}").is_ok() {
                (self.secs, self.text) = (secs, text);
            }
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_in_greenwich_and_made_anew_every_second() {
        let mut date = Date::default();
        assert_eq!(&date.at(Timestamp(0)), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(&date.at(Timestamp::from_secs(784_111_777)), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date.at(Timestamp(784_111_777_999)), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(&date.at(Timestamp::from_secs(784_111_778)), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}

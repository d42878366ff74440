//! Durations and sizes as people write them: `"500ms"`, `"1h30m"`, `"32KiB"`.

use cutover_core::time::Millis;

/// Why a string is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error(
        "{0:?} is no duration; write a whole number with its unit (ms, s, m, h, d) such as \"500ms\", \"30s\" or \"1h30m\""
    )]
    Form(String),
    /// Longer than any wait that makes sense.
    #[error("{0:?} is too long; at most \"3650d\" is allowed")]
    TooLong(String),
}

/// Why a string is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number with a unit.
    #[error(
        "{0:?} is no size; write a whole number with its unit (B, KiB, MiB, GiB, TiB) such as \"64KiB\", or \"0\""
    )]
    Form(String),
    /// More bytes than can be counted.
    #[error("{0:?} is too large; at most \"1024TiB\" is allowed")]
    TooLarge(String),
}

/// Ten years. Sums of a few of them stay far from the end of the clock.
const DURATION_MAX_MS: u64 = 3650 * 24 * 3_600_000;
/// One pebibyte.
const SIZE_MAX: u64 = 1 << 50;

/// Parses a duration: whole numbers with units from large to small, or `"0"`.
///
/// # Errors
/// [`DurationError`].
pub fn duration(text: &str) -> Result<Millis, DurationError> {
    if text == "0" {
        return Ok(Millis::ZERO);
    }
    let form = || DurationError::Form(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (mut rest, mut total_ms, mut last_unit_ms) = (text, 0_u64, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(form)?;
        let unit_len = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(unit_len);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 24 * 3_600_000,
            _ => return Err(form()),
        };
        if unit_ms >= last_unit_ms {
            return Err(form());
        }
        let number: u64 = number.parse().map_err(|_| too_long())?;
        total_ms =
            number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(too_long)?;
        (rest, last_unit_ms) = (after, unit_ms);
    }
    match total_ms {
        _ if last_unit_ms == u64::MAX => Err(form()),
        ms if ms > DURATION_MAX_MS => Err(too_long()),
        ms => Ok(Millis(ms)),
    }
}

/// Parses a size: a whole number of bytes with a binary unit, `"0"`, or a plain number of bytes.
///
/// # Errors
/// [`SizeError`].
pub fn size(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form(text.to_owned());
    let (number, unit) = split_number(text).ok_or_else(form)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(form()),
    };
    let too_large = || SizeError::TooLarge(text.to_owned());
    let number: u64 = number.parse().map_err(|_| too_large())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes <= SIZE_MAX).ok_or_else(too_large)
}

/// Writes a size with the largest unit that divides it.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        b if b % (1 << 40) == 0 => format!("{}TiB", b >> 40),
        b if b % (1 << 30) == 0 => format!("{}GiB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{}MiB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| text.split_at(digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        let read = ["0", "0s", "250ms", "30s", "5m", "1h", "2d", "1h30m", "1m5s250ms"]
            .map(|text| duration(text).unwrap().0);
        assert_eq!(read, [0, 0, 250, 30_000, 300_000, 3_600_000, 172_800_000, 5_400_000, 65_250]);
    }

    #[test]
    fn wrong_durations_are_refused_with_their_cause() {
        for text in ["", "5", "s", "-1s", "1.5s", "1 s", "5min", "30m1h", "1s1s", "1s ", "é", "1sé"] {
            assert_eq!(duration(text), Err(DurationError::Form(text.to_owned())), "{text:?}");
        }
        for text in ["3651d", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(duration(text), Err(DurationError::TooLong(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let read = ["0", "17", "17B", "8KiB", "64MiB", "2GiB", "1TiB"].map(|text| size(text).unwrap());
        assert_eq!(read, [0, 17, 17, 8192, 64 << 20, 2 << 30, 1 << 40]);
    }

    #[test]
    fn wrong_sizes_are_refused_with_their_cause() {
        for text in ["", "KiB", "8KB", "8 KiB", "-1", "1.5MiB", "8kib"] {
            assert_eq!(size(text), Err(SizeError::Form(text.to_owned())), "{text:?}");
        }
        for text in ["1025TiB", "99999999999999999999", "16777216TiB"] {
            assert_eq!(size(text), Err(SizeError::TooLarge(text.to_owned())), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0..DURATION_MAX_MS, bytes in 0..SIZE_MAX) {
            prop_assert_eq!(duration(&Millis(ms).to_string()), Ok(Millis(ms)));
            prop_assert_eq!(size(&write_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = (duration(&text), size(&text));
        }
    }
}

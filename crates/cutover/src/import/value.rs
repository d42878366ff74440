//! Values as Apache, nginx and HAProxy write them, in the words of cutover.

use cutover_control::document::scalar::write_size;
use cutover_core::time::Millis;

/// What a number without a unit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Apache, nginx.
    Seconds,
    /// HAProxy.
    Milliseconds,
}

/// A duration such as `30`, `5s`, `1m30s` or `500ms`, as cutover writes it.
pub(super) fn duration(text: &str, unit: Unit) -> Option<String> {
    let (mut rest, mut total_us) = (text.trim(), 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (name, after) = after.split_at(letters);
        let number: u64 = number.parse().ok()?;
        total_us = number.checked_mul(unit_us(name, unit)?)?.checked_add(total_us)?;
        rest = after.trim_start();
    }
    // Less than a millisecond is as little as can be said, and not nothing.
    let ms = if total_us == 0 { 0 } else { (total_us / 1000).max(1) };
    Some(Millis(ms).to_string())
}

fn unit_us(name: &str, unit: Unit) -> Option<u64> {
    const SECOND: u64 = 1_000_000;
    Some(match name {
        "" => match unit {
            Unit::Seconds => SECOND,
            Unit::Milliseconds => 1000,
        },
        "us" => 1,
        "ms" => 1000,
        "s" => SECOND,
        "m" | "mi" | "min" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86_400 * SECOND,
        "w" => 7 * 86_400 * SECOND,
        "y" => 365 * 86_400 * SECOND,
        _ => return None,
    })
}

/// A size such as `1048576`, `8k`, `10m` or `1g`, as cutover writes it.
pub(super) fn size(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    Some(write_size(number.checked_mul(1 << shift)?))
}

/// Whether a switch is on.
pub(super) fn is_on(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "on" | "yes" | "true" | "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_our_words() {
        let read = |text| duration(text, Unit::Seconds);
        assert_eq!(read("90").as_deref(), Some("90s"));
        assert_eq!(read("1m30s").as_deref(), Some("90s"));
        assert_eq!(read("500ms").as_deref(), Some("500ms"));
        assert_eq!(read("1d 2h").as_deref(), Some("26h"));
        assert_eq!(duration("50", Unit::Milliseconds).as_deref(), Some("50ms"));
        assert_eq!(duration("10us", Unit::Milliseconds).as_deref(), Some("1ms"));
        assert!(
            ["", "x", "1x", "99999999999999999999", "18446744073709551615d", "-1"]
                .iter()
                .all(|text| read(text).is_none())
        );
    }

    #[test]
    fn sizes_are_written_in_our_words() {
        assert_eq!(size("10m").as_deref(), Some("10MiB"));
        assert_eq!(size("1048577").as_deref(), Some("1048577B"));
        assert_eq!(size("0").as_deref(), Some("0"));
        assert!(["", "m", "1t", "18446744073709551615g"].iter().all(|text| size(text).is_none()));
    }
}

//! Shares of the sessions: how they are written on the command line, and how people read them.

/// Reads a share of 0 to 1, written as `10%` or `0.1`.
///
/// # Errors
/// It is no share.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no share; write 10% or 0.1");
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => text.parse::<f64>().map_err(|_| wrong())?,
    };
    if !(0.0..=1.0).contains(&share) {
        return Err(format!("{text:?}: a share is at least 0 and at most 100 %"));
    }
    Ok(share)
}

/// A share as people read it: `10 %`.
#[must_use]
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let rounded = (percent * 100.0).round() / 100.0;
    format!("{rounded} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_in_percent_or_as_a_part_of_one() {
        let read = ["10%", "0.1", "10 %", "0", "100%", "1", "0.5%"].map(|text| share(text).unwrap());
        assert_eq!(read, [0.1, 0.1, 0.1, 0.0, 1.0, 1.0, 0.005]);
        for wrong in ["", "%", "10", "-1%", "101%", "1.01", "nan", "inf", "ten", "10%%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_told_in_percent() {
        assert_eq!([0.05, 0.5, 0.001, 1.0 / 3.0].map(percent), ["5 %", "50 %", "0.1 %", "33.33 %"]);
    }
}

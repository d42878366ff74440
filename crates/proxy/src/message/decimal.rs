//! Numbers as decimal digits, without an allocation.

/// A number's digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    bytes: [u8; LEN_MAX],
    start: usize,
}

impl Decimal {
    /// The digits of `number`.
    #[must_use]
    pub(crate) const fn of(number: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; LEN_MAX], start: LEN_MAX };
        let mut left = number;
        loop {
            digits.start -= 1;
            // What is left of a division by ten fits.
            digits.bytes[digits.start] += (left % 10) as u8;
            left /= 10;
            if left == 0 {
                return digits;
            }
        }
    }

    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Digits of the largest number.
const LEN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_written() {
        assert_eq!(Decimal::of(0).as_bytes(), b"0");
        assert_eq!(Decimal::of(u64::MAX).as_bytes(), b"18446744073709551615");
    }

    proptest! {
        #[test]
        fn digits_are_those_of_the_number(number: u64, shift in 0..64) {
            let number = number >> shift;
            let (digits, expected) = (Decimal::of(number), number.to_string());
            prop_assert_eq!(digits.as_bytes(), expected.as_bytes());
        }
    }
}

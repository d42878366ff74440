//! `traceparent` (W3C Trace Context, sections 3.2 and 4.3): the trace that a request is part of, and who asked.

/// The bit that says that the caller may have recorded the trace.
const SAMPLED: u8 = 1;
/// Bytes of the version that is written: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
pub(super) const LEN: usize = 55;

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    /// Never 0.
    pub(super) trace: u128,
    /// The caller's span; never 0.
    pub(super) parent: u64,
    /// Whether spans of this trace are wanted.
    pub(super) is_sampled: bool,
}

impl Context {
    /// Reads a value. One of a later version is read as far as it is known.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LEN)?;
        let version = hex(&known[..2])?;
        let is_whole = if version == 0 { more.is_empty() } else { more.is_empty() || more[0] == b'-' };
        let are_dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        if version == 0xff || !is_whole || !are_dashes {
            return None;
        }
        let context = Self {
            trace: hex(&known[3..35])?,
            parent: u64::try_from(hex(&known[36..52])?).ok()?,
            is_sampled: hex(&known[53..55])? & u128::from(SAMPLED) != 0,
        };
        (context.trace != 0 && context.parent != 0).then_some(context)
    }

    /// The value by which `span` of the same trace asks others.
    pub(super) fn write(trace: u128, span: u64) -> String {
        format!("00-{trace:032x}-{span:016x}-{SAMPLED:02x}")
    }
}

/// A number in lower case, as the standard wants it.
fn hex(digits: &[u8]) -> Option<u128> {
    let mut number = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_alike() {
        let context = Context::parse(VALUE.as_bytes()).unwrap();
        assert_eq!(context.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert!(context.is_sampled);
        assert_eq!(Context::write(context.trace, context.parent), VALUE);
        assert_eq!(VALUE.len(), LEN);
    }

    #[test]
    fn flags_and_later_versions_are_read_as_far_as_they_are_known() {
        let parse = |text: String| Context::parse(text.as_bytes());
        assert!(!parse(format!("{}00", &VALUE[..53])).unwrap().is_sampled);
        assert!(parse(format!("{}ff", &VALUE[..53])).unwrap().is_sampled);
        assert!(parse(format!("cc{}-what-comes", &VALUE[2..])).is_some());
    }

    #[test]
    fn what_is_no_context_is_none() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_parent = format!("{}-{}-01", &VALUE[..35], "0".repeat(16));
        let wrong = [
            "",
            &VALUE[..54],
            &format!("{VALUE}-"),
            &format!("cc{}x", &VALUE[2..]),
            &format!("ff{}", &VALUE[2..]),
            &VALUE.to_uppercase(),
            &VALUE.replace('-', "_"),
            &VALUE.replace('f', "g"),
            &zero_trace,
            &zero_parent,
        ];
        for text in wrong {
            assert_eq!(Context::parse(text.as_bytes()), None, "{text}");
        }
    }
}

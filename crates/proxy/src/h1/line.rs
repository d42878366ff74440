//! One line of a head or trailer section: found by its line end, checked byte by byte, taken apart (RFC 9112 sections 2.2 and 5).

use crate::fields::{Line, is_value_byte, offset};
use crate::name::Name;

/// What is wrong with a line. All of it is refused: what two readers take for two things is how requests are smuggled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// RFC 9112 section 2.2 lets a reader take a bare LF for a line end, and readers differ in whether they do.
    #[error("a line does not end in CRLF")]
    LineEnd,
    /// RFC 9112 section 5.2: obsolete line folding, or whitespace before the first field (section 2.2).
    #[error("a line begins with whitespace")]
    Folded,
    /// RFC 9112 section 5: a field line has a colon.
    #[error("a field line has no colon")]
    NoColon,
    /// RFC 9110 section 5.1, and RFC 9112 section 5.1 for whitespace before the colon.
    #[error("a field name is not a token")]
    Name,
    /// RFC 9110 section 5.5: NUL, CR and other control bytes.
    #[error("a field value has a control byte")]
    Value,
}

/// Finds lines in bytes that come in pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines {
    /// Where the next line begins.
    next: usize,
    /// How far there is no line end.
    scanned: usize,
}

impl Lines {
    /// Where the next line begins.
    pub(crate) const fn next_at(&self) -> usize {
        self.next
    }

    /// The next line without its line end, and where it begins; `None` until it is whole. `input` is what has come so far, from
    /// its first byte.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(usize, &'a [u8])>, Malformed> {
        let Some(end) = memchr::memchr(b'\n', &input[self.scanned..]) else {
            self.scanned = input.len();
            return Ok(None);
        };
        let (start, end) = (self.next, self.scanned + end);
        let line = input[start..end].strip_suffix(b"\r").ok_or(Malformed::LineEnd)?;
        (self.next, self.scanned) = (end + 1, end + 1);
        Ok(Some((start, line)))
    }

    /// The next line of a section, which is a field or the empty line behind them; `None` until it is whole.
    pub(crate) fn next_field(&mut self, input: &[u8]) -> Result<Option<Section>, Malformed> {
        // A line that comes in pieces is not looked at again before it may be whole.
        if self.scanned > self.next && memchr::memchr(b'\n', &input[self.scanned..]).is_none() {
            self.scanned = input.len();
            return Ok(None);
        }
        let (found, end) = match &input[self.next..] {
            [b'\r', b'\n', ..] => (Some(Section::End), self.next + 2),
            [] | [b'\r'] => (None, 0),
            _ => match parse_field(input, self.next)? {
                Some(line) => (Some(Section::Field(line)), line.end as usize),
                None => (None, 0),
            },
        };
        if found.is_some() {
            (self.next, self.scanned) = (end, end);
        } else {
            self.scanned = input.len();
        }
        Ok(found)
    }
}

/// A line of a header or trailer section.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section {
    Field(Line),
    /// The empty line behind the fields.
    End,
}

/// Takes the field line apart that begins at `at`; `None` when it is not whole. Its bytes are looked at once: what ends its value is
/// what no value has.
pub(crate) fn parse_field(input: &[u8], at: usize) -> Result<Option<Line>, Malformed> {
    let Some(name_len) = input[at..].iter().position(|&byte| !is_token_byte(byte)) else { return Ok(None) };
    let colon = at + name_len;
    if input[colon] != b':' || name_len == 0 {
        return Err(match input[at] {
            b' ' | b'\t' => Malformed::Folded,
            _ if input[colon] == b'\n' => Malformed::LineEnd,
            _ if input[colon] == b'\r' => Malformed::NoColon,
            _ => Malformed::Name,
        });
    }
    let after_colon = &input[colon + 1..];
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let blanks = after_colon.iter().take_while(|byte| is_blank(byte)).count();
    let value_len = value_len(&after_colon[blanks..]);
    let value = &after_colon[blanks..][..value_len];
    match &after_colon[blanks + value_len..] {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Ok(None),
        [b'\n', ..] => return Err(Malformed::LineEnd),
        _ => return Err(Malformed::Value),
    }
    let trimmed = value.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    let value_start = colon + 1 + blanks;
    Ok(Some(Line {
        start: offset(at),
        end: offset(value_start + value_len + 2),
        value_start: offset(value_start),
        value_end: offset(value_start + trimmed),
        name_len: u16::try_from(name_len).map_err(|_| Malformed::Name)?,
        name: Name::of(&input[at..colon]),
        is_removed: false,
    }))
}

/// Whether every byte may be in a field value.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    value_len(bytes) == bytes.len()
}

/// Bytes up to the first that can't be in a field value. Eight at a time: most of a head is values.
fn value_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (eights, _) = bytes.as_chunks::<8>();
    let is_plain = |eight: &&[u8; 8]| {
        let word = u64::from_ne_bytes(**eight);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = word ^ (ONES * 0x7f);
        let is_delete = delete.wrapping_sub(ONES) & !delete;
        // Tabs are below space, and rare.
        (below_space | is_delete) & (ONES * 0x80) == 0 || eight.iter().all(|&byte| is_value_byte(byte))
    };
    let plain = 8 * eights.iter().take_while(is_plain).count();
    let rest = bytes[plain..].iter().take_while(|&&byte| is_value_byte(byte)).count();
    plain + rest
}

/// Whether `byte` may be in a token (RFC 9110 section 5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let is_token = matches!(byte as u8,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        table[byte] = is_token;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Result<(String, String), Malformed> {
        let at = 7;
        let head = format!("1234567{line}\r\n");
        for cut in at..head.len() {
            assert!(!matches!(parse_field(&head.as_bytes()[..cut], at), Ok(Some(_))), "{line:?} at {cut}");
        }
        let field = parse_field(head.as_bytes(), at)?.expect("a whole line");
        assert_eq!((field.start as usize, field.end as usize), (at, head.len()));
        let name = &head[at..at + usize::from(field.name_len)];
        let value = &head[field.value_start as usize..field.value_end as usize];
        Ok((name.to_owned(), value.to_owned()))
    }

    #[test]
    fn rfc9112_5_a_field_is_a_token_a_colon_and_a_value_in_optional_whitespace() {
        for (line, name, value) in [
            ("Host: a", "Host", "a"),
            ("x:y", "x", "y"),
            ("X-Y:\t a \tb: c \t", "X-Y", "a \tb: c"),
            ("empty:", "empty", ""),
            ("empty:   ", "empty", ""),
            ("u:\u{e9}\u{2028}", "u", "\u{e9}\u{2028}"),
        ] {
            assert_eq!(parsed(line), Ok((name.into(), value.into())), "{line:?}");
        }
    }

    #[test]
    fn rfc9112_5_1_nothing_stands_between_name_and_colon() {
        for line in ["Host : a", "Host\t: a", "a b: c", ": a", "a\u{e9}: b", "a\0: b", "(a): b"] {
            assert_eq!(parsed(line), Err(Malformed::Name), "{line:?}");
        }
        assert_eq!(parsed("Host"), Err(Malformed::NoColon));
    }

    #[test]
    fn rfc9112_5_2_folded_lines_are_refused() {
        assert_eq!(parsed(" folded: x"), Err(Malformed::Folded));
        assert_eq!(parsed("\tfolded"), Err(Malformed::Folded));
    }

    #[test]
    fn rfc9110_5_5_control_bytes_are_refused_wherever_they_are() {
        for bad in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
            for at in 0..20 {
                let mut value = *b"abcdefghijklmnopqrst";
                value[at] = bad;
                assert!(!is_value(&value), "{bad:#x} at {at}");
            }
        }
    }

    #[test]
    fn rfc9112_2_2_lines_end_in_crlf() {
        assert_eq!(parsed("a: b\nc"), Err(Malformed::LineEnd));
        assert_eq!(parsed("a: b\rc"), Err(Malformed::Value));
        assert_eq!(parsed("a\n"), Err(Malformed::LineEnd));
        let lines = |text: &str| {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            while let Some((_, line)) = lines.next(text.as_bytes())? {
                found.push(String::from_utf8_lossy(line).into_owned());
            }
            Ok::<_, Malformed>(found)
        };
        assert_eq!(lines("a\r\n\r\nb\r"), Ok(vec!["a".into(), String::new()]));
        assert_eq!(lines("a\n"), Err(Malformed::LineEnd));
        assert_eq!(lines("\n"), Err(Malformed::LineEnd));
    }

    proptest! {
        #[test]
        fn eight_at_a_time_says_what_each_byte_says(bytes: Vec<u8>) {
            prop_assert_eq!(is_value(&bytes), bytes.iter().all(|&byte| is_value_byte(byte)));
        }

        #[test]
        fn lines_that_come_in_pieces_are_the_same_lines(text in "[ab\r\n]{0,40}", cut in 0_usize..40) {
            let text = text.replace("\r\n", "\n").replace('\r', "").replace('\n', "\r\n").into_bytes();
            let cut = cut.min(text.len());
            let mut whole = Lines::default();
            let mut pieces = Lines::default();
            let mut found = Vec::new();
            while let Ok(Some(line)) = pieces.next(&text[..cut]) { found.push(line); }
            while let Ok(Some(line)) = pieces.next(&text) { found.push(line); }
            let mut expected = Vec::new();
            while let Ok(Some(line)) = whole.next(&text) { expected.push(line); }
            prop_assert_eq!(found, expected);
        }
    }
}

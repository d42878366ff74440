//! One line of a head or trailer section: found by its line end, checked byte by byte, taken apart (RFC 9112 sections 2.2 and 5).

use std::ops::Range;

use wide::u8x16;

use crate::fields::{Line, is_value_byte, offset};
use crate::name::Name;
use crate::scan;

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

/// Finds lines in bytes that come in pieces. Whether a line is right is said once it is whole, so that the pieces make no difference.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines {
    /// Where the next line begins.
    next: usize,
    /// How far its end is not.
    scanned: usize,
}

/// What a section goes on with.
#[derive(Debug)]
pub(crate) enum Found {
    /// A field line.
    Field(Line),
    /// The empty line that ends it.
    End,
}

impl Lines {
    /// Where the next line begins.
    pub(crate) const fn next_at(&self) -> usize {
        self.next
    }

    /// The next line without its line end, and where it begins; `None` until it is whole. `input` is what has come so far, from
    /// its first byte.
    #[inline]
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Option<(usize, &'a [u8])>, Malformed> {
        let Some(end) = scan::byte(&input[self.scanned..], b'\n') else {
            self.scanned = input.len();
            return Ok(None);
        };
        let (start, end) = (self.next, self.scanned + end);
        let line = input[start..end].strip_suffix(b"\r").ok_or(Malformed::LineEnd)?;
        (self.next, self.scanned) = (end + 1, end + 1);
        Ok(Some((start, line)))
    }

    /// The next line as a field line; `None` until it is whole. Two looks find all that there is to see in a good one: where its name
    /// ends, and where the first control byte behind it is, which is its line end.
    // As a call, it would hand every line through memory three times.
    #[inline(always)]
    pub(crate) fn next_field(&mut self, input: &[u8]) -> Result<Option<Found>, Malformed> {
        let start = self.next;
        if input[start..].starts_with(b"\r\n") {
            self.next = start + 2;
            return Ok(Some(Found::End));
        }
        let colon = scan::first(input, start, |chunk| controls(chunk) | chunk.simd_eq(u8x16::splat(b':')));
        let name = &input[start..colon];
        let known = Name::of(name);
        // A known name is a token.
        let is_token = known != Name::Other || (!name.is_empty() && name.iter().copied().all(is_token_byte));
        if input.get(colon) != Some(&b':') || !is_token {
            return self.what_is_wrong(input).map_or(Ok(None), Err);
        }
        let mut end = scan::first(input, self.scanned.max(colon + 1), controls);
        while input.get(end) == Some(&b'\t') {
            end = scan::first(input, end + 1, controls);
        }
        if !input[end..].starts_with(b"\r\n") {
            self.scanned = end;
            return self.what_is_wrong(input).map_or(Ok(None), Err);
        }
        (self.next, self.scanned) = (end + 2, end + 2);
        let (value_start, value_end) = trimmed(input, colon + 1..end);
        Ok(Some(Found::Field(Line {
            // Limits keep heads far below 4 GiB, and names with them.
            start: offset(start),
            end: offset(end + 2),
            value_start: offset(value_start),
            value_end: offset(value_end),
            name_len: offset(colon - start),
            name: known,
            is_removed: false,
        })))
    }

    /// What is wrong with the next line, if it is whole.
    #[cold]
    fn what_is_wrong(&self, input: &[u8]) -> Option<Malformed> {
        let (line, _) = split_line(&input[self.next..])?;
        let Some(line) = line.strip_suffix(b"\r") else { return Some(Malformed::LineEnd) };
        let name_len = line.iter().position(|&byte| !is_token_byte(byte));
        Some(match (line.first(), name_len) {
            (Some(b' ' | b'\t'), _) => Malformed::Folded,
            (_, None) => Malformed::NoColon,
            (_, Some(len)) if len == 0 || line[len] != b':' => Malformed::Name,
            _ => Malformed::Value,
        })
    }
}

/// The first line, without its LF, and what is behind it.
fn split_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = scan::byte(input, b'\n')?;
    Some((&input[..end], &input[end + 1..]))
}

/// Where a checked value begins and ends without the optional whitespace (RFC 9110 section 5.6.3) around it.
#[inline]
fn trimmed(input: &[u8], value: Range<usize>) -> (usize, usize) {
    // Of the bytes that a value may have, only tabs and spaces are so low.
    let is_blank = |at: usize| input[at] <= b' ';
    let Range { start: mut from, end: mut to } = value;
    while from < to && is_blank(from) {
        from += 1;
    }
    while from < to && is_blank(to - 1) {
        to -= 1;
    }
    (from, to)
}

/// Marks control bytes, tabs among them.
#[inline]
fn controls(chunk: u8x16) -> u8x16 {
    let below_space = chunk.min(u8x16::splat(b' ' - 1)).simd_eq(chunk);
    below_space | chunk.simd_eq(u8x16::splat(0x7f))
}

/// Whether every byte may be in a field value. Eight at a time: most of a head is values.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    let is_eight = |eight: &[u8; 8]| {
        let word = u64::from_ne_bytes(*eight);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = word ^ (ONES * 0x7f);
        let is_delete = delete.wrapping_sub(ONES) & !delete;
        // Tabs are below space, and rare.
        (below_space | is_delete) & (ONES * 0x80) == 0 || eight.iter().all(|&byte| is_value_byte(byte))
    };
    eights.iter().all(is_eight) && rest.iter().all(|&byte| is_value_byte(byte))
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
        let text = format!("a: b\r\n{line}\r\n\r\n");
        let mut lines = Lines::default();
        assert!(matches!(lines.next_field(text.as_bytes()), Ok(Some(Found::Field(_)))));
        let Found::Field(field) = lines.next_field(text.as_bytes())?.expect("a whole line") else {
            panic!("no field: {line:?}");
        };
        assert_eq!((field.start as usize, field.end as usize), (6, text.len() - 2));
        assert!(matches!(lines.next_field(text.as_bytes()), Ok(Some(Found::End))));
        assert_eq!(lines.next_at(), text.len());
        let name = &text[6..6 + field.name_len as usize];
        let value = &text[field.value_start as usize..field.value_end as usize];
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
        assert_eq!(parsed(" : x"), Err(Malformed::Folded));
    }

    #[test]
    fn rfc9110_5_5_control_bytes_are_refused_wherever_they_are() {
        for bad in (0..0x20).chain([0x7f]).filter(|byte| *byte != b'\t') {
            for at in 0..20 {
                let mut value = *b"abcdefghijklmnopqrst";
                value[at] = bad;
                assert!(!is_value(&value), "{bad:#x} at {at}");
                let line = [b"a: ", &value[..], b"\r\n"].concat();
                let expected = if bad == b'\n' { Malformed::LineEnd } else { Malformed::Value };
                assert_eq!(Lines::default().next_field(&line).unwrap_err(), expected, "{bad:#x} at {at}");
            }
        }
    }

    #[test]
    fn rfc9112_2_2_lines_end_in_crlf() {
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
        fn a_field_line_is_what_each_of_its_bytes_allows(line in "[a:\t \u{7f}\r\u{0}\u{e9}]{0,40}[a-z ]{0,20}") {
            let whole = format!("{line}\r\n");
            let is_field = line.split_once(':').is_some_and(|(name, value)| {
                !name.is_empty() && name.bytes().all(is_token_byte) && is_value(value.as_bytes())
            });
            match Lines::default().next_field(whole.as_bytes()) {
                Ok(Some(Found::Field(field))) => {
                    prop_assert!(is_field);
                    let value = &whole[field.value_start as usize..field.value_end as usize];
                    prop_assert_eq!(value, line.split_once(':').unwrap().1.trim_matches([' ', '\t']));
                }
                Ok(Some(Found::End)) => prop_assert!(line.is_empty()),
                Ok(None) => prop_assert!(false, "it is whole"),
                Err(_) => prop_assert!(!is_field),
            }
        }

        #[test]
        fn fields_that_come_in_pieces_are_the_same_fields(text in "([a-c]{1,9}: ?[\ta-z]{0,20}|[a:\r ]{0,4})(\r\n|\n)", cut in 0_usize..40) {
            let text = text.as_bytes();
            let mut pieces = Lines::default();
            let first = pieces.next_field(&text[..cut.min(text.len())]).map(|found| found.is_some());
            let in_pieces = match first {
                Ok(false) => pieces.next_field(text),
                Ok(true) => Lines::default().next_field(text),
                Err(error) => Err(error),
            };
            let whole = Lines::default().next_field(text);
            prop_assert_eq!(format!("{in_pieces:?}"), format!("{whole:?}"));
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

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

/// Finds lines in bytes that come in pieces, looking at no byte twice.
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
    #[inline]
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
}

/// Takes a field line apart, which begins `at` so many bytes into its section. The bytes of its value are not looked at: that is
/// done for a whole section at once, by [`is_clean`].
#[inline]
pub(crate) fn parse_field(line: &[u8], at: usize) -> Result<Line, Malformed> {
    let colon = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
    let (Some(b':'), Some(name @ [_, ..])) = (line.get(colon), line.get(..colon)) else {
        return Err(match line.first() {
            Some(b' ' | b'\t') => Malformed::Folded,
            _ if colon == line.len() => Malformed::NoColon,
            _ => Malformed::Name,
        });
    };
    let (mut from, mut to) = (colon + 1, line.len());
    while from < to && matches!(line[from], b' ' | b'\t') {
        from += 1;
    }
    while from < to && matches!(line[to - 1], b' ' | b'\t') {
        to -= 1;
    }
    // Limits keep heads far below 4 GiB, and names with them.
    let start = offset(at);
    Ok(Line {
        start,
        end: start + offset(line.len() + 2),
        value_start: start + offset(from),
        value_end: start + offset(to),
        name_len: offset(colon),
        name: Name::of(name),
        is_removed: false,
    })
}

/// Whether `count` whole lines, all of which end in CRLF, have no other control bytes, nor a CR or LF elsewhere. Without branches, so
/// that it is done for many bytes at a time.
pub(crate) fn is_clean(lines: &[u8], count: usize) -> bool {
    let controls = lines.chunks(240).map(|chunk| {
        // A chunk has no more of them than a byte can count.
        let is_control = |&byte: &u8| u8::from((byte < b' ') & (byte != b'\t') | (byte == 0x7f));
        usize::from(chunk.iter().map(is_control).sum::<u8>())
    });
    controls.sum::<usize>() == 2 * count
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
        let at = 7;
        let field = parse_field(line.as_bytes(), at)?;
        let head = format!("1234567{line}\r\n");
        assert_eq!((field.start as usize, field.end as usize), (at, head.len()));
        let name = &head[at..at + field.name_len as usize];
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
                let line = [b"a: ", &value[..], b"\r\n"].concat();
                assert!(!is_clean(&line, 1), "{bad:#x} at {at}");
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
        fn lines_are_clean_when_all_their_values_are(values: Vec<Vec<u8>>, filler in 0_usize..300) {
            let values: Vec<_> = values.into_iter().chain([vec![b'x'; filler]]).collect();
            let is_bad = |value: &Vec<u8>| !is_value(value);
            let without_feeds = values.iter().filter(|value| !value.contains(&b'\n'));
            let lines: Vec<u8> =
                without_feeds.clone().flat_map(|value| [value, &b"\r\n"[..]].concat()).collect();
            let count = without_feeds.clone().count();
            prop_assert_eq!(is_clean(&lines, count), !without_feeds.clone().any(is_bad));
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

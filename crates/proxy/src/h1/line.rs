//! One line of a head or trailer section: found by its line end, checked byte by byte, taken apart (RFC 9112 sections 2.2 and 5).

use std::ops::Range;

use wide::u8x16;

use crate::message::fields::{Line, is_value_byte, offset};
use crate::message::name::Name;
use crate::message::scan;

/// What is wrong with a line. All of it is refused: what two readers take for two things is how requests are smuggled.
// As wide as the first part of a line, in whose place it is answered: a line would be handed over in pieces otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
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
        let colon = scan::first(input, start, |chunk| controls(chunk) | chunk.simd_eq(u8x16::splat(b':')));
        if input.get(colon) != Some(&b':') {
            if input[start..].starts_with(b"\r\n") {
                self.next = start + 2;
                return Ok(Some(Found::End));
            }
            return self.what_is_wrong(input).map_or(Ok(None), Err);
        }
        let name = &input[start..colon];
        let known = Name::of(name);
        // A known name is a token.
        if known == Name::Other && (name.is_empty() || !name.iter().copied().all(is_token_byte)) {
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
    // Nearly all have one space in front, and none behind.
    if let [b' ', first, .., last] = &input[from..to]
        && *first > b' '
        && *last > b' '
    {
        return (from + 1, to);
    }
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
mod tests;

//! Header blocks (RFC 7541): written without any table, so that a block is the bytes that a case means, and read with all that a peer may use.

use std::collections::VecDeque;
use std::sync::LazyLock;

use crate::wire::text;

/// Name and value, a character for each byte.
pub(crate) type Field = (String, String);

/// What a dynamic table may hold by default (RFC 9113 section 6.5.2).
const TABLE_MAX: usize = 4096;

/// A header block of these fields, as literals without indexing: any bytes at all.
pub(crate) fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for string in [name.as_ref(), value.as_ref()] {
            integer(&mut block, 7, 0, string.len());
            block.extend_from_slice(string);
        }
    }
    block
}

/// Appends an integer behind a pattern that leaves `prefix` bits for it (section 5.1).
pub(crate) fn integer(out: &mut Vec<u8>, prefix: u32, pattern: u8, value: usize) {
    let max = (1 << prefix) - 1;
    let low = |value: usize| value.to_le_bytes()[0];
    if value < max {
        return out.push(pattern | low(value));
    }
    out.push(pattern | low(max));
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(low(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low(rest));
}

/// Reads the blocks of one direction of one connection.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The newest entry first.
    table: VecDeque<Field>,
}

impl Decoder {
    /// The fields of a block; `None` if it is none.
    pub(crate) fn decode(&mut self, mut block: &[u8]) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            if first & 0x80 != 0 {
                let index = read_integer(&mut block, 7)?;
                fields.push(self.entry(index)?);
            } else if first & 0x40 != 0 {
                let field = self.literal(&mut block, 6)?;
                self.table.push_front(field.clone());
                fields.push(field);
                self.shrink(TABLE_MAX);
            } else if first & 0x20 != 0 {
                let size = read_integer(&mut block, 5)?;
                self.shrink(size);
            } else {
                fields.push(self.literal(&mut block, 4)?);
            }
        }
        Some(fields)
    }

    fn literal(&self, block: &mut &[u8], prefix: u32) -> Option<Field> {
        let name = match read_integer(block, prefix)? {
            0 => read_string(block)?,
            index => self.entry(index)?.0,
        };
        Some((name, read_string(block)?))
    }

    fn entry(&self, index: usize) -> Option<Field> {
        match STATIC.get(index.checked_sub(1)?) {
            Some(&(name, value)) => Some((name.to_owned(), value.to_owned())),
            None => self.table.get(index - STATIC.len() - 1).cloned(),
        }
    }

    /// Section 4.1: what an entry takes, and section 4.3: which ones go.
    fn shrink(&mut self, max: usize) {
        let size = |(name, value): &Field| name.len() + value.len() + 32;
        while self.table.iter().map(size).sum::<usize>() > max {
            self.table.pop_back();
        }
    }
}

fn read_integer(block: &mut &[u8], prefix: u32) -> Option<usize> {
    let max = (1 << prefix) - 1;
    let mut value = usize::from(take(block)?) & max;
    if value < max {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let byte = take(block)?;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read_string(block: &mut &[u8]) -> Option<String> {
    let is_coded = block.first()? & 0x80 != 0;
    let length = read_integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length)?;
    *block = rest;
    if is_coded { decoded(bytes) } else { Some(text(bytes)) }
}

fn take(block: &mut &[u8]) -> Option<u8> {
    let (&first, rest) = block.split_first()?;
    *block = rest;
    Some(first)
}

/// Section 5.2: what is written in the code of appendix B.
fn decoded(bytes: &[u8]) -> Option<String> {
    let (mut out, mut code, mut length) = (String::new(), 0_u32, 0_u8);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        if let Ok(at) = CODES.binary_search_by_key(&(length, code), |&(length, code, _)| (length, code)) {
            out.push(char::from(CODES[at].2));
            (code, length) = (0, 0);
        } else if length > 30 {
            return None;
        }
    }
    // The padding is the beginning of the code for the end, and less than a byte.
    (length < 8 && code == (1 << length) - 1).then_some(out)
}

/// Length, code and symbol, in this order. The code is canonical: codes of one length follow on each other by their symbols.
static CODES: LazyLock<Vec<(u8, u32, u8)>> = LazyLock::new(|| {
    let mut codes: Vec<(u8, u32, u8)> =
        (0..=255).zip(LENGTHS).map(|(symbol, length)| (length, 0, symbol)).collect();
    codes.sort_unstable();
    let (mut code, mut before) = (0, codes[0].0);
    for entry in &mut codes {
        code <<= entry.0 - before;
        (before, entry.1) = (entry.0, code);
        code += 1;
    }
    codes
});

/// Appendix B: how long the code of each byte is.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];

/// Appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// Appendix C.4: three requests on one connection, in the code and with the table.
#[test]
fn blocks_of_the_rfc_are_read() {
    let mut decoder = Decoder::default();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let first = [
        field(":method", "GET"),
        field(":scheme", "http"),
        field(":path", "/"),
        field(":authority", "www.example.com"),
    ];
    let block = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    assert_eq!(decoder.decode(block).as_deref(), Some(&first[..]));
    let second = [&first[..], &[field("cache-control", "no-cache")]].concat();
    let block = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
    assert_eq!(decoder.decode(block), Some(second));
    assert_eq!(decoder.decode(b"\xff\x80"), None);
    assert_eq!(decoder.decode(&encode(&first)).as_deref(), Some(&first[..]));
}

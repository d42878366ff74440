//! HTTP/2 frames (RFC 9113 section 4), and header blocks that are sent again and again (RFC 7541), for both sides of a proxy.

/// What a client sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// What either side may send before the other allows more (RFC 9113 section 6.9.2).
pub(crate) const WINDOW: i64 = 65_535;
/// Makes the window of a connection as large as one can be.
const WINDOW_MORE: u32 = (1 << 31) - 1 - 65_535;

const HEAD: usize = 9;
/// Index of the field that entered the dynamic table last (RFC 7541 section 2.3.3).
const NEWEST: usize = 62;

/// Types of frames (RFC 9113 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    GoAway,
    WindowUpdate,
    /// Those that say nothing to either side here.
    Other,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

/// A field of a header block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    /// An entry of the static table (RFC 7541 appendix A).
    Static(u8),
    /// A name and a value, which enter the dynamic table.
    New(&'a str, &'a str),
}

/// A header block: as it is sent first, as it is sent once its fields are in the peer's dynamic table, and for a peer that has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    pub(crate) first: Vec<u8>,
    pub(crate) again: Vec<u8>,
    pub(crate) plain: Vec<u8>,
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes` and its length, once all of it is there.
    pub(crate) fn first(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (&[a, b, c, kind, flags, s0, s1, s2, s3], rest) = bytes.split_first_chunk::<HEAD>()?;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        let payload = rest.get(..length)?;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            4 => Kind::Settings,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            _ => Kind::Other,
        };
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Some((Self { kind, flags, stream, payload }, HEAD + length))
    }

    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    /// Length of what a DATA frame carries, without its padding.
    pub(crate) fn data_length(&self) -> usize {
        let padding =
            if self.flags & PADDED == 0 { 0 } else { 1 + self.payload.first().map_or(0, |&pad| pad.into()) };
        self.payload.len().saturating_sub(padding)
    }

    /// Whether its header block begins with the status 200, by the static table: what every proxy here makes of it.
    pub(crate) fn says_200(&self) -> bool {
        // A table may be resized first (RFC 7541 section 4.2).
        let mut block = self.payload.iter().skip_while(|&&byte| byte & 0xe0 == 0x20);
        block.next() == Some(&0x88)
    }

    /// Whether it is about settings, and forbids a dynamic table (RFC 9113 section 6.5.2).
    pub(crate) fn forbids_table(&self) -> bool {
        self.payload.chunks_exact(6).any(|setting| setting == [0, 1, 0, 0, 0, 0])
    }

    /// What a WINDOW_UPDATE adds.
    pub(crate) fn increment(&self) -> i64 {
        self.payload.first_chunk().map_or(0, |&bytes| i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff))
    }
}

/// Appends a frame to `out`.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    let kind = match kind {
        Kind::Data => 0,
        Kind::Headers => 1,
        Kind::Reset => 3,
        Kind::Settings => 4,
        Kind::Ping => 6,
        Kind::GoAway => 7,
        Kind::WindowUpdate => 8,
        Kind::Other => 0xff,
    };
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(length);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends settings as they are by default, and a window that no run exhausts.
pub(crate) fn put_greeting(out: &mut Vec<u8>) {
    put(out, Kind::Settings, 0, 0, &[]);
    put(out, Kind::WindowUpdate, 0, 0, &WINDOW_MORE.to_be_bytes());
}

/// Blocks that are sent in this order the first time, by one side of one connection.
pub(crate) fn blocks<const N: usize>(fields: [&[Field<'_>]; N]) -> [Block; N] {
    let is_new = |field: &&Field<'_>| matches!(field, Field::New(..));
    let mut newer = fields.iter().flat_map(|fields| *fields).filter(is_new).count();
    fields.map(|fields| {
        let mut block = Block::default();
        for field in fields {
            match *field {
                Field::Static(index) => {
                    block.first.push(0x80 | index);
                    block.again.push(0x80 | index);
                    block.plain.push(0x80 | index);
                }
                Field::New(name, value) => {
                    newer -= 1;
                    for (out, pattern) in [(&mut block.first, 0x40), (&mut block.plain, 0)] {
                        out.push(pattern);
                        put_string(out, name);
                        put_string(out, value);
                    }
                    put_integer(&mut block.again, 0x80, 7, NEWEST + newer);
                }
            }
        }
        block
    })
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// RFC 7541 section 5.1.
fn put_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Data, END_STREAM, 7, b"hello");
        assert!(Frame::first(&bytes[..bytes.len() - 1]).is_none());
        let (frame, length) = Frame::first(&bytes).unwrap();
        assert_eq!((frame.kind, frame.stream, frame.payload, length), (Kind::Data, 7, &b"hello"[..], 14));
        assert!(frame.ends_stream());
        assert_eq!(frame.data_length(), 5);
    }

    #[test]
    fn integers_are_those_of_the_rfc() {
        for (value, prefix, bytes) in [(10, 5, &[10][..]), (1337, 5, &[31, 154, 10]), (42, 8, &[42])] {
            let mut out = Vec::new();
            put_integer(&mut out, 0, prefix, value);
            assert_eq!(out, bytes, "RFC 7541 appendix C.1");
        }
    }

    #[test]
    fn fields_are_found_where_they_are_in_the_table_after_all_of_them() {
        let [head, trailers] = blocks([&[Field::Static(8), Field::New("a", "b")], &[Field::New("c", "d")]]);
        assert_eq!(head.first, b"\x88\x40\x01a\x01b");
        assert_eq!(trailers.first, b"\x40\x01c\x01d");
        assert_eq!((&head.again[..], &trailers.again[..]), (&[0x88, 0xbf][..], &[0xbe][..]));
        assert_eq!(head.plain, b"\x88\x00\x01a\x01b");
    }

    #[test]
    fn a_status_is_seen_behind_a_resized_table() {
        let is_200 = |payload| Frame { kind: Kind::Headers, flags: 0, stream: 1, payload }.says_200();
        assert!(is_200(&[0x88, 0x40]) && is_200(&[0x20, 0x88]));
        assert!(!is_200(&[0x8d]) && !is_200(&[]));
    }
}

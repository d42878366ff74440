//! Bodies in chunks (RFC 9112 section 7.1): told apart into data and framing as they come, and written.

use super::line::{Found, Lines, Malformed};
use crate::message::fields::{Fields, is_value_byte};
use crate::message::scan;

/// Bytes of one line with a chunk's size and extensions, with its line end.
const LINE_MAX: u16 = 4096;
/// Bytes of all extensions of a body. They mean nothing to us, so reading them is work for nothing (section 7.1.1).
const EXTENSIONS_MAX: u32 = 64 * 1024;
/// Hex digits of a chunk's size, with leading zeros.
const DIGITS_MAX: u8 = 16;
/// Data of a chunk. Some readers count in signed numbers.
const SIZE_MAX: u64 = i64::MAX as u64;
/// Bytes of a trailer section, with its line ends.
const TRAILER_BYTES_MAX: usize = 32 * 1024;
/// Lines of a trailer section.
const TRAILER_LINES_MAX: usize = 100;
/// Bytes of the line that [`size_line`] writes: the digits of any size, and the line end.
pub(crate) const SIZE_LINE_MAX: usize = usize::BITS as usize / 4 + 2;

/// Tells the data of a body from its framing. The bytes stay with the caller; only trailers are kept. Every byte is looked at
/// once, wherever the pieces in which they come begin and end.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Bytes that the current chunk still has; while its size is read, what its digits say so far.
    left: u64,
    /// Bytes of extensions so far.
    extensions: u32,
    /// Bytes of the current size line so far.
    line: u16,
    place: Place,
    trailers: Option<Box<Trailers>>,
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many are framing: they are dropped, and there may be more to say of those behind them.
    Framing(usize),
    /// So many are data, which goes on.
    Data(usize),
    /// There are none: more must come.
    More,
    /// So many are framing, and with them the body is over.
    End(usize),
}

/// Why bytes are no body in chunks. Where it ends can't be known any more (section 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChunkError {
    /// Signs, spaces, `0x`, or nothing where hex digits belong (section 7.1).
    #[error("a chunk size is not a hex number")]
    BadSize,
    /// More than 2^63 - 1, or more than 16 digits (section 7.1 asks for a guard against overflow).
    #[error("a chunk size is too large")]
    HugeSize,
    /// A byte behind the size that neither ends the line nor begins an extension.
    #[error("a chunk size is followed by something that is no extension")]
    AfterSize,
    /// A control byte in an extension (section 7.1.1), or CR and LF without each other (section 2.2).
    #[error("a chunk extension has a control byte")]
    BadExtension,
    /// A line with a size is longer than 4096 bytes.
    #[error("a chunk line is too long")]
    LineTooLong,
    /// The extensions of the body are longer than 64 KiB.
    #[error("the chunk extensions are too long")]
    ExtensionsTooLong,
    /// A line with a size, or the trailer section, does not end in CRLF (section 2.2).
    #[error("a chunk line does not end in CRLF")]
    LineEnd,
    /// The data of a chunk is longer or shorter than its size said.
    #[error("the data of a chunk is not followed by CRLF")]
    DataEnd,
    /// A line of the trailer section is no field line (section 7.1.2).
    #[error("a trailer field is malformed: {0}")]
    Trailer(#[from] Malformed),
    /// The trailer section is larger than 32 KiB or has more than 100 lines.
    #[error("the trailer fields are too large")]
    TrailersTooLarge,
}

/// What the next byte is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// The first digit of a size.
    #[default]
    Size,
    /// Another digit of a size that has so many, or what follows it.
    Digits(u8),
    /// Whitespace between a size and an extension.
    Blank,
    /// In the extensions of a chunk.
    Extension,
    /// The LF of a line with a size.
    SizeLf,
    /// Data.
    Data,
    /// The CR behind data.
    DataCr,
    /// The LF behind data.
    DataLf,
    /// The first byte of a line in the trailer section.
    Trailer,
    /// In a line of the trailer section.
    TrailerLine,
    /// The LF of the empty line at the end.
    EndLf,
    /// Nothing of this body.
    Over,
}

/// The trailer section as far as it came.
#[derive(Debug, Default)]
struct Trailers {
    fields: Fields,
    lines: Lines,
}

impl Decoder {
    /// Says what the bytes at the front of `input` are. The caller drops or forwards them before it asks again: nothing is
    /// looked at twice.
    ///
    /// # Errors
    /// [`ChunkError`]. The decoder is of no use then: the next body needs a new one.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        if self.place == Place::Data && !input.is_empty() {
            return Ok(Step::Data(self.take_data(input.len())));
        }
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.place {
                Place::Data | Place::Over => break,
                Place::TrailerLine => at += self.take_trailer(&input[at..])?,
                Place::Trailer if byte != b'\r' => self.begin_trailer()?,
                place => {
                    self.place = self.behind(place, byte)?;
                    at += 1;
                }
            }
        }
        Ok(match at {
            _ if self.place == Place::Over => Step::End(at),
            0 => Step::More,
            _ => Step::Framing(at),
        })
    }

    /// The trailer fields, once the body is over, if it has any.
    pub(crate) fn trailers(&mut self) -> Option<&mut Fields> {
        self.trailers.as_mut().map(|trailers| &mut trailers.fields)
    }

    /// Whether there are any.
    pub(crate) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Counts off data of the current chunk, at most `available` bytes.
    fn take_data(&mut self, available: usize) -> usize {
        let len = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= len as u64;
        if self.left == 0 {
            self.place = Place::DataCr;
        }
        len
    }

    /// What comes behind `byte` at `place`, outside of data and of the lines of the trailer section.
    fn behind(&mut self, place: Place, byte: u8) -> Result<Place, ChunkError> {
        match (place, byte) {
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(Place::Size),
            (Place::DataCr | Place::DataLf, _) => Err(ChunkError::DataEnd),
            (Place::Size, _) => {
                (self.left, self.line) = (0, 0);
                self.take_digit(0, byte)?.ok_or(ChunkError::BadSize)
            }
            (Place::Digits(count), _) => match self.take_digit(count, byte)? {
                Some(place) => Ok(place),
                None if byte == b'\r' => Ok(Place::SizeLf),
                None => self.take_extension(place, byte),
            },
            (Place::Extension, b'\r') => Ok(Place::SizeLf),
            (Place::Blank | Place::Extension, _) => self.take_extension(place, byte),
            (Place::SizeLf, b'\n') => Ok(if self.left > 0 { Place::Data } else { Place::Trailer }),
            (Place::Trailer, b'\r') => Ok(Place::EndLf),
            (Place::EndLf, b'\n') => Ok(Place::Over),
            (Place::SizeLf | Place::Trailer | Place::EndLf, _) => Err(ChunkError::LineEnd),
            // `step` does not ask for them.
            (Place::Data | Place::TrailerLine | Place::Over, _) => Ok(place),
        }
    }

    /// `chunk-size = 1*HEXDIG`: what comes behind a digit that has `count` others before it; `None` when `byte` is no digit.
    fn take_digit(&mut self, count: u8, byte: u8) -> Result<Option<Place>, ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ => return Ok(None),
        };
        self.line += 1;
        self.left = self.left << 4 | u64::from(digit);
        // The second limit keeps the shift from losing a bit.
        if count == DIGITS_MAX || self.left > SIZE_MAX {
            return Err(ChunkError::HugeSize);
        }
        Ok(Some(Place::Digits(count + 1)))
    }

    /// `chunk-ext = *( BWS ";" … )` (section 7.1.1): what is in it is nobody's business, but the whitespace and control bytes that
    /// readers disagree on are refused.
    fn take_extension(&mut self, place: Place, byte: u8) -> Result<Place, ChunkError> {
        let place = match (place, byte) {
            (Place::Extension, _) if is_value_byte(byte) => Place::Extension,
            (Place::Extension, _) => return Err(ChunkError::BadExtension),
            (_, b';') => Place::Extension,
            (_, b' ' | b'\t') => Place::Blank,
            _ => return Err(ChunkError::AfterSize),
        };
        self.line += 1;
        self.extensions += 1;
        // The line end is still to come.
        if self.line > LINE_MAX - 2 {
            return Err(ChunkError::LineTooLong);
        }
        if self.extensions > EXTENSIONS_MAX { Err(ChunkError::ExtensionsTooLong) } else { Ok(place) }
    }

    fn begin_trailer(&mut self) -> Result<(), ChunkError> {
        let trailers = self.trailers.get_or_insert_default();
        if trailers.fields.lines_seen() == TRAILER_LINES_MAX {
            return Err(ChunkError::TrailersTooLarge);
        }
        self.place = Place::TrailerLine;
        Ok(())
    }

    /// Takes up a line of the trailer section, or what there is of it. Answers how many bytes that was.
    fn take_trailer(&mut self, input: &[u8]) -> Result<usize, ChunkError> {
        let trailers = self.trailers.get_or_insert_default();
        let line_end = scan::byte(input, b'\n');
        let len = line_end.map_or(input.len(), |at| at + 1);
        if trailers.fields.bytes().len() + len > TRAILER_BYTES_MAX {
            return Err(ChunkError::TrailersTooLarge);
        }
        trailers.fields.take_bytes(&input[..len]);
        if line_end.is_some() {
            match trailers.lines.next_field(trailers.fields.bytes()) {
                Ok(Some(Found::Field(line))) => trailers.fields.push(line),
                // An empty one is told before it begins.
                Ok(Some(Found::End) | None) | Err(Malformed::LineEnd) => return Err(ChunkError::LineEnd),
                Err(malformed) => return Err(malformed.into()),
            }
            self.place = Place::Trailer;
        }
        Ok(len)
    }
}

/// The line before a chunk with `len` bytes of data, of which there must be some. It is written to the end of `out`.
pub(crate) fn size_line(len: usize, out: &mut [u8; SIZE_LINE_MAX]) -> &[u8] {
    debug_assert_ne!(len, 0, "a chunk without data is the last one");
    let mut at = out.len() - 2;
    out[at..].copy_from_slice(b"\r\n");
    let mut rest = len;
    while rest > 0 {
        at -= 1;
        out[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
    &out[at..]
}

/// Writes the last chunk, and the trailer section if there is one. What stands before it ends with the CRLF of its chunk.
pub(crate) fn write_end(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        trailers.write(out);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;

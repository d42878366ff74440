//! The header by which a proxy before this one tells whose connection it passes on: the PROXY protocol, versions 1 and 2, as it is read
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt).
//!
//! Nothing is guessed and nothing repaired: what is believed here decides who is limited, logged, and let in by apps.

mod crc32c;
mod receive;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use cutover_core::proxy_protocol::{Endpoints, SIGNATURE};

use self::crc32c::crc32c;
pub(crate) use self::receive::{Refused, claims, receive};

/// Bytes of a header. The specification asks senders to keep below 536; what they add about TLS may need more.
pub(crate) const LEN_MAX: usize = 4 << 10;

/// What a header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Whose connection it is.
    Client(Endpoints),
    /// It is somebody's, and the sender can't say whose: not over TCP, or it does not know.
    Unknown,
    /// It is the sender's own, such as a health check.
    Local,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// They begin like neither version.
    #[error("it does not begin with a PROXY header")]
    Start,
    /// A line that is none of the first version.
    #[error("the line of the PROXY header is malformed")]
    Line,
    /// A line or block that is larger than any.
    #[error("the PROXY header is too large")]
    TooLarge,
    /// A version, command, family or transport that is not defined, or not that of a TCP connection.
    #[error("the PROXY header is of a kind that is not known")]
    Kind,
    /// Fewer bytes than the addresses of its family have.
    #[error("the PROXY header has no room for its addresses")]
    Addresses,
    /// Extensions that don't fill the block exactly.
    #[error("an extension of the PROXY header is malformed")]
    Extension,
    /// A checksum that is not that of the header.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// Reads the header that `bytes` begin with. Answers what it tells and how many bytes it has. `None`: it is not whole, and all of the
/// bytes belong to it.
///
/// # Errors
/// [`HeaderError`]: the connection is of no use.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    if starts(bytes, LINE_START) {
        parse_line(bytes)
    } else if starts(bytes, &SIGNATURE) {
        parse_block(bytes)
    } else {
        Err(HeaderError::Start)
    }
}

/// Whether `bytes`, as far as they came, are those of `start`.
fn starts(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

/// Version 1 (section 2.1).
fn parse_line(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    let within = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = within.iter().position(|&byte| byte == b'\n') else {
        return if within.len() < LINE_MAX { Ok(None) } else { Err(HeaderError::TooLarge) };
    };
    let line = within[..end].strip_suffix(b"\r").ok_or(HeaderError::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Line)?;
    let mut words = line.split(' ').skip(1);
    let told = match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => Told::Unknown,
        Some("TCP4") => Told::Client(ends::<Ipv4Addr>(words).ok_or(HeaderError::Line)?),
        Some("TCP6") => Told::Client(ends::<Ipv6Addr>(words).ok_or(HeaderError::Line)?),
        _ => return Err(HeaderError::Line),
    };
    Ok(Some((told, end + 1)))
}

/// Both addresses, then both ports, and nothing else.
fn ends<'a, A: FromStr + Into<IpAddr>>(mut words: impl Iterator<Item = &'a str>) -> Option<Endpoints> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (from, to) = (address()?, address()?);
    let mut port = || words.next().and_then(port);
    let ends =
        Endpoints { source: SocketAddr::new(from, port()?), destination: SocketAddr::new(to, port()?) };
    words.next().is_none().then_some(ends)
}

/// A number without a sign and without zeros in front of it, which some would read as octal.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// Version 2 (section 2.2).
fn parse_block(bytes: &[u8]) -> Result<Option<(Told, usize)>, HeaderError> {
    let Some((&[.., command, family, high, low], _)) = bytes.split_first_chunk::<BLOCK_START>() else {
        return Ok(None);
    };
    let len = BLOCK_START + usize::from(u16::from_be_bytes([high, low]));
    if len > LEN_MAX {
        return Err(HeaderError::TooLarge);
    }
    if !matches!(command, LOCAL | PROXY) {
        return Err(HeaderError::Kind);
    }
    let Some(header) = bytes.get(..len) else { return Ok(None) };
    let block = &header[BLOCK_START..];
    let (told, extensions) = match (command, family) {
        // The rest of it says nothing, whatever it is.
        (LOCAL, _) => return Ok(Some((Told::Local, len))),
        (_, UNSPECIFIED) => return Ok(Some((Told::Unknown, len))),
        (_, TCP4) => {
            let (addresses, rest) = block.split_first_chunk::<12>().ok_or(HeaderError::Addresses)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            (client([a, b, c, d].into(), [e, f, g, h].into(), ports), rest)
        }
        (_, TCP6) => {
            let (from, rest) = block.split_first_chunk::<16>().ok_or(HeaderError::Addresses)?;
            let (to, rest) = rest.split_first_chunk::<16>().ok_or(HeaderError::Addresses)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(HeaderError::Addresses)?;
            (client((*from).into(), (*to).into(), *ports), rest)
        }
        (_, UNIX) => (Told::Unknown, block.get(UNIX_LEN..).ok_or(HeaderError::Addresses)?),
        _ => return Err(HeaderError::Kind),
    };
    check_extensions(header, extensions)?;
    Ok(Some((told, len)))
}

fn client(from: IpAddr, to: IpAddr, [a, b, c, d]: [u8; 4]) -> Told {
    let source = SocketAddr::new(from, u16::from_be_bytes([a, b]));
    Told::Client(Endpoints { source, destination: SocketAddr::new(to, u16::from_be_bytes([c, d])) })
}

/// Goes over the extensions (section 2.2): a type, a length, a value. Only a checksum means something here; what the sender says about
/// its own TLS does not, because apps can't be told so that they could tell it from what a client says.
fn check_extensions(header: &[u8], mut extensions: &[u8]) -> Result<(), HeaderError> {
    while let [kind, high, low, rest @ ..] = extensions {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = rest.split_at_checked(len).ok_or(HeaderError::Extension)?;
        if *kind == CHECKSUM {
            let expected = u32::from_be_bytes(value.try_into().map_err(|_| HeaderError::Extension)?);
            let at = header.len() - rest.len();
            // It is that of the header with zeros in its own place.
            if crc32c(&[&header[..at], &[0; 4], &header[at + 4..]]) != expected {
                return Err(HeaderError::Checksum);
            }
        }
        extensions = after;
    }
    if extensions.is_empty() { Ok(()) } else { Err(HeaderError::Extension) }
}

const LINE_START: &[u8] = b"PROXY ";
/// Bytes of the longest line, with its end.
const LINE_MAX: usize = 107;
/// Bytes of a block in front of its addresses.
const BLOCK_START: usize = 16;
/// Version 2, with what the connection is.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Address family and transport. A datagram is nothing that came over this connection.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX: u8 = 0x31;
/// Bytes of two paths.
const UNIX_LEN: usize = 216;
/// The extension with a checksum.
const CHECKSUM: u8 = 0x03;

#[cfg(test)]
mod tests;

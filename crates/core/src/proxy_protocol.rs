//! The header by which a proxy tells the next one whose connection it passes on: the PROXY protocol, versions 1 and 2, as it is sent
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt).

use std::net::{IpAddr, SocketAddr};

use crate::policy::ProxyProtocol;

/// What a header of version 2 begins with, which no other protocol does.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Who opened it.
    pub source: SocketAddr,
    /// Where to.
    pub destination: SocketAddr,
}

/// The header of a connection that is passed on for a client, or, without `ends`, of one that the sender has opened for itself, such as
/// a probe. It has 107 bytes at most, and goes out before anything else, in one piece.
#[must_use]
pub fn header(version: ProxyProtocol, ends: Option<Endpoints>) -> Vec<u8> {
    let ends = ends.map(of_one_family);
    match version {
        ProxyProtocol::V1 => line(ends),
        ProxyProtocol::V2 => block(ends),
    }
}

/// Section 2.1. The first version has no word for what the sender does for itself: its connection is of no known client.
fn line(ends: Option<Endpoints>) -> Vec<u8> {
    let Some(Endpoints { source, destination }) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

/// Section 2.2.
fn block(ends: Option<Endpoints>) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    let Some(Endpoints { source, destination }) = ends else {
        out.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
        return out;
    };
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[PROXY, TCP4, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[PROXY, TCP6, 0, 36]);
            out.extend_from_slice(&mapped(from));
            out.extend_from_slice(&mapped(to));
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    out
}

/// A header has addresses of one family only.
fn of_one_family(ends: Endpoints) -> Endpoints {
    let (source, destination) = (ends.source.ip().to_canonical(), ends.destination.ip().to_canonical());
    let (source, destination) = match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => (source, destination),
        (source, destination) => (mapped(source).into(), mapped(destination).into()),
    };
    Endpoints {
        source: SocketAddr::new(source, ends.source.port()),
        destination: SocketAddr::new(destination, ends.destination.port()),
    }
}

/// An address as one of IPv6.
const fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Version 2, with what the connection is.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Address family and transport.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(source: &str, destination: &str) -> Option<Endpoints> {
        Some(Endpoints { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    fn v1(ends: Option<Endpoints>) -> String {
        String::from_utf8(header(ProxyProtocol::V1, ends)).unwrap()
    }

    fn v2(ends: Option<Endpoints>) -> Vec<u8> {
        header(ProxyProtocol::V2, ends).split_off(SIGNATURE.len())
    }

    #[test]
    fn the_first_version_is_a_line() {
        let line = v1(ends("192.0.2.1:56324", "198.51.100.2:443"));
        assert_eq!(line, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
        let line = v1(ends("[2001:db8::1]:1", "[2001:db8::2]:65535"));
        assert_eq!(line, "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
    }

    #[test]
    fn the_second_version_is_a_block() {
        let block = v2(ends("192.0.2.1:258", "198.51.100.2:443"));
        assert_eq!(block, [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 1, 2, 1, 187]);
        let block = v2(ends("[::1]:1", "[::2]:2"));
        assert_eq!(block[..4], [0x21, 0x21, 0, 36]);
        assert_eq!((block[19], block[35], block[37], block[39], block.len()), (1, 2, 1, 2, 40));
    }

    #[test]
    fn a_connection_of_our_own_is_of_no_client() {
        assert_eq!(v1(None), "PROXY UNKNOWN\r\n");
        assert_eq!(v2(None), [0x20, 0, 0, 0]);
    }

    #[test]
    fn addresses_of_two_families_become_those_of_one() {
        assert_eq!(v1(ends("192.0.2.1:1", "[::2]:2")), "PROXY TCP6 ::ffff:192.0.2.1 ::2 1 2\r\n");
        assert_eq!(v1(ends("[::ffff:192.0.2.1]:1", "192.0.2.2:2")), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    }
}

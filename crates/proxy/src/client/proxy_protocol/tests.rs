//! PROXY headers of both versions, whole, in pieces and wrong.

use cutover_core::policy::ProxyProtocol;
use cutover_core::proxy_protocol::header;
use proptest::prelude::*;

use super::*;

fn line(text: &str) -> Result<Option<(Told, usize)>, HeaderError> {
    parse(text.as_bytes())
}

fn told(bytes: &[u8]) -> Result<Told, HeaderError> {
    let (told, len) = parse(bytes)?.expect("it is whole");
    assert_eq!(len, bytes.len());
    Ok(told)
}

/// A block with this command, family and rest.
fn block(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &len, rest].concat()
}

fn client(source: &str, destination: &str) -> Told {
    Told::Client(Endpoints { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

/// Addresses and ports of 192.0.2.1:256 and 192.0.2.2:443.
const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 1, 0, 1, 187];

#[test]
fn a_line_tells_the_client() {
    let tcp4 = client("192.0.2.1:0", "192.0.2.2:65535");
    assert_eq!(told(b"PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n"), Ok(tcp4));
    let tcp6 = client("[2001:db8::1]:4711", "[::1]:80");
    assert_eq!(told(b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n"), Ok(tcp6));
    assert_eq!(told(b"PROXY UNKNOWN\r\n"), Ok(Told::Unknown));
    assert_eq!(told(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Ok(Told::Unknown));
}

#[test]
fn what_follows_a_header_is_left() {
    let parsed = line("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(parsed, Ok(Some((Told::Unknown, 15))));
    let tls = [&block(PROXY, TCP4, &V4)[..], &[0x16, 3, 1]].concat();
    assert_eq!(parse(&tls).map(|parsed| parsed.map(|(_, len)| len)), Ok(Some(28)));
}

#[test]
fn a_line_is_not_guessed() {
    for broken in [
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
        "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP6 fe80::1%1 ::2 1 2\r\n",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY UNKNOWN\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n",
    ] {
        assert!(line(broken).is_err(), "{broken:?}");
    }
    assert_eq!(line("GET / HTTP/1.1\r\n"), Err(HeaderError::Start));
    assert_eq!(line("PROXYTCP4 "), Err(HeaderError::Start));
}

#[test]
fn a_line_ends_within_107_bytes() {
    let filler = "x".repeat(LINE_MAX - 16);
    assert_eq!(told(format!("PROXY UNKNOWN {filler}\r\n").as_bytes()), Ok(Told::Unknown));
    assert_eq!(line(&format!("PROXY UNKNOWN {filler}")), Ok(None));
    assert_eq!(line(&format!("PROXY UNKNOWN {filler}xx\r\n")), Err(HeaderError::TooLarge));
}

#[test]
fn a_block_tells_the_client() {
    assert_eq!(told(&block(PROXY, TCP4, &V4)), Ok(client("192.0.2.1:256", "192.0.2.2:443")));
    let mut v6 = [0; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
    assert_eq!(told(&block(PROXY, TCP6, &v6)), Ok(client("[::1]:3", "[::2]:4")));
}

#[test]
fn a_block_may_tell_of_nobody() {
    assert_eq!(told(&block(LOCAL, UNSPECIFIED, &[])), Ok(Told::Local));
    assert_eq!(told(&block(LOCAL, 0xff, b"whatever")), Ok(Told::Local), "all of it is to be ignored");
    assert_eq!(told(&block(PROXY, UNSPECIFIED, b"whatever")), Ok(Told::Unknown));
    assert_eq!(told(&block(PROXY, UNIX, &[b'/'; UNIX_LEN])), Ok(Told::Unknown));
}

#[test]
fn a_block_is_not_guessed() {
    let refused = |command, family, rest: &[u8]| parse(&block(command, family, rest)).unwrap_err();
    assert_eq!(refused(0x11, TCP4, &V4), HeaderError::Kind, "version 1");
    assert_eq!(refused(0x22, TCP4, &V4), HeaderError::Kind, "a command that is not defined");
    for family in [0x01, 0x10, 0x12, 0x13, 0x22, 0x32, 0x41, 0xff] {
        assert_eq!(refused(PROXY, family, &[0; UNIX_LEN]), HeaderError::Kind, "{family:#x}");
    }
    assert_eq!(refused(PROXY, TCP4, &V4[..11]), HeaderError::Addresses);
    assert_eq!(refused(PROXY, TCP6, &[0; 35]), HeaderError::Addresses);
    assert_eq!(refused(PROXY, UNIX, &[0; UNIX_LEN - 1]), HeaderError::Addresses);
    assert_eq!(refused(PROXY, UNSPECIFIED, &[0; LEN_MAX]), HeaderError::TooLarge);
}

#[test]
fn a_block_that_is_too_large_is_not_waited_for() {
    assert_eq!(parse(&block(PROXY, TCP4, &[0; LEN_MAX])[..BLOCK_START]), Err(HeaderError::TooLarge));
    assert_eq!(parse(&block(0x22, TCP4, &V4)[..BLOCK_START]), Err(HeaderError::Kind));
}

#[test]
fn extensions_are_skipped_where_they_fill_the_block() {
    let with = |extensions: &[u8]| told(&block(PROXY, TCP4, &[&V4[..], extensions].concat()));
    let v4 = Ok(client("192.0.2.1:256", "192.0.2.2:443"));
    assert_eq!(with(&[0x04, 0, 0]), v4);
    assert_eq!(with(&[0x20, 0, 2, 1, 2, 0xea, 0, 1, 0]), v4);
    for broken in [&[0x04][..], &[0x04, 0], &[0x04, 0, 1], &[0x04, 0, 0, 0x04], &[0x04, 0xff, 0xff, 0]] {
        assert_eq!(with(broken), Err(HeaderError::Extension), "{broken:?}");
    }
}

#[test]
fn a_checksum_has_to_be_right() {
    let with = |sum: [u8; 4]| {
        let [a, b, c, d] = sum;
        block(PROXY, TCP4, &[&V4[..], &[CHECKSUM, 0, 4, a, b, c, d, 0x04, 0, 1, 9]].concat())
    };
    let sum = crc32c(&[&with([0; 4])]);
    assert!(told(&with(sum.to_be_bytes())).is_ok());
    assert_eq!(told(&with((sum ^ 1).to_be_bytes())), Err(HeaderError::Checksum));
    let short = block(PROXY, TCP4, &[&V4[..], &[CHECKSUM, 0, 3, 1, 2, 3]].concat());
    assert_eq!(told(&short), Err(HeaderError::Extension));
}

fn an_address() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(|(ip, port)| SocketAddr::new(ip.into(), port));
    let v6 = any::<([u8; 16], u16)>().prop_map(|(ip, port)| SocketAddr::new(ip.into(), port));
    prop_oneof![v4, v6]
}

/// The address as one of IPv6, if `other` is.
fn canonical(address: SocketAddr, other: SocketAddr) -> SocketAddr {
    let both = [address, other].map(|address| address.ip().to_canonical());
    let ip = match both {
        [IpAddr::V4(ip), IpAddr::V6(_)] => ip.to_ipv6_mapped().into(),
        [ip, _] => ip,
    };
    SocketAddr::new(ip, address.port())
}

proptest! {
    #[test]
    fn what_is_sent_reads_back(source in an_address(), destination in an_address(), rest: Vec<u8>) {
        let ends = Endpoints { source, destination };
        let expected = Endpoints {
            source: canonical(source, destination),
            destination: canonical(destination, source),
        };
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            let mut bytes = header(version, Some(ends));
            let len = bytes.len();
            prop_assert!(len <= LINE_MAX);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(parse(&bytes), Ok(Some((Told::Client(expected), len))));
            for cut in 0..len {
                prop_assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {}", cut);
            }
        }
    }

    #[test]
    fn no_bytes_are_read_beyond_the_header(version: bool, mut bytes: Vec<u8>) {
        let start: &[u8] = if version { LINE_START } else { &SIGNATURE };
        bytes.splice(..0, start.iter().copied());
        if let Ok(Some((told, len))) = parse(&bytes) {
            prop_assert!(len <= bytes.len());
            prop_assert_eq!(parse(&bytes[..len]), Ok(Some((told, len))));
            prop_assert_eq!(parse(&bytes[..len - 1]), Ok(None));
        }
    }
}

#[test]
fn nobody_is_told_of_a_connection_of_our_own() {
    assert_eq!(told(&header(ProxyProtocol::V1, None)), Ok(Told::Unknown));
    assert_eq!(told(&header(ProxyProtocol::V2, None)), Ok(Told::Local));
}

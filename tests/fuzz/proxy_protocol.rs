//! PROXY headers: not one byte more is read than a header has, a plain reader finds the same addresses in it, and what we would send for them
//! reads back.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use cutover_core::policy::ProxyProtocol;
use cutover_core::proxy_protocol::{Endpoints, SIGNATURE, header};
use cutover_proxy::fuzzing::proxy_header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parsed = proxy_header(data);
    let more = [data, b"\n"].concat();
    match parsed {
        Err(_) => assert!(proxy_header(&more).is_err(), "no more bytes make a header of what is none"),
        Ok(None) => {}
        Ok(Some((ends, len))) => {
            assert_eq!(proxy_header(&more), parsed, "what follows it is not looked at");
            let lengths = (0..len.min(128)).chain(len.saturating_sub(128)..len);
            lengths.for_each(|cut| assert_eq!(proxy_header(&data[..cut]), Ok(None), "cut at {cut}"));
            let Some(ends) = ends else { return };
            assert_eq!(read(&data[..len]), Some(ends));
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                let sent = header(version, Some(ends));
                assert_eq!(proxy_header(&sent), Ok(Some((Some(of_one_family(ends)), sent.len()))));
            }
        }
    }
});

/// The addresses of a header that is known to be one.
fn read(header: &[u8]) -> Option<Endpoints> {
    if header.starts_with(&SIGNATURE) {
        let (size, ports) = if header[13] == 0x11 { (4, 24) } else { (16, 48) };
        let ip = |at: usize| -> Option<IpAddr> {
            let bytes = &header[at..at + size];
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
        };
        let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let source = SocketAddr::new(ip(16)?, port(ports));
        return Some(Endpoints { source, destination: SocketAddr::new(ip(16 + size)?, port(ports + 2)) });
    }
    let words: Vec<_> = std::str::from_utf8(header).ok()?.split_whitespace().collect();
    let [_, _, from, to, from_port, to_port] = words[..] else { return None };
    let end = |ip: &str, port: &str| Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?));
    Some(Endpoints { source: end(from, from_port)?, destination: end(to, to_port)? })
}

/// Addresses of IPv4 that were mapped into IPv6 go out as what they are, where both are.
fn of_one_family(ends: Endpoints) -> Endpoints {
    let [from, to] = [ends.source, ends.destination].map(|end| end.ip().to_canonical());
    let (from, to) =
        if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (ends.source.ip(), ends.destination.ip()) };
    Endpoints {
        source: SocketAddr::new(from, ends.source.port()),
        destination: SocketAddr::new(to, ends.destination.port()),
    }
}

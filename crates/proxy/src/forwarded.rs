//! Where a request really comes from: `X-Forwarded-*` and `Forwarded` (RFC 7239), believed from trusted proxies only.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::config::Network;
use crate::list;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What apps believe about the way of a request. From a peer that is not trusted, all of them are taken out.
const CLAIMS: [HeaderName; 10] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_PROTO,
    X_FORWARDED_HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-ssl"),
    HeaderName::from_static("x-real-ip"),
];

/// The other end of a client connection, with what is the same for all its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    address: IpAddr,
    is_tls: bool,
    is_trusted: bool,
    /// The address, as `X-Forwarded-For` has it.
    for_value: HeaderValue,
}

/// Where a request comes from, as far as that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The client: the last hop that is not a trusted proxy.
    pub client: IpAddr,
    /// Whether the client came over TLS.
    pub is_secure: bool,
}

impl Peer {
    /// A connection from `address`, which is believed if one of `trusted` has it.
    #[must_use]
    pub fn new(address: IpAddr, is_tls: bool, trusted: &[Network]) -> Self {
        let address = address.to_canonical();
        let for_value = HeaderValue::from_str(&address.to_string());
        Self {
            address,
            is_tls,
            is_trusted: is_trusted(address, trusted),
            for_value: for_value.unwrap_or(HeaderValue::from_static("unknown")),
        }
    }

    /// The address of the peer itself, IPv4 where it is mapped into IPv6.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Where a request on this connection comes from.
    ///
    /// From a trusted peer: the client is the right-most hop of `X-Forwarded-For` (of `Forwarded` where there is none) that
    /// `trusted` does not have; a hop that is no address ends the search, since nobody vouches for what is left of it. The scheme
    /// is the first of `X-Forwarded-Proto`, else of `Forwarded`.
    #[must_use]
    pub fn origin(&self, headers: &HeaderMap, trusted: &[Network]) -> Origin {
        let own = Origin { client: self.address, is_secure: self.is_tls };
        if !self.is_trusted {
            return own;
        }
        let hops = list::elements(headers, X_FORWARDED_FOR).map(node);
        let client = if headers.contains_key(X_FORWARDED_FOR) {
            last_untrusted(hops, trusted)
        } else {
            let hops = list::elements(headers, FORWARDED);
            last_untrusted(hops.map(|hop| parameter(hop, b"for").and_then(node)), trusted)
        };
        let proto = list::elements(headers, X_FORWARDED_PROTO)
            .next()
            .or_else(|| list::elements(headers, FORWARDED).next().and_then(|hop| parameter(hop, b"proto")));
        Origin {
            client: client.unwrap_or(self.address),
            is_secure: proto.map_or(self.is_tls, |proto| proto.eq_ignore_ascii_case(b"https")),
        }
    }

    /// Tells the app where a request comes from. What a trusted peer said is kept and this hop is added to it; what others said is replaced.
    ///
    /// `authority` is the host, with its port, that the client asked for. Called after the fields named in `Connection` are gone.
    pub fn write(&self, headers: &mut HeaderMap, authority: &str) {
        if !self.is_trusted {
            CLAIMS.iter().for_each(|name| {
                headers.remove(name);
            });
            remove_aliases(headers);
        }
        let for_value = appended(headers, &X_FORWARDED_FOR, &self.for_value);
        headers.insert(X_FORWARDED_FOR, for_value);
        let proto = if self.is_tls { "https" } else { "http" };
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(proto));
        if !authority.is_empty()
            && let Ok(host) = HeaderValue::from_str(authority)
        {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
        if let Ok(hop) = HeaderValue::from_maybe_shared(bytes::Bytes::from(self.hop(proto, authority))) {
            let forwarded = appended(headers, &FORWARDED, &hop);
            headers.insert(FORWARDED, forwarded);
        }
    }

    /// One element of `Forwarded` (RFC 7239 section 4).
    fn hop(&self, proto: &str, authority: &str) -> Vec<u8> {
        let mut hop = Vec::with_capacity(80 + authority.len());
        let (open, close): (&[u8], &[u8]) = match self.address {
            IpAddr::V4(_) => (b"for=", b""),
            // No token has a colon.
            IpAddr::V6(_) => (b"for=\"[", b"]\""),
        };
        for part in [open, self.for_value.as_bytes(), close, b";proto=", proto.as_bytes()] {
            hop.extend_from_slice(part);
        }
        // An authority has neither quotes nor backslashes, so that quoting it is all it takes.
        if !authority.is_empty() && !authority.contains(['"', '\\']) {
            let quote: &[u8] = if authority.contains(':') { b"\"" } else { b"" };
            for part in [b";host=", quote, authority.as_bytes(), quote] {
                hop.extend_from_slice(part);
            }
        }
        hop
    }
}

/// Apps that see fields as environment variables (CGI, WSGI, Rack, PHP) can't tell `X_Forwarded_For` from `X-Forwarded-For`.
fn remove_aliases(headers: &mut HeaderMap) {
    let is_alias = |name: &&HeaderName| {
        let name = name.as_str();
        let folded = || name.bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        name.contains('_') && CLAIMS.iter().any(|claim| folded().eq(claim.as_str().bytes()))
    };
    // Allocates only when there is one.
    let aliases: Vec<HeaderName> = headers.keys().filter(is_alias).cloned().collect();
    for name in aliases {
        headers.remove(name);
    }
}

fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The right-most of `hops` that is not trusted, or the first if all are. A hop that is no address makes those before it unknown.
fn last_untrusted(hops: impl Iterator<Item = Option<IpAddr>>, trusted: &[Network]) -> Option<IpAddr> {
    hops.fold(None, |client, hop| match hop {
        Some(address) if client.is_none() || !is_trusted(address, trusted) => Some(address),
        Some(_) => client,
        None => None,
    })
}

/// The address of a hop, with or without a port, in brackets or not; `None` for a name or garbage.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(list::unquoted(text)?).ok()?;
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address: Option<IpAddr> = match bracketed {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| text.parse().ok().map(|socket: SocketAddr| socket.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// A parameter of one element of `Forwarded`, without its quotes.
fn parameter<'a>(hop: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut pairs = list::split(hop, b';').map(|pair| list::pair(pair, b'='));
    let (_, value) = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    list::unquoted(value?)
}

/// All lines of a list field as one, because not every app reads more than the first, with `last` at its end.
fn appended(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    if !headers.contains_key(name) {
        return last.clone();
    }
    let mut line = Vec::new();
    for element in list::elements(headers, name) {
        line.extend_from_slice(element);
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(last.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(line)).unwrap_or_else(|_| last.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusted() -> Vec<Network> {
        [("10.0.0.0", 8), ("fd00::", 8)]
            .map(|(address, prefix_len)| Network { address: address.parse().unwrap(), prefix_len })
            .to_vec()
    }

    fn peer(address: &str, is_tls: bool) -> Peer {
        Peer::new(address.parse().unwrap(), is_tls, &trusted())
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    fn client(fields: &[(&'static str, &'static str)]) -> String {
        peer("10.0.0.9", false).origin(&headers(fields), &trusted()).client.to_string()
    }

    fn is_secure(is_tls: bool, fields: &[(&'static str, &'static str)]) -> bool {
        peer("10.0.0.9", is_tls).origin(&headers(fields), &trusted()).is_secure
    }

    #[test]
    fn a_stranger_is_the_client_whatever_it_claims() {
        let claims = headers(&[
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.2.3.4;proto=https"),
        ]);
        let origin = peer("203.0.113.7", false).origin(&claims, &trusted());
        assert_eq!(origin, Origin { client: [203, 0, 113, 7].into(), is_secure: false });
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_not_trusted() {
        let cases = [
            ("1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1", "1.1.1.1"),
            ("6.6.6.6, 1.1.1.1, 10.0.0.1, 10.0.0.2", "1.1.1.1"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
            ("1.1.1.1, unknown, 10.0.0.1", "10.0.0.1"),
            ("1.1.1.1, garbage", "10.0.0.9"),
            ("", "10.0.0.9"),
            ("1.1.1.1:4711, [fd00::1]:80", "1.1.1.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:1.1.1.1, ::ffff:10.0.0.1", "1.1.1.1"),
        ];
        for (line, expected) in cases {
            assert_eq!(client(&[("x-forwarded-for", line)]), expected, "{line}");
        }
        assert_eq!(
            client(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1, 10.0.0.1")]),
            "1.1.1.1"
        );
    }

    #[test]
    fn forwarded_counts_where_there_is_no_x_forwarded_for() {
        let line = "for=192.0.2.1;by=\"a,b\", For=\"[2001:db8::17]:4711\";proto=https, for=10.0.0.1";
        assert_eq!(client(&[("forwarded", line)]), "2001:db8::17");
        assert_eq!(client(&[("forwarded", "for=192.0.2.1, for=_hidden, for=10.0.0.1")]), "10.0.0.1");
        assert_eq!(client(&[("forwarded", "for=192.0.2.1, proto=https")]), "10.0.0.9");
        assert_eq!(client(&[("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "1.1.1.1")]), "1.1.1.1");
    }

    #[test]
    fn the_scheme_is_the_one_the_client_used() {
        assert!(is_secure(true, &[]) && !is_secure(false, &[]));
        assert!(is_secure(false, &[("x-forwarded-proto", "HTTPS")]));
        assert!(is_secure(false, &[("x-forwarded-proto", "https, http")]));
        assert!(!is_secure(true, &[("x-forwarded-proto", "http")]));
        assert!(is_secure(false, &[("forwarded", "proto=https, proto=http")]));
        assert!(!is_secure(false, &[("x-forwarded-proto", "http"), ("forwarded", "proto=https")]));
    }

    fn written(
        address: &str,
        is_tls: bool,
        authority: &str,
        fields: &[(&'static str, &'static str)],
    ) -> HeaderMap {
        let mut headers = headers(fields);
        peer(address, is_tls).write(&mut headers, authority);
        headers
    }

    #[test]
    fn what_a_stranger_claims_is_replaced() {
        let claims = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x-forwarded_proto", "https"),
            ("x_real_ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
        ];
        let expected = headers(&[
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "example.com:8080"),
            ("forwarded", "for=203.0.113.7;proto=http;host=\"example.com:8080\""),
        ]);
        assert_eq!(written("203.0.113.7", false, "example.com:8080", &claims), expected);
        assert_eq!(written("::ffff:203.0.113.7", false, "example.com:8080", &[]), expected);
    }

    #[test]
    fn what_a_trusted_proxy_says_is_kept_and_its_own_hop_added() {
        let said = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=1.1.1.1;by=\"a,b\""),
        ];
        let expected = headers(&[
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, fd00::9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=1.1.1.1;by=\"a,b\", for=\"[fd00::9]\";proto=http;host=inner"),
        ]);
        assert_eq!(written("fd00::9", false, "inner", &said), expected);
    }

    #[test]
    fn without_a_host_none_is_claimed() {
        let written = written("203.0.113.7", true, "", &[]);
        assert_eq!(written["forwarded"], "for=203.0.113.7;proto=https");
        assert!(!written.contains_key("x-forwarded-host"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_client(v6: [u8; 16], hops: Vec<u8>) {
            let address = IpAddr::from(v6).to_canonical();
            let stranger = Peer::new(address, true, &[]);
            let mut headers = HeaderMap::new();
            if let Ok(hops) = HeaderValue::from_bytes(&hops) {
                headers.insert(X_FORWARDED_FOR, hops.clone());
                headers.insert(FORWARDED, hops);
            }
            stranger.write(&mut headers, "h:1");
            let next = Peer::new([10, 0, 0, 9].into(), false, &trusted());
            let expected = Origin { client: address, is_secure: true };
            prop_assert_eq!(next.origin(&headers, &trusted()), expected);
            headers.remove(X_FORWARDED_FOR);
            headers.remove(X_FORWARDED_PROTO);
            prop_assert_eq!(next.origin(&headers, &trusted()), expected);
        }

        #[test]
        fn no_claim_can_panic(line: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                for name in [X_FORWARDED_FOR, FORWARDED, X_FORWARDED_PROTO] {
                    let mut headers = HeaderMap::from_iter([(name, value.clone())]);
                    let proxy = peer("10.0.0.9", false);
                    let _ = proxy.origin(&headers, &trusted());
                    proxy.write(&mut headers, "h");
                    prop_assert!(headers[FORWARDED].as_bytes().ends_with(b"for=10.0.0.9;proto=http;host=h"));
                }
            }
        }
    }
}

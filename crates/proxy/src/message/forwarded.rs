//! Where a request really comes from: `X-Forwarded-*` and `Forwarded` (RFC 7239), believed from trusted proxies only.

use std::net::{IpAddr, SocketAddr};

use crate::config::Network;
use crate::message::fields::Fields;
use crate::message::headers::NOT_FOR_APPS;
use crate::message::list;
use crate::message::name::{LEN_MAX, Name, Names};
use crate::serve::facts::Authority;

/// What apps believe about the way of a request. From a peer that is not trusted, all of them are taken out.
pub(crate) const CLAIMS: Names = Names::of(&[
    Name::Forwarded,
    Name::XForwardedFor,
    Name::XForwardedProto,
    Name::XForwardedHost,
    Name::XForwardedPort,
    Name::XForwardedPrefix,
    Name::XForwardedScheme,
    Name::XForwardedServer,
    Name::XForwardedSsl,
    Name::XRealIp,
]);

/// Those of them that say where a request comes from.
const ORIGIN: Names = Names::of(&[Name::Forwarded, Name::XForwardedFor, Name::XForwardedProto]);

/// What stands in front of the host in `Forwarded`.
const HOST: &str = ";host=";
/// What stands in front of the address in a line.
const FOR: &str = "X-Forwarded-For: ";
const PROTO_HTTP: &[u8] = b"X-Forwarded-Proto: http\r\n";
const PROTO_HTTPS: &[u8] = b"X-Forwarded-Proto: https\r\n";

/// The other end of a client connection, with what is the same for all its requests.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    address: IpAddr,
    is_tls: bool,
    is_trusted: bool,
    /// What `Forwarded` says of it, in front of the host: `for=192.0.2.1;proto=http;host=`.
    hop: Box<str>,
    /// What `X-Forwarded-For` says of it, as a line: `X-Forwarded-For: 192.0.2.1`.
    line: Box<str>,
}

/// Where a request comes from, as far as that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client: the last hop that is not a trusted proxy.
    pub client: IpAddr,
    /// Whether the client came over TLS.
    pub is_secure: bool,
}

impl Peer {
    /// A connection from `address`, which is believed if one of `trusted` has it.
    #[must_use]
    pub(crate) fn new(address: IpAddr, is_tls: bool, trusted: &[Network]) -> Self {
        let address = address.to_canonical();
        let scheme = if is_tls { "https" } else { "http" };
        let hop = match address {
            IpAddr::V4(_) => format!("for={address};proto={scheme}{HOST}"),
            // No token has a colon.
            IpAddr::V6(_) => format!("for=\"[{address}]\";proto={scheme}{HOST}"),
        };
        let line = format!("{FOR}{address}\r\n");
        Self { address, is_tls, is_trusted: is_trusted(address, trusted), hop: hop.into(), line: line.into() }
    }

    /// The address of the peer itself, IPv4 where it is mapped into IPv6.
    #[must_use]
    pub(crate) const fn address(&self) -> IpAddr {
        self.address
    }

    /// Where a request on this connection comes from.
    ///
    /// From a trusted peer: the client is the right-most hop of `X-Forwarded-For` (of `Forwarded` where there is none) that
    /// `trusted` does not have; a hop that is no address ends the search, since nobody vouches for what is left of it. The scheme
    /// is the first of `X-Forwarded-Proto`, else of `Forwarded`.
    #[must_use]
    pub(crate) fn origin(&self, fields: &Fields, trusted: &[Network]) -> Origin {
        let own = Origin { client: self.address, is_secure: self.is_tls };
        if !self.is_trusted || !fields.may_have(ORIGIN) {
            return own;
        }
        let client = if fields.contains(Name::XForwardedFor) {
            last_untrusted(fields.elements(Name::XForwardedFor).map(node), trusted)
        } else {
            let hops = fields.elements(Name::Forwarded);
            last_untrusted(hops.map(|hop| parameter(hop, b"for").and_then(node)), trusted)
        };
        let first_hop = || fields.elements(Name::Forwarded).next();
        let proto = fields.elements(Name::XForwardedProto).next();
        let proto = proto.or_else(|| parameter(first_hop()?, b"proto"));
        Origin {
            client: client.unwrap_or(self.address),
            is_secure: proto.map_or(self.is_tls, |proto| proto.eq_ignore_ascii_case(b"https")),
        }
    }

    /// Tells the app where a request comes from. What a trusted peer said is kept and this hop is added to it; what others said is replaced.
    ///
    /// `authority` is the host, with its port, that the client asked for. Called after the fields named in `Connection` are gone.
    pub(crate) fn write(&self, fields: &mut Fields, authority: Authority<'_>) {
        if !self.is_trusted {
            fields.remove_all(CLAIMS);
        }
        // No proxy says anything so. A trusted one that knows only the other spelling lets through what its clients say in this one.
        fields.remove_unknown_where(is_alias);
        if fields.contains(Name::XForwardedFor) {
            fields.join(Name::XForwardedFor, &[self.text()]);
        } else {
            fields.append_line(Name::XForwardedFor, self.line.as_bytes());
        }
        if !fields.contains(Name::XForwardedProto) {
            fields.append_line(Name::XForwardedProto, if self.is_tls { PROTO_HTTPS } else { PROTO_HTTP });
        }
        let (hop, host) = (self.hop.as_bytes(), authority.text.as_bytes());
        if !host.is_empty() && !fields.contains(Name::XForwardedHost) {
            fields.append(Name::XForwardedHost, &[host]);
        }
        if authority.is_token() {
            fields.join(Name::Forwarded, &[hop, host]);
        } else if host.is_empty() {
            fields.join(Name::Forwarded, &[&hop[..hop.len() - HOST.len()]]);
        } else {
            // An authority has neither quotes nor backslashes, so that quoting it is all it takes.
            fields.join(Name::Forwarded, &[hop, b"\"", host, b"\""]);
        }
    }

    /// The address, as `X-Forwarded-For` has it.
    fn text(&self) -> &[u8] {
        self.line[FOR.len()..].trim_ascii_end().as_bytes()
    }
}

/// Whether `name` is one of the claims, or of what only the proxy says, in disguise: apps that see fields as environment variables (CGI,
/// WSGI, Rack, PHP) can't tell `X_Forwarded_For` from `X-Forwarded-For`.
pub(crate) fn is_alias(name: &[u8]) -> bool {
    // All of them that have a dash begin so, and most other fields don't.
    let may_be = matches!(name, [b'x' | b'X', b'-' | b'_', ..] | [b'c' | b'C', b'u' | b'U', b't' | b'T', ..]);
    if !may_be || !name.contains(&b'_') {
        return false;
    }
    let mut dashed = [0; LEN_MAX];
    let Some(dashed) = dashed.get_mut(..name.len()) else { return false };
    dashed.copy_from_slice(name);
    dashed.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-');
    CLAIMS.and(NOT_FOR_APPS).contains(Name::of(dashed))
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

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().copied().collect()
    }

    fn client(pairs: &[(&str, &str)]) -> String {
        peer("10.0.0.9", false).origin(&fields(pairs), &trusted()).client.to_string()
    }

    fn is_secure(is_tls: bool, pairs: &[(&str, &str)]) -> bool {
        peer("10.0.0.9", is_tls).origin(&fields(pairs), &trusted()).is_secure
    }

    #[test]
    fn a_stranger_is_the_client_whatever_it_claims() {
        let claims = fields(&[
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

    fn authority_of(text: &str) -> Authority<'_> {
        Authority { text, host: text.rsplit_once(':').map_or(text, |(host, _)| host) }
    }

    fn written(address: &str, is_tls: bool, authority: &str, pairs: &[(&str, &str)]) -> Fields {
        let mut fields = fields(pairs);
        peer(address, is_tls).write(&mut fields, authority_of(authority));
        fields
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
            ("Cutover_State", "role=draining; epoch=1; admin=drain"),
            ("forwarded", "for=1.2.3.4"),
        ];
        let expected = fields(&[
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
            ("x_forwarded_for", "6.6.6.6"),
            ("x-real_ip", "6.6.6.6"),
            ("cutover_update", "v9"),
            ("forwarded", "for=1.1.1.1;by=\"a,b\""),
        ];
        let expected = fields(&[
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.example"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, fd00::9"),
            ("forwarded", "for=1.1.1.1;by=\"a,b\", for=\"[fd00::9]\";proto=http;host=inner"),
        ]);
        assert_eq!(written("fd00::9", false, "inner", &said), expected);
    }

    #[test]
    fn without_a_host_none_is_claimed() {
        let written = written("203.0.113.7", true, "", &[]);
        assert_eq!(written.first(Name::Forwarded), Some(&b"for=203.0.113.7;proto=https"[..]));
        assert!(!written.contains(Name::XForwardedHost));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_client(v6: [u8; 16], hops: Vec<u8>) {
            let address = IpAddr::from(v6).to_canonical();
            let stranger = Peer::new(address, true, &[]);
            let mut fields = Fields::from_iter([("x-forwarded-for", &hops), ("forwarded", &hops)]);
            stranger.write(&mut fields, authority_of("h:1"));
            let next = Peer::new([10, 0, 0, 9].into(), false, &trusted());
            let expected = Origin { client: address, is_secure: true };
            prop_assert_eq!(next.origin(&fields, &trusted()), expected);
            fields.remove(Name::XForwardedFor);
            fields.remove(Name::XForwardedProto);
            prop_assert_eq!(next.origin(&fields, &trusted()), expected);
        }

        #[test]
        fn no_claim_can_panic(line: Vec<u8>) {
            for name in [Name::XForwardedFor, Name::Forwarded, Name::XForwardedProto] {
                let mut fields = Fields::from_iter([(name.as_str(), &line)]);
                let proxy = peer("10.0.0.9", false);
                let _ = proxy.origin(&fields, &trusted());
                proxy.write(&mut fields, authority_of("h"));
                let last = fields.values(Name::Forwarded).last().unwrap();
                prop_assert!(last.ends_with(b"for=10.0.0.9;proto=http;host=h"));
            }
        }
    }
}

//! Where a request really comes from: `X-Forwarded-*` and `Forwarded` (RFC 7239), believed from trusted proxies only.

use std::io::Write as _;
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

/// What stands in front of the scheme in `Forwarded`.
const PROTO: &str = ";proto=";
/// What stands in front of the host there.
const HOST: &str = ";host=";
/// What stands in front of the address in a line.
const FOR: &str = "X-Forwarded-For: ";
const PROTO_HTTP: &[u8] = b"X-Forwarded-Proto: http\r\n";
const PROTO_HTTPS: &[u8] = b"X-Forwarded-Proto: https\r\n";
/// Bytes of the longest address as text: of IPv6, with an address of IPv4 at its end.
const ADDRESS_LEN_MAX: usize = 45;
/// Bytes of the longest authority that a peer's word is taken for: a name of the DNS, a colon, a port.
const AUTHORITY_LEN_MAX: usize = 253 + 1 + 5;

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
            IpAddr::V4(_) => format!("for={address}{PROTO}{scheme}{HOST}"),
            // No token has a colon.
            IpAddr::V6(_) => format!("for=\"[{address}]\"{PROTO}{scheme}{HOST}"),
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
    /// `origin` is what is believed, `authority` the host, with its port, that the client asked for. Called after the fields named in
    /// `Connection` are gone.
    pub(crate) fn write(&self, fields: &mut Fields, origin: Origin, authority: Authority<'_>) {
        // No proxy says anything so. A trusted one that knows only the other spelling lets through what its clients say in this one.
        fields.remove_unknown_where(is_alias);
        if !self.is_trusted {
            fields.remove_all(CLAIMS);
        } else if fields.may_have(CLAIMS) {
            return self.write_behind_others(fields, origin, authority);
        }
        fields.append_line(Name::XForwardedFor, self.line.as_bytes());
        fields.append_line(Name::XForwardedProto, if self.is_tls { PROTO_HTTPS } else { PROTO_HTTP });
        let (hop, host) = (self.hop.as_bytes(), authority.text.as_bytes());
        if !host.is_empty() {
            fields.append(Name::XForwardedHost, &[host]);
        }
        if authority.is_token() {
            fields.append(Name::Forwarded, &[hop, host]);
        } else if host.is_empty() {
            fields.append(Name::Forwarded, &[&hop[..hop.len() - HOST.len()]]);
        } else {
            // An authority has neither quotes nor backslashes, so that quoting it is all it takes.
            fields.append(Name::Forwarded, &[hop, b"\"", host, b"\""]);
        }
    }

    /// Adds this hop to what a trusted peer said.
    ///
    /// Apps look at `X-Forwarded-*` first, or at `Forwarded`, and there at its first or its last element: what the peer said in one of the
    /// two only is said in the other as it is believed (RFC 7239 section 7.4), and scheme and host are in `Forwarded` once.
    #[inline(never)]
    fn write_behind_others(&self, fields: &mut Fields, origin: Origin, authority: Authority<'_>) {
        let mut room = [0; AUTHORITY_LEN_MAX];
        let authority = said_host(fields).and_then(|said| copied(said, &mut room)).unwrap_or(authority);
        let host = authority.text.as_bytes();
        let mut room = [0; ADDRESS_LEN_MAX];
        let client = (origin.client != self.address).then(|| written(origin.client, &mut room));
        let says_way = fields.contains(Name::Forwarded);
        let lacks = |name| fields.elements(Name::Forwarded).all(|hop| parameter(hop, name).is_none());
        let (lacks_proto, lacks_host) = (lacks(b"proto"), lacks(b"host") && !host.is_empty());
        match client {
            _ if fields.contains(Name::XForwardedFor) => fields.join(Name::XForwardedFor, &[self.text()]),
            Some(client) => fields.append(Name::XForwardedFor, &[client, b", ", self.text()]),
            None => fields.append_line(Name::XForwardedFor, self.line.as_bytes()),
        }
        if !fields.contains(Name::XForwardedProto) {
            fields
                .append_line(Name::XForwardedProto, if origin.is_secure { PROTO_HTTPS } else { PROTO_HTTP });
        }
        if !host.is_empty() && !fields.contains(Name::XForwardedHost) {
            fields.append(Name::XForwardedHost, &[host]);
        }
        let proto: &[u8] = match origin.is_secure {
            _ if !lacks_proto => b"",
            true => b";proto=https",
            false => b";proto=http",
        };
        let quote: &[u8] = if !lacks_host || authority.is_token() { b"" } else { b"\"" };
        let [host_is, host] = if lacks_host { [HOST.as_bytes(), host] } else { [&b""[..]; 2] };
        let own = self.hop.split_once(PROTO).map_or("", |(node, _)| node).as_bytes();
        match client.filter(|_| !says_way) {
            Some(client) => {
                let [open, close]: [&[u8]; 2] =
                    if origin.client.is_ipv6() { [b"\"[", b"]\""] } else { [b""; 2] };
                let claim = [b"for=", open, client, close, proto, host_is, quote, host, quote, b", ", own];
                fields.append(Name::Forwarded, &claim);
            }
            None => fields.join(Name::Forwarded, &[own, proto, host_is, quote, host, quote]),
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

/// The host that the client asked for, by what the proxies before say.
fn said_host(fields: &Fields) -> Option<&[u8]> {
    let first = fields.elements(Name::XForwardedHost).next();
    first.or_else(|| parameter(fields.elements(Name::Forwarded).next()?, b"host"))
}

/// An authority that is written elsewhere; `None` for what is none, or is longer than there is room.
fn copied<'a>(text: &[u8], room: &'a mut [u8]) -> Option<Authority<'a>> {
    let room = room.get_mut(..text.len())?;
    room.copy_from_slice(text);
    Authority::parse(std::str::from_utf8(room).ok()?).filter(|authority| !authority.text.is_empty())
}

/// An address as text.
fn written(address: IpAddr, room: &mut [u8; ADDRESS_LEN_MAX]) -> &[u8] {
    let mut left = &mut room[..];
    // There is room for every address.
    let _ = write!(left, "{address}");
    let len = ADDRESS_LEN_MAX - left.len();
    &room[..len]
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
mod tests;

//! From a request's head to the facts that `core` decides by.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use cutover_core::decide::Facts;
use cutover_core::mix;
use cutover_core::pin::{NoPin, Pin};
use cutover_core::policy::{Balance, HashOn, PinMode, PinPolicy};
use cutover_core::preview::Preview;
use cutover_core::snapshot::ServiceSet;
use cutover_core::time::Timestamp;
use http::Version;

use crate::message::fields::{Fields, Several};
use crate::message::name::Name;
use crate::message::scan;
use crate::pin;
use crate::pin::cookie;
use crate::pin::cookie::Going;
use crate::pin::keyring::Opener;
use crate::pin::preview;

/// Why a request has no host that could be believed (RFC 9112 section 3.2): it is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// HTTP/1.1 and nothing that names a host.
    #[error("the request names no host")]
    Missing,
    /// More than one `Host` line.
    #[error("the request has more than one Host field")]
    Several,
    /// Not a host with an optional port.
    #[error("the Host field is not a host")]
    Invalid,
}

/// Where a request goes: its authority as it was given, and the host in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// Host and port, as in `Host`; empty when the client named none.
    pub text: &'a str,
    /// The host without its port, IPv6 addresses in brackets, in the client's case.
    pub host: &'a str,
}

impl<'a> Authority<'a> {
    /// The authority `text`; `None` when it is no host with an optional port.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        Some(Self { text, host: host_of(text)? })
    }

    /// Whether it is a token (RFC 9110 section 5.6.2). Only ports and addresses of IPv6 have bytes that no token has.
    pub(crate) fn is_token(&self) -> bool {
        !self.text.is_empty() && self.host.len() == self.text.len() && !self.host.starts_with('[')
    }
}

/// The authority of a request: `target`, that of an absolute-form target or an HTTP/2 `:authority` if there is one, else `Host`. A
/// `Host` that is empty names none, and may.
///
/// When it comes from the target, `Host` must be replaced by it before the request is passed on (RFC 9112 section 3.2.2).
///
/// # Errors
/// [`HostError`].
pub(crate) fn authority<'a>(
    version: Version,
    target: Option<&'a str>,
    fields: &'a Fields,
) -> Result<Authority<'a>, HostError> {
    let line = fields.single(Name::Host).map_err(|Several| HostError::Several)?;
    // Only an HTTP/1.0 client may name none, and one of HTTP/2 only in its target.
    let may_lack_it = version < Version::HTTP_11 || (version > Version::HTTP_11 && target.is_some());
    if line.is_none() && !may_lack_it {
        return Err(HostError::Missing);
    }
    // An invalid one is refused also where the target's wins.
    let line = std::str::from_utf8(line.unwrap_or_default()).map_err(|_| HostError::Invalid)?;
    let host = host_of(line).ok_or(HostError::Invalid)?;
    match target {
        None => Ok(Authority { text: line, host }),
        Some(text) => Authority::parse(text).ok_or(HostError::Invalid),
    }
}

/// The head of a request, as far as facts are made of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// What is behind the `?` of its target.
    pub query: Option<&'a str>,
    /// Its fields, before anything was taken out.
    pub fields: &'a Fields,
    /// Where it comes from, as far as that can be believed.
    pub client: IpAddr,
    /// Whether the client came over TLS, as far as that can be believed.
    pub is_secure: bool,
}

/// What was read from a request's head for one service.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    /// Its leave to try a version out: authentic and alive, or why there is none.
    pub preview: Result<Preview, NoPin>,
    /// The version that it names, if it names one.
    pub explicit: Option<Cow<'a, str>>,
    /// Its pin: authentic and alive, or why there is none.
    pub pin: Result<Pin, NoPin>,
    /// The key for balancing by hash, if the request has one.
    pub hash_key: Option<u64>,
    /// Whether it asks for a page that takes the place of the one that is shown, where that matters.
    pub is_navigation: bool,
    /// Its cookies that are not for the app.
    pub going: Going,
}

impl<'a> Head<'a> {
    /// Reads what `service` decides by.
    #[must_use]
    pub(crate) fn read(&self, service: &ServiceSet, keyring: &impl Opener, now: Timestamp) -> Given<'a> {
        let policy = &service.policy;
        let pin::Read { pin, preview, going } =
            pin::read(self.fields, &policy.pin, self.is_secure, &service.name, keyring, now);
        let open = |text: &[u8]| keyring.open_preview(text, &service.name, now);
        Given {
            preview: preview::read(self.fields, preview, open),
            explicit: self.explicit_version(&policy.pin),
            pin,
            hash_key: self.hash_key(&policy.balance),
            is_navigation: policy.pin.mode == PinMode::Page && self.is_navigation(),
            going,
        }
    }

    /// The version that the request names: by our own header, else by the first configured header, else by the first configured
    /// query parameter that is there and not empty.
    fn explicit_version(&self, policy: &PinPolicy) -> Option<Cow<'a, str>> {
        let field = |value: &'a [u8]| Some(value.trim_ascii()).filter(|value| !value.is_empty());
        if let Some(own) = self.fields.first(Name::XCutoverVersion).and_then(field) {
            return Some(String::from_utf8_lossy(own));
        }
        let mut configured = policy.headers.iter().filter_map(|name| self.fields.named(name));
        if let Some(version) = configured.find_map(field) {
            return Some(String::from_utf8_lossy(version));
        }
        if policy.query.is_empty() {
            return None;
        }
        let query = self.query?;
        policy.query.iter().find_map(|name| parameter(query, name))
    }

    /// Whether a browser asks for a page in place of the one that it shows (Fetch Metadata Request Headers, sections 2.1 and 2.2). A frame
    /// is none, nor is a page that is only fetched ahead: the one that is shown goes on loading what belongs to it.
    fn is_navigation(&self) -> bool {
        let is =
            |name, value: &[u8]| self.fields.first(name).is_some_and(|found| found.trim_ascii() == value);
        is(Name::SecFetchMode, b"navigate")
            && is(Name::SecFetchDest, b"document")
            && self.fields.named("sec-purpose").is_none()
    }

    fn hash_key(&self, balance: &Balance) -> Option<u64> {
        let Balance::Hash(on) = balance else { return None };
        match on {
            // The session's own id, which the core has from the pin or draws.
            HashOn::Pin => None,
            HashOn::ClientIp => Some(match self.client {
                IpAddr::V4(address) => mix::hash(&address.octets()),
                IpAddr::V6(address) => mix::hash(&address.octets()),
            }),
            HashOn::Header(name) => self.fields.named(name).map(mix::hash),
            HashOn::Cookie(name) => cookie::first(self.fields, name).map(mix::hash),
        }
    }
}

impl Given<'_> {
    /// The facts for `service`, by its place in the snapshot.
    #[must_use]
    pub(crate) fn facts(&self, service: usize, may_wait: bool, now: Timestamp) -> Facts<'_> {
        Facts {
            service,
            preview: self.preview.ok(),
            explicit: self.explicit.as_deref(),
            pin: self.pin,
            hash_key: self.hash_key,
            is_navigation: self.is_navigation,
            may_wait,
            now,
        }
    }
}

/// The host of `host[:port]`; `None` when that is none.
fn host_of(authority: &str) -> Option<&str> {
    let bytes = authority.as_bytes();
    let host_len = match bytes {
        [b'[', ..] => scan::byte(bytes, b']')? + 1,
        // What ends a name is a colon, or no authority has it.
        _ => bytes.iter().position(|&byte| !IS_HOST[usize::from(byte)]).unwrap_or(bytes.len()),
    };
    let (host, port) = authority.split_at_checked(host_len)?;
    let is_port = port.is_empty() || port.strip_prefix(':')?.bytes().all(|byte| byte.is_ascii_digit());
    let is_host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => port.is_empty() || !host.is_empty(),
    };
    (is_port && is_host).then_some(host)
}

/// Bytes of names. Narrower than RFC 3986: commas, quotes and the like are in no real name, and would change the meaning of forwarding
/// headers; a name that is percent-encoded is another one for who decodes it.
static IS_HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    table
};

/// The value of a query parameter, percent-decoded, where it is there and not empty. A `+` is a plus sign: versions are opaque.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| decoded(value)).find(|value| !value.is_empty())
}

/// `text` with `%XX` decoded (RFC 3986 section 2.1). A broken escape stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', &[high, low, ..]) => hex_digit(high).zip(hex_digit(low)),
            _ => None,
        };
        rest = if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            &after[2..]
        } else {
            bytes.push(first);
            after
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;

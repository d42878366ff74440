//! Header fields that end at the proxy, and those that it adds (RFC 9110 section 7.6).

use cutover_core::policy::IdentityPolicy;
use http::{Method, StatusCode, Version};

use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::forwarded::{self, CLAIMS};
use crate::message::list;
use crate::message::name::{FieldName, Name, Names};

/// Never forwarded, whether `Connection` names them or not. `Upgrade` and `TE` have rules of their own; `Trailer` is end to end.
pub(crate) const HOP_BY_HOP: Names = Names::of(&[
    Name::Connection,
    Name::KeepAlive,
    Name::ProxyConnection,
    // Framing is redone on every hop.
    Name::TransferEncoding,
    Name::Te,
    Name::Upgrade,
    Name::Http2Settings,
    // Credentials for a proxy, and this one asks for none.
    Name::ProxyAuthorization,
    Name::ProxyAuthenticate,
]);

/// What apps don't get of a request, beside what is between two hops. What only the proxy says is not a client's to say to an app.
pub(crate) const NOT_FOR_APPS: Names = Names::of(&[
    Name::CutoverPin,
    Name::CutoverPreview,
    Name::CutoverState,
    Name::CutoverUpdate,
    // CGI apps read it as the environment variable HTTP_PROXY ("httpoxy").
    Name::Proxy,
]);

/// Fields that `Connection` can't take out, because a message would change its meaning without them.
const PROTECTED: Names = Names::of(&[
    // Says for whom a request is: without it an app would answer as another site.
    Name::Host,
    // Frames the body.
    Name::ContentLength,
    // The example of RFC 9110 section 7.6.1 for what is never appropriate: without it, caches would keep private answers.
    Name::CacheControl,
    // The one name of the request for everybody.
    Name::XRequestId,
])
// Without what a trusted proxy says about the client, an app would take that proxy for it.
.and(CLAIMS);

/// What no trailer may say (RFC 9110 section 6.5.1): it frames, routes or authenticates a message, is about one hop, changes what was
/// read from the head already, or is the proxy's to say.
const NOT_IN_TRAILERS: Names = Names::of(&[
    Name::Authorization,
    Name::CacheControl,
    Name::CdnCacheControl,
    Name::ContentLength,
    Name::ContentType,
    Name::Cookie,
    Name::CutoverPin,
    Name::CutoverPreview,
    Name::CutoverState,
    Name::CutoverUpdate,
    Name::Date,
    Name::Expect,
    Name::Host,
    Name::MaxForwards,
    Name::Proxy,
    Name::RetryAfter,
    Name::SetCookie,
    Name::SurrogateControl,
    Name::Trailer,
    Name::Vary,
    Name::XCutoverVersion,
    Name::XRequestId,
])
.and(HOP_BY_HOP)
.and(CLAIMS);

/// The same, of names that mean nothing else to the proxy.
const OTHERS_NOT_IN_TRAILERS: [&[u8]; 9] = [
    b"age",
    b"content-encoding",
    b"content-range",
    b"expires",
    b"location",
    b"pragma",
    b"range",
    b"warning",
    b"www-authenticate",
];

/// More passes through proxies of this name than any sane chain has: the request runs in a circle.
const PASSES_MAX: usize = 8;

/// Where an app's answers say which version and which process gave them.
#[derive(Debug, Clone)]
pub(crate) struct IdentityFields {
    /// The version.
    pub version: FieldName,
    /// The process.
    pub process: FieldName,
    /// Whether clients get to know.
    pub is_exposed: bool,
}

impl IdentityFields {
    /// Takes out of an answer's fields, or its trailers, what clients don't get to know.
    pub(crate) fn hide_in(&self, fields: &mut Fields) {
        if !self.is_exposed {
            fields.remove_configured(&self.version);
            fields.remove_configured(&self.process);
        }
    }
}

impl From<&IdentityPolicy> for IdentityFields {
    fn from(policy: &IdentityPolicy) -> Self {
        Self {
            version: FieldName::new(&policy.version_header),
            process: FieldName::new(&policy.boot_id_header),
            is_exposed: policy.expose_version,
        }
    }
}

/// What a request's `Max-Forwards` asks for (RFC 9110 section 7.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxForwards {
    /// Pass it on; the number is counted down.
    Forward,
    /// It ends here: answer it ourselves.
    AnswerHere,
}

/// Whether a request wants to change to a protocol, and may: one protocol, no body, HTTP/1.1, and nothing that means HTTP itself.
#[must_use]
pub(crate) fn wants_upgrade(version: Version, fields: &Fields, is_bodied: bool) -> bool {
    if !fields.contains(Name::Upgrade) {
        return false;
    }
    let mut wanted = fields.elements(Name::Upgrade);
    let (Some(protocol), None) = (wanted.next(), wanted.next()) else { return false };
    // A tunnel of HTTP to the app would bypass every rule of the proxy (h2c smuggling).
    let is_http = [&b"h2c"[..], b"h2", b"http", b"tls"]
        .iter()
        .any(|name| list::pair(protocol, b'/').0.eq_ignore_ascii_case(name));
    // One of HTTP/2 has these fields only where it is an extended CONNECT (RFC 8441).
    matches!(version, Version::HTTP_11 | Version::HTTP_2)
        && !is_bodied
        && !is_http
        && fields.elements(Name::Connection).any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// Makes the fields of a client's request those for the app: takes out what ends here, adds `Via`.
///
/// `keeps_upgrade` is what [`wants_upgrade`] answered. Facts must be read before, and forwarding fields written after, because
/// `Connection` may name almost any field. `Content-Length` stays as it is.
pub(crate) fn prepare_request(fields: &mut Fields, version: Version, keeps_upgrade: bool) {
    let takes_trailers =
        !keeps_upgrade && fields.lists(Name::Te, |coding| coding.eq_ignore_ascii_case(b"trailers"));
    remove_hop_by_hop(fields, NOT_FOR_APPS, keeps_upgrade);
    if takes_trailers {
        fields.append(Name::Te, &[b"trailers"]);
        fields.append(Name::Connection, &[b"te"]);
    }
    fields.append_line(Name::Via, via(version));
}

/// Makes the fields of an app's answer those for the client: takes out what ends here, and what only the proxy is to know; adds `Via`.
///
/// A 101 keeps its `Upgrade`; so does a 426, which is meaningless without. `Content-Length` stays as it is.
pub(crate) fn prepare_answer(
    status: StatusCode,
    version: Version,
    fields: &mut Fields,
    identity: &IdentityFields,
) {
    let keeps_upgrade = matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED)
        && fields.contains(Name::Upgrade);
    remove_hop_by_hop(fields, Names::default(), keeps_upgrade);
    identity.hide_in(fields);
    fields.append_line(Name::Via, via(version));
}

/// Takes out of `trailers` what no trailer may say (RFC 9110 section 6.5.1): what frames, routes, authenticates or changes a message, and
/// what is between two hops.
pub(crate) fn prepare_trailers(trailers: &mut Fields) {
    trailers.remove_listed(Name::Connection, Names::default());
    trailers.remove_where(|name, text| match name {
        Name::Other => {
            // Conditions come before what they are about.
            text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"if-"))
                || OTHERS_NOT_IN_TRAILERS.iter().any(|other| text.eq_ignore_ascii_case(other))
                || forwarded::is_alias(text)
        }
        known => NOT_IN_TRAILERS.contains(known),
    });
}

/// Counts `Max-Forwards` down where it means something: for OPTIONS and TRACE.
pub(crate) fn count_down(method: &Method, fields: &mut Fields) -> MaxForwards {
    if !matches!(*method, Method::OPTIONS | Method::TRACE) {
        return MaxForwards::Forward;
    }
    let left = fields.first(Name::MaxForwards).and_then(|left| std::str::from_utf8(left).ok());
    // What is no number says nothing.
    let Some(left) = left.and_then(|left| left.parse::<u32>().ok()) else { return MaxForwards::Forward };
    let Some(left) = left.checked_sub(1) else { return MaxForwards::AnswerHere };
    fields.set(Name::MaxForwards, &[Decimal::of(left.into()).as_bytes()]);
    MaxForwards::Forward
}

/// Whether a request has come through proxies of this name so often that it must be running in a circle.
#[must_use]
pub(crate) fn is_looping(fields: &Fields) -> bool {
    fields.contains(Name::Via)
        && fields.elements(Name::Via).filter(|hop| hop.ends_with(b" cutover")).count() >= PASSES_MAX
}

/// Takes out what is between two hops, and `others`. An `Upgrade` that is kept is named by a `Connection` of ours.
pub(crate) fn remove_hop_by_hop(fields: &mut Fields, others: Names, keeps_upgrade: bool) {
    let upgrade = if keeps_upgrade { Names::of(&[Name::Upgrade]) } else { Names::default() };
    // What clients and apps mostly say names nothing that would stay.
    let names_others = fields.may_have(Names::of(&[Name::Connection]))
        && !fields.values(Name::Connection).all(|options| options.eq_ignore_ascii_case(b"keep-alive"));
    if names_others {
        fields.remove_listed(Name::Connection, PROTECTED.and(upgrade));
    }
    fields.remove_all(HOP_BY_HOP.and(others).without(upgrade));
    if keeps_upgrade {
        fields.append(Name::Connection, &[b"upgrade"]);
    }
}

/// A line with one hop of `Via` (RFC 9110 section 7.6.3): the version in which the message was received, and a name that says nothing about
/// the host.
const fn via(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => b"Via: 1.0 cutover\r\n",
        Version::HTTP_2 => b"Via: 2.0 cutover\r\n",
        Version::HTTP_3 => b"Via: 3.0 cutover\r\n",
        _ => b"Via: 1.1 cutover\r\n",
    }
}

#[cfg(test)]
mod tests;

//! Header fields that end at the proxy, and those that it adds (RFC 9110 section 7.6).

use cutover_core::policy::IdentityPolicy;
use http::header::{self, CONNECTION, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE, VIA};
use http::{Method, StatusCode, Version};

use crate::list;
use crate::pin::CUTOVER_PIN;

/// Limits how far an OPTIONS or TRACE request travels.
pub const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// Never forwarded, whether `Connection` names them or not. `Upgrade` and `TE` have rules of their own; `Trailer` is end to end.
const HOP_BY_HOP: [HeaderName; 6] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    // Framing is redone on every hop.
    header::TRANSFER_ENCODING,
    HeaderName::from_static("http2-settings"),
    // Credentials for a proxy, and this one asks for none.
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
];

/// Fields that `Connection` can't take out, because a message would change its meaning without them.
const PROTECTED: [HeaderName; 3] = [
    // Says for whom a request is: without it an app would answer as another site.
    header::HOST,
    // Frames the body.
    header::CONTENT_LENGTH,
    // The example of RFC 9110 section 7.6.1 for what is never appropriate: without it, caches would keep private answers.
    header::CACHE_CONTROL,
];

/// More passes through proxies of this name than any sane chain has: the request runs in a circle.
const PASSES_MAX: usize = 8;

/// What a request's `Max-Forwards` asks for (RFC 9110 section 7.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxForwards {
    /// Pass it on; the number is counted down.
    Forward,
    /// It ends here: answer it ourselves.
    AnswerHere,
}

/// The protocol that a request wants to change to, where it may pass: one protocol, no body, HTTP/1.1, and nothing that means HTTP itself.
#[must_use]
pub fn wanted_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    if version != Version::HTTP_11 || !names(headers, CONNECTION, b"upgrade") {
        return None;
    }
    let is_bodied = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let mut wanted = list::elements(headers, UPGRADE);
    let (Some(protocol), None) = (wanted.next(), wanted.next()) else { return None };
    // A tunnel of HTTP to the app would bypass every rule of the proxy (h2c smuggling).
    let is_http = [&b"h2c"[..], b"h2", b"http", b"tls"]
        .iter()
        .any(|name| list::pair(protocol, b'/').0.eq_ignore_ascii_case(name));
    if is_bodied || is_http { None } else { HeaderValue::from_bytes(protocol).ok() }
}

/// Makes a client's request header one for the app: takes out what ends here, adds `Via`.
///
/// `upgrade` is what [`wanted_upgrade`] answered. Facts and forwarding headers must be read before, and written after, because
/// `Connection` may name any field.
pub fn prepare_request(headers: &mut HeaderMap, version: Version, upgrade: Option<HeaderValue>) {
    let takes_trailers = list::elements(headers, TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    remove_hop_by_hop(headers);
    headers.remove(CUTOVER_PIN);
    // CGI apps read it as the environment variable HTTP_PROXY ("httpoxy").
    headers.remove("proxy");
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else if takes_trailers {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    headers.append(VIA, via(version));
}

/// Makes an app's answer header one for the client: takes out what ends here, and what only the proxy is to know; adds `Via`.
///
/// A 101 keeps its `Upgrade`; so does a 426, which is meaningless without.
pub fn prepare_answer(
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
    identity: &IdentityPolicy,
) {
    let keeps_upgrade = matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED);
    let upgrade = headers.get(UPGRADE).filter(|_| keeps_upgrade).cloned();
    remove_hop_by_hop(headers);
    if let Some(protocol) = upgrade {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if !identity.expose_version {
        headers.remove(identity.version_header.as_str());
        headers.remove(identity.boot_id_header.as_str());
    }
    headers.append(VIA, via(version));
}

/// Takes out of `trailers` what no trailer may say (RFC 9110 section 6.5.1): framing, routing, authentication, and what is between two hops.
pub fn prepare_trailers(trailers: &mut HeaderMap) {
    remove_hop_by_hop(trailers);
    for name in
        [header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION, header::COOKIE, header::SET_COOKIE]
    {
        trailers.remove(name);
    }
}

/// Counts `Max-Forwards` down where it means something: for OPTIONS and TRACE.
pub fn count_down(method: &Method, headers: &mut HeaderMap) -> MaxForwards {
    if !matches!(*method, Method::OPTIONS | Method::TRACE) {
        return MaxForwards::Forward;
    }
    let Some(left) = headers.get(&MAX_FORWARDS) else { return MaxForwards::Forward };
    // What is no number says nothing.
    let Some(left) = left.to_str().ok().and_then(|text| text.parse::<u32>().ok()) else {
        return MaxForwards::Forward;
    };
    let Some(left) = left.checked_sub(1) else { return MaxForwards::AnswerHere };
    headers.insert(MAX_FORWARDS, HeaderValue::from(left));
    MaxForwards::Forward
}

/// Whether a request has come through proxies of this name so often that it must be running in a circle.
#[must_use]
pub fn is_looping(headers: &HeaderMap) -> bool {
    let passes = list::elements(headers, VIA).filter(|hop| hop.ends_with(b" cutover"));
    passes.count() >= PASSES_MAX
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if let header::Entry::Occupied(entry) = headers.entry(CONNECTION) {
        let lines: Vec<HeaderValue> = entry.remove_entry_mult().1.collect();
        for name in lines.iter().flat_map(|line| list::split(line.as_bytes(), b',')) {
            let Ok(name) = HeaderName::from_bytes(name) else { continue };
            if !PROTECTED.contains(&name) {
                headers.remove(name);
            }
        }
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // The coding frames the message, whatever length it claims beside it (RFC 9112 section 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(TE);
    headers.remove(UPGRADE);
}

fn names(headers: &HeaderMap, list: HeaderName, wanted: &[u8]) -> bool {
    list::elements(headers, list).any(|element| element.eq_ignore_ascii_case(wanted))
}

/// One hop of `Via` (RFC 9110 section 7.6.3): the version in which the message was received, and a name that says nothing about the host.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 cutover",
        Version::HTTP_2 => "2.0 cutover",
        Version::HTTP_3 => "3.0 cutover",
        _ => "1.1 cutover",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    /// What an app gets of `fields`, without the `Via` of this hop.
    fn forwarded(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = headers(fields);
        let upgrade = wanted_upgrade(Version::HTTP_11, &headers);
        prepare_request(&mut headers, Version::HTTP_11, upgrade);
        assert_eq!(headers.remove(VIA).unwrap(), "1.1 cutover");
        headers
    }

    #[test]
    fn what_connection_names_ends_here_whatever_its_case_and_line() {
        let given = [
            ("connection", "keep-alive, X-One,"),
            ("x-one", "1"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ];
        let mut headers_of_two_lines = headers(&given);
        headers_of_two_lines.append(CONNECTION, HeaderValue::from_bytes(b"no name, \xe9, x-two").unwrap());
        prepare_request(&mut headers_of_two_lines, Version::HTTP_11, None);
        headers_of_two_lines.remove(VIA);
        assert_eq!(headers_of_two_lines, headers(&[("x-three", "3")]));
    }

    #[test]
    fn connection_can_not_take_out_host_framing_or_cache_rules() {
        let kept = [("host", "a"), ("content-length", "5"), ("cache-control", "no-cache")];
        let connection = [("connection", "Host, content-length, CACHE-control, transfer-encoding")];
        let given: Vec<_> = kept.into_iter().chain(connection).collect();
        assert_eq!(forwarded(&given), headers(&kept));
    }

    #[test]
    fn fields_between_two_hops_end_here_even_if_connection_is_silent() {
        let given = [
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("http2-settings", "x"),
            ("proxy-authorization", "x"),
            ("proxy", "http://evil"),
            ("cutover-pin", "end"),
            ("trailer", "x-checksum"),
        ];
        assert_eq!(forwarded(&given), headers(&[("trailer", "x-checksum")]));
    }

    #[test]
    fn trailers_are_the_only_coding_that_is_asked_for() {
        let given = [("te", "gzip, Trailers"), ("connection", "te, close")];
        assert_eq!(forwarded(&given), headers(&[("te", "trailers"), ("connection", "te")]));
    }

    #[test]
    fn an_upgrade_that_may_pass_is_asked_for_again() {
        let websocket = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
        assert_eq!(forwarded(&websocket), headers(&[("upgrade", "websocket"), ("connection", "upgrade")]));
    }

    #[test]
    fn upgrades_that_would_hide_requests_or_make_no_sense_are_ignored() {
        let wanted = |version, fields: &[(&'static str, &'static str)]| {
            let given: Vec<_> =
                [("connection", "upgrade")].into_iter().chain(fields.iter().copied()).collect();
            wanted_upgrade(version, &headers(&given))
        };
        assert_eq!(wanted(Version::HTTP_11, &[("upgrade", "SPDY/3.1")]).unwrap(), "SPDY/3.1");
        assert!(wanted(Version::HTTP_11, &[("upgrade", "websocket"), ("content-length", "0")]).is_some());
        for protocol in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "websocket, h2c", ""] {
            assert_eq!(wanted(Version::HTTP_11, &[("upgrade", protocol)]), None, "{protocol}");
        }
        assert_eq!(wanted(Version::HTTP_10, &[("upgrade", "websocket")]), None);
        assert_eq!(wanted(Version::HTTP_11, &[("upgrade", "websocket"), ("content-length", "1")]), None);
        assert_eq!(
            wanted(Version::HTTP_11, &[("upgrade", "websocket"), ("transfer-encoding", "chunked")]),
            None
        );
        assert_eq!(wanted_upgrade(Version::HTTP_11, &headers(&[("upgrade", "websocket")])), None);
    }

    fn answered(status: u16, expose_version: bool, fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = headers(fields);
        let identity = IdentityPolicy { expose_version, ..IdentityPolicy::default() };
        prepare_answer(StatusCode::from_u16(status).unwrap(), Version::HTTP_11, &mut headers, &identity);
        assert_eq!(headers.get_all(VIA).iter().next_back().unwrap(), "1.1 cutover");
        headers.remove(VIA);
        headers
    }

    #[test]
    fn the_client_sees_neither_the_hop_nor_who_answered() {
        let given = [
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("x-app-version", "v1"),
            ("x-app-boot-id", "7"),
            ("x-other", "1"),
        ];
        assert_eq!(answered(200, false, &given), headers(&[("x-other", "1")]));
        let exposed = headers(&[("x-app-version", "v1"), ("x-app-boot-id", "7"), ("x-other", "1")]);
        assert_eq!(answered(200, true, &given), exposed);
    }

    #[test]
    fn a_101_and_a_426_keep_their_upgrade() {
        let given = [("connection", "Upgrade"), ("upgrade", "websocket")];
        for status in [101, 426] {
            assert_eq!(
                answered(status, false, &given),
                headers(&[("upgrade", "websocket"), ("connection", "upgrade")])
            );
        }
    }

    #[test]
    fn via_is_added_after_the_hops_before() {
        let mut headers = headers(&[("via", "1.0 a, 1.1 b")]);
        prepare_request(&mut headers, Version::HTTP_10, None);
        assert_eq!(headers.get_all(VIA).iter().collect::<Vec<_>>(), ["1.0 a, 1.1 b", "1.0 cutover"]);
    }

    #[test]
    fn a_request_that_comes_by_again_and_again_is_looping() {
        let mut headers = HeaderMap::new();
        for _ in 0..PASSES_MAX {
            assert!(!is_looping(&headers));
            prepare_request(&mut headers, Version::HTTP_11, None);
        }
        assert!(is_looping(&headers));
    }

    #[test]
    fn max_forwards_is_counted_down_where_it_means_something() {
        let count = |method: Method, given: &'static str| {
            let mut headers = headers(&[("max-forwards", given)]);
            let what = count_down(&method, &mut headers);
            (what, headers["max-forwards"].to_str().unwrap().to_owned())
        };
        assert_eq!(count(Method::OPTIONS, "3"), (MaxForwards::Forward, "2".into()));
        assert_eq!(count(Method::TRACE, "0"), (MaxForwards::AnswerHere, "0".into()));
        assert_eq!(count(Method::GET, "0"), (MaxForwards::Forward, "0".into()));
        assert_eq!(count(Method::OPTIONS, "-1"), (MaxForwards::Forward, "-1".into()));
        assert_eq!(count_down(&Method::OPTIONS, &mut HeaderMap::new()), MaxForwards::Forward);
    }

    #[test]
    fn trailers_can_not_frame_route_or_authenticate() {
        let mut trailers = headers(&[
            ("x-checksum", "1"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("authorization", "x"),
            ("set-cookie", "a=b"),
        ]);
        prepare_trailers(&mut trailers);
        assert_eq!(trailers, headers(&[("x-checksum", "1")]));
    }

    proptest! {
        #[test]
        fn whatever_connection_says_the_host_stays_and_it_goes(connection: Vec<u8>) {
            let mut headers = headers(&[("host", "a"), ("content-length", "1")]);
            if let Ok(value) = HeaderValue::from_bytes(&connection) {
                headers.append(CONNECTION, value);
            }
            prepare_request(&mut headers, Version::HTTP_11, None);
            prop_assert_eq!(headers.len(), 3, "host, content-length, via");
        }
    }
}

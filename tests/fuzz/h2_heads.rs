//! Heads between HTTP/2 and HTTP/1.1: of what the `h2` crate hands over, what goes on over HTTP/1.1 is one head, as httparse reads it, that
//! says the same and nothing else; and what goes on over HTTP/2 has the same fields, but for those that only one of the two has.
//!
//! The input is lines of `name: value`, of which those are pseudo-header fields that begin with a colon. The same fields are tried in a
//! request, in the answer to it, and as trailers.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cutover_fuzz::line_end;
use cutover_fuzz::message::{Fields, fields};
use cutover_proxy::fuzzing::{H2Request, h2_trailers};
use h2::ext::Protocol;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, request};
use libfuzzer_sys::fuzz_target;

/// What a key of a WebSocket is made of.
const NONCE: [u8; 16] = *b"of no importance";

fuzz_target!(|data: &[u8]| {
    let Some((request, status, map)) = read(data) else { return };
    check_trailers(&map);
    let (parts, ()) = request.into_parts();
    let Ok(asked) = H2Request::read(&parts, NONCE) else { return };
    let expected = expected_request(&parts);
    assert_eq!(parse_request(&asked.written()), expected);
    if parts.uri.authority().is_none() && parts.headers.get_all("host").iter().count() != 1 {
        // It is refused where it is asked for whom it is, as in HTTP/1.1.
        return;
    }
    match asked.onward() {
        Some(onward) => {
            let (onward, ()) = onward.into_parts();
            let again = H2Request::read(&onward, NONCE).map(|again| parse_request(&again.written()));
            assert_eq!(again.map(through_h2), Ok(through_h2(expected)), "over HTTP/2");
        }
        // Without one, a `Host` that is none says for whom it is. By itself, CONNECT goes nowhere.
        None => assert!(parts.uri.authority().is_none() || is_plain_connect(&parts), "{parts:?}"),
    }
    check_answer(&asked, status, &map, parts.extensions.get::<Protocol>());
});

/// What the `h2` crate makes of the fields; `None` when it, or http, refuses them.
fn read(data: &[u8]) -> Option<(Request<()>, StatusCode, HeaderMap)> {
    let (mut request, mut status) = (Request::new(()), StatusCode::OK);
    let (mut uri, mut map) = (http::uri::Parts::default(), HeaderMap::new());
    for line in data.split(|byte| *byte == b'\n') {
        let at = line.iter().skip(1).position(|byte| *byte == b':')? + 1;
        let (name, value) = (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..]));
        match name {
            b":method" => *request.method_mut() = Method::from_bytes(value).ok()?,
            b":authority" => uri.authority = Some(Authority::try_from(value).ok()?),
            b":path" => uri.path_and_query = Some(PathAndQuery::try_from(value).ok()?),
            b":protocol" => {
                // Several lines are told by backspaces.
                let text = std::str::from_utf8(value).ok()?.replace('\x08', "\n");
                request.extensions_mut().insert(Protocol::from(&*text));
            }
            b":status" => status = StatusCode::from_bytes(value).ok()?,
            _ => {
                let name = HeaderName::from_lowercase(name).ok()?;
                if is_refused(&name, value) {
                    return None;
                }
                map.append(name, HeaderValue::from_bytes(value).ok()?);
            }
        }
    }
    let is_connect = *request.method() == Method::CONNECT;
    let is_tunnel = request.extensions().get::<Protocol>().is_some();
    if (is_tunnel && !is_connect) || (is_connect && is_tunnel != uri.path_and_query.is_some()) {
        return None;
    }
    uri.scheme = uri.authority.as_ref().filter(|_| !is_connect || is_tunnel).map(|_| Scheme::HTTPS);
    // Which is for http to say whether it is one.
    *request.uri_mut() = Uri::from_parts(uri).ok()?;
    *request.headers_mut() = map.clone();
    Some((request, status, map))
}

/// RFC 9113 section 8.2.2.
fn is_refused(name: &HeaderName, value: &[u8]) -> bool {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        "te" => value != b"trailers",
        _ => false,
    }
}

/// A head as HTTP/1.1 has it: the words of its first line, and its fields.
type Head = ([String; 2], Fields);

/// The one head that `written` is.
fn parse_request(written: &[u8]) -> Head {
    let mut lines = [httparse::EMPTY_HEADER; 50];
    let mut head = httparse::Request::new(&mut lines);
    let parsed = head.parse(written);
    assert_eq!(parsed, Ok(httparse::Status::Complete(written.len())), "{}", written.escape_ascii());
    assert!(!line_end::has_bare_lf(written) && head.version == Some(1));
    let word = |word: Option<&str>| word.unwrap_or_default().to_owned();
    ([word(head.method), word(head.path)], fields(head.headers))
}

fn expected_request(parts: &request::Parts) -> Head {
    let protocol = parts.extensions.get::<Protocol>();
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let method = if protocol.is_some() { "GET" } else { parts.method.as_str() };
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let target = if is_plain_connect(parts) { authority.unwrap_or_default() } else { path };
    let mut expected = Fields::new();
    let mut expect = |name: &str, value: &[u8]| expected.push((name.to_owned(), value.to_vec()));
    if let Some(authority) = authority {
        expect("host", authority.as_bytes());
    }
    if let Some(protocol) = protocol {
        expect("connection", b"upgrade");
        expect("upgrade", protocol.as_str().as_bytes());
        if protocol.as_str().eq_ignore_ascii_case("websocket") {
            expect("sec-websocket-key", BASE64.encode(NONCE).as_bytes());
        }
    }
    let crumbs = parts.headers.get_all("cookie").iter().map(|crumb| crumb.as_bytes().trim_ascii());
    if parts.headers.contains_key("cookie") {
        expect("cookie", crumbs.collect::<Vec<_>>().join(&b"; "[..]).trim_ascii());
    }
    for (name, value) in &parts.headers {
        let is_said = match name.as_str() {
            "host" => authority.is_some(),
            "sec-websocket-key" => protocol.is_some(),
            name => name == "cookie",
        };
        if !is_said {
            expect(name.as_str(), value.as_bytes());
        }
    }
    ([method.to_owned(), target.to_owned()], expected)
}

/// What comes through HTTP/2: lines of one name stay in their order, one name is of HTTP/1.1 only, and protocols are told in lower case.
fn through_h2((start, mut fields): Head) -> Head {
    fields.retain(|(name, _)| name != "http2-settings");
    fields
        .iter_mut()
        .filter(|(name, _)| name == "upgrade")
        .for_each(|(_, value)| value.make_ascii_lowercase());
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    (start, fields)
}

fn is_plain_connect(parts: &request::Parts) -> bool {
    parts.method == Method::CONNECT && parts.extensions.get::<Protocol>().is_none()
}

/// An answer with these fields, to a request that wants to change to a `protocol`, if it does.
fn check_answer(asked: &H2Request, status: StatusCode, map: &HeaderMap, protocol: Option<&Protocol>) {
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = map.clone();
    let Ok((written, onward)) = asked.answer(&answer.into_parts().0) else { return };
    let switch = protocol.filter(|_| status.is_success());
    let is_kept = |name: &HeaderName| switch.is_none() || name != "sec-websocket-accept";
    let kept: Fields = map
        .iter()
        .filter(|(name, _)| is_kept(name))
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();

    let mut lines = [httparse::EMPTY_HEADER; 50];
    let mut head = httparse::Response::new(&mut lines);
    let parsed = head.parse(&written);
    assert_eq!(parsed, Ok(httparse::Status::Complete(written.len())), "{}", written.escape_ascii());
    assert!(!line_end::has_bare_lf(&written));
    assert_eq!(head.code, Some(if switch.is_some() { 101 } else { status.as_u16() }));
    let found = fields(head.headers);
    let (own, passed) = found.split_at(found.len() - kept.len());
    assert_eq!(passed, kept);
    let own: Vec<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let is_websocket = switch.is_some_and(|switch| switch.as_str().eq_ignore_ascii_case("websocket"));
    match (switch, is_websocket) {
        (None, _) => assert!(own.is_empty(), "{own:?}"),
        (Some(_), false) => assert_eq!(own, ["connection", "upgrade"]),
        (Some(_), true) => assert_eq!(own, ["connection", "upgrade", "sec-websocket-accept"]),
    }

    let Some(onward) = onward else { panic!("it can't be said in HTTP/2") };
    let is_kept =
        |name: &str| name != "http2-settings" && (protocol.is_none() || name != "sec-websocket-accept");
    let mut kept = kept;
    kept.retain(|(name, _)| is_kept(name));
    assert_eq!(pairs(onward.headers()), kept);
}

/// Trailers with these fields.
fn check_trailers(map: &HeaderMap) {
    let (mut written, onward) = h2_trailers(map);
    written.extend_from_slice(b"\r\n");
    let mut lines = [httparse::EMPTY_HEADER; 200];
    let parsed = httparse::parse_headers(&written, &mut lines);
    let Ok(httparse::Status::Complete((len, found))) = parsed else { panic!("{}", written.escape_ascii()) };
    assert!(len == written.len() && !line_end::has_bare_lf(&written), "{}", written.escape_ascii());
    let found = fields(found);
    let came: Fields = map
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().trim_ascii().to_vec()))
        .filter(|(name, _)| found.iter().any(|(other, _)| name == other))
        .collect();
    assert_eq!(found, came, "what stays is as it came");
    let forbidden = ["content-length", "host", "authorization", "cookie", "set-cookie", "te", "trailer"];
    assert!(found.iter().all(|(name, _)| !forbidden.contains(&name.as_str())), "{found:?}");
    assert_eq!(onward.map(|onward| pairs(&onward)), Some(found));
}

fn pairs(map: &HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

//! Heads between HTTP/2 and the one form in which the request path knows them (RFC 9113 section 8).
//!
//! What comes in is written down as a head of HTTP/1.1 and read by its parser, so that nothing gets past it that would not have come over
//! HTTP/1.1 too: an app behind must never see two messages where the proxy saw one. What goes out is made of the fields that are left.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use h2::ext::Protocol;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, response};

use super::switch::Switch;
use crate::h1::head::{AnswerHead, HeadError, HeadLimits, RequestHead};
use crate::h1::line::{Malformed, is_token_byte};
use crate::message::fields::Fields;
use crate::message::name::Name;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Reads a client's request. `text` is memory for it, `nonce` is random.
pub(super) fn read_request(
    parts: &Parts,
    asked: &mut RequestHead,
    limits: &HeadLimits,
    text: &mut Vec<u8>,
    nonce: impl FnOnce() -> [u8; 16],
) -> Result<(), HeadError> {
    text.clear();
    let protocol = parts.extensions.get::<Protocol>();
    // RFC 8441 section 5.1: what asks for a tunnel by CONNECT here does so by GET in HTTP/1.1.
    let method = if protocol.is_some() { "GET" } else { parts.method.as_str() };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let target = match (&parts.method, protocol) {
        (&Method::CONNECT, None) => authority.unwrap_or_default(),
        _ => parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str),
    };
    push(text, &[method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"]);
    if let Some(authority) = authority {
        // Section 8.3.1: they must name the same; who reads the one and who reads the other must not go different ways.
        let is_same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
        if !parts.headers.get_all(header::HOST).iter().all(is_same) {
            return Err(HeadError::Authority);
        }
        push(text, &[b"host: ", authority.as_bytes(), b"\r\n"]);
    }
    if let Some(protocol) = protocol {
        write_protocol(protocol, text, nonce)?;
    }
    write_cookies(&parts.headers, text);
    for (name, value) in &parts.headers {
        let is_written = match *name {
            header::HOST => authority.is_some(),
            header::COOKIE => true,
            header::SEC_WEBSOCKET_KEY => protocol.is_some(),
            _ => false,
        };
        if !is_written {
            write_field(name, value, text)?;
        }
    }
    text.extend_from_slice(b"\r\n");
    whole(asked.parse(text, limits), text)?;
    asked.version = Version::HTTP_2;
    Ok(())
}

/// Reads a backend's answer to a request that wanted to `switch`, if it did. `text` is memory for it.
pub(super) fn read_answer(
    parts: &response::Parts,
    switch: Option<&Switch>,
    answer: &mut AnswerHead,
    limits: &HeadLimits,
    text: &mut Vec<u8>,
) -> Result<(), HeadError> {
    text.clear();
    // RFC 8441 section 5: any 2xx is what a 101 is in HTTP/1.1.
    let switch = switch.filter(|_| parts.status.is_success());
    let status = if switch.is_some() { StatusCode::SWITCHING_PROTOCOLS } else { parts.status };
    push(text, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" "]);
    push(text, &[status.canonical_reason().unwrap_or_default().as_bytes(), b"\r\n"]);
    if let Some(switch) = switch {
        switch.write_answer(text);
    }
    for (name, value) in &parts.headers {
        if switch.is_none() || *name != header::SEC_WEBSOCKET_ACCEPT {
            write_field(name, value, text)?;
        }
    }
    text.extend_from_slice(b"\r\n");
    whole(answer.parse(text, limits), text)?;
    answer.version = Version::HTTP_2;
    Ok(())
}

/// The head of a request for a backend, which wants to `switch`, if it does. `None` when it can't be said in HTTP/2.
pub(super) fn request(asked: &RequestHead, is_tls: bool, switch: Option<&Switch>) -> Option<Request<()>> {
    let authority = asked.fields.first(Name::Host).unwrap_or_default();
    let uri = Uri::builder()
        .scheme(if is_tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query(&*asked.target_text())
        .build()
        .ok()?;
    let mut request = Request::new(());
    *request.version_mut() = Version::HTTP_2;
    *request.method_mut() = asked.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = map(&asked.fields, |name| {
        // A length, which can only be 0 here, would be that of all that is said in the tunnel (RFC 9113 section 8.1.1).
        let is_of_http1 = matches!(*name, header::SEC_WEBSOCKET_KEY | header::CONTENT_LENGTH);
        *name == header::HOST || (switch.is_some() && is_of_http1)
    })?;
    if let Some(switch) = switch {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(switch.protocol());
    }
    Some(request)
}

/// The head of an answer for a client, which switches the protocol if `is_switch`.
pub(super) fn answer(status: StatusCode, fields: &Fields, is_switch: bool) -> Option<Response<()>> {
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.version_mut() = Version::HTTP_2;
    *answer.headers_mut() = map(fields, |name| is_switch && *name == header::SEC_WEBSOCKET_ACCEPT)?;
    Some(answer)
}

/// Trailers as they came, for the rules about them.
pub(super) fn trailers(map: &HeaderMap) -> Fields {
    let mut fields = Fields::default();
    // A head with other names, or with whitespace around a value (section 8.2.1), is refused. Of a body, the answer is under way. The
    // `http` crate takes quotes for a part of names.
    for (name, value) in map.iter().filter(|(name, _)| name.as_str().bytes().all(is_token_byte)) {
        fields.append_other(name.as_str(), value.as_bytes().trim_ascii());
    }
    fields
}

/// Trailers as they go.
pub(super) fn trailer_map(fields: &Fields) -> Option<HeaderMap> {
    map(fields, |_| false)
}

/// The fields that HTTP/2 knows, without those that are `left_out`.
fn map(fields: &Fields, left_out: impl Fn(&HeaderName) -> bool) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.lines_seen());
    for (name, value) in fields.iter() {
        let name = HeaderName::from_bytes(name).ok()?;
        let is_fit =
            !is_of_connection(&name) && (name != header::TE || value.eq_ignore_ascii_case(b"trailers"));
        if is_fit && !left_out(&name) {
            let mut value = HeaderValue::from_bytes(value).ok()?;
            // No other message has the same: it is not worth a place in the table (RFC 7541 section 2.3.2).
            value.set_sensitive(name == REQUEST_ID);
            map.append(name, value);
        }
    }
    Some(map)
}

/// Section 8.2.2: what HTTP/1.1 says about one connection.
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// The lines in which HTTP/1.1 says what an extended CONNECT asks for (RFC 8441 section 5).
fn write_protocol(
    protocol: &Protocol,
    text: &mut Vec<u8>,
    nonce: impl FnOnce() -> [u8; 16],
) -> Result<(), HeadError> {
    // The `h2` crate takes any text for a protocol, several lines too.
    let upgrade = HeaderValue::from_str(protocol.as_str()).map_err(|_| Malformed::Value)?;
    push(text, &[b"connection: upgrade\r\n"]);
    write_field(&header::UPGRADE, &upgrade, text)?;
    if protocol.as_str().eq_ignore_ascii_case("websocket") {
        // RFC 6455 section 4.1, item 7. In HTTP/2 there is none.
        push(text, &[b"sec-websocket-key: ", BASE64.encode(nonce()).as_bytes(), b"\r\n"]);
    }
    Ok(())
}

/// Section 8.2.3: crumbs of cookies are one line in HTTP/1.1.
fn write_cookies(headers: &HeaderMap, text: &mut Vec<u8>) {
    let mut between: &[u8] = b"cookie: ";
    for crumb in headers.get_all(header::COOKIE) {
        push(text, &[between, crumb.as_bytes().trim_ascii()]);
        between = b"; ";
    }
    if between == b"; " {
        text.extend_from_slice(b"\r\n");
    }
}

fn write_field(name: &HeaderName, value: &HeaderValue, text: &mut Vec<u8>) -> Result<(), HeadError> {
    let value = value.as_bytes();
    // Section 8.2.1: who trims values and who does not would see different ones.
    let is_edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if is_edge(value.first()) || is_edge(value.last()) {
        return Err(HeadError::Line(Malformed::Value));
    }
    push(text, &[name.as_str().as_bytes(), b": ", value, b"\r\n"]);
    Ok(())
}

/// What was written down is one whole head, or none.
fn whole(parsed: Result<Option<usize>, HeadError>, text: &[u8]) -> Result<(), HeadError> {
    parsed?.filter(|&len| len == text.len()).map(drop).ok_or(HeadError::Start)
}

fn push(text: &mut Vec<u8>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| text.extend_from_slice(piece));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_such_as_lines_have() {
        let mut came = HeaderMap::new();
        for (name, value) in [("a", " padded\t"), ("b\"c", "quoted"), ("d", "")] {
            let name = HeaderName::from_lowercase(name.as_bytes()).unwrap();
            came.append(name, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(trailers(&came), [("a", "padded"), ("d", "")].into_iter().collect());
    }
}

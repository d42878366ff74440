//! What of a request's head is refused before anybody decides about it, beyond its syntax.

use http::{Method, Version};

use crate::error::Error;
use crate::h1::framing::Framing;
use crate::h1::head::RequestHead;
use crate::message::fields::Fields;
use crate::message::headers;
use crate::message::name::Name;

/// Checks a head, whose body is framed like that, for what a proxy must not pass on.
pub(crate) fn check(head: &RequestHead, framing: Framing) -> Result<(), Error> {
    if head.method == Method::CONNECT {
        return Err(Error::Connect);
    }
    if head.method == Method::TRACE && framing != Framing::None {
        return Err(Error::TraceBody);
    }
    if head.version >= Version::HTTP_11 && !expects_only_continue(&head.fields) {
        return Err(Error::Expectation);
    }
    if headers::is_looping(&head.fields) {
        return Err(Error::Loop);
    }
    Ok(())
}

/// Checks what an extended CONNECT wants to change to. Only of WebSockets is it said what that is in HTTP/1.1 (RFC 8441 section 5); whatever
/// else went on as the GET that it is there would be answered as one, and a success taken for a tunnel.
pub(crate) fn check_tunnel(head: &RequestHead) -> Result<(), Error> {
    let mut wanted = head.fields.elements(Name::Upgrade);
    match (wanted.next(), wanted.next()) {
        (Some(protocol), None) if protocol.eq_ignore_ascii_case(b"websocket") => Ok(()),
        _ => Err(Error::NoSwitch),
    }
}

/// Whether the client waits for a `100` before it sends its body.
pub(crate) fn expects_continue(version: Version, fields: &Fields) -> bool {
    version >= Version::HTTP_11 && fields.contains(Name::Expect)
}

/// Whether the connection may serve another request behind this message (RFC 9112 section 9.3).
pub(crate) fn keeps_alive(version: Version, fields: &Fields) -> bool {
    let says = |what: &[u8]| fields.lists(Name::Connection, |said| said.eq_ignore_ascii_case(what));
    if version >= Version::HTTP_11 { !says(b"close") } else { says(b"keep-alive") && !says(b"close") }
}

fn expects_only_continue(fields: &Fields) -> bool {
    !fields.lists(Name::Expect, |what| !what.eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::framing;

    fn checked(method: Method, version: Version, fields: &[(&str, &str)]) -> Result<(), Error> {
        let mut head = RequestHead::default();
        (head.method, head.version, head.fields) = (method, version, fields.iter().copied().collect());
        check(&head, framing::request(version, &head.fields)?)
    }

    #[test]
    fn rfc9110_10_1_1_only_one_expectation_is_known() {
        let checked = |version, what| checked(Method::PUT, version, &[("expect", what)]);
        assert_eq!(checked(Version::HTTP_11, "100-Continue"), Ok(()));
        assert_eq!(checked(Version::HTTP_11, "200-ok"), Err(Error::Expectation));
        assert_eq!(checked(Version::HTTP_10, "200-ok"), Ok(()));
    }

    #[test]
    fn rfc9110_9_3_what_no_proxy_of_ours_does() {
        let refused = |method, fields| checked(method, Version::HTTP_11, fields);
        assert_eq!(refused(Method::CONNECT, &[]), Err(Error::Connect));
        assert_eq!(refused(Method::TRACE, &[("content-length", "1")]), Err(Error::TraceBody));
        assert_eq!(refused(Method::TRACE, &[]), Ok(()));
    }

    #[test]
    fn rfc9112_9_3_who_keeps_a_connection() {
        let keeps = |version, line: &str| keeps_alive(version, &[("connection", line)].into_iter().collect());
        assert!(keeps(Version::HTTP_11, "x") && !keeps(Version::HTTP_11, "x, Close"));
        assert!(keeps(Version::HTTP_10, "Keep-Alive") && !keeps(Version::HTTP_10, "x"));
    }
}

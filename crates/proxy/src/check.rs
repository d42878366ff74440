//! What of a request's head is refused before anybody decides about it: too much of it, or what parsing alone does not notice.

use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING};
use http::{Method, Version, request};

use crate::config::Limits;
use crate::error::Error;
use crate::{headers, list};

/// Checks a head against the limits, and against what a proxy must not pass on.
pub(crate) fn check(head: &request::Parts, limits: &Limits) -> Result<(), Error> {
    if line_len(head) > limits.request_line {
        return Err(Error::TargetTooLong);
    }
    if head.headers.len() > limits.header_count || fields_len(&head.headers) > limits.headers {
        return Err(Error::HeadersTooLarge);
    }
    if head.method == Method::CONNECT {
        return Err(Error::Connect);
    }
    // What hyper takes for an authority is the target of CONNECT only, and would win over `Host` (RFC 9112 section 3.2.3).
    if head.uri.authority().is_some() && !matches!(head.uri.scheme_str(), Some("http" | "https")) {
        return Err(Error::Malformed("its target is neither a path nor a web address"));
    }
    check_framing(&head.headers)?;
    if head.version >= Version::HTTP_11 && !expects_only_continue(&head.headers) {
        return Err(Error::Expectation);
    }
    if headers::is_looping(&head.headers) {
        return Err(Error::Loop);
    }
    Ok(())
}

/// Whether the client waits for a `100` before it sends its body.
pub(crate) fn expects_continue(version: Version, headers: &HeaderMap) -> bool {
    version >= Version::HTTP_11 && headers.contains_key(EXPECT) && expects_only_continue(headers)
}

/// Whether an answer's body is framed in a way that is undone here (RFC 9112 section 6.1). Any other coding would reach the other side without its name.
pub(crate) fn is_framing_known(headers: &HeaderMap) -> bool {
    let mut codings = list::elements(headers, TRANSFER_ENCODING);
    let is_chunked = codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    // Chunks in chunks are undone once, and forbidden (section 7.1).
    is_chunked && codings.next().is_none()
}

/// A message with two framings means two things to two readers: request smuggling (RFC 9112 section 11.2).
fn check_framing(headers: &HeaderMap) -> Result<(), Error> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(Error::Malformed("it has both Content-Length and Transfer-Encoding"));
    }
    if is_framing_known(headers) { Ok(()) } else { Err(Error::TransferCoding) }
}

fn expects_only_continue(headers: &HeaderMap) -> bool {
    list::elements(headers, EXPECT).all(|what| what.eq_ignore_ascii_case(b"100-continue"))
}

/// Bytes of the request line without its line end.
fn line_len(head: &request::Parts) -> usize {
    // The longest form a target has here is the absolute one; its parts are what is left of it after parsing.
    let authority = head.uri.authority().map_or(0, |authority| authority.as_str().len() + "http://".len());
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    head.method.as_str().len() + authority + target + "  HTTP/1.1".len()
}

/// Bytes of the header section.
fn fields_len(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(change: impl FnOnce(request::Builder) -> request::Builder) -> Result<(), Error> {
        let limits = Limits { request_line: 40, headers: 200, header_count: 4, ..Limits::default() };
        let request = change(Request::builder().uri("/").header("host", "x")).body(()).unwrap();
        check(&request.into_parts().0, &limits)
    }

    #[test]
    fn limits_count_the_whole_line_and_all_fields() {
        assert_eq!(checked(|head| head), Ok(()));
        let target = format!("/{}", "a".repeat(27));
        assert_eq!(checked(|head| head.uri(&target[..27])), Ok(()));
        assert_eq!(checked(|head| head.uri(&target)), Err(Error::TargetTooLong));
        assert_eq!(checked(|head| head.header("a", "b".repeat(200))), Err(Error::HeadersTooLarge));
        let many = |head| (0..4).fold(head, |head: request::Builder, _| head.header("a", "b"));
        assert_eq!(checked(many), Err(Error::HeadersTooLarge));
    }

    #[test]
    fn two_framings_and_unknown_codings_are_refused() {
        let coded = |coding: &'static str| checked(|head| head.header("transfer-encoding", coding));
        assert_eq!(coded("chunked"), Ok(()));
        assert_eq!(coded("gzip, chunked"), Err(Error::TransferCoding));
        assert_eq!(coded("chunked, chunked"), Err(Error::TransferCoding));
        let both = checked(|head| head.header("transfer-encoding", "chunked").header("content-length", "1"));
        assert!(matches!(both, Err(Error::Malformed(_))));
    }

    #[test]
    fn only_one_expectation_is_known() {
        assert_eq!(checked(|head| head.header("expect", "100-Continue")), Ok(()));
        assert_eq!(checked(|head| head.header("expect", "200-ok")), Err(Error::Expectation));
        assert_eq!(checked(|head| head.version(Version::HTTP_10).header("expect", "200-ok")), Ok(()));
    }
}

//! gRPC: how its clients learn of our own errors (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md and doc/http-grpc-status-mapping.md).
//!
//! They look for a `grpc-status` in the trailers, which may be all there is of an answer. The HTTP status of it is 200 then.

use std::fmt::Write as _;

use http::{StatusCode, Version};

use crate::h1::head::RequestHead;
use crate::message::decimal::Decimal;
use crate::message::fields::Fields;
use crate::message::name::Name;
use crate::own::respond::Own;

/// Statuses of gRPC (doc/statuscodes.md).
const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const INTERNAL: u8 = 13;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// Whether the request is a call whose answer is read by its trailers. gRPC-Web is not: there they are part of the body.
pub(crate) fn is_call(asked: &RequestHead) -> bool {
    let is_grpc = |value: &[u8]| {
        let rest = value.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc"));
        rest.is_some() && matches!(value.get(16), None | Some(b'+' | b';' | b' '))
    };
    asked.version == Version::HTTP_2 && asked.fields.first(Name::ContentType).is_some_and(is_grpc)
}

/// What a call gets instead of `own`, which says `detail`.
pub(crate) fn refusal(own: &Own, detail: &str) -> Own {
    let mut fields = Fields::default();
    fields.append(Name::ContentType, &[b"application/grpc"]);
    fields.append_other("grpc-status", Decimal::of(status(own.status).into()).as_bytes());
    fields.append_other("grpc-message", escaped(detail).as_bytes());
    for name in [Name::XRequestId, Name::RetryAfter] {
        if let Some(value) = own.fields.first(name) {
            fields.append(name, &[value]);
        }
    }
    Own { status: own.status, fields, body: Vec::new() }
}

/// The status on the wire of an answer of ours with `fields`.
pub(crate) fn wire_status(status: StatusCode, fields: &Fields) -> StatusCode {
    if fields.named("grpc-status").is_some() { StatusCode::OK } else { status }
}

/// What our status means to a caller: whether it may call again, above all.
const fn status(status: StatusCode) -> u8 {
    match status {
        StatusCode::BAD_REQUEST => INVALID_ARGUMENT,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => UNIMPLEMENTED,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => RESOURCE_EXHAUSTED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => {
            UNAVAILABLE
        }
        _ => INTERNAL,
    }
}

/// Text as `grpc-message` has it: percent-encoded where it is not visible ASCII.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(version: Version, content_type: &str) -> RequestHead {
        let mut asked = RequestHead::default();
        (asked.version, asked.fields) = (version, [("content-type", content_type)].into_iter().collect());
        asked
    }

    #[test]
    fn calls_are_known_by_their_type() {
        let is_call = |content_type| is_call(&asked(Version::HTTP_2, content_type));
        assert!(
            is_call("application/grpc")
                && is_call("application/grpc+proto")
                && is_call("Application/gRPC;x=y")
        );
        assert!(!is_call("application/grpc-web+proto") && !is_call("application/json"));
        assert!(
            !super::is_call(&asked(Version::HTTP_11, "application/grpc")),
            "there are no trailers to rely on"
        );
    }

    #[test]
    fn a_message_is_escaped() {
        assert_eq!(escaped("100% wrong\nπ"), "100%25 wrong%0A%CF%80");
    }
}

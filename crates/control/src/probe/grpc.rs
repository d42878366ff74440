//! A probe by one call of `grpc.health.v1.Health/Check` (grpc.github.io/grpc/core/md_doc_health-checking.html): a message of one string,
//! answered by a message of one number.

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use tokio::io::{AsyncRead, AsyncWrite};

use super::ask::{Answer, Failure, Question};
use super::http::BODY_MAX;
use super::{h2, told};

const PATH: PathAndQuery = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
/// Bytes in front of each message: whether it is compressed, and its length.
const PREFIX_LEN: usize = 5;
/// The names of `ServingStatus`, by number.
const SERVING_STATUS: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// The number of the only one that is good.
const SERVING: u64 = 1;
/// The names of `grpc-status`, by number.
const STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Characters of a `grpc-message` that people are shown.
const MESSAGE_MAX: usize = 200;

/// Asks over `stream`.
pub(super) async fn ask<S>(stream: S, question: &Question) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let health = &question.policy.health;
    let request = Request::post(question.uri(Uri::from(PATH))?)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("grpc-timeout", format!("{}m", health.timeout.0.min(99_999_999)));
    let request = question.request(request)?;
    let reply = h2::ask(stream, request, message(&health.grpc_service), Some(BODY_MAX), judge).await?;
    let mut told = reply.headers;
    if !is_grpc(&told) {
        return Err(Failure::of("the answer is not gRPC's: it has another content type"));
    }
    // What has nothing to say but its status says it in front.
    for (name, value) in &reply.trailers {
        told.append(name, value.clone());
    }
    judge_status(&told)?;
    let status =
        serving_status(&reply.body).ok_or_else(|| Failure::of("the answer is no HealthCheckResponse"))?;
    let name = usize::try_from(status).ok().and_then(|status| SERVING_STATUS.get(status));
    let name = name.map_or_else(|| status.to_string(), |name| (*name).to_owned());
    if status != SERVING {
        return Err(Failure::of(name));
    }
    let identity = &question.policy.identity;
    let boot_id = told::boot_id(&told, &identity.boot_id_header)?;
    let version = told::version(identity, &told, None)?;
    let detail = match &version {
        Some(version) => format!("{name}, version {version}"),
        None => name,
    };
    Ok(Answer { version, boot_id, detail })
}

fn judge(status: StatusCode) -> Result<(), Failure> {
    if status == StatusCode::OK { Ok(()) } else { Err(Failure::of(format!("status {status}"))) }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn judge_status(told: &HeaderMap) -> Result<(), Failure> {
    let status = told.get("grpc-status").ok_or_else(|| Failure::of("the answer has no grpc-status"))?;
    if status == "0" {
        return Ok(());
    }
    let text = status.to_str().unwrap_or("?");
    let name = text.parse().ok().and_then(|number: usize| STATUS.get(number)).unwrap_or(&"?");
    let message = told.get("grpc-message").map(|message| decoded(message.as_bytes())).unwrap_or_default();
    let colon = if message.is_empty() { "" } else { ": " };
    Err(Failure::of(format!("grpc-status {text} {name}{colon}{message}")))
}

/// A `grpc-message`, whose odd bytes are percent-encoded, as far as people read it.
fn decoded(message: &[u8]) -> String {
    let hex = |digit: Option<&u8>| digit.and_then(|&digit| char::from(digit).to_digit(16));
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((&first, after)) = rest.split_first() {
        let code = hex(after.first()).zip(hex(after.get(1))).filter(|_| first == b'%');
        let code = code.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).chars().filter(|char| !char.is_control()).take(MESSAGE_MAX).collect()
}

/// `HealthCheckRequest { string service = 1; }`, with its prefix.
fn message(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX_LEN + message.len());
    framed.put_u8(0);
    // The name comes from a configuration that is no larger than this holds.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    framed.freeze()
}

/// The number in `HealthCheckResponse { ServingStatus status = 1; }`, 0 when it is left out; `None` when it is no such message.
fn serving_status(framed: &[u8]) -> Option<u64> {
    let (prefix, mut message) = framed.split_at_checked(PREFIX_LEN)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        // What is not known is skipped, by its wire type (protobuf.dev/programming-guides/encoding).
        match (tag >> 3, tag & 7) {
            (1, 0) => status = take_varint(&mut message)?,
            (_, 0) => drop(take_varint(&mut message)?),
            (_, 1) => skip(&mut message, 8)?,
            (_, 2) => {
                let length = take_varint(&mut message)?;
                skip(&mut message, usize::try_from(length).ok()?)?;
            }
            (_, 5) => skip(&mut message, 4)?,
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.put_u8(value.to_le_bytes()[0]);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn skip(from: &mut &[u8], count: usize) -> Option<()> {
    *from = from.get(count..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_message_of_one_string() {
        assert_eq!(*message(""), [0, 0, 0, 0, 0]);
        assert_eq!(*message("web"), *b"\0\0\0\0\x05\x0a\x03web");
        let long = message(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn an_answer_is_a_message_of_one_number() {
        for (answer, expected) in [
            (&b"\0\0\0\0\0"[..], Some(0)),
            (b"\0\0\0\0\x02\x08\x01", Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            // Fields that are not known: a number, eight bytes, a string, four bytes.
            (b"\0\0\0\0\x18\x10\x96\x01\x1912345678\x22\x03abc\x2d1234\x08\x01", Some(1)),
            (b"", None),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0\0\0\x02\x08\x80", None),
            (b"\0\0\0\0\x02\x0b\x01", None),
            (b"\0\0\0\0\x03\x12\xff\x01", None),
            (b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
        ] {
            assert_eq!(serving_status(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_message_is_decoded_for_people() {
        assert_eq!(decoded(b"no 100%25 caf%C3%A9%0A%zz%"), "no 100% caf\u{e9}%zz%");
        assert_eq!(decoded(&[b'x'; 300]).len(), MESSAGE_MAX);
    }
}

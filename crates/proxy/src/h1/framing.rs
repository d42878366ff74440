//! Where the body of a message ends (RFC 9112 section 6).

use http::{Method, StatusCode, Version};

use crate::h1::line::is_token_byte;
use crate::message::fields::{Fields, Several};
use crate::message::name::{Name, Names};

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// So many bytes, of which there may be none.
    Length(u64),
    /// Chunks, and the last one says so.
    Chunked,
    /// The connection ends with the body.
    UntilClose,
}

/// Why it can't be said where a body ends. Two readers of such a message may disagree on where the next one begins, which is
/// how requests are smuggled (RFC 9112 section 11.2): so it is not guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// `Content-Length` and `Transfer-Encoding`, of which a reader may know only one.
    #[error("the message has both a Content-Length and a Transfer-Encoding")]
    LengthAndCoding,
    /// Two lines, or a list, even of equal lengths.
    #[error("the Content-Length is repeated")]
    RepeatedLength,
    /// Not digits and nothing else.
    #[error("the Content-Length is not a number")]
    BadLength,
    /// More than any body, or than some readers can count.
    #[error("the Content-Length is too large")]
    HugeLength,
    /// HTTP/1.0 has no transfer codings: a hop before this one did not see the field.
    #[error("a message of HTTP/1.0 has a Transfer-Encoding")]
    CodingInHttp10,
    /// Several lines, of which a reader may see only the first or the last.
    #[error("the Transfer-Encoding is repeated")]
    RepeatedCoding,
    /// `chunked` is not what the body was coded with last, and once, or the field is no list of codings.
    #[error("the Transfer-Encoding does not end in one chunked")]
    NotChunked,
    /// The body is chunked, and what is in the chunks is coded too.
    #[error("the transfer coding is not known")]
    UnknownCoding,
    /// A request for a tunnel over HTTP/2 has a length (RFC 8441 section 4).
    #[error("a request for a tunnel has a Content-Length")]
    TunnelBody,
}

/// How the body of a request is framed.
///
/// # Errors
/// [`FramingError`]: 501 for [`UnknownCoding`](FramingError::UnknownCoding) (RFC 9112 section 6.1), else 400. The connection
/// can't be used any more.
pub(crate) fn request(version: Version, fields: &Fields) -> Result<Framing, FramingError> {
    // Section 6.3, rule 7: a request that says nothing has no body.
    Ok(declared(version, fields)?.unwrap_or(Framing::None))
}

/// How the body of the final answer to a request with `request_method` is framed, or of an interim one that is not 101.
///
/// # Errors
/// [`FramingError`]: the answer is of no use, and neither is the connection.
pub(crate) fn response(
    request_method: &Method,
    status: StatusCode,
    version: Version,
    fields: &Fields,
) -> Result<Framing, FramingError> {
    // Section 6.3, rule 1: these end with their head, whatever its fields say.
    let is_bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *request_method == Method::HEAD;
    if is_bodiless {
        return Ok(Framing::None);
    }
    // Section 6.3, rule 8.
    Ok(declared(version, fields)?.unwrap_or(Framing::UntilClose))
}

const FRAMING: Names = Names::of(&[Name::ContentLength, Name::TransferEncoding]);

/// What the fields say, if they say anything.
fn declared(version: Version, fields: &Fields) -> Result<Option<Framing>, FramingError> {
    if !fields.may_have(FRAMING) {
        return Ok(None);
    }
    match (fields.single(Name::ContentLength), fields.single(Name::TransferEncoding)) {
        (Ok(None), Ok(None)) => Ok(None),
        (Ok(Some(length)), Ok(None)) => parse_length(length).map(Some),
        // Section 6.3, rule 5, would let equal ones pass.
        (Err(Several), Ok(None)) => Err(FramingError::RepeatedLength),
        // Section 6.1: a server may refuse it; rule 3 of section 6.3 calls it an attempt to smuggle.
        (Ok(Some(_)) | Err(Several), Ok(Some(_)) | Err(Several)) => Err(FramingError::LengthAndCoding),
        // Section 6.1: the framing is faulty, also where the coding is one that we know.
        (Ok(None), Ok(Some(_)) | Err(Several)) if version < Version::HTTP_11 => {
            Err(FramingError::CodingInHttp10)
        }
        (Ok(None), Err(Several)) => Err(FramingError::RepeatedCoding),
        (Ok(None), Ok(Some(coding))) => check_coding(coding).map(|()| Some(Framing::Chunked)),
    }
}

/// `Content-Length = 1*DIGIT` (RFC 9110 section 8.6).
fn parse_length(value: &[u8]) -> Result<Framing, FramingError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        let is_list = value.contains(&b',');
        return Err(if is_list { FramingError::RepeatedLength } else { FramingError::BadLength });
    }
    if value.len() > LENGTH_DIGITS_MAX {
        return Err(FramingError::HugeLength);
    }
    // As many digits can't overflow.
    let length = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if length > LENGTH_MAX { Err(FramingError::HugeLength) } else { Ok(Framing::Length(length)) }
}

/// `Transfer-Encoding = #transfer-coding`, of which we know one (RFC 9112 sections 6.1 and 7).
fn check_coding(value: &[u8]) -> Result<(), FramingError> {
    if value.eq_ignore_ascii_case(CHUNKED) {
        return Ok(());
    }
    // Stricter than the list rule of RFC 9110 section 5.6.1: no empty elements, and no parameters, which no coding of today has.
    let mut codings = value.rsplit(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(CHUNKED);
    let is_token = |coding: &[u8]| !coding.is_empty() && coding.iter().copied().all(is_token_byte);
    let is_last_chunked = codings.next().is_some_and(is_chunked);
    if is_last_chunked && codings.all(|coding| !is_chunked(coding) && is_token(coding)) {
        Err(FramingError::UnknownCoding)
    } else {
        Err(FramingError::NotChunked)
    }
}

const CHUNKED: &[u8] = b"chunked";
/// Digits of [`LENGTH_MAX`].
const LENGTH_DIGITS_MAX: usize = 19;
/// Some readers count in signed numbers.
const LENGTH_MAX: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests;

//! The parsers as fuzz targets and tests drive them: bytes in pieces in, plain values out. Not part of the crate's interface.

pub mod engine;

use cutover_core::proxy_protocol::Endpoints;
use http::{StatusCode, Version};

use crate::client::proxy_protocol::{self, Told};
use crate::h1::chunked::{ChunkError, Decoder, Step};
use crate::h1::head::{AnswerHead, HeadError, HeadLimits, RequestHead};
use crate::message::fields::Fields;
use crate::message::websocket::Walker;

pub use crate::h2::fuzzing::{H2Request, h2_trailers};

/// Bytes of a start line. Small, so that inputs which break a limit are short.
pub const LINE_MAX: usize = 200;
/// Bytes of all fields of a head.
pub const FIELDS_MAX: usize = 1000;
/// Fields of a head.
pub const COUNT_MAX: usize = 20;

/// Names and values of fields, in their order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A request's head as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// In its case.
    pub method: String,
    /// As it goes on to a backend.
    pub target: String,
    /// Of an absolute-form target.
    pub authority: Option<String>,
    /// As which it is handled.
    pub version: Version,
    /// All fields.
    pub fields: Pairs,
    /// Bytes of the head.
    pub len: usize,
}

/// An answer's head as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What is said of the status.
    pub reason: Vec<u8>,
    /// As which it is handled.
    pub version: Version,
    /// All fields.
    pub fields: Pairs,
    /// Bytes of the head.
    pub len: usize,
}

/// A chunked body as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// What was in the chunks.
    pub data: Vec<u8>,
    /// All trailer fields.
    pub trailers: Pairs,
    /// Bytes of the body, with its framing.
    pub len: usize,
}

/// Parses a request's head that comes in pieces, so many bytes at once as `cuts` says over and over, or whole if it says
/// nothing. `None` when it is not whole.
///
/// # Errors
/// Why it is refused, in words.
pub fn request_head(input: &[u8], cuts: &[usize]) -> Result<Option<Request>, String> {
    let mut head = RequestHead::default();
    let len = fed(input, cuts, |come| head.parse(come, &LIMITS)).map_err(|error| error.to_string())?;
    Ok(len.map(|len| Request {
        method: head.method.as_str().to_owned(),
        target: head.target_text().into_owned(),
        authority: head.authority().map(str::to_owned),
        version: head.version,
        fields: pairs(&head.fields),
        len,
    }))
}

/// The same for an answer's head.
///
/// # Errors
/// Why it is refused, in words.
pub fn answer_head(input: &[u8], cuts: &[usize]) -> Result<Option<Answer>, String> {
    let mut head = AnswerHead::default();
    let len = fed(input, cuts, |come| head.parse(come, &LIMITS)).map_err(|error| error.to_string())?;
    Ok(len.map(|len| Answer {
        status: head.status,
        reason: head.reason().to_owned(),
        version: head.version,
        fields: pairs(&head.fields),
        len,
    }))
}

/// The same for a chunked body.
///
/// # Errors
/// Why it is refused, in words.
///
/// # Panics
/// When the decoder breaks its word.
pub fn chunked_body(input: &[u8], cuts: &[usize]) -> Result<Option<Body>, String> {
    decode(input, cuts).map_err(|error| error.to_string())
}

/// Reads the PROXY header that `input` begins with: whose connection it tells of, if it tells, and its length. `None` when it is not whole.
///
/// # Errors
/// Why it is refused, in words.
pub fn proxy_header(input: &[u8]) -> Result<Option<(Option<Endpoints>, usize)>, String> {
    let parsed = proxy_protocol::parse(input).map_err(|error| error.to_string())?;
    Ok(parsed.map(|(told, len)| match told {
        Told::Client(ends) => (Some(ends), len),
        Told::Unknown | Told::Local => (None, len),
    }))
}

/// Where the WebSocket frames of a stream end that comes in pieces, and whether a close frame began.
#[must_use]
pub fn websocket_frames(input: &[u8], cuts: &[usize]) -> (Vec<usize>, bool) {
    let (mut walker, mut found, mut start) = (Walker::default(), Vec::new(), 0);
    for end in ends(input.len(), cuts) {
        while start < end {
            // One byte into the next frame, then to its end.
            start += walker.walk(&input[start..=start], false);
            start += walker.walk(&input[start..end], true);
            if walker.is_between() {
                found.push(start);
            }
        }
    }
    (found, walker.is_closed())
}

/// [`chunked_body`] with its error.
pub(crate) fn decode(input: &[u8], cuts: &[usize]) -> Result<Option<Body>, ChunkError> {
    let mut decoder = Decoder::default();
    let (mut data, mut start, mut end) = (Vec::new(), 0, 0);
    let mut ends = ends(input.len(), cuts);
    loop {
        let here = &input[start..end];
        match decoder.step(here)? {
            Step::Framing(len) => {
                assert!((1..=here.len()).contains(&len));
                start += len;
            }
            Step::Data(len) => {
                assert!((1..=here.len()).contains(&len));
                data.extend_from_slice(&here[..len]);
                start += len;
            }
            Step::More => {
                assert!(here.is_empty(), "it does not wait while there is something to say");
                match ends.next() {
                    Some(next) => end = next,
                    None => return Ok(None),
                }
            }
            Step::End(len) => {
                assert!(len <= here.len());
                assert_eq!(decoder.step(&here[len..]), Ok(Step::End(0)), "over is over");
                let trailers = decoder.trailers().map_or_else(Vec::new, |fields| pairs(fields));
                return Ok(Some(Body { data, trailers, len: start + len }));
            }
        }
    }
}

/// Shows a parser of heads more and more of `input`, until it has the whole head.
fn fed(
    input: &[u8],
    cuts: &[usize],
    mut parse: impl FnMut(&[u8]) -> Result<Option<usize>, HeadError>,
) -> Result<Option<usize>, HeadError> {
    for end in ends(input.len(), cuts) {
        if let Some(len) = parse(&input[..end])? {
            assert!(len <= end);
            return Ok(Some(len));
        }
    }
    Ok(None)
}

/// Where pieces of `len` bytes end.
fn ends(len: usize, cuts: &[usize]) -> impl Iterator<Item = usize> {
    let mut cuts = cuts.iter().cycle();
    let mut end = 0;
    std::iter::from_fn(move || {
        let cut = cuts.next().map_or(len, |cut| *cut.max(&1));
        (end < len).then(|| {
            end = len.min(end.saturating_add(cut));
            end
        })
    })
}

fn pairs(fields: &Fields) -> Pairs {
    fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

pub(crate) const LIMITS: HeadLimits = HeadLimits { line: LINE_MAX, fields: FIELDS_MAX, count: COUNT_MAX };

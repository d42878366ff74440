//! Heads of HTTP/2 on their way, as fuzz targets drive them: what the `h2` crate hands over in, what would be sent out.

use http::request::Parts;
use http::{HeaderMap, Request, Response, response};

use super::switch::Switch;
use super::translate;
use crate::fuzzing::LIMITS;
use crate::h1::head::{AnswerHead, RequestHead};
use crate::message::headers;
use crate::own;

/// A request that was read.
#[derive(Debug)]
pub struct H2Request(RequestHead);

impl H2Request {
    /// Reads one that has such a head.
    ///
    /// # Errors
    /// Why it is refused, in words.
    pub fn read(parts: &Parts, nonce: [u8; 16]) -> Result<Self, String> {
        let (mut head, mut text) = (RequestHead::default(), Vec::new());
        translate::read_request(parts, &mut head, &LIMITS, &mut text, || nonce)
            .map_err(|error| error.to_string())?;
        Ok(Self(head))
    }

    /// How it goes to a backend that speaks HTTP/1.1.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.write(&mut out);
        out
    }

    /// How it goes to one that speaks HTTP/2; `None` when it can't be said there.
    #[must_use]
    pub fn onward(&self) -> Option<Request<()>> {
        translate::request(&self.0, true, Switch::of(&self.0).as_ref())
    }

    /// Reads the head of an answer to it. Tells how that goes to a client that speaks HTTP/1.1, and to one that speaks HTTP/2.
    ///
    /// # Errors
    /// Why it is refused, in words.
    pub fn answer(&self, parts: &response::Parts) -> Result<(Vec<u8>, Option<Response<()>>), String> {
        let (mut head, mut text, mut out) = (AnswerHead::default(), Vec::new(), Vec::new());
        let switch = Switch::of(&self.0);
        translate::read_answer(parts, switch.as_ref(), &mut head, &LIMITS, &mut text)
            .map_err(|error| error.to_string())?;
        own::write_h1_head(&mut out, (head.status, head.reason()), &head.fields);
        Ok((out, translate::answer(head.status, &head.fields, switch.is_some())))
    }
}

/// How trailers go on: in lines of HTTP/1.1, without the empty one behind them, and over HTTP/2.
#[must_use]
pub fn h2_trailers(came: &HeaderMap) -> (Vec<u8>, Option<HeaderMap>) {
    let mut fields = translate::trailers(came);
    headers::prepare_trailers(&mut fields);
    let mut out = Vec::new();
    fields.write(&mut out);
    (out, translate::trailer_map(&fields))
}

//! HTTP/2 (RFC 9113): its streams as the request path sees them. Frames, HPACK and flow control are the `h2` crate's.
//!
//! A stream is a [`Stream`](crate::io::stream::Stream) whose bytes are those of a body, while heads, ends and trailers go beside them. Everything that
//! decides about a request is the same code as for HTTP/1.1: a head is written down in that form and read by the same strict parser.

pub(crate) mod client;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub(crate) mod io;
pub(crate) mod server;
mod stream;
mod switch;
mod translate;

pub(crate) use self::stream::{H2Stream, Heard};

/// How a client begins to speak HTTP/2 (RFC 9113 section 3.4), up to where it can't be anything else any more: no method is called `PRI`.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Whether these first bytes of a connection are HTTP/2; `None` while it can't be told.
pub(crate) fn is_preface(bytes: &[u8]) -> Option<bool> {
    match bytes.starts_with(PREFACE) {
        false if PREFACE.starts_with(bytes) => None,
        is_preface => Some(is_preface),
    }
}

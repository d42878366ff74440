//! The bodies that the app server answers with: whole, a pattern of any length, or a stream of events.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body_util::Full;
use hyper::{
    HeaderMap,
    body::{Body as HttpBody, Bytes, Frame, SizeHint},
    header::{HeaderName, HeaderValue},
};
use tokio::{sync::watch, time::Interval};

/// Bytes of a pattern that are made at once.
const BLOCK: u64 = 64 * 1024;
/// The pattern repeats after this many bytes: a prime, so that a lost or repeated block of any usual size shows.
const PERIOD: u64 = 251;
/// Trailer of a chunked pattern: how many bytes it had.
pub(super) const BYTES_TRAILER: HeaderName = HeaderName::from_static("x-app-bytes");

/// A body of the app server.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Full<Bytes>),
    Pattern(Pattern),
    Events(Events),
}

impl Body {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

/// `total` bytes of which the one at offset `i` is `i mod 251`.
#[derive(Debug)]
pub(super) struct Pattern {
    sent: u64,
    total: u64,
    framing: Framing,
}

/// How a pattern says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By `Content-Length`.
    Sized,
    /// By chunks, without a trailer.
    Chunked,
    /// By chunks, with the trailer `X-App-Bytes` to come.
    ChunkedWithTrailer,
    /// By chunks, the trailer is sent.
    TrailerSent,
}

impl Pattern {
    pub(super) fn new(total: u64, framing: Framing) -> Self {
        Self { sent: 0, total, framing }
    }

    fn frame(&mut self) -> Option<Frame<Bytes>> {
        let size = (self.total - self.sent).min(BLOCK);
        if size > 0 {
            let block =
                (self.sent..self.sent + size).map(|offset| u8::try_from(offset % PERIOD).unwrap_or(0));
            self.sent += size;
            return Some(Frame::data(block.collect()));
        }
        if self.framing != Framing::ChunkedWithTrailer {
            return None;
        }
        self.framing = Framing::TrailerSent;
        Some(Frame::trailers(HeaderMap::from_iter([(BYTES_TRAILER, HeaderValue::from(self.total))])))
    }
}

/// Server-sent events, one at every tick, until `count` of them are sent or the server stops.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) version: String,
    pub(super) ticks: Interval,
    pub(super) sent: u64,
    pub(super) count: u64,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Events {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if self.sent == self.count || *self.stopping.borrow() {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(context));
        let data = serde_json::json!({ "version": self.version, "n": self.sent });
        let event = format!("id: {}\nevent: tick\ndata: {data}\n\n", self.sent);
        self.sent += 1;
        Poll::Ready(Some(Frame::data(event.into())))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Pattern(pattern) => Poll::Ready(pattern.frame().map(Ok)),
            Self::Events(events) => events.poll_event(context).map(|frame| frame.map(Ok)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Pattern(pattern) if pattern.framing == Framing::Sized => {
                SizeHint::with_exact(pattern.total - pattern.sent)
            }
            Self::Pattern(_) | Self::Events(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_pattern_goes_on_over_the_edges_of_its_blocks() {
        let total = 3 * BLOCK + 7;

        let bytes = Body::Pattern(Pattern::new(total, Framing::Sized)).collect().await.unwrap().to_bytes();

        assert_eq!(bytes.len() as u64, total);
        assert!(bytes.iter().zip(0_u64..).all(|(byte, offset)| u64::from(*byte) == offset % PERIOD));
    }

    #[tokio::test]
    async fn a_chunked_pattern_ends_with_its_trailer() {
        let body = Body::Pattern(Pattern::new(10, Framing::ChunkedWithTrailer));

        let collected = body.collect().await.unwrap();

        assert_eq!(collected.trailers().unwrap()[BYTES_TRAILER], "10");
    }
}

//! An answer's body on its way to the client, and everything that lasts as long as it: what is in flight, the backend's connection, the record of the request.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use cutover_core::traffic::BackendInFlight;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::exchange::Exchange;
use crate::headers;
use crate::metrics::UpstreamFailure;
use crate::pool::Pool;
use crate::upstream::Connection;
use crate::view::ServiceView;
use crate::worker::Worker;

/// The backend's answer broke off, and with it the client's.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the backend's answer broke off")]
pub(crate) struct BrokeOff;

/// The body of an answer. It ends when hyper has taken its last byte, or when the client is gone; then the exchange ends too.
pub(crate) struct AnswerBody {
    source: Source,
    /// `None` where it goes on after the head, in a tunnel.
    exchange: Option<Exchange>,
}

enum Source {
    /// Ours, whole.
    Own(Bytes),
    /// A backend's, streamed.
    Backend(Box<FromBackend>),
    /// Nothing, or nothing more.
    Over,
}

/// A backend's answer while it is streamed.
pub(crate) struct FromBackend {
    pub(crate) body: Incoming,
    pub(crate) connection: Connection,
    pub(crate) in_flight: BackendInFlight,
    pub(crate) worker: Rc<Worker>,
    pub(crate) service: Rc<ServiceView>,
    /// The places of the version and of its member.
    pub(crate) version: usize,
    pub(crate) member: usize,
    /// Whether the client can tell a complete answer only by the end of the connection.
    pub(crate) ends_by_close: bool,
}

impl AnswerBody {
    /// A body of ours.
    pub(crate) fn own(bytes: Bytes, exchange: Exchange) -> Self {
        let source = if bytes.is_empty() { Source::Over } else { Source::Own(bytes) };
        Self { source, exchange: Some(exchange) }
    }

    /// The body of an answer whose exchange goes on elsewhere.
    pub(crate) const fn nothing() -> Self {
        Self { source: Source::Over, exchange: None }
    }

    /// A backend's body. Its connection can serve others when the body is over, which may be right away.
    pub(crate) fn from_backend(answer: FromBackend, exchange: Exchange) -> Self {
        let mut body = Self { source: Source::Backend(Box::new(answer)), exchange: Some(exchange) };
        body.end_if_over();
        body
    }

    fn note_sent(&mut self, bytes: usize) {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_sent(bytes);
        }
    }

    fn end_if_over(&mut self) {
        if matches!(&self.source, Source::Backend(answer) if answer.body.is_end_stream())
            && let Source::Backend(answer) = std::mem::replace(&mut self.source, Source::Over)
        {
            answer.end();
        }
    }

    fn break_off(&mut self) -> BrokeOff {
        let Source::Backend(answer) = std::mem::replace(&mut self.source, Source::Over) else {
            return BrokeOff;
        };
        // An upload that the client broke ends the connection too, and with it the answer. Blaming the backend for that would let any
        // client take it out of service.
        if self.exchange.as_ref().and_then(Exchange::body_fault).is_none() {
            answer.note_broken();
        }
        if answer.ends_by_close
            && let Some(exchange) = &self.exchange
        {
            exchange.reset_client();
        }
        BrokeOff
    }
}

impl FromBackend {
    /// The answer was read to its end.
    fn end(self) {
        let pool: &Rc<Pool> = &self.service.versions[self.version].pools[self.member];
        drop(self.in_flight);
        pool.give_back(self.connection, &self.service.set.policy.upstream, Instant::now());
    }

    /// A process that dies in the middle of an answer may be another one at the next connection.
    fn note_broken(&self) {
        let entry = &self.service.set.versions[self.version].members[self.member];
        self.service.metrics.upstream_failed(UpstreamFailure::BrokenBody);
        self.worker.note_error(&self.service.set.policy, entry);
        self.worker.note_lost(&self.service.set.policy, entry);
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        let answer = match &mut this.source {
            Source::Over => return Poll::Ready(None),
            Source::Own(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Over;
                this.note_sent(bytes.len());
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Source::Backend(answer) => answer,
        };
        match std::task::ready!(Pin::new(&mut answer.body).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::prepare_trailers(trailers);
                }
                this.note_sent(frame.data_ref().map_or(0, Bytes::len));
                this.end_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(_)) => Poll::Ready(Some(Err(this.break_off()))),
            None => {
                if let Source::Backend(answer) = std::mem::replace(&mut this.source, Source::Over) {
                    answer.end();
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Over => true,
            Source::Own(_) => false,
            Source::Backend(answer) => answer.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Over => SizeHint::with_exact(0),
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Backend(answer) => answer.body.size_hint(),
        }
    }
}

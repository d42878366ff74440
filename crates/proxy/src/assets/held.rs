//! An answer that waits until it is known whether there is a better one.

use std::task::{Context, Poll, Waker};

use cutover_core::traffic::InFlight;
use tokio::time::Instant;

use crate::h1::chunked::{Decoder, Step};
use crate::h1::framing::Framing;
use crate::h1::head::AnswerHead;
use crate::io::buffer::{Buffer, SMALL};
use crate::serve::decide::Decided;
use crate::serve::exchange::{Exchange, Tries};
use crate::serve::forward::Backend;

/// Bytes of an answer that nobody gets which are read so that its connection can be used again. Opening another one costs less than
/// reading more.
const REST_MAX: usize = 64 << 10;

/// The head of an answer, and the connection over which its body comes. A drain of its version waits for it.
pub(super) struct Held {
    answer: AnswerHead,
    from_upstream: Buffer,
    backend: Backend,
    tries: Tries,
    /// Whether nothing of the request is left to be sent.
    is_sent: bool,
    #[expect(dead_code, reason = "it is held, not read")]
    in_flight: InFlight,
}

impl Held {
    /// Takes the answer out of the scratch, where another one can take its place.
    pub(super) fn take(exchange: &mut Exchange<'_>, decided: &Decided, backend: Backend) -> Self {
        let scratch = &mut *exchange.scratch;
        Self {
            answer: std::mem::take(&mut scratch.answer),
            from_upstream: std::mem::replace(&mut scratch.from_upstream, Buffer::new(SMALL)),
            backend,
            tries: exchange.tries,
            is_sent: scratch.upload.is_done(),
            in_flight: InFlight::begin(&decided.version_set().traffic),
        }
    }

    /// Puts it back: it is what the client gets.
    pub(super) fn restore(self, exchange: &mut Exchange<'_>, decided: &Decided) -> Backend {
        exchange.decided(&decided.service, decided.choice.version);
        exchange.tries = self.tries;
        (exchange.scratch.answer, exchange.scratch.from_upstream) = (self.answer, self.from_upstream);
        self.backend
    }

    /// Nobody gets it. Its connection serves another request if the rest of it is there already, and ends otherwise.
    pub(super) fn discard(mut self, decided: &Decided) {
        let is_whole = self.backend.answer.keeps_alive && self.is_sent && self.is_over();
        let Backend { connection, member, in_flight, .. } = self.backend;
        drop(in_flight);
        if is_whole {
            decided.pool(member).give_back(connection, &decided.service.set.policy.upstream, Instant::now());
        }
    }

    /// Whether its last byte was read, of those that are there without waiting.
    fn is_over(&mut self) -> bool {
        let (stream, buffer) = (&mut self.backend.connection.stream, &mut self.from_upstream);
        if stream.is_h2() {
            // The others on its connection don't care.
            return false;
        }
        let mut rest = Rest::of(self.backend.answer.framing);
        let mut left = REST_MAX;
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match rest.read(buffer) {
                Some(true) => return buffer.is_empty(),
                Some(false) if !buffer.is_full() => {}
                Some(false) | None => return false,
            }
            match buffer.poll_fill(stream, &mut cx) {
                Poll::Ready(Ok(count @ 1..)) if count <= left => left -= count,
                Poll::Ready(_) | Poll::Pending => return false,
            }
        }
    }
}

/// What of a body is still to come.
enum Rest {
    Length(u64),
    Chunked(Decoder),
    Endless,
}

impl Rest {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Decoder::default()),
            Framing::UntilClose => Self::Endless,
        }
    }

    /// Reads over what is in the buffer. Answers whether that was all; `None` when nobody can tell where it ends.
    fn read(&mut self, buffer: &mut Buffer) -> Option<bool> {
        match self {
            Self::Endless => None,
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.filled().len());
                buffer.consume(count);
                *left -= count as u64;
                Some(*left == 0)
            }
            Self::Chunked(decoder) => loop {
                match decoder.step(buffer.filled()).ok()? {
                    Step::More => return Some(false),
                    Step::Framing(count) | Step::Data(count) => buffer.consume(count),
                    Step::End(count) => {
                        buffer.consume(count);
                        return Some(true);
                    }
                }
            },
        }
    }
}

//! A request's body on its way to a backend: limited, and kept as long as it is small, so that it can be sent again.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::client::client_subject::SubjectFields;
use crate::h1::framing::Framing;
use crate::io::buffer::{Buffer, Buffers};
use crate::io::relay::{Broken, Relay, Waits};
use crate::io::stream::Stream;

/// Capacity that the copy of a small body keeps for the next request.
const KEPT_CAPACITY: usize = 16 << 10;

/// What may happen to a request's body that is the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// It has more bytes than it may have.
    #[error("the request body is too large")]
    TooLarge,
    /// No byte of it came for too long.
    #[error("the request body stalled")]
    Stalled,
    /// It ended early, or its framing is broken.
    #[error("the request body broke off")]
    Broken,
}

/// Limits of one request body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BodyLimits {
    /// Bytes it may have.
    pub(crate) bytes: Option<u64>,
    /// Time without a byte.
    pub(crate) idle: Duration,
    /// Bytes up to which it is kept to be sent again.
    pub(crate) replay: u64,
}

/// Why sending a body ended early.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client is to blame.
    Client(BodyFault),
    /// The backend takes no more of it.
    Backend,
}

/// One request's head and body on their way to a backend. Reused from request to request.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    relay: Relay,
    limits: BodyLimits,
    /// What was received, as long as all of it is at hand.
    kept: Vec<u8>,
    is_whole: bool,
    is_keeping: bool,
    fault: Option<BodyFault>,
    /// Whether the head went out beside the body.
    is_head_sent: bool,
}

impl Upload {
    /// Forgets the body of the last request.
    pub(crate) fn clear(&mut self) {
        self.relay.clear();
        self.kept.clear();
        self.kept.shrink_to(KEPT_CAPACITY);
        (self.limits, self.is_whole, self.is_keeping, self.fault) = (BodyLimits::default(), true, true, None);
        self.is_head_sent = false;
    }

    /// Says how the body of the next request is framed, and what it may do. The backend gets it in chunks if it `is_chunking`. The last
    /// one is [forgotten](Self::clear).
    pub(crate) fn expect(&mut self, framing: Framing, is_chunking: bool, limits: BodyLimits) {
        self.relay.expect(framing, is_chunking);
        self.limits = limits;
        let is_larger = |limit| matches!(framing, Framing::Length(length) if length > limit);
        // What will not be at hand in the end is not copied in the beginning.
        self.is_keeping = !is_larger(limits.replay);
        if self.is_keeping {
            self.relay.watch();
        }
        self.fault = limits.bytes.is_some_and(is_larger).then_some(BodyFault::TooLarge);
    }

    /// Lets what no client may say about who it is be taken out of the trailers.
    pub(crate) fn reserve(&mut self, reserved: &Arc<SubjectFields>) {
        self.relay.reserve(reserved);
    }

    /// # Errors
    /// What is wrong with it so far.
    pub(crate) fn check(&self) -> Result<(), BodyFault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Begins a try to send it, from the first byte of the head, which `head` writes.
    pub(crate) fn send(&mut self, head: impl FnOnce(&mut Vec<u8>), from_client: &mut Buffer) {
        self.is_head_sent = false;
        self.relay.restart(head, &self.kept, from_client);
    }

    /// The head goes out beside the body. Answers whether nothing follows it.
    pub(crate) fn send_beside(&mut self, from_client: &mut Buffer) -> bool {
        self.send(|_| {}, from_client);
        self.is_head_sent = true;
        self.is_done() && !self.is_held()
    }

    /// Carries on.
    pub(crate) fn poll(
        &mut self,
        from: (&mut Stream, &mut Buffer, &Buffers),
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        let Self { relay, limits, kept, is_whole, is_keeping, fault, .. } = self;
        let mut received = relay.moved();
        let watch = |data: &[u8]| {
            received += data.len() as u64;
            if limits.bytes.is_some_and(|limit| received > limit) {
                return Err(BodyFault::TooLarge);
            }
            if *is_whole && *is_keeping && received <= limits.replay {
                kept.extend_from_slice(data);
            } else {
                *is_whole = false;
            }
            Ok(())
        };
        let polled = relay.poll(from, to, cx, watch);
        if relay.moved() > received {
            // Some of it passed without being seen, and can't be sent again.
            *is_whole = false;
        }
        polled.map_err(|broken| match broken {
            Broken::SinkGone(_) => Failed::Backend,
            Broken::Refused(found) => Failed::Client(*fault.insert(found)),
            Broken::SourceGone(_) | Broken::Chunks(_) => Failed::Client(*fault.insert(BodyFault::Broken)),
        })
    }

    /// Forgets what is under way.
    pub(crate) fn rest(&mut self) {
        self.relay.rest();
    }

    /// It will not be sent again, and to nobody: what of it is still in `from_client` would be taken for the next request.
    pub(crate) fn abandon(&mut self, from_client: &mut Buffer) {
        self.relay.abandon(from_client);
    }

    /// What the client sends from here on goes on as it is, through [`tunnel`](Self::tunnel).
    pub(crate) fn becomes_tunnel(&mut self) {
        self.relay.begin(Framing::UntilClose, false);
    }

    /// The way from the client to the backend in a tunnel.
    pub(crate) const fn tunnel(&mut self) -> &mut Relay {
        &mut self.relay
    }

    /// Keeps the body back until the backend wants it, or lets it go.
    pub(crate) const fn hold(&mut self, is_held: bool) {
        self.relay.hold(is_held);
    }

    /// Whether the body is kept back.
    pub(crate) const fn is_held(&self) -> bool {
        self.relay.is_held()
    }

    /// Whether all of it was received.
    pub(crate) fn is_received(&self) -> bool {
        self.relay.is_received()
    }

    /// Whether all of it was sent.
    pub(crate) fn is_done(&self) -> bool {
        self.relay.is_done()
    }

    /// Whether the backend may have seen something of the request.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_head_sent || self.relay.wrote() > 0
    }

    /// Bytes that were written, with their framing: it grows while there is progress.
    pub(crate) const fn wrote(&self) -> u64 {
        self.relay.wrote()
    }

    /// Whom it waits for.
    pub(crate) const fn waits(&self) -> Waits {
        self.relay.waits()
    }

    /// Whether everything that was received can be sent again.
    pub(crate) const fn is_at_hand(&self) -> bool {
        self.is_whole
    }

    /// Stops keeping what comes: the request will not be sent again.
    pub(crate) const fn stop_keeping(&mut self) {
        self.is_keeping = false;
    }

    /// Time without a byte from the client.
    pub(crate) const fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// Bytes that came from the client.
    pub(crate) const fn received(&self) -> u64 {
        self.relay.moved()
    }

    /// What the client did wrong with it.
    pub(crate) const fn fault(&self) -> Option<BodyFault> {
        self.fault
    }

    /// The client does not send.
    pub(crate) fn stalled(&mut self) -> BodyFault {
        *self.fault.insert(BodyFault::Stalled)
    }
}

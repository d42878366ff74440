//! Tunnels: what a connection becomes when both sides agreed to speak something else over it (WebSocket, RFC 6455; `101`, RFC 9110 section 7.8).
//!
//! One ends when its sides end it, a WebSocket soon after its server has, or gently when its term is over: each way is cut where its
//! protocol allows it, both sides are told, and have a moment to say goodbye. WebSocket clients get a close frame with code 1012 and
//! connect again. They get none when a frame is under way from the backend and does not come to its end in time, or when they take
//! nothing any more; and none of ours when a side had said goodbye already.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::h2::H2Stream;
use crate::io::buffer::{Buffer, Buffers};
use crate::io::relay::{Broken, Relay, Seam};
use crate::io::stream::Stream;
use crate::message::name::Name;
use crate::message::websocket;
use crate::serve::exchange::Exchange;
use crate::serve::scratch::Scratch;
use crate::serve::term::Term;

/// How long a frame or an event that is under way may take to its end, when the term is over.
pub(crate) const CUT_WITHIN: Duration = Duration::from_secs(10);
/// How long a side that was told may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(3);

/// Carries bytes both ways until both sides closed, one broke, nothing passed for `idle`, or its term is over. A side that closes only
/// its sending half is still sent to, but for a WebSocket's backend. The answer's head goes out first.
///
/// Answers whether the backend broke it: with a reset, or a WebSocket without a goodbye.
pub(crate) async fn carry(
    exchange: &mut Exchange<'_>,
    upstream: &mut Stream,
    idle: Duration,
    term: Term,
) -> bool {
    let Scratch { answer, upload, download, .. } = &mut *exchange.scratch;
    upload.becomes_tunnel();
    let is_websocket =
        answer.fields.first(Name::Upgrade).is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
    if is_websocket {
        upload.tunnel().follow(Seam::Frames(websocket::Walker::default()));
        download.follow(Seam::Frames(websocket::Walker::default()));
    }
    let mut tunnel = Tunnel {
        exchange,
        upstream,
        idle,
        is_websocket,
        ways: (Way::Open, Way::Open),
        progress: 0,
        since: Instant::now(),
        leaves: None,
        is_broken: false,
    };
    let mut over = pin!(term.over());
    poll_fn(|cx| tunnel.poll(over.as_mut(), cx)).await;
    tunnel.is_broken
}

struct Tunnel<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    upstream: &'a mut Stream,
    idle: Duration,
    is_websocket: bool,
    /// From the client, and from the backend.
    ways: (Way, Way),
    /// Bytes that passed.
    progress: u64,
    since: Instant,
    /// Until when it has to be over, once its term is, or its backend has closed a WebSocket.
    leaves: Option<Instant>,
    /// Whether the backend broke it.
    is_broken: bool,
}

/// How far one way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What comes is passed on.
    Open,
    /// What comes is read for its end only: the other side was told that there is no more.
    Cut,
    /// Nothing comes any more.
    Over,
}

impl Tunnel<'_, '_> {
    fn poll(&mut self, over: Pin<&mut impl Future<Output = ()>>, cx: &mut Context<'_>) -> Poll<()> {
        if self.leaves.is_none() && over.poll(cx).is_ready() {
            self.leave();
        }
        if self.exchange.stream.h2().is_some_and(|stream| stream.poll_gone(cx).is_ready()) {
            return Poll::Ready(());
        }
        let before = self.ways;
        // What breaks one way ends both.
        if self.poll_ways(cx).is_err() || self.is_over(cx) {
            return Poll::Ready(());
        }
        if self.ways != before && self.is_farewell() {
            self.leaves = Some(Instant::now() + GOODBYE_WITHIN);
        }
        let Scratch { upload, download, .. } = &*self.exchange.scratch;
        let progress = upload.wrote() + download.wrote();
        if self.progress != progress {
            (self.since, self.progress) = (Instant::now(), progress);
        }
        let idle_at = self.since + self.idle;
        self.exchange.alarm.poll(Some(self.leaves.map_or(idle_at, |at| at.min(idle_at))), cx)
    }

    /// Whether nothing can be delivered any more.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let is_given_up = |stream: &mut H2Stream| stream.poll_gone(cx).is_ready();
        match self.ways {
            (Way::Over, Way::Over) => true,
            // A backend may end its half of a stream, and then the rest of it (RFC 9113 section 8.1).
            (_, Way::Over) => self.upstream.h2().is_some_and(is_given_up),
            _ => false,
        }
    }

    /// Whether its sides have only goodbyes left to say.
    fn is_farewell(&self) -> bool {
        match self.ways {
            // RFC 6455 section 7.1.1: the server closes first, and takes nothing then. Other protocols may use one half for longer.
            (_, Way::Over) if self.is_websocket => true,
            (Way::Open, _) | (_, Way::Open) => false,
            _ => self.leaves.is_some(),
        }
    }

    /// Its term is over.
    fn leave(&mut self) {
        self.leaves = Some(Instant::now() + CUT_WITHIN);
        let Exchange { scratch, client, .. } = &mut *self.exchange;
        let Scratch { upload, download, .. } = &mut **scratch;
        let upload = upload.tunnel();
        if upload.is_last() || download.is_last() {
            // They are saying goodbye, and do so best themselves.
            return;
        }
        let (to_client, to_backend) = match self.is_websocket {
            true => (
                websocket::restart_for_client(),
                websocket::restart_for_backend(&mut client.worker.entropy.borrow_mut()),
            ),
            false => (Vec::new(), Vec::new()),
        };
        download.cut(to_client);
        upload.cut(to_backend);
    }

    fn poll_ways(&mut self, cx: &mut Context<'_>) -> Result<(), Broken<Infallible>> {
        let Exchange { stream, scratch, client, .. } = &mut *self.exchange;
        let Scratch { upload, download, from_client, from_upstream, .. } = &mut **scratch;
        let (buffers, is_websocket) = (&client.worker.buffers, self.is_websocket);
        let (from_client, from_upstream) = ((from_client, buffers), (from_upstream, buffers));
        let before = self.ways;
        let down = self.ways.1.poll((download, is_websocket), (self.upstream, from_upstream), stream, cx);
        // Once one of them has said goodbye, or was told to go, the backend may leave as it likes.
        let is_expected = self.leaves.is_some() || upload.tunnel().is_last();
        let is_sudden = before == (Way::Open, Way::Open) && !is_expected;
        let is_end = matches!(down, Err(Broken::SourceGone(_)));
        let is_unsaid = is_websocket && self.ways.1 == Way::Over && !download.is_last();
        self.is_broken |= is_sudden && (is_end || is_unsaid);
        down?;
        let up = self.ways.0.poll((upload.tunnel(), is_websocket), (stream, from_client), self.upstream, cx);
        let is_still_sending = self.ways.1 == Way::Open && !is_expected;
        self.is_broken |= is_still_sending && matches!(up, Err(Broken::SinkGone(_)));
        up
    }
}

impl Way {
    fn poll(
        &mut self,
        (relay, is_websocket): (&mut Relay, bool),
        (from, (buffer, buffers)): (&mut Stream, (&mut Buffer, &Buffers)),
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Result<(), Broken<Infallible>> {
        if *self == Self::Open && relay.poll((from, buffer, buffers), to, cx, |_| Ok(()))?.is_ready() {
            *self = if relay.is_cut() { Self::Cut } else { Self::Over };
            // RFC 6455 section 7.1.1: after a close frame of ours the connection stays until the other side has sent one too.
            if !(is_websocket && relay.is_cut()) {
                // Sockets close their half at once.
                let _ = to.poll_end(cx);
            }
        }
        if *self == Self::Cut && relay.poll_rest(from, buffer, cx).is_ready() {
            *self = Self::Over;
        }
        Ok(())
    }
}

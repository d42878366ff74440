//! Tunnels: what a connection becomes when both sides agreed to speak something else over it (WebSocket, RFC 6455; `101`, RFC 9110 section 7.8).

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::exchange::{Exchange, Scratch};
use crate::relay::Broken;
use crate::stream::Stream;

/// Carries bytes both ways until both sides closed, one broke, or nothing passed for `idle`. A side that closes only its sending
/// half is still sent to. The answer's head goes out first.
pub(crate) async fn carry(exchange: &mut Exchange<'_>, upstream: &mut Stream, idle: Duration) {
    exchange.scratch.upload.becomes_tunnel();
    let mut tunnel =
        Tunnel { exchange, upstream, idle, is_open: (true, true), progress: 0, since: Instant::now() };
    poll_fn(|cx| tunnel.poll(cx)).await;
}

struct Tunnel<'a, 'e> {
    exchange: &'a mut Exchange<'e>,
    upstream: &'a mut Stream,
    idle: Duration,
    /// Whether the client, and the backend, may still send.
    is_open: (bool, bool),
    /// Bytes that passed.
    progress: u64,
    since: Instant,
}

impl Tunnel<'_, '_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What breaks one way ends both.
        if self.poll_ways(cx).is_err() || self.is_open == (false, false) {
            return Poll::Ready(());
        }
        let Scratch { upload, download, .. } = &*self.exchange.scratch;
        let progress = upload.wrote() + download.wrote();
        if self.progress != progress {
            (self.since, self.progress) = (Instant::now(), progress);
        }
        self.exchange.alarm.poll(Some(self.since + self.idle), cx)
    }

    fn poll_ways(&mut self, cx: &mut Context<'_>) -> Result<(), Broken<Infallible>> {
        let Exchange { stream, scratch, client, .. } = &mut *self.exchange;
        let Scratch { upload, download, from_client, from_upstream, .. } = &mut **scratch;
        let buffers = &client.worker.buffers;
        if self.is_open.1
            && download.poll((self.upstream, from_upstream, buffers), stream, cx, |_| Ok(()))?.is_ready()
        {
            // Sockets close their half at once.
            let _ = stream.poll_end(cx);
            self.is_open.1 = false;
        }
        if self.is_open.0
            && upload.tunnel().poll((stream, from_client, buffers), self.upstream, cx, |_| Ok(()))?.is_ready()
        {
            let _ = self.upstream.poll_end(cx);
            self.is_open.0 = false;
        }
        Ok(())
    }
}

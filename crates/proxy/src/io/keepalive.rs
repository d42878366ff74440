//! TCP keep-alive: how a peer is missed that went without a word.
//!
//! A host that loses power sends neither data nor an end. A stream that may be silent for as long as it likes (server-sent events, a
//! download from a backend that thinks) would wait for it for ever, hold its place, and keep a drain from its proof.

use std::time::Duration;

use socket2::TcpKeepalive;

/// A peer is missed after a minute of silence and three probes without an answer: soon enough for a drain, rare enough to cost nothing.
pub(crate) const fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10))
        .with_retries(3)
}
